"""Whole files, put where they are wanted: from the cache, from a folder, or from the network.

Laws: a file has its final name only when its sha256 is the promised one. What was downloaded is kept in the cache too
where a second name is enough (a hard link), and never as a second copy: a closure can be gigabytes.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import Struct

from deep_lock.errors import HashMismatch, LimitExceeded, NetworkError, NotFound, UsageError
from deep_lock.files import replacing, temporary_beside
from deep_lock.index.file_cache import KeptFiles, may_be_shared
from deep_lock.index.settings import FILE_SECONDS, MAX_FILE_BYTES, Fetcher
from deep_lock.index.workers import LazyFetcher
from deep_lock.sanitize import show

MAX_PROMISED_BYTES = 16 * 1024 * 1024 * 1024
"""A promised size may be larger than what is taken from an index unseen, but not without end."""

PATIENT_BYTES = 64 * 1024
"""Bytes a second that a large file may come at: a dozen of them share one line."""

_CHUNK = 1024 * 1024

Way = Literal["there", "kept", "copied", "downloaded"]
"""Where a file was found: in its place, in the cache, in another folder, or on a server."""


class Wanted(Struct, frozen=True, kw_only=True):
    """A file and what it must be. Exactly one of ``url`` and ``local`` is set; ``size`` in bytes."""

    name: str
    url: str | None = None
    local: Path | None = None
    sha256: str
    size: int | None = None


class Downloads:
    """Puts files into folders. May be used by several threads; ``make_fetcher`` is called at the first download."""

    def __init__(self, files_folder: Path, make_fetcher: Callable[[], Fetcher], *, offline: bool) -> None:
        self._network = LazyFetcher(make_fetcher, offline=offline)
        self._kept = KeptFiles(files_folder)

    def put(self, wanted: Wanted, path: Path) -> Way:
        """See to it that the file stands at ``path``, and say how it came there.

        Raises IndexFault and SafetyError; UsageError where the folder cannot be written.
        """
        try:
            if _is(path, wanted):
                return "there"
            if wanted.local is not None:
                _copy(wanted.local, path, wanted)
                return "copied"
            kept = self._kept.get(wanted.sha256)
            if kept is not None:
                _refuse_size(wanted, kept.stat().st_size)
                _share(kept, path, wanted)
                return "kept"
            self._download(wanted, path)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
        self._kept.adopt(path, wanted.sha256)
        return "downloaded"

    def close(self) -> None:
        """Give up all connections."""
        self._network.close()
        self._kept.close()

    def _download(self, wanted: Wanted, path: Path) -> None:
        fetcher = self._network.reach(f"the file {wanted.name}")
        _refuse_giant(wanted)
        limit = MAX_FILE_BYTES if wanted.size is None else wanted.size
        deadline = FILE_SECONDS + (wanted.size or 0) / PATIENT_BYTES
        with replacing(path) as file:
            try:
                _, size = fetcher.download(wanted.url or "", file, limit=limit, deadline=deadline, sha256=wanted.sha256)
            except LimitExceeded as error:
                if wanted.size is None:
                    raise
                raise HashMismatch(f"{error.message}, and {wanted.size} were promised") from None
            except NotFound as error:
                raise NotFound(error.message, hint="the index took the file away since it was locked") from None
            _refuse_size(wanted, size)


def _refuse_giant(wanted: Wanted) -> None:
    if (wanted.size or 0) > MAX_PROMISED_BYTES:
        raise LimitExceeded(f"{wanted.name}: larger than {MAX_PROMISED_BYTES} bytes, by its own account")


def _refuse_size(wanted: Wanted, size: int) -> None:
    if wanted.size is not None and size != wanted.size:
        raise HashMismatch(f"{wanted.name}: is {size} bytes long, but {wanted.size} were promised")


def _is(path: Path, wanted: Wanted) -> bool:
    """Whether the file is there, whole and right. Its size is looked at first: it costs nothing."""
    try:
        if not path.is_file() or wanted.size not in {None, path.stat().st_size}:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256
    except OSError:
        return False


def _share(kept: Path, path: Path, wanted: Wanted) -> None:
    """Give a kept file a second name, or copy it where that cannot be."""
    if may_be_shared(kept):
        temporary = temporary_beside(path)
        try:
            temporary.hardlink_to(kept)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
        else:
            return
    _copy(kept, path, wanted)


def _copy(source: Path, path: Path, wanted: Wanted) -> None:
    """Copy a file, and check what was copied. Raises OSError for the new file's folder alone."""
    if not source.is_file():
        raise NetworkError(f"{source}: is not there, and the lock names it", hint="make the folder available again")
    _refuse_giant(wanted)
    with _opened(source) as old, replacing(path) as new:
        digest, size = hashlib.sha256(), 0
        for chunk in iter(lambda: old.read(_CHUNK), b""):
            size += len(chunk)
            if size > MAX_PROMISED_BYTES:
                raise LimitExceeded(f"{source}: larger than {MAX_PROMISED_BYTES} bytes")
            new.write(chunk)
            digest.update(chunk)
        if digest.hexdigest() != wanted.sha256:
            raise HashMismatch(f"{source}: has sha256 {digest.hexdigest()}, but {show(wanted.sha256)} was promised")
        _refuse_size(wanted, size)


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise NetworkError(f"{source}: {error.strerror or error}") from None
