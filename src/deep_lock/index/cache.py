"""The cache on disk: pages, and small immutable records. Whatever is wrong with it, a run only gets slower.

Laws:

- Every entry carries the digest of its content *and its key*, and is checked at every read. A bad one is deleted and
  counts as absent.
- Entries are replaced whole (write_atomically): a kill or a second process leaves the old one or the new one.
- A write that fails costs one warning a run, never the run.
- The modification time of a page says until when it may be used unasked: one stat() decides whether a page is fresh,
  and a "not modified" is one utime(), not a rewrite of megabytes.

::

    CACHEDIR.TAG
    v1/pages/ab/<sha256 of the URL>
    v1/<kind>/ab/<sha256 of the key>
    v1/files/ab/<sha256 of the bytes>      whole files (kept_files.py)
"""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from deep_lock.errors import CacheInvalid
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_temporary, write_atomically

LAYOUT = "v1"
"""Counts up whenever an entry written by an older deep-lock would be misread. Old layouts go with `clean`."""

MAX_PAGE_SECONDS = 600
"""No page is used unasked for longer, whatever the index says."""

_PAGES = "pages"
_MAGIC = b"deep-lock\x00"
_DIGEST = 32
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of deep-lock: it can be deleted at any time.\n"


class _PageRecord(msgspec.Struct, array_like=True):
    etag: str
    body: bytes
    listing: memoryview | None  # msgspec gives a view of what was read, not a copy


_encode = msgspec.msgpack.Encoder().encode
_decode_page = msgspec.msgpack.Decoder(_PageRecord).decode


class CachedPage(Struct, frozen=True, kw_only=True):
    """A page as it is kept: for revalidation, and its compact listing."""

    etag: str
    """Empty where the index gave none."""
    body: bytes
    """A digest of the answer as served: an unchanged page need not be read again."""
    listing: bytes | memoryview | None
    """None where the index said that it does not have the project."""


class Cache:
    """One cache folder. May be used by several threads and several processes at once."""

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        """Use ``folder``, which is made where it is missing.

        Raises CacheInvalid where someone else could write to it. Where it cannot be made, the run goes on without it.
        """
        self.folder = folder
        self._root = os.path.join(folder, LAYOUT)  # noqa: PTH118 - plain strings: Path objects cost more than the reads
        self._reporter = reporter
        # One writer at a time: the writes are short, and write_atomically asks the process for its umask.
        self._writing = threading.Lock()
        self._complained = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_foreign(folder)
            tag = folder / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_bytes(_TAG)
        except OSError as error:
            self._complain(error)

    @property
    def files_folder(self) -> Path:
        """Where whole files are kept."""
        return Path(self._root, "files")

    # -- pages

    def is_fresh(self, url: str, now: float) -> bool:
        """Whether the page may be used unasked at ``now`` (seconds since 1970). Reads nothing but the time."""
        try:
            until = os.stat(self._path(_PAGES, url)).st_mtime  # noqa: PTH116 - see _root
        except OSError:
            return False
        # A time too far ahead was not written by us under this clock: the clock went back, or the file was copied.
        return 0 < until - now <= MAX_PAGE_SECONDS

    def get_page(self, url: str) -> CachedPage | None:
        """Return the page, fresh or not; None where there is none."""
        raw = self._read(_PAGES, url)
        if raw is None:
            return None
        try:
            record = _decode_page(raw)
        except (ValueError, RecursionError):
            self.drop_page(url)
            return None
        return CachedPage(etag=record.etag, body=record.body, listing=record.listing)

    def put_page(self, url: str, page: CachedPage, *, fresh_until: float) -> None:
        """Keep a page."""
        listing = None if page.listing is None else memoryview(page.listing)
        record = _PageRecord(etag=page.etag, body=page.body, listing=listing)
        if self._write(_PAGES, url, _encode(record)):
            self.renew_page(url, fresh_until=fresh_until)

    def renew_page(self, url: str, *, fresh_until: float) -> None:
        """Note that the page is still right."""
        with suppress(OSError):
            os.utime(self._path(_PAGES, url), (fresh_until, fresh_until))

    def drop_page(self, url: str) -> None:
        """Delete a page that cannot be read, and say so."""
        self.drop(_PAGES, url)

    # -- records

    def get_record(self, kind: str, key: str) -> bytes | None:
        """Return what was kept under ``key``; None where there is nothing, or nothing sound."""
        raw = self._read(kind, key)
        return None if raw is None else bytes(raw)

    def put_record(self, kind: str, key: str, data: bytes) -> None:
        """Keep ``data`` for ever. ``kind`` names a folder and says what the data mean; ``key`` is any text.

        The key must determine the data: two processes may write at once, and either may win.
        """
        self._write(kind, key, data)

    def get_blob(self, digest: str) -> bytes | None:
        """Return the bytes whose sha256 is ``digest`` (hex)."""
        data = self.get_record("blobs", digest)
        if data is not None and sha256(data).hexdigest() != digest:
            self.drop("blobs", digest)
            return None
        return data

    def put_blob(self, data: bytes) -> str:
        """Keep bytes under their sha256, which is returned."""
        digest = sha256(data).hexdigest()
        self.put_record("blobs", digest, data)
        return digest

    def drop(self, kind: str, key: str) -> None:
        """Delete an entry that is not what it should be, and say so."""
        with suppress(OSError):
            Path(self._path(kind, key)).unlink()
        self._reporter(
            Warned(code="CacheEntryBad", subject=key, message=f"a damaged entry of the cache was deleted: {kind} {key}")
        )

    # -- housekeeping

    def clean(self) -> tuple[int, int]:
        """Delete everything. Returns how many files, and how many bytes, went. Raises CacheInvalid for a foreign folder."""
        if not self.folder.is_dir():
            return 0, 0
        _refuse_foreign(self.folder)
        files = size = 0
        for layout in sorted(self.folder.glob("v[0-9]*")):
            for path in _files_below(layout):
                with suppress(OSError):
                    length = path.stat().st_size
                    path.unlink()
                    files += 1
                    size += length
            _remove_empty_folders(layout)
        return files, size

    def prune(self, older_than: float) -> int:
        """Delete what killed runs left: temporary files last written before ``older_than``. Returns how many."""
        count = 0
        for path in _files_below(Path(self._root)):
            if is_temporary(path.name):
                with suppress(OSError):
                    if path.stat().st_mtime < older_than:
                        path.unlink()
                        count += 1
        return count

    # -- entries

    def _path(self, kind: str, key: str) -> str:
        name = sha256(key.encode("utf-8", errors="surrogatepass")).hexdigest()
        return os.path.join(self._root, kind, name[:2], name)  # noqa: PTH118 - see _root

    def _read(self, kind: str, key: str) -> memoryview | None:
        try:
            with open(self._path(kind, key), "rb", buffering=0) as file:  # noqa: PTH123 - see _root
                # With the size given, FileIO reads into one buffer; without, it grows one: eight times slower here.
                data = file.read(os.fstat(file.fileno()).st_size)
        except OSError:
            return None
        content = memoryview(data)[len(_MAGIC) + _DIGEST :]
        if data.startswith(_MAGIC + _seal(kind, key, content)):
            return content
        self.drop(kind, key)
        return None

    def _write(self, kind: str, key: str, content: bytes) -> bool:
        path = Path(self._path(kind, key))
        data = _MAGIC + _seal(kind, key, content) + content
        try:
            with self._writing:
                try:
                    write_atomically(path, data, durable=False)
                except FileNotFoundError:
                    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    write_atomically(path, data, durable=False)
        except OSError as error:
            self._complain(error)
            return False
        return True

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            self._reporter(
                Warned(
                    code="CacheNotWritten",
                    subject=str(self.folder),
                    message=f"the cache cannot be written, the run goes on without it: {error.strerror or error}",
                )
            )


def _seal(kind: str, key: str, content: bytes | memoryview) -> bytes:
    """Digest content together with its place: a file that was moved or swapped is as bad as a damaged one."""
    digest = sha256(f"{kind}\x00{key}\x00".encode("utf-8", errors="surrogatepass"))
    digest.update(content)
    return digest.digest()


def _refuse_foreign(folder: Path) -> None:
    """Whoever can write to the cache decides what is locked. Windows has no such bits; its profile folders are private."""
    if os.name != "posix":
        return
    status = folder.stat()
    if status.st_uid != os.getuid():
        raise CacheInvalid(
            f"{folder}: the cache folder belongs to another user (uid {status.st_uid})",
            hint="Choose a folder of your own with DEEP_LOCK_CACHE_DIR.",
        )
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise CacheInvalid(
            f"{folder}: others may write to the cache folder (mode {stat.S_IMODE(status.st_mode):o})",
            hint=f"chmod go-w {folder}",
        )


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def _remove_empty_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()
