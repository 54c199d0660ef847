"""Runs the command line on a disk that fills up below one folder: `python fault_full_disk.py FOLDER BYTES ARGUMENTS...`.

What is written below FOLDER by os.fdopen counts; beyond BYTES, half of the write is done and ENOSPC is raised.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Any, Self

from deep_lock.__main__ import main


class Filling:
    """A file on the disk that fills up. ``left`` is shared by all of them."""

    def __init__(self, file: Any, left: list[int]) -> None:
        self._file = file
        self._left = left

    def write(self, data: bytes) -> int:
        if len(data) > self._left[0]:
            self._file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left[0] -= len(data)
        written: int = self._file.write(data)
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def fill(folder: str, size: int) -> None:
    """Give the folder's disk so many bytes."""
    left, fdopen = [size], os.fdopen

    def opening(handle: int, *arguments: Any, **named: Any) -> Any:
        file = fdopen(handle, *arguments, **named)
        path = Path(f"/proc/self/fd/{handle}").resolve()
        return Filling(file, left) if str(path).startswith(folder) else file

    vars(os).update(fdopen=opening)


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
    del sys.argv[1:3]
    main()
