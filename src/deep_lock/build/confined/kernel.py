"""The few calls into the kernel that the standard library lacks, through ctypes. Loaded on Linux only."""

import ctypes
import os

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 1, 38, 36
OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH = 0x02, 0x08
_LIBC = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: "int | ctypes.Array[ctypes.c_char] | ctypes.c_void_p | None") -> int:
    """Make a system call. Raises OSError."""
    found = int(_LIBC.syscall(ctypes.c_long(number), *[_as_word(argument) for argument in arguments]))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def _as_word(argument: "int | ctypes.Array[ctypes.c_char] | ctypes.c_void_p | None") -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def prctl(option: int, value: int) -> None:
    """Set a property of this process. Raises OSError."""
    if _LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_beneath(folder: int, path: str) -> int:
    """Open a path below a folder for its attributes only: no link leads out, whoever races. Raises OSError."""
    how = ctypes.create_string_buffer(
        (os.O_PATH | os.O_CLOEXEC).to_bytes(8, "little")
        + bytes(8)
        + (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS).to_bytes(8, "little"),
        24,
    )
    return syscall(OPENAT2, folder, ctypes.create_string_buffer(os.fsencode(path or ".")), how, 24)
