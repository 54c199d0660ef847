"""Waits for the confined process: within its time, its output and its space; then nothing of it is left alive.

Law: every process that it made is a descendant of this one (subreaper), and all of them are dead when this one ends.
"""

import os
import select
import signal
import time

from deep_lock.build.confined.attributes import Attributes

_PAUSE = 0.05
_SPACE_EVERY = 2.0
_SWEEP_SECONDS = 10.0


class Watched:
    """What is waited for, and the limits that end it."""

    def __init__(self, process: int, limits: "dict[str, float]", output: int, folders: "list[str]") -> None:
        self._process = process
        self._limits = limits
        self._output = output
        self._folders = folders
        self._until = time.monotonic() + limits["wall_seconds"]
        self._measured = time.monotonic()

    def wait(self, attributes: Attributes | None, listener: int, told: "list[int]") -> "tuple[int, str]":
        """Return the exit code, and what ended the process before its time: "", "time", "output", "space", "asked"."""
        while True:
            self._serve(attributes, listener)
            code = self._reaped()
            if code is not None:
                return code, ""
            stopped = "asked" if told else self._limit_reached()
            if stopped:
                return -signal.SIGKILL, stopped

    def _serve(self, attributes: Attributes | None, listener: int) -> None:
        if attributes is None:
            time.sleep(_PAUSE / 5)
            return
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        for _, event in poll.poll(_PAUSE * 1000):
            if event & select.POLLIN:
                attributes.answer()
            else:  # nobody is left who could ask
                time.sleep(_PAUSE / 10)

    def _reaped(self) -> int | None:
        """Bury who died; return the exit code of the watched process if it is among them."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if process == 0:
                return None
            if process == self._process:
                return os.waitstatus_to_exitcode(status)

    def _limit_reached(self) -> str:
        now = time.monotonic()
        if now > self._until:
            return "time"
        if os.fstat(self._output).st_size > self._limits["output"]:
            return "output"
        if now - self._measured > _SPACE_EVERY:
            self._measured = now
            if sum(map(size_below, self._folders)) > self._limits["folder"]:
                return "space"
        return ""


def size_below(folder: str) -> int:
    """Return the bytes of all files below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{parent}/{name}").st_blocks * 512
            except OSError:
                continue
    return total


def sweep() -> None:
    """Kill every descendant: children first, whose own children then become ours."""
    until = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < until:
        for process in _children():
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(_PAUSE / 10)
        except ChildProcessError:
            return


def _children() -> "list[int]":
    own = os.getpid()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == own:
            found.append(int(name))
    return found
