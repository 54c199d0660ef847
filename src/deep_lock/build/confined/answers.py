"""Answers what the confined processes ask through seccomp, one question at a time.

Law: once this is closed no process below can start another, so that all of them can be found and killed.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Sequence

from deep_lock.build.confined import processes, seccomp
from deep_lock.build.confined.attributes import Attributes

_RECEIVE, _SEND, _IS_ASKED = 0xC0502100, 0xC0182101, 0x40082102
_GO_ON = 1


class Answers:
    """Answers on a seccomp listener. At most so many processes live at once."""

    def __init__(self, listener: int, writable: Sequence[str], most_processes: int) -> None:
        self.listener = listener
        self._attributes = Attributes(writable)
        self._most = most_processes
        self._left = most_processes

    def close(self) -> None:
        """Answer no more: every question from now on fails at once."""
        os.close(self.listener)

    def answer(self) -> None:
        """Answer one question. A process that went away meanwhile needs none."""
        question = bytearray(80)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, question)
        except OSError:
            return
        number, process, _, call = struct.unpack_from("=QIIi", question)
        arguments = struct.unpack_from("=6Q", question, 32)
        name = seccomp.asked_name(call)
        if name in seccomp.ATTRIBUTES:
            error = self._attributes.change(name, process, arguments, lambda: self._is_asked(number))
            self._send(number, error, 0)
            return
        error = self._fork_error() if name in seccomp.FORKS else _signal_error(name, arguments)
        # these take numbers only, which no other thread can change after we looked at them
        self._send(number, error, 0 if error else _GO_ON)

    def _is_asked(self, number: int) -> bool:
        try:
            fcntl.ioctl(self.listener, _IS_ASKED, struct.pack("=Q", number))
        except OSError:
            return False
        return True

    def _send(self, number: int, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(self.listener, _SEND, struct.pack("=QqiI", number, 0, -error, flags))
        except OSError:
            return

    def _fork_error(self) -> int:
        """Count down to the limit; count who still lives only when it is reached."""
        if self._left <= 0:
            self._left = self._most - len(processes.descendants())
            if self._left <= 0:
                return errno.EAGAIN
        self._left -= 1
        return 0


def _signal_error(name: str, arguments: "tuple[int, ...]") -> int:
    """Let signals through to those below us only."""
    target = arguments[0] & 0xFFFFFFFF
    if target & 0x80000000:
        group = (1 << 32) - target
        return 0 if group != 1 and processes.is_group_below(group) else errno.EPERM
    if target == 0 and name == "kill":
        return 0  # its own group: each is a session away from ours
    return 0 if processes.is_below(target) else errno.EPERM
