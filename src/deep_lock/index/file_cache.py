"""Whole files, kept under their sha256: wheels of build environments, sdists whose backend is asked, built wheels.

Laws: a file is read through once in a run before it is handed out, and deleted where its bytes are others. Files come
in whole (one rename, or a second name of a whole one). Where the cache cannot be written, they stand in a folder that goes with the run.
"""

import os
import stat
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from deep_lock.errors import CacheInvalid, HashMismatch
from deep_lock.files import temporary_beside
from deep_lock.lazy import shutil, tempfile


class KeptFiles:
    """The folder of kept files. May be used by several threads and several processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checked: set[str] = set()
        self._passing: tempfile.TemporaryDirectory[str] | None = None

    def get(self, digest: str) -> Path | None:
        """Return where the file with this sha256 stands; None where it is not kept, or was changed."""
        path = self._place(self._folder, digest)
        if not path.exists() and self._passing is not None:
            path = self._place(Path(self._passing.name), digest)
        if digest in self._checked and path.exists():
            return path
        try:
            same = _digest(path) == digest
        except OSError:
            return None
        if not same:
            with suppress(OSError):
                path.unlink()
            return None
        self._checked.add(digest)
        return path

    def put(self, file: BinaryIO, digest: str) -> Path:
        """Keep what is left of ``file``. Raises HashMismatch for other bytes, CacheInvalid where nothing can be written."""
        try:
            return self._put(self._folder, file, digest)
        except OSError:
            self._passing = self._passing or tempfile.TemporaryDirectory(prefix="deep-lock-")
            file.seek(0)
            try:
                return self._put(Path(self._passing.name), file, digest)
            except OSError as error:
                raise CacheInvalid(f"a file cannot be kept: {error.strerror or error}") from None

    def adopt(self, path: Path, digest: str) -> None:
        """Keep a file whose sha256 was checked under a second name, where that costs no disk; elsewhere do nothing."""
        if not may_be_shared(path):
            return
        place = self._place(self._folder, digest)
        with suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.hardlink_to(path)
            self._checked.add(digest)

    def close(self) -> None:
        """Delete what only this run could keep."""
        if self._passing is not None:
            self._passing.cleanup()
            self._passing = None

    def _place(self, folder: Path, digest: str) -> Path:
        return folder / digest[:2] / digest

    def _put(self, folder: Path, file: BinaryIO, digest: str) -> Path:
        path = self._place(folder, digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            with temporary.open("xb") as out:
                shutil.copyfileobj(file, out, 1 << 20)
            if _digest(temporary) != digest:
                _refuse(digest)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        self._checked.add(digest)
        return path


def may_be_shared(path: Path) -> bool:
    """Whether a file may stand in the cache and elsewhere at once: nobody but its owner may write to it.

    Who can write to one of two names writes to both. Windows has no such bits: there nothing is shared.
    """
    if os.name != "posix":
        return False
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _refuse(digest: str) -> None:
    raise HashMismatch(f"a file with sha256 {digest} was changed while it was kept")
