"""The cache on disk: pages, and small immutable records. A damaged cache only makes a run slower.

Invariants:

- Every entry carries the digest of its content *and its key*, and is checked at every read. A bad one is deleted and
  counts as missing.
- Entries are replaced whole (write_atomically): a kill or a second process leaves the old one or the new one.
- A failed write is one warning for each run, never an error.
- The modification time of a page is the end of its freshness: one stat() decides whether a page is fresh, and a
  "not modified" is one utime(), not a rewrite of megabytes.

::

    CACHEDIR.TAG
    v1/pages-2/ab/<sha256 of the URL>
    v1/<kind>/ab/<sha256 of the key>
    v1/files/ab/<sha256 of the bytes>      whole files (file_cache.py)
    v1/once/ab/<sha256 of kind and key>    locks of what is being fetched, with the run that fetched it
    v1/requests/<sha256 of the origin>     the budget of requests of all processes
    v1/tmp, v1/files/tmp                   files that are being written
"""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from deep_lock.errors import CacheInvalid
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_temporary, locked, replacing, sweep
from deep_lock.index import remote_cache

TEMPORARY = "tmp"
"""One folder for files that are being written: what a killed run leaves there is removed by the next run that writes."""

LAYOUT = "v1"
"""Changes when an entry of an older deep-lock would be misread. `clean` deletes old layouts."""

MAX_PAGE_SECONDS = 600
"""The longest freshness of a page, even where the index allows more."""

METADATA = "metadata-4"
"""Core metadata, parsed, by the sha256 of the metadata file, or of the wheel that it was read from."""

FILES = "files"
"""Whole files (file_cache.py)."""

PAGES = "pages-2"
"""The number changes with the compact form of a listing: the index may confirm an old page for years."""
_ONCE = "once"
_MAGIC = b"deep-lock\x00"
_DIGEST = 32
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of deep-lock: it can be deleted at any time.\n"


class CachedPage(Struct, array_like=True, frozen=True, kw_only=True):
    """A cached page: what revalidation needs, and its compact listing."""

    etag: str
    """Empty for a response without one."""
    body: bytes
    """A digest of the response: an unchanged page need not be parsed again."""
    listing: memoryview | None
    """A view of what was read, not a copy; None where the index does not have the project."""


_encode = msgspec.msgpack.Encoder().encode
_decode_page = msgspec.msgpack.Decoder(CachedPage).decode


class Cache:
    """One cache folder. May be used by several threads and several processes at once."""

    def __init__(
        self,
        folder: Path,
        reporter: Reporter,
        *,
        larger_run: float | None = None,
        remote: "remote_cache.RemoteCache | None" = None,
    ) -> None:
        """Use ``folder``, which is made where it is missing.

        ``larger_run`` is the clock of the larger run that this run is a part of, in seconds since 1970: its parts use this
        folder at the same time, and what one of them has fetched is not fetched by another. ``remote`` is the cache that other
        machines use too.

        Raises CacheInvalid where another user could write to it. Where it cannot be made, the run continues without it.
        """
        self.folder = folder
        self.remote = remote
        self._root = os.path.join(folder, LAYOUT)  # noqa: PTH118 - plain strings: Path objects cost more than the reads
        self._reporter = reporter
        self._larger_run = larger_run
        # One writer at a time: the writes are short, and write_atomically reads the umask of the process.
        self._writing = threading.Lock()
        self._temporary = Path(self._root, TEMPORARY)
        self._folders: set[Path] = set()
        """Those that this run made, or found."""
        self._warned = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_foreign(folder)
            tag = folder / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_bytes(_TAG)
        except OSError as error:
            self._warn_once(error)

    @property
    def files_folder(self) -> Path:
        """The folder of whole files."""
        return Path(self._root, FILES)

    @property
    def requests_folder(self) -> Path:
        """The folder of the budget of requests (`network.request_budget`)."""
        return Path(self._root, "requests")

    # -- a larger run

    @property
    def is_shared(self) -> bool:
        """Whether other parts of a larger run use the folder at the same time."""
        return self._larger_run is not None

    @contextmanager
    def once(self, kind: str, key: str, *, seconds: float) -> Iterator[bool]:
        """Let one part of a larger run at a time fetch an entry; yield whether another part may have fetched it meanwhile.

        ``seconds`` is the longest wait for the other part. Outside of a larger run there is no lock and no wait.
        """
        if self._larger_run is None:
            yield False
            return
        path = Path(self._path(_ONCE, f"{kind} {key}"))
        with suppress(OSError):  # without its folder there is no lock
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path, seconds=seconds):
            yield True

    def is_validated(self, kind: str, key: str) -> bool:
        """Whether a part of the larger run has requested an entry that may change. Else an entry has its usual freshness."""
        if self._larger_run is None:
            return False
        try:
            return Path(self._path(_ONCE, f"{kind} {key}")).read_text(encoding="ascii") == repr(self._larger_run)
        except (OSError, UnicodeError):
            return False

    def set_validated(self, kind: str, key: str) -> None:
        """Record that the larger run has requested the entry. Inside of `once`, after the entry was written."""
        if self._larger_run is not None:
            # in the file itself, not a new one: it is locked
            with suppress(OSError):
                Path(self._path(_ONCE, f"{kind} {key}")).write_text(repr(self._larger_run), encoding="ascii")

    # -- pages

    def is_fresh(self, url: str, now: float) -> bool:
        """Whether the page may be used without a request at ``now`` (seconds since 1970). Reads only the time."""
        try:
            until = os.stat(self._path(PAGES, url)).st_mtime  # noqa: PTH116 - see _root
        except OSError:
            return False
        # A time too far ahead is not from this clock: the clock went back, or the file was copied.
        return 0 < until - now <= MAX_PAGE_SECONDS

    def get_page(self, url: str) -> CachedPage | None:
        """Return the page, fresh or not; None where there is none."""
        raw = self._read(PAGES, url)
        if raw is None:
            return None
        try:
            return _decode_page(raw)
        except (ValueError, RecursionError):
            self.drop_page(url)
            return None

    def put_page(self, url: str, page: CachedPage, *, fresh_until: float) -> None:
        """Write a page."""
        if self._write(PAGES, url, _encode(page)):
            self.renew_page(url, fresh_until=fresh_until)

    def renew_page(self, url: str, *, fresh_until: float) -> None:
        """Set until when the page is fresh."""
        with suppress(OSError):
            os.utime(self._path(PAGES, url), (fresh_until, fresh_until))
            self.set_validated(PAGES, url)

    def drop_page(self, url: str) -> None:
        """Delete a page that cannot be read, with a warning."""
        self.drop(PAGES, url)

    # -- records

    def get_record(self, kind: str, key: str) -> bytes | None:
        """Return the data of ``key``; None where there are none, or damaged ones."""
        raw = self._read(kind, key)
        return None if raw is None else bytes(raw)

    def put_record(self, kind: str, key: str, data: bytes) -> None:
        """Write ``data`` without expiry. ``kind`` is a folder and names the format of the data; ``key`` is any text.

        The key must determine the data: two processes may write at once, and either may win.
        """
        self._write(kind, key, data)

    def drop(self, kind: str, key: str) -> None:
        """Delete a damaged entry, with a warning."""
        self.remove(kind, key)
        self._reporter(
            Warned(code="CacheEntryBad", subject=key, message=f"a damaged entry of the cache was deleted: {kind} {key}")
        )

    def remove(self, kind: str, key: str) -> None:
        """Delete an entry, if there is one."""
        with suppress(OSError):
            Path(self._path(kind, key)).unlink()

    # -- housekeeping

    def clean(self) -> tuple[int, int]:
        """Delete everything. Returns the number of deleted files and bytes. Raises CacheInvalid for another user's folder."""
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
        """Delete temporary files of killed runs, last written before ``older_than``. Returns their number."""
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
            with self._writing:  # threads that write at once wait for each other anyway, and longer
                try:
                    self._replace(path, data)
                except FileNotFoundError:  # another process cleans the cache
                    self._folders.clear()
                    self._replace(path, data)
        except OSError as error:
            self._warn_once(error)
            return False
        return True

    def _replace(self, path: Path, data: bytes) -> None:
        if not self._folders:
            self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(self._temporary)
        if path.parent not in self._folders:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folders.add(path.parent)
        with replacing(path, durable=False, temporary_in=self._temporary) as file:
            file.write(data)

    def _warn_once(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._reporter(
                Warned(
                    code="CacheNotWritten",
                    subject=str(self.folder),
                    message=f"the cache cannot be written, the run goes on without it: {error.strerror or error}",
                )
            )


def _seal(kind: str, key: str, content: bytes | memoryview) -> bytes:
    """Digest content together with its key: a file that was moved or swapped counts as damaged."""
    digest = sha256(f"{kind}\x00{key}\x00".encode("utf-8", errors="surrogatepass"))
    digest.update(content)
    return digest.digest()


def _refuse_foreign(folder: Path) -> None:
    """A user who can write to the cache decides what is locked. Windows has no such bits; its profile folders are private."""
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
            f"{folder}: other users can write to the cache folder (mode {stat.S_IMODE(status.st_mode):o})",
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
