"""Waits for the confined process: within its time, its output and its space; then nothing of it is left alive.

Law: every process that it made is a descendant of this one (subreaper), and all of them are dead when this one ends.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Iterator

from deep_lock.build.confined import processes
from deep_lock.build.confined.answers import Answers

_PAUSE = 0.05
_SPACE_EVERY = 2.0
_SWEEP_SECONDS = 10.0
_FILES_AT_ONCE = 2000
_HIDDEN = 1 << 62
_CLOCKS_AGREE = 0.9  # the kernel limits by one clock and accounts by another


class Watched:
    """What is waited for, and the limits that end it."""

    def __init__(self, process: int, limits: "dict[str, float]", output: int, folders: "list[str]") -> None:
        self._process = process
        self._limits = limits
        self._output = output
        self._until = time.monotonic() + limits["wall_seconds"]
        self._sizes = _measure(folders)

    def wait(self, answers: "Answers | None", told: "list[int]") -> "tuple[int, str]":
        """Return the exit code, and what ended the process before its time.

        That is "", "time", "processor", "output", "space" or "asked".
        """
        poll = select.poll()
        ended = os.pidfd_open(self._process)
        poll.register(ended, select.POLLIN)
        if answers is not None:
            poll.register(answers.listener, select.POLLIN)
        while True:
            for handle, event in poll.poll(_PAUSE * 1000):
                if handle == ended or answers is None:
                    return self._ended()
                if event & select.POLLIN:
                    answers.answer()
                else:
                    poll.unregister(handle)  # nobody is left who could ask
            _bury_others(self._process)
            stopped = "asked" if told else self._limit_reached()
            if stopped:
                return -signal.SIGKILL, stopped

    def _ended(self) -> "tuple[int, str]":
        _, status, used = os.wait4(self._process, 0)
        code = os.waitstatus_to_exitcode(status)
        if self._too_much_output():
            return code, "output"
        spent = code in {-signal.SIGKILL, -signal.SIGXCPU} and used.ru_utime + used.ru_stime
        return code, "processor" if spent and spent >= self._limits["cpu_seconds"] * _CLOCKS_AGREE else ""

    def _limit_reached(self) -> str:
        if time.monotonic() > self._until:
            return "time"
        if self._too_much_output():
            return "output"
        return "space" if next(self._sizes) > self._limits["folder"] else ""

    def _too_much_output(self) -> bool:
        return os.fstat(self._output).st_size > self._limits["output"]


def _bury_others(process: int) -> None:
    """Bury who died, but for the watched one."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == process:
            return
        os.waitpid(found.si_pid, 0)


def _measure(folders: "list[str]") -> "Iterator[int]":
    """Yield the bytes of all files below the folders, as last measured; a large tree is walked in pieces."""
    size, again = 0, time.monotonic() + _SPACE_EVERY
    while True:
        if time.monotonic() < again:
            yield size
            continue
        total = 0
        for count, found in enumerate(_sizes(folders), start=1):
            total += found
            if count % _FILES_AT_ONCE == 0:
                yield max(size, total)
        size, again = total, time.monotonic() + _SPACE_EVERY


def _sizes(folders: "list[str]") -> "Iterator[int]":
    """Yield the bytes of each file; a folder that hides what is in it counts as more than any limit."""
    waiting = list(folders)
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    yield entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.ENAMETOOLONG}:
                yield _HIDDEN


def sweep() -> None:
    """Kill every descendant, and bury it."""
    until = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < until:
        for process in processes.descendants():
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(_PAUSE / 50)
