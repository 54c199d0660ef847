"""Makes the chmod and utimensat calls of a hook in its place, where the file is in one of its writable folders.

`supervise.py` loads it, and the invariant of `confine.py` holds. Linkers and installers must really change modes, or the
files that they make cannot be run; and no layer of the kernel restricts where chmod may be called. So the filter passes
these calls on (Linux: `seccomp_unotify(2)`). The file is opened first, as the hook names it, and only the open file is
checked and changed: what the hook does to its memory or its paths meanwhile has no effect. For other files the call
reports success, as its callers expect.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
from typing import Any

RECEIVE, SEND, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
NOTICE, ANSWER = "=QIIiIQ6Q", "=QqiI"
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
MOST_PATH = 4096


class Refused(Exception):
    """The call is not made, and reports success."""


def signed(number: int) -> int:
    """Return a register as a C int, as the kernel reads it."""
    return int(struct.unpack("=i", struct.pack("=I", number & 0xFFFFFFFF))[0])


def memory(process: int, address: int, size: int) -> bytes:
    """Return memory of the hook's process, shorter at its end."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs 10 ms to import
        file.seek(address)
        return file.read(size)


def path_at(process: int, address: int) -> bytes:
    """Return a path in the hook's memory, page by page: the next page may not exist."""
    found = b""
    while len(found) < MOST_PATH and b"\0" not in found:
        page = memory(process, address + len(found), 4096 - (address + len(found)) % 4096)
        if not page:
            break
        found += page
    if b"\0" not in found:
        raise Refused
    return found.partition(b"\0")[0]


def times_at(process: int, address: int) -> bytes:
    """Return the two times in the hook's memory."""
    times = memory(process, address, 32)
    if len(times) < 32:
        raise OSError(errno.EFAULT, "")
    return times


def hold(process: int, folder: int, path: bytes, flags: int) -> int:
    """Open the file that the hook names, as a reference only (O_PATH)."""
    start = f"/proc/{process}/" + ("cwd" if folder == AT_FDCWD else f"fd/{folder}")
    if not path:
        return os.open(start, os.O_PATH | os.O_CLOEXEC)
    follow = os.O_NOFOLLOW if flags & AT_SYMLINK_NOFOLLOW else 0
    if path.startswith(b"/proc/self/"):  # of the hook, not of this process: a C library changes open files by it
        path = b"/proc/%d/" % process + path.removeprefix(b"/proc/self/")
    if path.startswith(b"/"):
        return os.open(path, os.O_PATH | os.O_CLOEXEC | follow)
    base = os.open(start, os.O_PATH | os.O_CLOEXEC)
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC | follow, dir_fd=base)
    finally:
        os.close(base)


def change_mode(held: int, mode: int) -> None:
    """Change the mode of an open file. No set-user-ID; the owner keeps the access that removal needs."""
    kind = os.fstat(held).st_mode
    if stat.S_ISLNK(kind):
        raise OSError(errno.EOPNOTSUPP, "")
    kept = 0o700 if stat.S_ISDIR(kind) else 0o600
    os.chmod(f"/proc/self/fd/{held}", mode & 0o777 | kept)  # noqa: PTH101 - pathlib costs 10 ms to import


def change_times(held: int, times: bytes) -> None:
    """Change the times of an open file; b"" means now."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.utimensat(AT_FDCWD, b"/proc/self/fd/%d" % held, times or None, 0) != 0:
        raise OSError(ctypes.get_errno(), "")


class Notifier:
    """Answers the notifications of one filter."""

    def __init__(self, listener: int, names: dict[int, str], writable: list[str]) -> None:
        self.listener = listener
        self.names = names
        self.roots = tuple(os.path.realpath(folder).rstrip("/") + "/" for folder in writable)

    def answer(self) -> None:
        """Answer one notification. Its sender may have ended; then there is nothing to answer."""
        notice = bytearray(struct.calcsize(NOTICE))
        try:
            fcntl.ioctl(self.listener, RECEIVE, notice)
        except OSError:
            return
        number, process, _, call, _, _, *arguments = struct.unpack(NOTICE, notice)
        code = 0
        try:
            self.make(number, process, self.names[call], arguments)
        except Refused:
            pass
        except OSError as error:
            code = -(error.errno or errno.EPERM)
        except (ValueError, OverflowError, struct.error):  # of an address outside memory: no input may end this loop
            code = -errno.EFAULT
        try:
            fcntl.ioctl(self.listener, SEND, struct.pack(ANSWER, number, 0, code, 0))
        except OSError:
            return

    def make(self, number: int, process: int, call: str, arguments: list[int]) -> None:
        """Make one call, if its file is in a writable folder."""
        held, last = self.target(process, call, arguments)
        try:
            times = times_at(process, last) if call == "utimensat" and last else b""
            fcntl.ioctl(self.listener, IS_VALID, struct.pack("=Q", number))  # else the process id was reused
            location = os.readlink(f"/proc/self/fd/{held}") + "/"  # noqa: PTH115 - pathlib costs 10 ms to import
            if not location.startswith(self.roots):
                raise Refused
            if call == "utimensat":
                change_times(held, times)
            else:
                change_mode(held, last)
        finally:
            os.close(held)

    def target(self, process: int, call: str, arguments: list[int]) -> tuple[int, int]:
        """Return the file of a call, open, and the call's last argument: a mode, or the address of times."""
        first, second, third, fourth = arguments[:4]
        try:
            if call == "fchmod":
                return hold(process, signed(first), b"", 0), second
            if call == "chmod":
                return hold(process, AT_FDCWD, path_at(process, first), 0), second
            path = path_at(process, second) if second else b""
            flags = 0 if call == "fchmodat" else signed(fourth)
            if second and not path and not flags & AT_EMPTY_PATH:
                raise OSError(errno.ENOENT, "")
            return hold(process, signed(first), path, flags), third
        except PermissionError:
            raise Refused from None  # a process that cannot be read, or a folder without access


def notifier(listener: int, names: dict[str, str], writable: list[str]) -> Any:
    """Return a notifier; ``names`` are the calls that the filter passes on, by number."""
    return Notifier(listener, {int(number): name for number, name in names.items()}, writable)
