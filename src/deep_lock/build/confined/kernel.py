"""The few calls into the kernel that the standard library lacks, through ctypes. Loaded on Linux only."""

import ctypes
import errno
import os
import platform
import struct

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_VERSION = 0x20080522
_READ_ANYWHERE = 2  # CAP_DAC_READ_SEARCH: root may run a Python that lies in somebody's closed home
_CAPABILITIES = 64
_LIBC = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: "int | ctypes.Array[ctypes.c_char] | None") -> int:
    """Make a system call. Raises OSError."""
    found = int(_LIBC.syscall(ctypes.c_long(number), *[_as_word(argument) for argument in arguments]))
    if found < 0:
        raise _last_error()
    return found


def _as_word(argument: "int | ctypes.Array[ctypes.c_char] | None") -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def prctl(option: int, value: int) -> None:
    """Set a property of this process. Raises OSError."""
    if _LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise _last_error()


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def drop_capabilities() -> None:
    """Give up what root may do beyond others, device nodes and other users' files among it. Raises OSError."""
    for capability in range(_CAPABILITIES):
        try:
            if capability != _READ_ANYWHERE:
                prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EINVAL}:  # not root: it has none; or the kernel knows no more
                raise
    kept = 1 << _READ_ANYWHERE if os.geteuid() == 0 and _may_read_anywhere() else 0
    head = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_VERSION, 0), 8)
    sets = ctypes.create_string_buffer(struct.pack("=6I", kept, kept, 0, 0, 0, 0), 24)
    syscall(_CAPSET[platform.machine()], head, sets)


def _may_read_anywhere() -> bool:
    with open("/proc/self/status", "rb") as file:
        line = next((line for line in file if line.startswith(b"CapPrm:")), b"CapPrm: 0")
    return bool(int(line.split()[1], 16) & 1 << _READ_ANYWHERE)
