"""Attempts the actions of a hostile hook before the sandbox is used for a hook. Prints the attempts that succeeded.

A separate program, as `confine.py` is. Arguments: a file to read, a file to write, a file to make accessible to all users, a
process to signal, and bytes of memory over the limit. Each attempt is harmless where it succeeds.
"""

import contextlib
import mmap
import os
import socket
import sys


def reads(path: str) -> bool:
    """Whether the file can be read."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs 10 ms to import, at each probe
        return bool(file.read(1))


def writes(path: str) -> bool:
    """Whether the file can be written."""
    with open(path, "ab") as file:  # noqa: PTH123 - as above
        return file.write(b"!") == 1


def opens_to_the_world(path: str) -> bool:
    """Whether the file's mode can really be changed."""
    os.chmod(path, 0o666)  # noqa: PTH101, S103 - as above, and it is an attack; the file belongs to the probe
    return os.stat(path).st_mode & 0o777 == 0o666  # noqa: PTH116 - as above


def signals(process: str) -> bool:
    """Whether a process outside can get a signal."""
    os.kill(int(process), 0)
    return True


def connects(_: str) -> bool:
    """Whether a socket can be made at all."""
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    return True


def takes_memory(amount: str) -> bool:
    """Whether memory over the limit can be allocated."""
    mmap.mmap(-1, int(amount)).close()
    return True


def leaves(_: str) -> bool:
    """Whether a child can leave the process group, which is killed as a whole."""
    before = os.getsid(0)
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(0 if os.getsid(0) == before else 1)
    return os.waitpid(child, 0)[1] != 0


ATTEMPTS = (reads, writes, opens_to_the_world, signals, connects, takes_memory, leaves)


def main() -> None:
    """Make every attempt."""
    for attempt, argument in zip(ATTEMPTS, [*sys.argv[1:4], sys.argv[4], "", sys.argv[5], ""]):  # noqa: B905 - 3.9 has no strict
        done = False
        with contextlib.suppress(OSError, ValueError):
            done = attempt(argument)
        os.write(1, f"{attempt.__name__} {int(done)}\n".encode())


if __name__ == "__main__":
    main()
