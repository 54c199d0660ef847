"""Project pages: from the cache while they are fresh, else from the index; read once in a run and kept."""

import re
from collections.abc import Mapping
from hashlib import sha256

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.errors import IndexInvalid, NetworkError
from deep_lock.events import Reporter
from deep_lock.index import simple
from deep_lock.index.cache import MAX_PAGE_SECONDS, Cache, CachedPage
from deep_lock.index.listing import Listing
from deep_lock.index.settings import MAX_PAGE_BYTES, SMALL_SECONDS, Answer, IndexSettings, IndexSource
from deep_lock.index.workers import LazyFetcher, OnceMap

QUIET_CODES = frozenset({"VersionInvalid", "FilenameInvalid"})
"""Notes that are not reported: old releases with odd names are everywhere, and no user can mend them."""

_MAX_AGE = re.compile(r"\bmax-age\s*=\s*\"?(\d{1,12})")


class Pages:
    """Gives the listing of a project on one index."""

    def __init__(self, settings: IndexSettings, cache: Cache, network: LazyFetcher, reporter: Reporter) -> None:
        self._settings = settings
        self._cache = cache
        self._network = network
        self._reporter = reporter
        self._pages: OnceMap[tuple[str, NormalizedName], Listing | None] = OnceMap()
        self._reported: set[tuple[str, str, str]] = set()

    def page(self, source: IndexSource, name: NormalizedName) -> Listing | None:
        """Return what the index says of the project; None where it does not have it (404, and nothing else).

        Raises IndexFault, NameMismatch.
        """
        return self._pages.get((source.name, name), lambda: self._told(self._load(source, name)))

    def is_at_hand(self, source: IndexSource, name: NormalizedName) -> bool:
        """Whether page() would need no network, as far as a look at the cache can tell."""
        if self._pages.has((source.name, name)):
            return True
        return not self._settings.must_refresh(name) and self._cache.is_fresh(
            _page_url(source, name), self._settings.now
        )

    def _told(self, listing: Listing | None) -> Listing | None:
        for note in () if listing is None else listing.notes:
            key = note.code, note.subject, note.message
            if note.code not in QUIET_CODES and key not in self._reported:
                self._reported.add(key)
                self._reporter(note)
        return listing

    def _load(self, source: IndexSource, name: NormalizedName) -> Listing | None:
        url = _page_url(source, name)
        known = self._known(url, source, name)
        refresh = self._settings.must_refresh(name)
        if known is not None and (
            self._settings.offline or (not refresh and self._cache.is_fresh(url, self._settings.now))
        ):
            return known.listing
        headers = {"accept": simple.ACCEPT}
        if refresh:
            headers["cache-control"] = "no-cache"
        elif known is not None and known.page.etag:
            headers["if-none-match"] = known.page.etag
        answer = self._ask(url, headers, source, name)
        if answer.status == 404:
            self._keep_absence(url, answer)
            return None
        return self._taken(answer, known, source, name)

    def _known(self, url: str, source: IndexSource, name: NormalizedName) -> "_KnownPage | None":
        page = self._cache.get_page(url)
        if page is None or page.listing is None:
            return None if page is None else _KnownPage(page=page, listing=None)
        try:
            return _KnownPage(page=page, listing=Listing(page.listing, name=name, index=source.url))
        except ValueError:
            self._cache.drop_page(url)
            return None

    def _ask(self, url: str, headers: Mapping[str, str], source: IndexSource, name: NormalizedName) -> Answer:
        fetcher = self._network.reach(f"the page of {name} on {source.url}")
        answer = fetcher.get(url, headers=headers, limit=MAX_PAGE_BYTES, deadline=SMALL_SECONDS)
        if _may_be_cut(answer):
            answer = fetcher.get(url, headers=headers, limit=MAX_PAGE_BYTES, deadline=SMALL_SECONDS)
            if _may_be_cut(answer):
                raise NetworkError(f"{url}: the page seems to be cut off (no length, and no end of the document)")
        return answer

    def _keep_absence(self, url: str, answer: Answer) -> None:
        # as fresh as a page: else each run would ask in vain for the sdists' own typing errors and private names
        page = CachedPage(etag="", body=b"", listing=None)
        self._cache.put_page(url, page, fresh_until=self._settings.now + fresh_seconds(answer.headers))

    def _taken(
        self, answer: Answer, known: "_KnownPage | None", source: IndexSource, name: NormalizedName
    ) -> Listing | None:
        url = _page_url(source, name)
        until = self._settings.now + fresh_seconds(answer.headers)
        body = _digest_of(answer)
        if known is not None and (answer.status == 304 or body == known.page.body):
            self._cache.renew_page(url, fresh_until=until)
            return known.listing
        if answer.status != 200:
            raise IndexInvalid(f"{url}: HTTP {answer.status} to a plain request")
        listing = simple.parse_page(answer.body, answer.headers.get("content-type", ""), answer.url, name, source.url)
        page = CachedPage(etag=answer.headers.get("etag", ""), body=body, listing=listing.data)
        self._cache.put_page(url, page, fresh_until=until)
        return listing


class _KnownPage(Struct, frozen=True, kw_only=True):
    page: CachedPage
    listing: Listing | None


def fresh_seconds(headers: Mapping[str, str]) -> float:
    """Return for how long a page may be used unasked (RFC 9111), at most MAX_PAGE_SECONDS.

    "no-store" is taken as "no-cache": what is kept is not the answer, and --offline needs it.
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


def _digest_of(answer: Answer) -> bytes:
    """Digest all that a listing is made from: relative links depend on the URL, and the reading on the type."""
    digest = sha256(
        f"{answer.url}\n{answer.headers.get('content-type', '')}\n".encode("utf-8", errors="surrogateescape")
    )
    digest.update(answer.body)
    return digest.digest()


def _may_be_cut(answer: Answer) -> bool:
    """Whether the connection's end is all that ended the page, and the page itself does not show its end either."""
    headers = answer.headers
    if answer.status != 200 or "content-length" in headers or "transfer-encoding" in headers:
        return False
    if "json" in headers.get("content-type", "").lower():
        return not answer.body.rstrip().endswith(b"}")
    return b"</html" not in answer.body[-4096:].lower()
