"""--find-links: a folder, or one HTML page, with the files of any number of projects."""

import threading
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.boundary import reading
from deep_lock.errors import ConfigError, IndexInvalid, raise_machine_fault
from deep_lock.index import html
from deep_lock.index.cache import Cache
from deep_lock.index.listing import (
    DISTRIBUTION_SUFFIXES,
    FileNames,
    FileRecord,
    FileSkipped,
    Group,
    Listing,
    Notes,
    PageContent,
    build_listing,
    media_type,
    pack_listing,
    parse_version,
)
from deep_lock.index.settings import LONGEST_WAIT, MAX_PAGE_BYTES, SMALL_SECONDS
from deep_lock.index.workers import LazyFetcher, OnceMap
from deep_lock.models.direct_url import path_of
from deep_lock.network.urls import shown_url, without_user_info

_DIGESTS = "file-digests"
_FLAT_PAGES = "flat-pages"


class FindLinks:
    """The listings of a project in the folders and pages of --find-links, each of which is read once in a run."""

    def __init__(self, places: Sequence[str], cache: Cache, fetcher: LazyFetcher) -> None:
        self._places = tuple(places)
        self._cache = cache
        self._fetcher = fetcher
        self._folders: OnceMap[str, tuple[Path, ...]] = OnceMap()
        self._flat_pages: OnceMap[str, PageContent] = OnceMap()
        self._local: dict[str, Path] = {}
        self._lock = threading.Lock()

    def listings(self, name: NormalizedName) -> list[Listing]:
        """Return a listing for each place that has the project.

        Raises ConfigError for a folder that cannot be read, IndexFault for a page.
        """
        found: list[Listing] = []
        for place in self._places:
            if place.lower().startswith(("http://", "https://")):
                listing = self._of_page(place, name)
            else:
                listing = self._of_folder(place, name)
            if listing.versions:
                found.append(listing)
        return found

    def local_path(self, url: str) -> Path | None:
        """Return the path of a file that a folder offered; None for any other URL."""
        return self._local.get(url)

    def offer(self, url: str, path: Path) -> None:
        """Set the path of a URL's file."""
        with self._lock:
            self._local[url] = path

    # -- folders

    def _of_folder(self, place: str, name: NormalizedName) -> Listing:
        folder = path_of(place)
        files = self._folders.get(place, lambda: _files_in(folder))
        names = FileNames(name)
        groups: list[Group] = []
        for path in files:
            version = _version_of(path.name, names)
            if version is not None:
                groups.append((version, [self._local_record(path)]))
        return Listing(pack_listing(groups), name=name, index=folder.as_uri())

    def _local_record(self, path: Path) -> FileRecord:
        url = path.as_uri()
        with self._lock:
            self._local[url] = path
        try:
            status = path.stat()
            key = f"{url} {status.st_size} {status.st_mtime_ns}"
            known = self._cache.get_record(_DIGESTS, key)
            if known is None or len(known) != 32:
                with path.open("rb") as file:
                    known = file_digest(file, "sha256").digest()
                self._cache.put_record(_DIGESTS, key, known)
        except OSError as error:
            raise_machine_fault(error)
            raise ConfigError(f"{path}: found by --find-links, but cannot be read: {error.strerror}") from error
        return FileRecord(path.name, url, known, status.st_size, None, None, None, None)

    # -- pages

    def _of_page(self, place: str, name: NormalizedName) -> Listing:
        page = self._flat_pages.get(place, lambda: self._read_page(place))
        names = FileNames(name)
        entries = [entry for entry in page.entries if _version_of(entry.filename, names) is not None]
        own = PageContent(base=page.base, url=page.url, entries=entries)
        with reading(shown_url(place), IndexInvalid):
            return build_listing(own, name, index=without_user_info(place), notes=Notes(name))

    def _read_page(self, place: str) -> PageContent:
        """Fetch the page in each run; the cached one is for --offline, and for the other parts of a larger run."""
        with self._cache.once(_FLAT_PAGES, place, seconds=LONGEST_WAIT):
            is_usable = self._fetcher.is_offline or self._cache.is_validated(_FLAT_PAGES, place)
            cached = self._cache.get_record(_FLAT_PAGES, place) if is_usable else None
            if cached is not None:
                url, _, body = cached.partition(b"\n")
                return _flat_page(body, url.decode())
            return self._fetch_page(place)

    def _fetch_page(self, place: str) -> PageContent:
        fetcher = self._fetcher.open(f"the --find-links page {shown_url(place)}")
        headers = {"accept": "text/html"}
        response = fetcher.get(place, named_by=place, headers=headers, limit=MAX_PAGE_BYTES, deadline=SMALL_SECONDS)
        if response.status != 200:
            raise IndexInvalid(f"{shown_url(place)}: HTTP {response.status} instead of a page with links to files")
        if media_type(response.headers.get("content-type", "")) != "text/html":
            raise IndexInvalid(f"{shown_url(place)}: not an HTML page")
        page = _flat_page(response.body, response.url)
        self._cache.put_record(_FLAT_PAGES, place, response.url.encode() + b"\n" + response.body)
        self._cache.set_validated(_FLAT_PAGES, place)
        return page


def _files_in(folder: Path) -> tuple[Path, ...]:
    try:
        folder = folder.absolute()
        found = [path for path in folder.iterdir() if path.name.endswith(DISTRIBUTION_SUFFIXES)]
        return tuple(sorted(path for path in found if path.is_file()))
    except OSError as error:
        raise_machine_fault(error)
        raise ConfigError(f"{folder}: the folder of --find-links cannot be read: {error.strerror}") from error


def _flat_page(body: bytes, url: str) -> PageContent:
    with reading(shown_url(url), IndexInvalid):
        page = html.read_anchors(body, url)
    if not page.entries:
        raise IndexInvalid(f"{shown_url(url)}: a --find-links page without a link to a file")
    return page


def _version_of(filename: str, names: FileNames) -> Version | None:
    """Return the version where the file is of this project; files of other projects are ignored."""
    try:
        text = names.version_text(filename)
        return None if text is None else parse_version(text)
    except (FileSkipped, ValueError):
        return None
