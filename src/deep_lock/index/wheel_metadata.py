"""A wheel's core metadata, by the cheapest way: cache, metadata file (PEP 658), byte ranges, whole wheel.

The cache holds the parsed form under the digest of the metadata file (which the wheels of a release mostly share), or
of the wheel. Measured, reading it back costs a twentieth of parsing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from deep_lock.errors import (
    ArchiveError,
    HashMismatch,
    IndexInvalid,
    LimitExceeded,
    MetadataDiffers,
    MetadataInvalid,
    NetworkError,
    NotFound,
    raise_machine_fault,
)
from deep_lock.events import FromCache, Reporter, Warned
from deep_lock.index import lazy_wheel, wheel_files
from deep_lock.index.cache import METADATA, Cache
from deep_lock.index.settings import FILE_SECONDS, LONGEST_WAIT, MAX_FILE_BYTES, SMALL_SECONDS, Fetcher
from deep_lock.index.workers import LazyFetcher, OnceMap
from deep_lock.lazy import load_all, tempfile
from deep_lock.models.distribution import Distribution, Wheel
from deep_lock.models.metadata import MAX_METADATA_BYTES, Metadata, check_name, is_same_version, parse_metadata
from deep_lock.network.urls import shown_url, sidecar_url

_MAX_RANGE_BYTES = 2 * MAX_METADATA_BYTES
"""Of METADATA, or the wheel's central directory. Also of a whole wheel where a server responds to a range with the whole
file: a larger one is streamed to disk instead."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Metadata).decode


class _WholeWheel(Exception):
    """A server without ranges sent the whole wheel."""

    def __init__(self, body: bytes) -> None:
        super().__init__("not a range")
        self.body = body


class WheelMetadata:
    """The metadata of wheels. Each is fetched once, for all wheels that share it."""

    def __init__(
        self,
        cache: Cache,
        fetcher: LazyFetcher,
        local_path: Callable[[str], Path | None],
        reporter: Reporter,
        *,
        whole: Callable[[str], Path | None],
    ) -> None:
        """``local_path`` returns the path of a URL that is a file of this machine; ``whole`` that of a cached wheel, by sha256."""
        self._cache = cache
        self._fetcher = fetcher
        self._local_path = local_path
        self._reporter = reporter
        self._whole = whole
        self._known: OnceMap[str, Metadata] = OnceMap()
        self._notes: dict[str, Warned] = {}
        self._rangeless: set[str] = set()
        self.used: dict[str, Wheel] = {}
        """The wheels whose metadata were returned, by URL."""

    def get(self, wheel: Wheel, *, ahead: bool = False) -> Metadata:
        """Return the metadata. ``ahead`` is a prefetch: warnings wait for a call without it.

        Raises IndexFault, SafetyError (HashMismatch, MetadataInvalid, ArchiveError).
        """
        metadata = self._known.get(_key(wheel), lambda: self._load(wheel))
        note = None if ahead else self._notes.pop(wheel.filename, None)
        if note is not None:
            self._reporter(note)
        _check_release(metadata, wheel)
        if not ahead:
            self.used[wheel.url] = wheel
        return metadata

    def _load(self, wheel: Wheel) -> Metadata:
        cached = self._cached(wheel)
        if cached is not None:
            self._reporter(FromCache(name=wheel.filename))
            return cached
        with self._cache.once(METADATA, _key(wheel), seconds=LONGEST_WAIT) as may_be_new:
            return (self._cached(wheel) if may_be_new else None) or self._fetched(wheel)

    def _fetched(self, wheel: Wheel) -> Metadata:
        raw = self._sidecar(wheel) if wheel.metadata is not None else None
        key_digest = wheel.metadata
        if raw is None:
            raw = self._out_of_wheel(wheel)
            key_digest = wheel.sha256
        metadata = parse_metadata(raw, wheel.filename)
        _check_release(metadata, wheel)
        path = self._whole(wheel.sha256) if wheel.sha256 is not None else None
        if path is not None:
            with suppress(ArchiveError):  # it is refused where it is installed
                _compare(wheel, metadata, path)
        key_digest = key_digest or wheel.sha256
        if key_digest:
            self._cache.put_record(METADATA, key_digest, _encode(metadata))
        return metadata

    def is_known(self, wheel: Wheel) -> bool:
        """Whether this run has the metadata."""
        return self._known.has(_key(wheel))

    def require_same(self, wheel: Wheel, path: Path) -> None:
        """Compare the metadata with those in the whole wheel at ``path``, whose sha256 was checked.

        Raises MetadataDiffers, and as `get`. Other metadata are not kept in the cache: a later run compares them again.
        """
        try:
            _compare(wheel, self.get(wheel), path)
        except MetadataDiffers:
            for digest in filter(None, (wheel.metadata, wheel.sha256)):
                self._cache.remove(METADATA, digest)
            raise

    def _cached(self, wheel: Wheel) -> Metadata | None:
        for digest in (wheel.metadata, wheel.sha256):
            record = self._cache.get_record(METADATA, digest) if digest else None
            if digest and record is not None:
                try:
                    return _decode(record)
                except (ValueError, RecursionError):
                    self._cache.drop(METADATA, digest)
        return None

    # -- PEP 658

    def _sidecar(self, wheel: Wheel) -> bytes | None:
        """Return the checked metadata file; None where the index promises one that is missing."""
        remote = self._cache.remote if wheel.metadata else None
        if remote is not None and wheel.metadata:
            body = remote.read(wheel.metadata, limit=MAX_METADATA_BYTES)
            if body is not None:
                return body
        url = sidecar_url(wheel.url)
        fetcher = self._fetcher.open(f"the metadata of {wheel.filename}")
        headers = {"accept": "*/*"}
        for _ in range(2):
            response = fetcher.get(
                url,
                named_by=wheel.named_by or wheel.index,
                headers=headers,
                limit=MAX_METADATA_BYTES,
                deadline=SMALL_SECONDS,
            )
            if response.status == 404:
                self._notes[wheel.filename] = Warned(
                    code="MetadataMissing",
                    subject=wheel.filename,
                    message="the index lists its metadata file but does not have it (PEP 658); the metadata is read from the wheel",
                )
                return None
            if response.status != 200:
                raise IndexInvalid(f"{shown_url(url)}: unexpected HTTP status {response.status}")
            digest = sha256(response.body).hexdigest()
            if wheel.metadata in {"", digest}:
                if remote is not None:
                    remote.write(digest, response.body)
                return response.body
            headers["cache-control"] = "no-cache"  # once more, past a proxy with an old copy
        raise HashMismatch(
            f"{shown_url(url)}: has sha256 {digest}, but {wheel.metadata} was expected (fetched twice)",
            hint="The index, or a proxy before it, has other bytes than its own page says.",
        )

    # -- out of the wheel

    def _out_of_wheel(self, wheel: Wheel) -> bytes:
        local = self._local_path(wheel.url)
        if local is not None:
            return _out_of_local_wheel(local, wheel)
        fetcher = self._fetcher.open(f"the metadata of {wheel.filename}")
        origin = _origin(wheel.url)
        if origin not in self._rangeless:
            try:
                return self._by_ranges(fetcher, wheel)
            except _WholeWheel as whole:
                self._rangeless.add(origin)
                return _out_of_body(whole.body, wheel)
            except LimitExceeded:  # all of a large wheel came
                self._rangeless.add(origin)
            except NotFound:
                raise
            except NetworkError:
                # Some servers refuse "the last N bytes". A network fault looks the same, so ranges are avoided for
                # this wheel only; the download raises the real fault.
                pass
        return self._out_of_download(fetcher, wheel)

    def _by_ranges(self, fetcher: Fetcher, wheel: Wheel) -> bytes:
        def fetch(wanted: lazy_wheel.ByteRange) -> tuple[bytes, int]:
            response = fetcher.get(
                wheel.url,
                named_by=wheel.named_by or wheel.index,
                headers={"range": wanted.header},
                limit=_MAX_RANGE_BYTES,
                deadline=SMALL_SECONDS,
            )
            if response.status == 404:
                raise disagreement(wheel)
            if response.status == 200:
                raise _WholeWheel(response.body)
            content_range = response.headers.get("content-range")
            return response.body, lazy_wheel.read_content_range(
                content_range, wanted, len(response.body), wheel.filename
            )

        tail = lazy_wheel.tail_bytes(wheel.size)
        reading = lazy_wheel.reading_metadata(wheel.name, str(wheel.version), wheel.filename, tail=tail)
        return lazy_wheel.read_by_ranges(reading, fetch)

    def _out_of_download(self, fetcher: Fetcher, wheel: Wheel) -> bytes:
        with tempfile.TemporaryFile() as file:
            try:
                fetcher.download(
                    wheel.url,
                    file,
                    named_by=wheel.named_by or wheel.index,
                    limit=MAX_FILE_BYTES,
                    deadline=FILE_SECONDS,
                    sha256=wheel.sha256,
                )
            except NotFound:
                raise disagreement(wheel) from None
            return lazy_wheel.metadata_from_wheel(file, wheel.name, str(wheel.version), wheel.filename)


def _compare(wheel: Wheel, metadata: Metadata, path: Path) -> None:
    inside = wheel_files.metadata_inside(path, wheel.name, wheel.filename)
    wheel_files.require_same(metadata, inside, wheel.filename)


def _check_release(metadata: Metadata, wheel: Wheel) -> None:
    """Raise NameMismatch or MetadataInvalid where the metadata is another project's or another version's."""
    check_name(metadata, wheel.name, wheel.filename)
    if not is_same_version(metadata.version, str(wheel.version)):
        raise MetadataInvalid(f"{wheel.filename}: contains the metadata of version {metadata.version[:100]}")


def _key(wheel: Wheel) -> str:
    return wheel.metadata or wheel.sha256 or wheel.url


def _origin(url: str) -> str:
    return urlsplit(url).netloc


def _out_of_body(body: bytes, wheel: Wheel) -> bytes:
    if wheel.sha256 is not None and sha256(body).hexdigest() != wheel.sha256:
        raise HashMismatch(f"{wheel.filename}: the file does not have the expected sha256 {wheel.sha256}")
    return lazy_wheel.metadata_from_wheel(BytesIO(body), wheel.name, str(wheel.version), wheel.filename)


def _out_of_local_wheel(path: Path, wheel: Wheel) -> bytes:
    load_all()
    try:
        with path.open("rb") as file:
            return lazy_wheel.metadata_from_wheel(file, wheel.name, str(wheel.version), wheel.filename)
    except OSError as error:
        raise_machine_fault(error)
        raise NetworkError(f"{path}: {error.strerror}") from error


def disagreement(dist: Distribution) -> NotFound:
    """Return the error for a listed file that is missing (404)."""
    return NotFound(
        f"{shown_url(dist.url)}: does not exist, but the page of {dist.name} lists it",
        hint="Try again with --refresh, or later.",
    )
