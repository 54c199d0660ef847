"""The supervisor: forks the confined child, enforces its limits, and leaves no process of it behind.

`confine.py` loads it, and the same invariant holds. Its only message to deep-lock is the report.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import time
from collections.abc import Callable
from typing import Any

# No pathlib: it takes 10 ms to import, and this program starts once for each hook.
# ruff: noqa: PTH123, PTH208

Settings = dict[str, Any]
Sibling = Callable[[str], Settings]

TICK = 0.1
SWEEP_SECONDS = 10
MOST_ENTRIES = 500_000
"""More files than this in the writable folders count as too much space."""


def used_space(folders: list[str]) -> float:
    """Return the bytes on disk below the folders; infinity where they cannot be counted."""
    total = entries = 0
    waiting = list(folders)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    entries += 1
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError:
            return float("inf")  # a path that is too long, or a folder without access
        if entries > MOST_ENTRIES:
            return float("inf")
    return total


def offspring() -> list[int]:
    """Return the ids of all living descendants of this process, from /proc; none without it."""
    parents: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            parents.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def send(kill: Callable[[int, int], None], number: int, which: int) -> None:
    """Signal a process or group that may have ended."""
    with contextlib.suppress(OSError):
        kill(number, which)


def reap(child: int, code: int) -> tuple[int, bool]:
    """Wait for ended processes; return the child's exit code once it is known, and whether any process is left."""
    while True:
        try:
            dead, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code, False
        if dead == 0:
            return code, True
        if dead == child:
            code = os.waitstatus_to_exitcode(status)


def sweep(child: int, code: int, *, deep: bool) -> int:
    """Kill every process of the hook, and return its exit code. They are stopped first, so that none outruns the sweep."""
    send(os.killpg, child, signal.SIGKILL)
    code, left = reap(child, code)
    end = time.monotonic() + SWEEP_SECONDS
    while left and deep and time.monotonic() < end:
        found = offspring()
        for which in (signal.SIGSTOP, signal.SIGKILL):
            for number in found:
                send(os.kill, number, which)
        time.sleep(0.002)
        code, left = reap(child, code)
    return code


def exceeded(settings: Settings, output: int, space: Space) -> str:
    """Return which limit the hook exceeds, if any."""
    if os.fstat(output).st_size > settings["output_limit"]:
        return "output"
    return "space" if space.full() else ""


class Space:
    """The growth of the writable folders, measured so seldom that it takes a tenth of the time at most."""

    def __init__(self, folders: list[str], limit: int) -> None:
        self.folders = folders
        self.limit = limit
        self.next = 0.0
        self.before = used_space(folders)

    def full(self) -> bool:
        """Whether they have grown by more than the limit, as last measured."""
        started = time.monotonic()
        if started < self.next:
            return False
        grown = used_space(self.folders) - self.before
        ended = time.monotonic()
        self.next = ended + max(0.3, 10 * (ended - started))
        return not grown <= self.limit


def has_ended(child: int) -> bool:
    """Whether the child has ended. It stays a zombie, so that its group id is not reused before the group is killed."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def watch(settings: Settings, child: int, output: int, wake: int, notifier: Any) -> str:
    """Wait until the child ends or exceeds a limit; return why it was stopped, if it was."""
    space = Space(settings["writable"], settings["folder_limit"])
    end = time.monotonic() + settings["wall_seconds"]
    descriptors = [0, wake]
    if notifier is not None:
        descriptors.append(notifier.listener)
    while True:
        ended = has_ended(child)
        stopped = exceeded(settings, output, space)
        if ended or stopped or time.monotonic() > end:
            return stopped or ("" if ended else "time")
        readable = select.select(descriptors, [], [], TICK)[0]
        if notifier is not None and notifier.listener in readable:
            notifier.answer()
        if wake in readable:
            os.read(wake, 512)
        if 0 in readable:  # deep-lock writes nothing: it has ended
            return "abandoned"


def receive_status(status: socket.socket) -> tuple[str, int | None]:
    """Return which step failed, if one did, and the listener of the filter. No untrusted code has run yet."""
    message, received, _, _ = socket.recv_fds(status, 4096, 1)
    failed = "" if message == b"\n" else message.decode("utf-8", "replace") or "it ended at once"
    return failed, received[0] if received else None


def supervise(
    settings: Settings, become_child: Callable[[Settings, int, int, int], None], sibling: Sibling
) -> Settings | None:
    """Fork the child and wait for its end; return the report. In the child, return None once it is confined."""
    supervisor = os.getpid()
    output = os.open(settings["output"], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    status, ready = socket.socketpair()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        become_child(settings, supervisor, output, ready.detach())
        return None
    ready.close()
    code, failed, stopped = -signal.SIGKILL, "", ""
    try:
        failed, listener = receive_status(status)
        notifier = None
        if listener is not None:
            names = settings["notified"][os.uname().machine]
            notifier = sibling("seccomp_notify")["notifier"](listener, names, settings["writable"])
        stopped = "" if failed else watch(settings, child, output, wake, notifier)
    finally:  # after any error: no process of the hook may be left
        code = sweep(child, code, deep=settings["sweep"])
    return {"failed": failed, "code": code, "stopped": stopped, "seconds": time.monotonic() - started}
