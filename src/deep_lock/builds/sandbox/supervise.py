"""The supervisor: forks the confined child, enforces its limits, and leaves no process of it behind. And its guard.

`confine.py` loads it, and the same invariant holds. Its only message to deep-lock is the report. Each of the two notices
when the other is killed, and then kills the processes of the hook.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

# No pathlib: it takes 10 ms to import, and this program starts once for each hook.
# ruff: noqa: PTH123, PTH208

Settings = dict[str, Any]
Sibling = Callable[[str], Settings]

TICK = 0.1
SWEEP_SECONDS = 10
END_SECONDS = 15
"""Seconds for the sweep of the supervisor, after deep-lock has ended."""


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
        threads = int(fields[17])
        if fields[0] not in (b"Z", b"X") or threads > 1:  # only the first thread of a process may have ended
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


def guard(settings: Settings, supervisor: int, connection: socket.socket) -> int:
    """Wait until the supervisor ends, and kill what it leaves where it was killed. Return its exit code.

    ``connection`` gives the number of the hook's first process, and closes when the supervisor ends.
    """
    child = int(connection.recv(32) or b"0")
    closed = connection.fileno()
    if select.select([0, closed], [], [])[0] == [0]:  # deep-lock has ended
        select.select([closed], [], [], END_SECONDS)
    send(os.kill, supervisor, signal.SIGKILL)  # it ends in this moment, or it was stopped
    code = os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1])
    if code and child:
        sweep(child, 0, deep=settings["sweep"])
    return code


def exceeded(settings: Settings, output: int, usage: Any) -> str:
    """Return which limit the hook exceeds, if any."""
    written = os.fstat(output)
    if max(written.st_size, written.st_blocks * 512) > settings["output_limit"]:
        return "output"
    return str(usage.exceeded())


def has_ended(child: int) -> bool:
    """Whether the child has ended. It stays a zombie, so that its group id is not reused before the group is killed."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def watch(
    settings: Settings, child: int, limit_exceeded: Callable[[], str], descriptors: list[int], notifier: Any
) -> str:
    """Wait until the child ends or exceeds a limit; return why it was stopped, if it was.

    ``descriptors``: two that close when deep-lock or the guard ends, and one that wakes this process.
    """
    end = time.monotonic() + settings["wall_seconds"]
    *connections, wake = descriptors
    listeners = [] if notifier is None else [notifier.listener]
    while True:
        ended = has_ended(child)
        stopped = limit_exceeded()
        if ended or stopped or time.monotonic() > end:
            return stopped or ("" if ended else "time")
        readable = select.select([*descriptors, *listeners], [], [], TICK)[0]
        if notifier is not None and notifier.listener in readable:
            notifier.answer()
        if wake in readable:
            os.read(wake, 512)
        if any(connection in readable for connection in connections):  # nothing is ever written to them
            return "abandoned"


def receive_status(status: socket.socket) -> tuple[str, int | None]:
    """Return which step failed, if one did, and the listener of the filter. No untrusted code has run yet."""
    message, received, _, _ = socket.recv_fds(status, 4096, 1)
    while part := status.recv(4096):
        message += part
    message = message.strip()
    failed = "" if message == b"confined" else message.decode("utf-8", "replace") or "it ended at once"
    return failed, received[0] if received else None


def supervise(
    settings: Settings,
    become_child: Callable[[Settings, int, int, int], None],
    sibling: Sibling,
    connection: socket.socket,
) -> Settings | None:
    """Fork the child and wait for its end; return the report. In the child, return None once it is confined.

    ``connection`` is the one to the guard.
    """
    supervisor = os.getpid()
    output = os.open(settings["output"], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    status, ready = socket.socketpair()
    usage = sibling("usage")["Usage"](settings["writable"], settings["totals"], confined=bool(settings["filters"]))
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        become_child(settings, supervisor, output, ready.detach())
        return None
    ready.close()
    code, failed, stopped = -signal.SIGKILL, "", ""
    try:
        connection.sendall(b"%d" % child)
        failed, listener = receive_status(status)
        notifier = None
        if listener is not None:
            names = settings["notified"][os.uname().machine]
            notifier = sibling("seccomp_notify")["notifier"](listener, names, settings["writable"])
        descriptors = [0, connection.fileno(), wake]
        if not failed:
            stopped = watch(settings, child, lambda: exceeded(settings, output, usage), descriptors, notifier)
    finally:  # after any error: no process of the hook may be left
        code = sweep(child, code, deep=settings["sweep"])
    return {"failed": failed, "code": code, "stopped": stopped, "seconds": time.monotonic() - started}
