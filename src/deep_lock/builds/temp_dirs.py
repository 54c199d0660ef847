"""Temporary folders that untrusted code may write to. They are removed with any content that the code leaves in them.

All of them are in one folder of the run, which the run holds (`files.hold`). A later run removes the folders that none holds.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from deep_lock.files import TEMPORARY_FOLDER_PREFIX, hold, is_left, outer_folder

_guard = threading.RLock()
_uses: list[tuple[Path, int, str | None]] = []
"""One for each use that has not ended: the folder of this run, its handle, and `tempfile.tempdir` without it."""


@contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """Yield one folder for all temporary files of this run, also those of libraries: `tempfile` uses it meanwhile.

    Nested uses, also by several threads, share it. Raises OSError where it cannot be made.
    """
    with _guard:
        if not _uses:
            sweep_temporary_folders()
            folder, handle = _new_folder()
            usual, tempfile.tempdir = tempfile.tempdir, str(folder)
            _uses.append((folder, handle, usual))
        else:
            _uses.append(_uses[0])
        own = _uses[0][0]
    try:
        yield own
    finally:
        with _guard:
            folder, handle, usual = _uses.pop()
            if not _uses:
                tempfile.tempdir = usual
                remove_folder(folder)
                os.close(handle)


def _new_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_FOLDER_PREFIX))
        try:
            handle = os.open(folder if os.name == "posix" else os.devnull, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another run swept it before it was opened
        hold(handle)
        if folder.is_dir():
            return folder, handle
        os.close(handle)  # another run swept it before it was held


def sweep_temporary_folders() -> None:
    """Remove the folders that killed runs left, as far as that is possible."""
    with suppress(OSError), os.scandir(outer_folder(Path(tempfile.gettempdir()))) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY_FOLDER_PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_left(Path(entry.path))


def _remove_left(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if is_left(handle):
                remove_folder(folder)
        finally:
            os.close(handle)


@contextmanager
def disposable_folder(prefix: str, *, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that only this user can enter, and remove it in the end. Raises OSError where it cannot be made."""
    with own_temporary_folder() as own:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent or own))
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
