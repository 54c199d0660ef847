"""Who descends from this process, as /proc tells."""

import os


def descendants() -> "list[int]":
    """Return every living process below this one, zombies left out."""
    parents = {process: found for process in _all() if (found := _stat(process)) is not None}
    below = {os.getpid()}
    added = True
    while added:
        more = {process for process, (_, parent, _) in parents.items() if parent in below and process not in below}
        added = bool(more)
        below |= more
    return [process for process in below if process != os.getpid() and parents[process][0] != b"Z"]


def is_below(process: int) -> bool:
    """Whether a process, or the thread of one, descends from this one."""
    own = os.getpid()
    for _ in range(1000):
        found = _stat(process)
        if found is None or found[1] <= 1:
            return found is not None and found[1] == own
        if found[1] == own:
            return True
        process = found[1]
    return False


def is_group_below(group: int) -> bool:
    """Whether everyone in a process group descends from this process."""
    members = [process for process in _all() if (found := _stat(process)) is not None and found[2] == group]
    return all(map(is_below, members))


def _all() -> "list[int]":
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(process: int) -> "tuple[bytes, int, int] | None":
    """Return state, parent and group."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (fields[0], int(fields[1]), int(fields[2])) if len(fields) > 2 else None
