"""Links to files in HTML (PEP 503 pages, and the free-form pages of --find-links). Only href and data-* count, never the text."""

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from msgspec import Struct, field

from deep_lock.display import show
from deep_lock.errors import IndexInvalid
from deep_lock.index.entries import Digests, Entry
from deep_lock.index.filenames import DISTRIBUTION_SUFFIXES
from deep_lock.index.urls import shown_url

_Attributes = list[tuple[str, str | None]]


class AnchorPage(Struct, kw_only=True):
    """What an HTML page says. ``base`` is what relative links are joined to."""

    base: str
    entries: list[Entry] = field(default_factory=list)
    has_files: bool = False
    """Whether any link is to a distribution, the kinds included that are not taken up."""
    api_version: str | None = None
    status: str | None = None
    status_reason: str | None = None


def read_anchors(body: bytes, url: str) -> AnchorPage:
    """Read the links of an HTML page that came from ``url``. Raises IndexInvalid."""
    page = AnchorPage(base=url)
    reader = _Reader(page)
    try:
        reader.feed(body.decode("utf-8", errors="replace"))
        reader.close()
    except (ValueError, AssertionError, NotImplementedError, RecursionError) as error:
        # AssertionError is what html.parser raises for some malformed declarations.
        raise IndexInvalid(f"{shown_url(url)}: HTML that cannot be read: {show(str(error), 120)}") from error
    return page


class _Reader(HTMLParser):
    def __init__(self, page: AnchorPage) -> None:
        super().__init__()
        self._page = page
        self._based = False

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        if tag == "a":
            self._take_anchor(dict(attrs))
        elif tag == "meta":
            self._take_meta(dict(attrs))
        elif tag == "base" and not self._based:
            href = dict(attrs).get("href")
            if href:  # HTML: only the first one counts
                self._based = True
                self._page.base = urljoin(self._page.base, href)

    def _take_meta(self, attrs: dict[str, str | None]) -> None:
        content = attrs.get("content") or ""
        match attrs.get("name"):
            case "pypi:repository-version":
                self._page.api_version = content
            case "pypi:project-status":
                self._page.status = content
            case "pypi:project-status-reason":
                self._page.status_reason = content

    def _take_anchor(self, attrs: dict[str, str | None]) -> None:
        href = (attrs.get("href") or "").strip()
        path, _, fragment = href.partition("#")
        try:
            # Decoded once, never twice: a%252f.. is a strange name, not a way out of a folder.
            filename = unquote(urlsplit(path).path.rpartition("/")[2])
        except ValueError:
            return
        if not filename.lower().endswith(DISTRIBUTION_SUFFIXES):
            return
        self._page.has_files = True
        self._page.entries.append(
            Entry(
                filename=filename,
                url=path,
                hashes=_digests(fragment),
                requires_python=attrs.get("data-requires-python") or None,
                yanked=(attrs["data-yanked"] or "") if "data-yanked" in attrs else None,
                core_metadata=_offer(attrs, "data-core-metadata"),
                dist_info_metadata=_offer(attrs, "data-dist-info-metadata"),
            )
        )


def _digests(text: str) -> Digests:
    """Read ``sha256=...``; a fragment may hold more, joined by ``&`` (``#sha256=...&egg=...``)."""
    for part in text.split("&"):
        algorithm, equals, digest = part.partition("=")
        if equals and algorithm == "sha256":
            return Digests(sha256=digest)
    return Digests()


def _offer(attrs: dict[str, str | None], key: str) -> bool | Digests | None:
    if key not in attrs:
        return None
    value = attrs[key] or ""
    if value == "false":
        return False
    digests = _digests(value)
    return True if digests.sha256 is None else digests
