"""Tries what one layer of the sandbox must stop: ends with 0 where it is stopped. Run by `sandbox.probe`."""

import errno
import os
import socket
import sys


def main(layer: str) -> int:
    """Print in one line what was found."""
    if layer == "limits":
        return _try_memory()
    return _try_files() if layer == "landlock" else _try_socket()


def _try_memory() -> int:
    try:
        bytearray(1 << 36)
    except MemoryError:
        print("memory, processor time, files and output are limited")
        return 0
    print("memory is not limited")
    return 1


def _try_files() -> int:
    try:
        os.listdir("/proc")
    except PermissionError:
        print("files, TCP and other processes are out of reach")
        return 0
    print("files outside can be read")
    return 1


def _try_socket() -> int:
    try:
        socket.socket(socket.AF_UNIX).close()
    except OSError as error:
        if error.errno == errno.EPERM:
            print("sockets, namespaces and keys are out of reach")
            return 0
    print("a socket can be made")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
