"""Modes and times of files, changed by the supervisor on behalf of the confined: below the writable folders only.

Law: what is changed is what the supervisor itself has opened, and found to lie below a writable folder; what the
confined process shows while it waits is not trusted. Outside success is pretended, and nothing is changed.
"""

import errno
import os
import struct
import time
from collections.abc import Callable, Sequence

_HERE = 0xFFFFFF9C  # AT_FDCWD, -100, as the low half of a word
_NO_FOLLOW = 0x100
_NOW, _OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_MODES = 0o777
_SECOND = 1_000_000_000
_TOLD = {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EBADF}
"""Errors that are told as they are: who asks could find out by stat. A touch relies on them."""
_MODE_ARGUMENT = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
_TIMES_ARGUMENT = {"utime": 1, "utimes": 1, "futimesat": 2, "utimensat": 2}
_BY_PATH = {"chmod", "utime", "utimes"}
_WITH_FLAGS = {"fchmodat2", "utimensat"}


class Attributes:
    """Changes what lies below these folders, which are named as they are really called."""

    def __init__(self, writable: Sequence[str]) -> None:
        self._writable = tuple(path.rstrip("/") for path in writable)

    def change(self, name: str, process: int, arguments: "tuple[int, ...]", is_asked: Callable[[], bool]) -> int:
        """Make a call on behalf of a process, and return its error number, 0 for none.

        ``is_asked`` says whether the process still waits: if not, its number may by now be that of another.
        """
        try:
            path, follow = _path(name, process, arguments)
            times = _times(name, process, arguments[_TIMES_ARGUMENT[name]]) if name in _TIMES_ARGUMENT else None
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        except OSError as error:
            return error.errno if error.errno in _TOLD else 0
        except (ValueError, OverflowError, struct.error):
            return errno.EFAULT  # no address, or one past every memory
        try:
            if not self._is_writable(handle) or not is_asked():
                return 0
            if times is not None:
                _set_times(handle, *times)
            else:
                os.chmod(_place(handle), arguments[_MODE_ARGUMENT[name]] & _MODES)
        except OSError as error:
            return error.errno or errno.EPERM
        except (ValueError, OverflowError):
            return errno.EINVAL
        finally:
            os.close(handle)
        return 0

    def _is_writable(self, handle: int) -> bool:
        real = os.readlink(_place(handle))
        return any(real == folder or real.startswith(folder + "/") for folder in self._writable)


def _place(handle: int) -> str:
    return f"/proc/self/fd/{handle}"


def _path(name: str, process: int, arguments: "tuple[int, ...]") -> "tuple[str, bool]":
    """Return a path, as seen by us, to what a call means, and whether a link at its end is followed. Raises OSError."""
    own = f"/proc/{process}"
    if name == "fchmod":
        return f"{own}/fd/{_descriptor(arguments[0])}", True
    folder, address = (_HERE, arguments[0]) if name in _BY_PATH else (arguments[0] & 0xFFFFFFFF, arguments[1])
    text = "" if address == 0 else os.fsdecode(_read(process, address, 4096).split(b"\0", 1)[0])
    start = f"{own}/cwd" if folder == _HERE else f"{own}/fd/{_descriptor(folder)}"
    if not text:
        return start, True  # AT_EMPTY_PATH, or no path at all: the descriptor itself
    follow = name not in _WITH_FLAGS or not arguments[3] & _NO_FOLLOW
    if not text.startswith("/"):
        return f"{start}/{text}", follow
    for link in ("/proc/self/", "/proc/thread-self/"):
        if text.startswith(link):
            return f"{own}/{text[len(link) :]}", follow
    return text, follow


def _descriptor(word: int) -> int:
    if word & 0x80000000:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return word & 0x7FFFFFFF


_Moments = tuple[tuple[int, int], tuple[int, int]]
"""Access and modification: seconds and nanoseconds."""


def _times(name: str, process: int, address: int) -> _Moments:
    """Return the times that a call wants. Raises OSError, struct.error."""
    if address == 0:
        return (0, _NOW), (0, _NOW)
    if name == "utime":
        access, change = struct.unpack("=qq", _read(process, address, 16))
        return (access, 0), (change, 0)
    access, part, change, later = struct.unpack("=qqqq", _read(process, address, 32))
    if name == "utimensat":
        return (access, part), (change, later)
    return (access, part * 1000), (change, later * 1000)


def _set_times(handle: int, access: "tuple[int, int]", change: "tuple[int, int]") -> None:
    before = os.stat(handle)
    clock = time.time_ns()

    def moment(wanted: "tuple[int, int]", as_it_is: int) -> int:
        seconds, part = wanted
        return clock if part == _NOW else as_it_is if part == _OMIT else seconds * _SECOND + part

    os.utime(_place(handle), ns=(moment(access, before.st_atime_ns), moment(change, before.st_mtime_ns)))


def _read(process: int, address: int, size: int) -> bytes:
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), size, address)
