"""Whole files by their sha256: wheels of build environments, sdists whose hooks are run, built wheels.

Invariants: the digest of a file is checked once in a run before it is returned, and a changed file is deleted. Files are
written whole (by a rename, or a hard link). Where the cache cannot be written, a temporary folder holds them for the run.
"""

import os
import stat
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from deep_lock.errors import CacheInvalid, HashMismatch, raise_machine_fault
from deep_lock.files import TEMPORARY_FOLDER_PREFIX, hold, open_regular, outer_folder, replacing, sweep
from deep_lock.index import remote_cache
from deep_lock.index.cache import TEMPORARY
from deep_lock.index.settings import MAX_FILE_BYTES
from deep_lock.lazy import shutil, tempfile


class FileCache:
    """The folder of whole files. May be used by several threads and several processes at once."""

    def __init__(self, folder: Path, remote: "remote_cache.RemoteCache | None" = None) -> None:
        """``remote`` is the cache that other machines use too, for `fetch` and `share`."""
        self._folder = folder
        self._remote = remote
        self._checked: set[str] = set()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._held: int | None = None

    def get(self, digest: str) -> Path | None:
        """Return the path of the file with this sha256; None where it is missing, or was changed."""
        path = self._path(self._folder, digest)
        if not path.exists() and self._temporary is not None:
            path = self._path(Path(self._temporary.name), digest)
        if digest in self._checked and path.exists():
            return path
        try:
            is_same = file_sha256(path) == digest
        except OSError as error:
            raise_machine_fault(error)  # not "missing": a wheel that was built a moment ago is in no other place
            return None
        if not is_same:
            with suppress(OSError):
                path.unlink()
            return None
        self._checked.add(digest)
        return path

    def fetch(self, digest: str) -> Path | None:
        """Copy the file from the remote cache, and return its path; None where that has none. Raises as `put`."""
        file = None if self._remote is None else self._remote.open(digest, limit=MAX_FILE_BYTES)
        if file is None:
            return None
        with file:
            return self.put(file, digest)

    def share(self, digest: str) -> None:
        """Copy a file to the remote cache, in the background."""
        path = None if self._remote is None else self.get(digest)
        if self._remote is not None and path is not None:
            self._remote.write(digest, path)

    def put(self, file: BinaryIO, digest: str) -> Path:
        """Write the rest of ``file``. Raises HashMismatch for other bytes, CacheInvalid where nothing can be written."""
        try:
            return self._put(self._folder, file, digest)
        except OSError:
            self._temporary = self._temporary or self._new_folder()
            file.seek(0)
            try:
                return self._put(Path(self._temporary.name), file, digest)
            except OSError as error:
                raise_machine_fault(error)
                raise CacheInvalid(f"a file cannot be cached: {error.strerror or error}") from None

    def link(self, path: Path, digest: str) -> None:
        """Add a file whose sha256 was checked, as a hard link; where that cannot be, do nothing."""
        if not may_be_shared(path):
            return
        link = self._path(self._folder, digest)
        with suppress(OSError):
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.hardlink_to(path)
            self._checked.add(digest)

    def close(self) -> None:
        """Delete the temporary folder."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def _path(self, folder: Path, digest: str) -> Path:
        return folder / digest[:2] / digest

    def _new_folder(self) -> "tempfile.TemporaryDirectory[str]":
        """Make the temporary folder, not in one of a run's hooks: that is removed earlier."""
        outer = outer_folder(Path(tempfile.gettempdir()))
        folder = tempfile.TemporaryDirectory(prefix=TEMPORARY_FOLDER_PREFIX, dir=outer)
        if os.name == "posix":
            self._held = os.open(folder.name, os.O_RDONLY)
            hold(self._held)
        return folder

    def _put(self, folder: Path, file: BinaryIO, digest: str) -> Path:
        path, unfinished = self._path(folder, digest), folder / TEMPORARY
        for needed in (path.parent, unfinished):
            needed.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(unfinished)
        with replacing(path, durable=False, temporary_in=unfinished) as out:
            shutil.copyfileobj(file, out, 1 << 20)
            out.seek(0)
            if file_digest(out, "sha256").hexdigest() != digest:  # type: ignore[arg-type]  # a file has readinto
                _refuse_changed(digest)
        self._checked.add(digest)
        return path


def may_be_shared(path: Path) -> bool:
    """Whether a file may have a hard link in the cache: only its owner may write to it.

    A write to one link changes both. Windows has no such bits: there nothing is shared.
    """
    if os.name != "posix":
        return False
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file in hex. Raises OSError."""
    with open_regular(path) as file:
        return file_digest(file, "sha256").hexdigest()


def _refuse_changed(digest: str) -> None:
    raise HashMismatch(f"a file with sha256 {digest} was changed while it was written")
