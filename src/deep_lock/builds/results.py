"""Opens the files that a hook wrote. A hook can write a link instead of a file or folder; links are not followed."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from deep_lock.errors import raise_machine_fault

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# O_NONBLOCK: the opening of a pipe does not wait for a writer.


def open_result(path: Path, root: Path) -> BinaryIO:
    """Open a regular file below ``root``, a folder that the hook could not replace.

    Raises OSError where it is missing, is not a regular file, or a step to it is a link.
    """
    file = os.fdopen(_open(path, root), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path.name} is not a regular file")
    return file


def is_result(path: Path, root: Path) -> bool:
    """Whether `open_result` opens the file."""
    try:
        open_result(path, root).close()
    except OSError as error:
        raise_machine_fault(error)
        return False
    return True


def _open(path: Path, root: Path) -> int:
    *folders, name = path.relative_to(root).parts
    if os.open not in os.supports_dir_fd:  # Windows: no process of the hook is left that could change a path
        if path.resolve() != root.resolve().joinpath(*folders, name):
            raise OSError(f"{path} is behind a link")
        return os.open(path, _FILE)
    held = os.open(root, _FOLDER)
    for step in folders:
        above = held
        try:
            held = os.open(step, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    try:
        return os.open(name, _FILE, dir_fd=held)
    finally:
        os.close(held)
