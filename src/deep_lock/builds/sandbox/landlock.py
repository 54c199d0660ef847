"""The rights of a hook on files, as Landlock rules. Linux: `landlock(7)`, `Documentation/userspace-api/landlock.rst`.

Each version of the ABI has more rights. A right that the kernel does not know cannot be handled; the system call filter
covers the rest.
"""

import ctypes
import errno
import os
from collections.abc import Sequence

from msgspec import Struct

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_DEVICES = 1 << 6 | 1 << 11
_FIRST_RIGHTS = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_TCP = 1 << 0 | 1 << 1
_SCOPES = 1 << 0 | 1 << 1  # abstract unix sockets, signals

FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
"""Rights on a file; the others are for folders."""

_CREATE_RULESET, _GET_VERSION = 444, 1

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"),
    *("/etc/ld-musl-x86_64.path", "/etc/ld-musl-aarch64.path", "/sys/devices/system/cpu"),
    *("/dev/random", "/dev/urandom"),
)
"""Readable and executable for every hook: compilers, libraries, time zones. No /proc, no whole /etc, no /dev/shm."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full")


class PathRule(Struct, frozen=True, kw_only=True):
    """Rights below a path. ``follow``: the path may be a link; a writable folder must not be one."""

    path: str
    rights: int
    follow: bool


class Ruleset(Struct, frozen=True, kw_only=True):
    """The arguments of `landlock_create_ruleset` and `landlock_add_rule`."""

    files: int
    network: int
    scopes: int
    rules: tuple[PathRule, ...]


def landlock_abi() -> int:
    """Return the version of Landlock's ABI here, 0 on other systems, or the negative errno with which the kernel refuses."""
    if not hasattr(os, "uname") or os.uname().sysname != "Linux":
        return 0
    library = ctypes.CDLL(None, use_errno=True)
    answer = int(library.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION))
    return answer if answer >= 0 else -(ctypes.get_errno() or errno.ENOSYS)


def make_ruleset(abi: int, readable: Sequence[str], writable: Sequence[str]) -> Ruleset:
    """Return the rules for a hook: the system's folders and ``readable`` can be read, ``writable`` also written."""
    files = _FIRST_RIGHTS
    for version, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE)):
        files |= right if abi >= version else 0
    reading = _EXECUTE | _READ_FILE | _READ_FOLDER
    own = files & ~(_MAKE_DEVICES | _IOCTL_DEVICE)
    device = files & (_READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE)
    return Ruleset(
        files=files,
        network=_TCP if abi >= 4 else 0,
        scopes=_SCOPES if abi >= 6 else 0,
        rules=(
            *(PathRule(path=path, rights=reading, follow=True) for path in (*SYSTEM, *readable)),
            *(PathRule(path=path, rights=device, follow=True) for path in DEVICES),
            *(PathRule(path=path, rights=own, follow=False) for path in writable),
        ),
    )
