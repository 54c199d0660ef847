"""The URLs that a lock states for files which an index links with a signature: such a link expires, and may be a secret.

Where the URL without the signature responds with the same file, that one is stated.
"""

from hashlib import sha256

from deep_lock.errors import DeepLockError, MachineFault
from deep_lock.index.cache import Cache
from deep_lock.index.lazy_wheel import ByteRange, read_content_range
from deep_lock.index.settings import SMALL_SECONDS, Fetcher
from deep_lock.index.workers import LazyFetcher
from deep_lock.models.distribution import Distribution
from deep_lock.network.urls import origin_of, without_signature

_KIND = "stable-urls"
_FIRST_BYTE = ByteRange(first=0, last=0)
_MAX_BODY = 16 * 1024 * 1024
"""Of a server that responds to a range with the whole file."""


class StableUrls:
    """Looks for the stable URLs of files. A host that refuses one gets no request for others."""

    def __init__(self, cache: Cache, fetcher: LazyFetcher) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._refusing: set[str] = set()
        self._known: dict[str, str] = {}
        """By the URL of the index."""
        self.replaced: dict[str, set[str]] = {}
        """By origin, the projects whose files have such a URL."""

    def get(self, file: Distribution) -> str:
        """Return the URL to state: without its signature, if that one has the same file; else as the index links it."""
        stable = without_signature(file.url)
        if stable == file.url:
            return stable
        if file.url not in self._known:
            self._known[file.url] = stable if self._is_there(file, stable) else file.url
            if self._known[file.url] == stable:
                self.replaced.setdefault(origin_of(stable), set()).add(file.name)
        return self._known[file.url]

    def _is_there(self, file: Distribution, stable: str) -> bool:
        key = f"{stable} {file.sha256}"
        if self._cache.get_record(_KIND, key) is not None:
            return True
        origin = origin_of(stable)
        if origin in self._refusing or self._fetcher.is_offline:
            return False
        try:
            found = self._has_file(self._fetcher.open(f"the file {file.filename}"), file, stable)
        except MachineFault:
            raise
        except DeepLockError:  # refused, missing, larger than a range, or not reachable: there is no such URL
            found = False
        if found:
            self._cache.put_record(_KIND, key, b"")
        else:
            self._refusing.add(origin)
        return found

    def _has_file(self, fetcher: Fetcher, file: Distribution, stable: str) -> bool:
        """Whether a URL has a file of the same size, or with the same bytes where the server has no ranges."""
        size = _size_or_digest(fetcher, stable, file)
        if size is None or isinstance(size, str):
            return size is not None and size == file.sha256
        return size == (file.size if file.size is not None else _size_or_digest(fetcher, file.url, file))


def _size_or_digest(fetcher: Fetcher, url: str, file: Distribution) -> int | str | None:
    """Return the size of a file, or its sha256 where the whole file came; None where the URL has none."""
    headers = {"range": _FIRST_BYTE.header}
    response = fetcher.get(
        url, named_by=file.named_by or file.index, headers=headers, limit=_MAX_BODY, deadline=SMALL_SECONDS
    )
    if response.status == 206:
        content_range = response.headers.get("content-range")
        return read_content_range(content_range, _FIRST_BYTE, len(response.body), file.filename)
    return sha256(response.body).hexdigest() if response.status == 200 else None
