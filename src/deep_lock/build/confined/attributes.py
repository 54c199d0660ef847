"""Modes and times of files, changed by the supervisor on behalf of the confined: below the writable folders only.

Law: the path is resolved again, by the kernel, beneath a folder that the supervisor holds open; what the confined
process shows while it waits is not trusted. Everywhere else success is pretended, and nothing is changed.
"""

import fcntl
import os
import struct
import time
from collections.abc import Sequence

from deep_lock.build.confined import kernel, seccomp

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_HERE = 0xFFFFFF9C  # AT_FDCWD, -100, as the low half of a word
_NOW, _OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_MODES = 0o777


class Attributes:
    """Answers what is asked on a seccomp listener."""

    def __init__(self, listener: int, writable: Sequence[str]) -> None:
        self._listener = listener
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self._roots = [(path, os.open(path, flags)) for path in writable if os.path.isdir(path)]

    def answer(self) -> None:
        """Answer one question. A process that went away meanwhile needs none."""
        question = bytearray(80)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, question)
        except OSError:
            return
        number, process, _, call = struct.unpack_from("=QIIi", question)
        arguments = struct.unpack_from("=6Q", question, 32)
        error = self._done(seccomp.asked_name(call), process, arguments)
        try:
            fcntl.ioctl(self._listener, _SEND, struct.pack("=QqiI", number, 0, -error, 0))
        except OSError:
            return

    def _done(self, name: str, process: int, arguments: "tuple[int, ...]") -> int:
        try:
            path = _path(name, process, arguments)
            handle = self._opened(path) if path is not None else None
        except OSError:
            return 0
        if handle is None:
            return 0
        try:
            place = f"/proc/self/fd/{handle}"
            if name == "utimensat":
                os.utime(place, ns=_times(process, arguments[2], os.stat(place)))
            else:
                mode = arguments[1] if name in {"chmod", "fchmod"} else arguments[2]
                os.chmod(place, mode & _MODES)
        except OSError as error:
            return error.errno or 0
        finally:
            os.close(handle)
        return 0

    def _opened(self, path: str) -> "int | None":
        for root, handle in self._roots:
            if path == root or path.startswith(root + "/"):
                return kernel.open_beneath(handle, path[len(root) + 1 :])
        return None


def _path(name: str, process: int, arguments: "tuple[int, ...]") -> "str | None":
    """Return the absolute path that a call means; None where it cannot be known. Raises OSError."""
    if name == "fchmod" or (name == "utimensat" and arguments[1] == 0):
        return os.readlink(f"/proc/{process}/fd/{arguments[0] & 0xFFFFFFFF}")
    if name == "chmod":
        folder, address = _HERE, arguments[0]
    else:
        folder, address = arguments[0] & 0xFFFFFFFF, arguments[1]
    text = os.fsdecode(_read(process, address, 4096).split(b"\0", 1)[0])
    if not text:
        return os.readlink(f"/proc/{process}/fd/{folder}")
    if not text.startswith("/"):
        link = f"/proc/{process}/cwd" if folder == _HERE else f"/proc/{process}/fd/{folder}"
        text = f"{os.readlink(link)}/{text}"
    return os.path.normpath(text)


def _times(process: int, address: int, now: os.stat_result) -> "tuple[int, int]":
    """Return the access and modification time in nanoseconds that a call wants."""
    clock = time.time_ns()
    if address == 0:
        return clock, clock
    seconds, part, later_seconds, later_part = struct.unpack("=qqqq", _read(process, address, 32))
    return (
        _time(seconds, part, clock, now.st_atime_ns),
        _time(later_seconds, later_part, clock, now.st_mtime_ns),
    )


def _time(seconds: int, part: int, clock: int, as_it_is: int) -> int:
    return clock if part == _NOW else as_it_is if part == _OMIT else seconds * 1_000_000_000 + part


def _read(process: int, address: int, size: int) -> bytes:
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), size, address)
