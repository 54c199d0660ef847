"""The indexes in their order, and the protocol of the network client."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import BinaryIO, Literal, Protocol
from urllib.parse import urlsplit

from msgspec import Struct, field
from packaging.utils import NormalizedName

from deep_lock.errors import ConfigError

MAX_PAGE_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 1024 * 1024 * 1024
SMALL_SECONDS = 60.0
FILE_SECONDS = 900.0
"""Total seconds for one request: for a page or metadata, and for a file."""
LONGEST_WAIT = 300.0
"""Seconds that a part of a larger run waits until another part has fetched a page or metadata; for a file: FILE_SECONDS."""


class IndexSource(Struct, frozen=True, kw_only=True):
    """One simple index. ``url`` is its base: ends with a slash, holds no user-info."""

    name: str
    url: str
    explicit: bool = False
    """Used only for the names that are pinned to it."""
    excluded: tuple[str, ...] = ()
    """Patterns of the names for which it is not used."""


class IndexSettings(Struct, frozen=True, kw_only=True):
    """Where projects come from.

    Raises ConfigError where it contradicts itself.
    """

    sources: tuple[IndexSource, ...]
    """In order of priority."""
    pinned: Mapping[NormalizedName, str] = field(default_factory=dict)
    """Project to source name: its only source."""
    pinned_patterns: tuple[tuple[str, str], ...] = ()
    """Patterns of names (``*`` and ``?``) with a source name: the only source of the projects that match. The first is used."""
    find_links: tuple[str, ...] = ()
    """Folders (absolute paths or file: URLs) and HTML pages (http, https) with links to files."""
    strategy: Literal["first-index", "unsafe-best-match"] = "first-index"
    offline: bool = False
    refresh: bool = False
    """Request every page again, past all caches."""
    refresh_packages: frozenset[NormalizedName] = frozenset()
    hash_from_bytes: bool = True
    """Whether the sha256 of a file without one in the index is computed from the bytes; else it is an error."""
    workers: int = 24
    now: float
    """The time of the run, in seconds since 1970, for the age of cached pages."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict themselves."""
        known: set[str] = set()
        for source in self.sources:
            if source.name in known:
                raise ConfigError(f"two indexes are named {source.name!r}")
            known.add(source.name)
            _check_url(source)
        for project, name in (*self.pinned.items(), *self.pinned_patterns):
            self.url_of(name, project)

    def url_of(self, name: str, project: str) -> str:
        """Return the URL of the source that a project is assigned to. Raises ConfigError for one that is not defined."""
        urls = {source.name: source.url for source in self.sources}
        if name not in urls:
            raise ConfigError(
                f"{project} must come from the index {name!r}, which is not defined",
                hint=f"define it in [[tool.deep-lock.index]]; defined are: {', '.join(sorted(urls)) or 'none'}",
            )
        return urls[name]

    def sources_of(self, name: NormalizedName, index: str = "") -> tuple[IndexSource, ...]:
        """Return the sources of a project, in order; only those of the URL ``index``, if it is not empty."""
        if index:
            return tuple(source for source in self.sources if source.url == index)
        only = self.only_source(name)
        if only is not None:
            return tuple(source for source in self.sources if source.name == only)
        return tuple(
            source
            for source in self.sources
            if not source.explicit and not any(fnmatchcase(name, pattern) for pattern in source.excluded)
        )

    def only_source(self, name: NormalizedName) -> str | None:
        """Return the name of the source that a project is pinned to."""
        patterns = (own for pattern, own in self.pinned_patterns if fnmatchcase(name, pattern))
        return self.pinned.get(name) or next(patterns, None)

    def must_refresh(self, name: NormalizedName) -> bool:
        """Whether a cached page of the project must not be trusted."""
        return self.refresh or name in self.refresh_packages


def _check_url(source: IndexSource) -> None:
    try:
        parts = urlsplit(source.url)
    except ValueError:
        raise ConfigError(f"the URL of the index {source.name!r} cannot be read") from None
    if "@" in parts.netloc:  # the URL itself is not shown: it may hold a password
        raise ConfigError(
            f"the URL of the index {source.name!r} contains credentials",
            hint="Give them in the environment or in netrc.",
        )
    if parts.query or parts.fragment:  # a project's name goes behind the path; and a token in it would be locked
        raise ConfigError(
            f"the URL of the index {source.name!r} has a query or a fragment",
            hint="Give a token in the environment or in netrc.",
        )
    if parts.scheme not in {"http", "https"} or not parts.netloc or not source.url.endswith("/"):
        raise ConfigError(f"the URL of the index {source.name!r} must be http or https and end with a slash")


class Response(Protocol):
    """The response to a GET: status 200, 206 (to a range), 304 (to a condition) or 404."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def url(self) -> str:
        """The URL after redirects."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields, names in lower case."""

    @property
    def body(self) -> bytes:
        """The decoded body."""


class Fetcher(Protocol):
    """The network client, as far as this package needs it. Used by many threads at once."""

    def get(
        self, url: str, *, named_by: str, headers: Mapping[str, str] = ..., limit: int, deadline: float
    ) -> Response:
        """Fetch something small.

        ``named_by`` is the URL of the server that names this one, "" for a namer without one, and the URL itself where the user
        names it: a server may not name addresses of a less public scope than its own.
        Raises IndexFault or SafetyError (UrlForbidden).
        """

    def post(self, url: str, body: bytes, *, named_by: str, limit: int, deadline: float) -> Response:
        """Send a query as JSON to this URL only. Raises as `get`."""

    def download(
        self, url: str, file: BinaryIO, *, named_by: str, limit: int, deadline: float, sha256: str | None
    ) -> tuple[str, int]:
        """Fetch a file and return its sha256 and size. Raises as `get`, and HashMismatch."""

    def close(self) -> None:
        """Close all connections."""
