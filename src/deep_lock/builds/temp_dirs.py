"""Temporary folders that untrusted code may write to. They are removed whatever it leaves in them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path


@contextmanager
def disposable_folder(prefix: str, *, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that only this user can enter, and remove it in the end. Raises OSError where it cannot be made."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder, also one with closed folders in it, or deeper than the limits of paths and of the stack.

    What cannot be removed is left.
    """
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        if folder.is_dir() and not folder.is_symlink():
            _flatten(folder)


def _flatten(folder: Path) -> None:
    """Move the content of inner folders to the top until there are none: no path has more than two names. Raises OSError."""
    numbers = count()
    folder.chmod(0o700)
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            Path(entry.path).chmod(0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    Path(inner.path).chmod(0o700)  # a closed folder cannot be moved
                Path(inner.path).rename(_unused_name(folder, numbers))
            Path(entry.path).rmdir()
    folder.rmdir()


def _unused_name(folder: Path, numbers: "count[int]") -> Path:
    return next(path for number in numbers if not os.path.lexists(path := folder / f"lifted-{number}"))
