"""The attendant: makes the chmod and utimensat calls of a hook in its place, where the file is one of its own.

Law: stands alone, as `confine.py` does, which loads it. Linkers and installers must really change modes, or what they
made cannot be run; and no layer of the kernel says where chmod may be called. So the filter asks here (Linux:
`seccomp_unotify(2)`). The file is opened first, by the words of the hook, and only what is then held open is judged and
changed: what the hook does to its memory or its paths meanwhile changes nothing. For other files it is told that all
went well, as everything that asks for its modes expects.
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
    """The call is not made; its caller is told that it was."""


def signed(number: int) -> int:
    """Return a register as the C int that the kernel takes it for."""
    return int(struct.unpack("=i", struct.pack("=I", number & 0xFFFFFFFF))[0])


def memory(process: int, address: int, size: int) -> bytes:
    """Return memory of the hook's process, less where it ends."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs 10 ms to import
        file.seek(address)
        return file.read(size)


def path_at(process: int, address: int) -> bytes:
    """Return the path that the hook wrote, page by page: the next page may not be there."""
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
    """Return the two times that the hook wrote."""
    times = memory(process, address, 32)
    if len(times) < 32:
        raise OSError(errno.EFAULT, "")
    return times


def hold(process: int, folder: int, path: bytes, flags: int) -> int:
    """Open what the hook means, for reference only."""
    start = f"/proc/{process}/" + ("cwd" if folder == AT_FDCWD else f"fd/{folder}")
    if not path:
        return os.open(start, os.O_PATH | os.O_CLOEXEC)
    follow = os.O_NOFOLLOW if flags & AT_SYMLINK_NOFOLLOW else 0
    if path.startswith(b"/proc/self/"):  # its own, not ours: how a C library changes what it holds open
        path = b"/proc/%d/" % process + path.removeprefix(b"/proc/self/")
    if path.startswith(b"/"):
        return os.open(path, os.O_PATH | os.O_CLOEXEC | follow)
    base = os.open(start, os.O_PATH | os.O_CLOEXEC)
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC | follow, dir_fd=base)
    finally:
        os.close(base)


def change_mode(held: int, mode: int) -> None:
    """Change the mode of a file that is held open. No set-user-ID; its owner keeps what a sweep needs."""
    kind = os.fstat(held).st_mode
    if stat.S_ISLNK(kind):
        raise OSError(errno.EOPNOTSUPP, "")
    kept = 0o700 if stat.S_ISDIR(kind) else 0o600
    os.chmod(f"/proc/self/fd/{held}", mode & 0o777 | kept)  # noqa: PTH101 - pathlib costs 10 ms to import


def change_times(held: int, times: bytes) -> None:
    """Change the times of a file that is held open; no times at all mean now."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.utimensat(AT_FDCWD, b"/proc/self/fd/%d" % held, times or None, 0) != 0:
        raise OSError(ctypes.get_errno(), "")


class Attendant:
    """Answers the notices of one filter."""

    def __init__(self, listener: int, names: dict[int, str], writable: list[str]) -> None:
        self.listener = listener
        self.names = names
        self.roots = tuple(os.path.realpath(folder).rstrip("/") + "/" for folder in writable)

    def answer(self) -> None:
        """Answer one notice. Its sender may be dead by now; then there is nothing to answer."""
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
        except (ValueError, OverflowError, struct.error):  # an address past all memory, say: no word of a hook ends us
            code = -errno.EFAULT
        try:
            fcntl.ioctl(self.listener, SEND, struct.pack(ANSWER, number, 0, code, 0))
        except OSError:
            return

    def make(self, number: int, process: int, call: str, arguments: list[int]) -> None:
        """Make one call, if its file lies in a writable folder."""
        held, last = self.target(process, call, arguments)
        try:
            times = times_at(process, last) if call == "utimensat" and last else b""
            fcntl.ioctl(self.listener, IS_VALID, struct.pack("=Q", number))  # or these were another process's
            place = os.readlink(f"/proc/self/fd/{held}") + "/"  # noqa: PTH115 - pathlib costs 10 ms to import
            if not place.startswith(self.roots):
                raise Refused
            if call == "utimensat":
                change_times(held, times)
            else:
                change_mode(held, last)
        finally:
            os.close(held)

    def target(self, process: int, call: str, arguments: list[int]) -> tuple[int, int]:
        """Return the file that a call is about, held open, and the call's last argument: a mode, or where times are."""
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
            raise Refused from None  # a hook that cannot be looked into, or a place closed to all of us


def attendant(listener: int, names: dict[str, str], writable: list[str]) -> Any:
    """Return an attendant; ``names`` says by number which calls the filter passes on."""
    return Attendant(listener, {int(number): name for number, name in names.items()}, writable)
