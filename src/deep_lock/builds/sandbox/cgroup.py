"""A control group around a hook: the kernel counts its memory and processes, and ends them as a whole.

It is optional, since most systems do not let a user make one; without it the supervisor counts and ends. Version 2 only. Linux:
`cgroups(7)`, `Documentation/admin-guide/cgroup-v2.rst`.
"""

import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from msgspec import Struct

SUPERVISOR_MEMORY = 64 * 1024 * 1024
SUPERVISOR_PROCESSES = 16
"""What the programs around a hook take, which are in its group."""
END_SECONDS = 10
_ENTER = 'echo 0 > "$0" && exec "$@"'
_NUMBERS = count()


class Parent(Struct, frozen=True, kw_only=True):
    """A group in which a group can be made, and what the new one can limit: "memory", "pids"."""

    folder: Path
    controllers: frozenset[str]


class Group(Struct, frozen=True, kw_only=True):
    """The group of one hook."""

    folder: Path

    def enter(self) -> list[str]:
        """Return the arguments before a command line that start it in the group."""
        return ["/bin/sh", "-c", _ENTER, str(self.folder / "cgroup.procs")]

    def lacked_memory(self) -> bool:
        """Whether the kernel ended a process since the group had no more memory."""
        with suppress(OSError, ValueError):
            lines = (self.folder / "memory.events").read_text(encoding="ascii").splitlines()
            return any(int(line.split()[1]) > 0 for line in lines if line.startswith("oom_kill "))
        return False

    def is_populated(self) -> bool:
        """Whether a process is in the group."""
        with suppress(OSError):
            return "populated 1" in (self.folder / "cgroup.events").read_text(encoding="ascii")
        return False

    def end(self) -> None:
        """Kill every process of the group, and remove it. What cannot be removed is left."""
        end = time.monotonic() + END_SECONDS
        while self.is_populated() and time.monotonic() < end:
            if not _write(self.folder / "cgroup.kill", "1"):  # before Linux 5.14
                with suppress(OSError):
                    for number in (self.folder / "cgroup.procs").read_text(encoding="ascii").split():
                        os.kill(int(number), signal.SIGKILL)
            time.sleep(0.002)
        with suppress(OSError):
            self.folder.rmdir()


@functools.cache
def find_parent() -> Parent | None:
    """Return where a group can be made here, found by trial, or None. It is the own group, or the one above it.

    The group above is used only where the own group has no limit, since a limit would not apply to its neighbor.
    """
    own, top = _own_folder()
    if own is None:
        return None
    candidates = [own] if own == top or _is_limited(own) else [own, own.parent]
    found = [parent for folder in candidates if (parent := _try(folder)) is not None]
    return max(found, key=lambda parent: len(parent.controllers), default=None)


@contextmanager
def new_group(memory: int, processes: int) -> Iterator[Group | None]:
    """Make a group with limits, and end it with all that is in it. None where there can be none."""
    parent = find_parent()
    group = None if parent is None else _make(parent.folder)
    if group is None:
        yield None
        return
    try:
        _write(group.folder / "memory.max", str(memory + SUPERVISOR_MEMORY))
        _write(group.folder / "memory.swap.max", "0")
        _write(group.folder / "memory.oom.group", "1")
        _write(group.folder / "pids.max", str(processes + SUPERVISOR_PROCESSES))
        yield group
    finally:
        group.end()


def _make(parent: Path) -> Group | None:
    """Make a group, and remove those of runs that were killed."""
    try:
        prefix = f"deep-lock-{Path('/proc/self/ns/pid').stat().st_ino}-"
        for old in parent.glob(f"{prefix}*"):
            if not Path("/proc", old.name.removeprefix(prefix).partition("-")[0]).exists():
                Group(folder=old).end()
        folder = parent / f"{prefix}{os.getpid()}-{next(_NUMBERS)}"
        folder.mkdir()
    except OSError:
        return None
    return Group(folder=folder)


def _try(parent: Path) -> Parent | None:
    """Make a group and start a process in it."""
    group = _make(parent)
    if group is None:
        return None
    try:
        controllers = frozenset((group.folder / "cgroup.controllers").read_text(encoding="ascii").split())
        # `read` waits for the end of its input, so the process is there to be ended
        program = [*group.enter(), "/bin/sh", "-c", "echo; read _"]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=null) as process:  # noqa: S603 - programs of the system
            entered = process.stdout is not None and process.stdout.readline() == b"\n"
            group.end()
            is_ended = entered and process.wait(END_SECONDS) == -signal.SIGKILL
            process.kill()
    except (OSError, subprocess.TimeoutExpired):
        return None
    finally:
        group.end()
    return Parent(folder=parent, controllers=controllers & {"memory", "pids"}) if is_ended else None


def _own_folder() -> tuple[Path | None, Path | None]:
    """Return the folder of the own group, and the topmost folder; None where there is no version 2."""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None, None
    own = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), None)
    mount = next((line.split() for line in mounts if " - cgroup2 " in line), None)
    if own is None or mount is None:
        return None, None
    root, top = mount[3], Path(mount[4])
    if not Path(own).is_relative_to(root):
        return None, None
    return top / Path(own).relative_to(root), top


def _is_limited(folder: Path) -> bool:
    for name in ("memory.max", "memory.high", "cpu.max"):
        with suppress(FileNotFoundError):
            if not (folder / name).read_text(encoding="ascii").startswith("max"):
                return True
    return False


def _write(path: Path, text: str) -> bool:
    """Write to a file of the kernel, if it is there and may be written."""
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(file, text.encode())
    except OSError:
        return False
    finally:
        os.close(file)
    return True
