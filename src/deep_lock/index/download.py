"""Puts whole files into folders: from the cache, from another folder, or from the network.

Invariant: a file has its final name only when its sha256 is the expected one. A downloaded file is added to the cache as
a hard link only, never as a second copy: a closure can be gigabytes.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import Struct

from deep_lock.errors import HashMismatch, LimitExceeded, NetworkError, NotFound, UsageError, raise_machine_fault
from deep_lock.files import replacing, temporary_path
from deep_lock.index import wheel_files
from deep_lock.index.cache import FILES, Cache
from deep_lock.index.file_cache import FileCache, file_sha256, may_be_shared
from deep_lock.index.settings import FILE_SECONDS, MAX_FILE_BYTES, Fetcher
from deep_lock.index.workers import LazyFetcher
from deep_lock.network.urls import origin_of
from deep_lock.sanitize import show

MAX_PROMISED_BYTES = 16 * 1024 * 1024 * 1024
"""A locked size may be larger than the limit for an unknown size, but not unlimited."""

PATIENT_BYTES = 64 * 1024
"""Bytes a second: the slowest download of a large file, since a dozen of them share one connection to the internet."""

_CHUNK = 1024 * 1024

Way = Literal["there", "kept", "copied", "downloaded"]
"""Where a file was found: at its path, in the cache, in another folder, or on a server."""


class Wanted(Struct, frozen=True, kw_only=True):
    """A file and its expected digest. Exactly one of ``url`` and ``local`` is set; ``size`` in bytes."""

    name: str
    url: str | None = None
    local: Path | None = None
    sha256: str
    size: int | None = None


class Downloads:
    """Puts files into folders. May be used by several threads; ``make_fetcher`` is called at the first download."""

    def __init__(
        self,
        cache: Cache,
        make_fetcher: Callable[[], Fetcher],
        namer_of: Callable[[Wanted], str],
        *,
        offline: bool,
    ) -> None:
        """``namer_of`` returns who names the URL of a file, as in `Fetcher.get`, and raises UrlForbidden where no index does."""
        self._namer_of = namer_of
        self._cache = cache
        self._fetcher = LazyFetcher(make_fetcher, offline=offline)
        self._file_cache = FileCache(cache.files_folder, cache.remote)
        self._silent: set[str] = set()
        """Origins that failed to answer for a metadata file: no other one is requested there."""

    def put(self, wanted: Wanted, path: Path) -> Way:
        """Put the file at ``path``, and return where it was found.

        Raises IndexFault and SafetyError; UsageError where the folder cannot be written.
        """
        try:
            if _is(path, wanted):
                return "there"
            if wanted.local is not None:
                _copy(wanted.local, path, wanted)
                return "copied"
            if self._put_cached(wanted, path, self._file_cache.get(wanted.sha256)):
                return "kept"
            with self._cache.once(FILES, wanted.sha256, seconds=FILE_SECONDS) as may_be_new:
                cached = self._file_cache.get(wanted.sha256) if may_be_new else None
                if self._put_cached(wanted, path, cached or self._file_cache.fetch(wanted.sha256)):
                    return "kept"
                self._download(wanted, path)
                self._file_cache.link(path, wanted.sha256)
                self._file_cache.share(wanted.sha256)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
        return "downloaded"

    def require_same_metadata(self, wanted: Wanted, path: Path) -> None:
        """Compare the metadata in a wheel at ``path`` with what its server has next to it (PEP 658), once for each wheel.

        Raises MetadataDiffers and ArchiveError.
        """
        if wanted.url is not None and wanted.name.endswith(".whl"):
            origin = origin_of(wanted.url)
            answered = wheel_files.require_same_as_served(
                path,
                wanted.name,
                wanted.url,
                wanted.sha256,
                cache=self._cache,
                fetcher=self._fetcher,
                named_by=(lambda: self._namer_of(wanted)) if origin not in self._silent else None,
            )
            if not answered:
                self._silent.add(origin)

    def at_hand(self, wanted: Wanted) -> Path | None:
        """Return the path of the file on this machine, its sha256 compared; None where it would have to be fetched."""
        if wanted.local is not None:
            return wanted.local if _is(wanted.local, wanted) else None
        return self._file_cache.get(wanted.sha256)

    def close(self) -> None:
        """Close all connections."""
        self._fetcher.close()
        if self._cache.remote is not None:
            self._cache.remote.close()
        self._file_cache.close()

    def _put_cached(self, wanted: Wanted, path: Path, cached: Path | None) -> bool:
        if cached is None:
            return False
        _refuse_size(wanted, cached.stat().st_size)
        _share(cached, path, wanted)
        return True

    def _download(self, wanted: Wanted, path: Path) -> None:
        fetcher = self._fetcher.open(f"the file {wanted.name}")
        _refuse_too_large(wanted)
        named_by = self._namer_of(wanted)
        limit = MAX_FILE_BYTES if wanted.size is None else wanted.size
        deadline = FILE_SECONDS + (wanted.size or 0) / PATIENT_BYTES
        with replacing(path) as file:
            try:
                _, size = fetcher.download(
                    wanted.url or "", file, named_by=named_by, limit=limit, deadline=deadline, sha256=wanted.sha256
                )
            except LimitExceeded as error:
                if wanted.size is None:
                    raise
                raise HashMismatch(f"{error.message}, and {wanted.size} bytes were expected") from None
            except NotFound as error:
                raise NotFound(error.message, hint="the index has deleted the file since it was locked") from None
            _refuse_size(wanted, size)


def _refuse_too_large(wanted: Wanted) -> None:
    if (wanted.size or 0) > MAX_PROMISED_BYTES:
        raise LimitExceeded(f"{wanted.name}: larger than {MAX_PROMISED_BYTES} bytes, according to its stated size")


def _refuse_size(wanted: Wanted, size: int) -> None:
    if wanted.size is not None and size != wanted.size:
        raise HashMismatch(f"{wanted.name}: is {size} bytes long, but {wanted.size} bytes were expected")


def _is(path: Path, wanted: Wanted) -> bool:
    """Whether the file is there with its digest. The size is compared first: it costs nothing."""
    try:
        if not path.is_file() or wanted.size not in {None, path.stat().st_size}:
            return False
        return file_sha256(path) == wanted.sha256
    except OSError:
        return False


def _share(cached: Path, path: Path, wanted: Wanted) -> None:
    """Make a hard link to a cached file, or copy it where that cannot be."""
    if may_be_shared(cached):
        temporary = temporary_path(path)
        try:
            temporary.hardlink_to(cached)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
        else:
            return
    _copy(cached, path, wanted)


def _copy(source: Path, path: Path, wanted: Wanted) -> None:
    """Copy a file, and check the copy. Raises OSError for the folder of the new file only."""
    if not source.is_file():
        raise NetworkError(f"{source}: does not exist, but the lock lists it", hint="make the folder available again")
    _refuse_too_large(wanted)
    with _opened(source) as old, replacing(path) as new:
        digest, size = hashlib.sha256(), 0
        for chunk in iter(lambda: old.read(_CHUNK), b""):
            size += len(chunk)
            if size > MAX_PROMISED_BYTES:
                raise LimitExceeded(f"{source}: larger than {MAX_PROMISED_BYTES} bytes")
            new.write(chunk)
            digest.update(chunk)
        if digest.hexdigest() != wanted.sha256:
            raise HashMismatch(f"{source}: has sha256 {digest.hexdigest()}, but {show(wanted.sha256)} was expected")
        _refuse_size(wanted, size)


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise_machine_fault(error)
        raise NetworkError(f"{source}: {error.strerror or error}") from None
