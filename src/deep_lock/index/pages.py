"""Project pages: from the cache while they are fresh, else from the index; read once in a run and kept."""

import re
from collections.abc import Mapping
from hashlib import sha256

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.errors import IndexInvalid, NetworkError
from deep_lock.events import FromCache, PageRead, Reporter
from deep_lock.index import simple
from deep_lock.index.cache import MAX_PAGE_SECONDS, PAGES, Cache, CachedPage
from deep_lock.index.listing import Listing
from deep_lock.index.settings import LONGEST_WAIT, MAX_PAGE_BYTES, SMALL_SECONDS, IndexSettings, IndexSource, Response
from deep_lock.index.workers import LazyFetcher, OnceMap

QUIET_CODES = frozenset({"VersionInvalid", "FilenameInvalid", "FieldIgnored"})
"""Notes that are not reported: old releases with odd names, and indexes with odd fields, are common, and no user can fix them."""

_MAX_AGE = re.compile(r"\bmax-age\s*=\s*\"?(\d{1,12})")


class Pages:
    """The listings of projects on each index."""

    def __init__(self, settings: IndexSettings, cache: Cache, fetcher: LazyFetcher, reporter: Reporter) -> None:
        self._settings = settings
        self._cache = cache
        self._fetcher = fetcher
        self._reporter = reporter
        self._pages: OnceMap[tuple[str, NormalizedName], Listing | None] = OnceMap()
        self._reported_notes: set[tuple[str, str, str]] = set()

    def page(self, source: IndexSource, name: NormalizedName) -> Listing | None:
        """Return the listing of the project; None where the index does not have it (404, and nothing else).

        Raises IndexFault, NameMismatch.
        """
        return self._pages.get((source.name, name), lambda: self._reported(source, name))

    def digest(self, source: IndexSource, name: NormalizedName) -> str:
        """Return the digest of the page, as `PageRead` has it; the listing is not kept. Raises as `page`."""
        return self._load(source, name).page.body.hex()

    def is_at_hand(self, source: IndexSource, name: NormalizedName) -> bool:
        """Whether page() needs no request, by what the cache holds now."""
        if self._pages.has((source.name, name)):
            return True
        return self._is_fresh(_page_url(source, name), name)

    def _reported(self, source: IndexSource, name: NormalizedName) -> Listing | None:
        read = self._load(source, name)
        self._reporter(PageRead(url=_page_url(source, name), digest=read.page.body.hex()))
        listing = read.listing
        for note in () if listing is None else listing.notes:
            key = note.code, note.subject, note.message
            if note.code not in QUIET_CODES and key not in self._reported_notes:
                self._reported_notes.add(key)
                self._reporter(note)
        return listing

    def _load(self, source: IndexSource, name: NormalizedName) -> "_ReadPage":
        url = _page_url(source, name)
        is_usable = self._settings.offline or self._is_fresh(url, name)  # first: another process may replace the page
        known = self._known(url, source, name)
        if known is not None and is_usable:
            self._reporter(FromCache(name=name))
            return known
        with self._cache.once(PAGES, url, seconds=LONGEST_WAIT) as may_be_new:
            if may_be_new and self._is_fresh(url, name):
                known = self._known(url, source, name)
                if known is not None:
                    self._reporter(FromCache(name=name))
                    return known
            return self._load_again(url, known, source, name)

    def _is_fresh(self, url: str, name: NormalizedName) -> bool:
        """Whether a cached page may be used without a request."""
        if self._cache.is_validated(PAGES, url):
            return True
        return not self._settings.must_refresh(name) and self._cache.is_fresh(url, self._settings.now)

    def _load_again(
        self, url: str, known: "_ReadPage | None", source: IndexSource, name: NormalizedName
    ) -> "_ReadPage":
        refresh = self._settings.must_refresh(name)
        headers = {"accept": simple.ACCEPT}
        if refresh:
            headers["cache-control"] = "no-cache"
        elif known is not None and known.page.etag:
            headers["if-none-match"] = known.page.etag
        response = self._fetch(url, headers, source, name)
        until = self._settings.now + fresh_seconds(response.headers)
        if response.status == 404:
            # cached like a page: else each run would request typing errors of sdists and private names again
            missing = CachedPage(etag="", body=b"", listing=None)
            self._cache.put_page(url, missing, fresh_until=until)
            return _ReadPage(page=missing, listing=None)
        body = _digest_of(response)
        if known is not None and (response.status == 304 or body == known.page.body):
            self._cache.renew_page(url, fresh_until=until)
            return known
        if response.status != 200:
            raise IndexInvalid(f"{url}: unexpected HTTP status {response.status}")
        content_type = response.headers.get("content-type", "")
        listing = simple.parse_page(response.body, content_type, response.url, name, source.url)
        page = CachedPage(etag=response.headers.get("etag", ""), body=body, listing=memoryview(listing.data))
        self._cache.put_page(url, page, fresh_until=until)
        return _ReadPage(page=page, listing=listing)

    def _known(self, url: str, source: IndexSource, name: NormalizedName) -> "_ReadPage | None":
        page = self._cache.get_page(url)
        if page is None or page.listing is None:
            return None if page is None else _ReadPage(page=page, listing=None)
        try:
            return _ReadPage(page=page, listing=Listing(page.listing, name=name, index=source.url))
        except ValueError:
            self._cache.drop_page(url)
            return None

    def _fetch(self, url: str, headers: Mapping[str, str], source: IndexSource, name: NormalizedName) -> Response:
        fetcher = self._fetcher.open(f"the page of {name} on {source.url}")
        for _ in range(2):
            response = fetcher.get(
                url, named_by=source.url, headers=headers, limit=MAX_PAGE_BYTES, deadline=SMALL_SECONDS
            )
            if not _may_be_cut(response):
                return response
        raise NetworkError(
            f"{url}: the page seems to be truncated (it has no length, and the end of the document is missing)"
        )


class _ReadPage(Struct, frozen=True, kw_only=True):
    page: CachedPage
    listing: Listing | None


def fresh_seconds(headers: Mapping[str, str]) -> float:
    """Return for how long a page may be used without a request (RFC 9111), at most MAX_PAGE_SECONDS.

    "no-store" counts as "no-cache": the cache keeps a listing and not the response, and --offline needs it.
    """
    control = headers.get("cache-control", "").lower()
    if "no-cache" in control or "no-store" in control:
        return 0.0
    age = headers.get("age", "0")
    spent = int(age) if age.isdecimal() and len(age) < 12 else 0
    match = _MAX_AGE.search(control)
    seconds = int(match[1]) - spent if match else MAX_PAGE_SECONDS
    return float(max(0, min(seconds, MAX_PAGE_SECONDS)))


def _page_url(source: IndexSource, name: NormalizedName) -> str:
    return f"{source.url}{name}/"


def _digest_of(response: Response) -> bytes:
    """Digest all that a listing depends on: relative links on the URL, the parser on the type."""
    digest = sha256(
        f"{response.url}\n{response.headers.get('content-type', '')}\n".encode("utf-8", errors="surrogateescape")
    )
    digest.update(response.body)
    return digest.digest()


def _may_be_cut(response: Response) -> bool:
    """Whether the page ended with the connection only, and does not show its own end either."""
    headers = response.headers
    if response.status != 200 or "content-length" in headers or "transfer-encoding" in headers:
        return False
    if "json" in headers.get("content-type", "").lower():
        return not response.body.rstrip().endswith(b"}")
    return b"</html" not in response.body[-4096:].lower()
