"""Links to files in HTML (PEP 503 pages, and the free-form pages of --find-links). Only href and data-* count, never the text."""

from collections.abc import Mapping
from urllib.parse import unquote, urljoin, urlsplit

from msgspec import Struct, field

from deep_lock.display import show
from deep_lock.errors import IndexInvalid
from deep_lock.index.entries import Digests, Entry
from deep_lock.index.filenames import DISTRIBUTION_SUFFIXES
from deep_lock.index.tags import read_tags
from deep_lock.index.urls import shown_url


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
    based = False
    try:
        for tag, attributes in read_tags(body.decode("utf-8", errors="replace")):
            if tag == "a":
                _take_anchor(page, attributes)
            elif tag == "meta":
                _take_meta(page, attributes)
            elif not based and attributes.get("href"):  # HTML: the first <base> counts, and no other
                based = True
                page.base = urljoin(url, attributes["href"])
    except ValueError as error:
        raise IndexInvalid(f"{shown_url(url)}: HTML that cannot be read: {show(str(error), 120)}") from error
    return page


def _take_meta(page: AnchorPage, attributes: Mapping[str, str]) -> None:
    content = attributes.get("content", "")
    match attributes.get("name"):
        case "pypi:repository-version":
            page.api_version = content
        case "pypi:project-status":
            page.status = content
        case "pypi:project-status-reason":
            page.status_reason = content


def _take_anchor(page: AnchorPage, attributes: Mapping[str, str]) -> None:
    path, _, fragment = attributes.get("href", "").strip().partition("#")
    try:
        # Decoded once, never twice: a%252f.. is a strange name, not a way out of a folder.
        filename = unquote(urlsplit(path).path.rpartition("/")[2])
    except ValueError:
        return
    if not filename.lower().endswith(DISTRIBUTION_SUFFIXES):
        return
    page.has_files = True
    page.entries.append(
        Entry(
            filename=filename,
            url=path,
            hashes=_digests(fragment),
            requires_python=attributes.get("data-requires-python") or None,
            yanked=attributes.get("data-yanked"),
            core_metadata=_offer(attributes, "data-core-metadata"),
            dist_info_metadata=_offer(attributes, "data-dist-info-metadata"),
        )
    )


def _digests(text: str) -> Digests:
    """Read ``sha256=...``; a fragment may hold more, joined by ``&`` (``#sha256=...&egg=...``)."""
    for part in text.split("&"):
        algorithm, equals, digest = part.partition("=")
        if equals and algorithm == "sha256":
            return Digests(sha256=digest)
    return Digests()


def _offer(attributes: Mapping[str, str], key: str) -> bool | Digests | None:
    value = attributes.get(key)
    if value is None:
        return None
    if value == "false":
        return False
    digests = _digests(value)
    return True if digests.sha256 is None else digests
