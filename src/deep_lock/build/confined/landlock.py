"""Landlock: what of the file system a process and its children may touch, for ever. Needs Linux 5.13.

What it does not cover (chmod, chown, times, extended attributes, UDP, unix sockets by path) is seccomp's part.
"""

import ctypes
import os
import struct
from collections.abc import Sequence

from deep_lock.build.confined import kernel

CREATE, ADD_RULE, RESTRICT = 444, 445, 446
PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/os-release", "/etc/debian_version", "/nix/store",
)  # fmt: skip
"""What any program needs to start, compilers included. Nothing of a user, no keys, no names."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def abi() -> int:
    """Return the version of Landlock that the kernel speaks. Raises OSError where it has none."""
    return kernel.syscall(CREATE, None, 0, 1)


def restrict(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Leave this process nothing but these folders and files. Raises OSError."""
    version = abi()
    handled = _handled(version)
    network = 0b11 if version >= 4 else 0  # bind and connect of TCP
    scoped = 0b11 if version >= 6 else 0  # abstract unix sockets, signals
    attributes = struct.pack("QQQ", handled, network, scoped)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = kernel.syscall(CREATE, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes), 0)
    try:
        for path in (*SYSTEM, *readable):
            _allow(ruleset, path, READ & handled)
        for path in DEVICES:
            _allow(ruleset, path, (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV) & handled)
        for path in writable:
            _allow(ruleset, path, handled)
        kernel.syscall(RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _handled(version: int) -> int:
    known = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    return (1 << known) - 1


def _allow(ruleset: int, path: str, access: int) -> None:
    """Allow what stands at the path; what does not exist needs no leave."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not os.path.isdir(path):
            access &= OF_FILES
        rule = struct.pack("=Qi", access, handle)
        kernel.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(handle)
