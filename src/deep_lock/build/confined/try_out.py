"""Tries what the layers of the sandbox must stop: ends with 0 where all is stopped. Run by `sandbox.probe`."""

import errno
import mmap
import os
import socket
import stat
import sys

_MORE_THAN_ALLOWED = 64 << 30


def main(layers: "list[str]") -> int:
    """Print in one line what was not stopped first."""
    for layer in layers:
        found = _TRIALS[layer]() if layer in _TRIALS else ""
        if found:
            print(found)
            return 1
    return 0


def _try_memory() -> str:
    try:  # addresses only: no memory is touched, and no other limit of the kernel is in the way
        mmap.mmap(-1, _MORE_THAN_ALLOWED, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()
    except OSError:
        return ""
    return "memory is not limited"


def _try_files() -> str:
    try:
        os.listdir("/proc")
    except PermissionError:
        return ""
    return "files outside can be read"


def _try_calls() -> str:
    try:
        socket.socket(socket.AF_UNIX).close()
    except OSError as error:
        if error.errno == errno.EPERM:
            return _try_modes()
    return "a socket can be made"


def _try_modes() -> str:
    """The supervisor must be able to help: a linker must make programs executable."""
    with open("made", "wb"):
        pass
    os.chmod("made", 0o700)
    if stat.S_IMODE(os.stat("made").st_mode) == 0o700:
        return ""
    return "modes of files cannot be changed by the supervisor (kernel.yama.ptrace_scope above 1 forbids it)"


_TRIALS = {"limits": _try_memory, "landlock": _try_files, "seccomp": _try_calls}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
