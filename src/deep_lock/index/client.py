"""The index client: versions, files and metadata, from any index, folder or cache.

Each result is computed once in a run and kept, so that a run sees one state of the indexes. Fresh results of the cache
are read in the calling thread; the prefetch methods return at once, and their errors are raised by the later call.

``index`` of a method is the URL of the only index that is queried for the project; "" for those that the settings name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import (
    CacheInvalid,
    ConfigError,
    DeepLockError,
    HashMismatch,
    HashMissing,
    LimitExceeded,
    NetworkError,
    NotFound,
    raise_machine_fault,
)
from deep_lock.events import FromCache, MayChange, Reporter, Warned
from deep_lock.index import provenance_files
from deep_lock.index.cache import FILES, Cache
from deep_lock.index.file_cache import FileCache, file_sha256
from deep_lock.index.find_links import FindLinks
from deep_lock.index.listing import Listing
from deep_lock.index.pages import Pages
from deep_lock.index.settings import FILE_SECONDS, MAX_FILE_BYTES, Fetcher, IndexSettings
from deep_lock.index.stable_urls import StableUrls
from deep_lock.index.wheel_metadata import WheelMetadata, disagreement
from deep_lock.index.workers import LazyFetcher, OnceMap, Workers
from deep_lock.lazy import load_all, tempfile
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel
from deep_lock.models.metadata import Metadata
from deep_lock.network.urls import shown_url
from deep_lock.sanitize import show

_DIGESTS = "digests"


class IndexClient:
    """The indexes of a run. May be used by several threads; ``make_fetcher`` is called at the first real request."""

    def __init__(
        self, settings: IndexSettings, cache: Cache, make_fetcher: Callable[[], Fetcher], reporter: Reporter
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._reporter = reporter
        self._fetcher = LazyFetcher(make_fetcher, offline=settings.offline)
        self._workers = Workers(settings.workers)
        self._pages = Pages(settings, cache, self._fetcher, reporter)
        self._find_links = FindLinks(settings.find_links, cache, self._fetcher)
        self._projects: OnceMap[tuple[NormalizedName, str], _Project] = OnceMap()
        self._digests: OnceMap[str, str] = OnceMap()
        self._provenance: OnceMap[str, provenance_files.ProvenanceFile | None] = OnceMap()
        self._file_cache = FileCache(cache.files_folder, cache.remote)
        # the facts of an sdist need its bytes once, and a hook needs them again, maybe in another process
        self._keeps_files = cache.is_shared or cache.remote is not None
        self._stable_urls = StableUrls(cache, self._fetcher)
        self._metadata = WheelMetadata(
            cache, self._fetcher, self._find_links.local_path, reporter, whole=self._file_cache.get
        )

    def versions(self, name: NormalizedName, index: str = "") -> Sequence[Version]:
        """Return the versions that have a file, newest first; empty where there is none.

        Raises IndexFault, NameMismatch, ConfigError (a --find-links folder that is missing).
        """
        return self._project(name, index).versions

    def knows(self, name: NormalizedName, index: str = "") -> bool:
        """Whether any index or folder has the project, even without usable files. Raises as `versions`."""
        return bool(self._project(name, index).listings)

    def files(self, name: NormalizedName, version: Version, index: str = "") -> Sequence[Distribution]:
        """Return the files of one version in file name order. Raises as `versions`."""
        return self._project(name, index).files(version)

    def page_digest(self, name: NormalizedName, index: str) -> str:
        """Return the digest of the project's page on an index of the run, as `PageRead` has it, and keep nothing of it.

        Raises IndexFault, NameMismatch and ConfigError.
        """
        for source in self._settings.sources_of(name, index):
            return self._pages.digest(source, name)
        raise ConfigError(f"{index} is not an index of this run")

    def has_index(self, index: str) -> bool:
        """Whether this URL is one of the indexes of the run."""
        return any(source.url == index for source in self._settings.sources)

    def status(self, name: NormalizedName, index: str = "") -> str | None:
        """Return the project's status and its reason, None for an active one (PEP 792). Raises as `versions`."""
        return next((listing.status for listing in self._project(name, index).listings if listing.status), None)

    def notes(self, name: NormalizedName) -> tuple[Warned, ...]:
        """Return notes on what was left out of the project's pages. Raises as `versions`."""
        return tuple(note for listing in self._project(name, "").listings for note in listing.notes)

    def wheel_metadata(self, wheel: Wheel, *, ahead: bool = False) -> Metadata:
        """Return the wheel's core metadata, by the cheapest way that the index offers.

        ``ahead`` is for a wheel that may never be needed. Raises IndexFault, SafetyError.
        """
        self._note_unhashed(wheel)
        return self._metadata.get(wheel, ahead=ahead)

    def open_sdist(self, sdist: SourceDistribution) -> BinaryIO:
        """Return the whole archive, its hash checked, as a file that is deleted when it is closed.

        Raises IndexFault; HashMismatch; HashMissing where the index has no hash and `hash_from_bytes` is off;
        LimitExceeded.
        """
        if self._keeps_files and sdist.sha256 is not None:
            return self.cached_file(sdist).open("rb")
        self._refuse_unhashed(sdist)
        self._note_unhashed(sdist)
        return self._fetched(sdist)[0]

    def cached_file(self, dist: Distribution) -> Path:
        """Return the path of the whole file in the cache, its hash checked. Raises as `open_sdist`."""
        cached = self._file_cache.get(dist.sha256) if dist.sha256 is not None else None
        if cached is not None:
            self._reporter(FromCache(name=dist.filename))
            return cached
        self._refuse_unhashed(dist)
        with self._fetching_file(dist.sha256) as cached:
            if cached is not None:
                return cached
            file, digest = self._fetched(dist)
            with file:
                path = self._file_cache.put(file, digest)
            self._file_cache.share(digest)
            return path

    @contextmanager
    def _fetching_file(self, sha256: str | None) -> Iterator[Path | None]:
        """Let one part of a larger run at a time fetch a file; yield its path where another one, or another machine, has fetched it."""
        if sha256 is None:
            yield None
            return
        with self._cache.once(FILES, sha256, seconds=FILE_SECONDS) as may_be_new:
            yield (self._file_cache.get(sha256) if may_be_new else None) or self._file_cache.fetch(sha256)

    def compared_wheel(self, wheel: Wheel, *, fetch: bool = True) -> Path:
        """Return as `cached_file`, if the metadata that the index serves are those in the wheel.

        Without ``fetch`` they are compared only where this run has them. Raises MetadataDiffers too.
        """
        path = self.cached_file(wheel)
        if fetch or self._metadata.is_known(wheel):
            self._metadata.require_same(wheel, path)
        return path

    def used_wheels(self) -> tuple[Wheel, ...]:
        """Return the wheels whose metadata were returned, without those that were read ahead."""
        return tuple(self._metadata.used.values())

    def cache_file(self, file: BinaryIO, dist: Distribution) -> None:
        """Cache a whole open file, so that `cached_file` need not fetch it again. Raises CacheInvalid."""
        if dist.sha256 is not None and self._file_cache.get(dist.sha256) is None:
            self._file_cache.put(file, dist.sha256)

    def cache_built(self, path: Path) -> tuple[Path, str]:
        """Cache a wheel that was built here; returns its new path and its sha256. Raises CacheInvalid."""
        digest = file_sha256(path)
        with path.open("rb") as file:
            return self._file_cache.put(file, digest), digest

    def built_file(self, digest: str) -> Path | None:
        """Return a wheel that was built here before; None where it was deleted."""
        return self._file_cache.get(digest)

    def named_file(self, url: str, *, named_by: str, sha256: str | None) -> tuple[Path, str]:
        """Return the path of a direct reference's file in the cache, and its sha256, which is compared with an expected one.

        ``named_by`` as in `Fetcher.get`.

        Raises IndexFault, HashMismatch, LimitExceeded.
        """
        cached = self._file_cache.get(sha256) if sha256 is not None else None
        if cached is not None and sha256 is not None:
            return cached, sha256
        with self._fetching_file(sha256) as cached:
            if cached is not None and sha256 is not None:
                return cached, sha256
            if sha256 is None:
                self._reporter(MayChange(name=f"the file {shown_url(url)}"))
            fetcher = self._fetcher.open(f"the file {shown_url(url)}")
            with tempfile.TemporaryFile() as file:
                digest, _ = fetcher.download(
                    url, file, named_by=named_by, limit=MAX_FILE_BYTES, deadline=FILE_SECONDS, sha256=sha256
                )
                file.seek(0)
                path = self._file_cache.put(file, digest)
            self._file_cache.share(digest)
            return path, digest

    def named_path(self, path: Path, *, sha256: str | None) -> tuple[Path, str]:
        """Return a direct reference's file of this machine, and its sha256. Raises NetworkError, HashMismatch, LimitExceeded."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise LimitExceeded(f"{path.name}: larger than {MAX_FILE_BYTES} bytes")
            digest = file_sha256(path)
        except OSError as error:
            raise_machine_fault(error)
            raise NetworkError(f"{show(str(path))}: {error.strerror or error}") from None
        if sha256 is not None and digest != sha256:
            raise HashMismatch(f"{path.name}: has sha256 {digest}, not {sha256}")
        return path, digest

    def offer(self, url: str, path: Path) -> None:
        """Set the path of a URL's file."""
        self._find_links.offer(url, path)

    def digest(self, dist: Distribution) -> str:
        """Return the file's sha256: that of the index, else that of its bytes. Raises as `open_sdist`."""
        if dist.sha256 is not None:
            return dist.sha256
        self._refuse_unhashed(dist)
        self._note_unhashed(dist)
        return self._digests.get(dist.url, lambda: self._computed_digest(dist))

    def provenance(self, file: Distribution) -> "provenance_files.ProvenanceFile | None":
        """Return the provenance of a file (PEP 740); None where its index has none. Raises IndexFault and SafetyError."""
        return self._provenance.get(file.url, lambda: self._load_provenance(file))

    def _load_provenance(self, file: Distribution) -> "provenance_files.ProvenanceFile | None":
        return provenance_files.get(file, self._settings, self._cache, self._fetcher, self._reporter)

    def stable_url(self, dist: Distribution) -> str:
        """Return the URL that a lock states for a file: one without a signature, if there is one."""
        return self._stable_urls.get(dist)

    def unsigned_urls(self) -> Mapping[str, frozenset[str]]:
        """Return the projects with files for which `stable_url` returned another URL than the index has, by host."""
        return {host: frozenset(names) for host, names in self._stable_urls.replaced.items()}

    def is_at_hand(self, name: NormalizedName, index: str = "") -> bool:
        """Whether the project's pages are cached or being fetched: then there is nothing to prefetch."""
        if self._projects.has((name, index)):
            return True
        sources = self._settings.sources_of(name, index)
        for source in sources:
            if not self._pages.is_at_hand(source, name):
                return False
            if source is not sources[-1] and self._settings.strategy == "first-index":
                try:
                    if self._pages.page(source, name) is not None:
                        return True
                except DeepLockError:
                    return True  # the error is kept, and raised by the later call
        return True

    def prefetch_pages(self, projects: Iterable[tuple[NormalizedName, str]]) -> None:
        """Fetch the pages of these projects that are not at hand, in the background; each with its ``index``."""
        for name, index in projects:
            if not self.is_at_hand(name, index):
                self._workers.submit(partial(self._begin_project, name, index))

    def prefetch(self, task: Callable[[], object]) -> None:
        """Run a task in the background. What it raises is lost, so it should fill a OnceMap of its own."""
        self._workers.submit(task)

    def close(self) -> None:
        """Stop the requests that are running. Finished results can still be read."""
        self._fetcher.close()
        self._workers.close()
        if self._cache.remote is not None:
            self._cache.remote.close()
        self._file_cache.close()

    # -- projects

    def _project(self, name: NormalizedName, index: str) -> "_Project":
        return self._projects.get((name, index), lambda: self._load_project(name, index))

    def _begin_project(self, name: NormalizedName, index: str) -> None:
        self._projects.begin((name, index), lambda: self._load_project(name, index))

    def _load_project(self, name: NormalizedName, index: str) -> "_Project":
        # A pinned project comes from its index and from nowhere else.
        is_pinned = index or self._settings.only_source(name) is not None
        listings = [] if is_pinned else self._find_links.listings(name)
        if self._settings.find_links and not is_pinned:
            self._reporter(MayChange(name="--find-links"))
        for source in self._settings.sources_of(name, index):
            # Only a 404 leads on to the next index. Any other failure is raised: an outage of a private index must
            # not make a public one its replacement.
            listing = self._pages.page(source, name)
            if listing is not None:
                listings.append(listing)
                if self._settings.strategy == "first-index":
                    break
        return _Project(tuple(listings), self._reporter)

    # -- whole files

    def _refuse_unhashed(self, dist: Distribution) -> None:
        if dist.sha256 is None and not self._settings.hash_from_bytes:
            raise HashMissing(
                f"{dist.filename}: {dist.index} has no sha256 for it",
                hint="Allow hashes that are computed from the bytes, or use an index that has them.",
            )

    def _note_unhashed(self, dist: Distribution) -> None:
        if dist.sha256 is None:
            self._reporter(MayChange(name=f"the file {dist.filename}, which has no sha256 in the index"))

    def _computed_digest(self, dist: Distribution) -> str:
        self._reporter(
            Warned(
                code="HashComputed",
                subject=dist.filename,
                message=f"{dist.index} has no sha256 for it; it is computed from the bytes",
            )
        )
        key = f"{dist.url} {dist.size}"
        with self._cache.once(_DIGESTS, key, seconds=FILE_SECONDS):
            known = self._cache.get_record(_DIGESTS, key)
            if known is not None and len(known) == 32:
                return known.hex()
            file, digest = self._fetched(dist)
            file.close()
            self._cache.put_record(_DIGESTS, key, bytes.fromhex(digest))
        return digest

    def _fetched(self, dist: Distribution) -> tuple[BinaryIO, str]:
        """Return the file, at its start, and its sha256, which was compared with the expected one."""
        local = self._find_links.local_path(dist.url)
        if local is not None:
            load_all()
            return _opened_local(local, dist)
        fetcher = self._fetcher.open(f"the file {dist.filename}")
        with ExitStack() as stack:
            file: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
            try:
                digest, _ = fetcher.download(
                    dist.url,
                    file,
                    named_by=dist.named_by or dist.index,
                    limit=MAX_FILE_BYTES,
                    deadline=FILE_SECONDS,
                    sha256=dist.sha256,
                )
                file.seek(0)
            except NotFound:
                raise disagreement(dist) from None
            except OSError as error:
                raise_machine_fault(error)
                reason = error.strerror or error
                raise CacheInvalid(
                    f"{dist.filename} cannot be written to the folder for temporary files: {reason}"
                ) from error
            stack.pop_all()  # the caller closes the file
        return file, digest


def _opened_local(path: Path, dist: Distribution) -> tuple[BinaryIO, str]:
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            if path.stat().st_size > MAX_FILE_BYTES:
                raise LimitExceeded(f"{path}: larger than {MAX_FILE_BYTES} bytes")
            digest = file_digest(file, "sha256").hexdigest()
            if digest != dist.sha256:
                raise HashMismatch(f"{path}: was changed while deep-lock ran")
            file.seek(0)
            stack.pop_all()  # the caller closes the file
    except OSError as error:
        raise_machine_fault(error)
        raise NetworkError(f"{path}: {error.strerror}") from error
    return file, digest


class _Project:
    """One project of all indexes and folders. Of two files of one name the first one is used."""

    def __init__(self, listings: tuple[Listing, ...], reporter: Reporter) -> None:
        self.listings = listings
        self.versions: Sequence[Version] = ()
        if len(listings) == 1:
            self.versions = listings[0].versions
        elif listings:
            self.versions = sorted({version for listing in listings for version in listing.versions}, reverse=True)
        self._reporter = reporter
        self._merged: dict[Version, tuple[Distribution, ...]] = {}

    def files(self, version: Version) -> tuple[Distribution, ...]:
        if len(self.listings) == 1:
            return self.listings[0].files(version)
        merged = self._merged.get(version)
        if merged is None:
            merged = self._merged[version] = self._merge(version)
        return merged

    def _merge(self, version: Version) -> tuple[Distribution, ...]:
        by_name: dict[str, Distribution] = {}
        for listing in self.listings:
            for dist in listing.files(version):
                first = by_name.setdefault(dist.filename, dist)
                if first.sha256 != dist.sha256 and None not in {first.sha256, dist.sha256}:
                    self._reporter(
                        Warned(
                            code="FileDiffers",
                            subject=dist.filename,
                            message=f"{first.index} and {dist.index} have different files under"
                            f" this name; the file of {first.index} is used",
                        )
                    )
        return tuple(by_name[filename] for filename in sorted(by_name))
