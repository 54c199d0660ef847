"""Links to files in HTML (PEP 503 pages, and the free-form pages of --find-links). Only href and data-* count, never the text."""

import re
from collections.abc import Iterator, Mapping
from html import unescape
from urllib.parse import unquote, urljoin, urlsplit

from deep_lock.boundary import reading
from deep_lock.errors import IndexInvalid
from deep_lock.index.listing import DISTRIBUTION_SUFFIXES, Digests, FileEntry, PageContent
from deep_lock.network.urls import shown_url

# Possessive quantifiers throughout: nothing is tried twice.
_START = re.compile(r"<(?:(!--)|(a|base|meta|script|style)(?=[\s/>]))", re.IGNORECASE)
_NAME = re.compile(r"[\s/]*+([^\s/>=<\"'][^\s/>=<]*+)")
_EQUALS = re.compile(r"\s*+=\s*+")
_BARE = re.compile(r"[^\s>]*+")
_REST = re.compile(r"[\s/\"'=]*+")
_CLOSED = {"script": re.compile("</script", re.IGNORECASE), "style": re.compile("</style", re.IGNORECASE)}


def read_tags(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield (name, attributes) of each a, base and meta tag in order; names in lower case, values decoded.

    Comments, scripts, styles and tags that are never closed are ignored. Of an attribute that is there twice the first
    counts. Raises ValueError for a character reference that cannot be read.
    """
    at = 0
    while (start := _START.search(text, at)) is not None:
        if start[1]:
            at = _after(text, "-->", start.end())
        else:
            name = start[2].lower()
            attributes, at = _read_attributes(text, start.end())
            closing = _CLOSED.get(name)
            if closing is not None:
                end = closing.search(text, at)
                at = len(text) if end is None else end.end()
            elif text.startswith(">", at):
                yield name, attributes


def _after(text: str, sign: str, start: int) -> int:
    """Return the index after the next ``sign``; the end where there is none, so that it is not searched again."""
    found = text.find(sign, start)
    return len(text) if found == -1 else found + len(sign)


def _read_attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """Read attributes up to the end of a tag; returns them and the index of its ``>``, or where reading stopped."""
    attributes: dict[str, str] = {}
    while True:
        name = _NAME.match(text, at)
        if name is None:
            rest = _REST.match(text, at)
            if rest is None or rest.end() == at or text.startswith((">", "<"), rest.end()):
                return attributes, at if rest is None else rest.end()
            at = rest.end()
            continue
        value = ""
        at = name.end()
        equals = _EQUALS.match(text, at)
        if equals is not None:
            value, at = _read_value(text, equals.end())
        attributes.setdefault(name[1].lower(), unescape(value) if "&" in value else value)


def _read_value(text: str, at: int) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote and quote in "\"'":
        end = _after(text, quote, at + 1)
        return text[at + 1 : end - 1], end
    bare = _BARE.match(text, at)
    return ("", at) if bare is None else (bare[0], bare.end())


def read_anchors(body: bytes, url: str) -> PageContent:
    """Read the links of an HTML page that came from ``url``. Raises IndexInvalid."""
    page = PageContent(base=url, url=url)
    has_base = False
    with reading(shown_url(url), IndexInvalid):
        for tag, attributes in read_tags(body.decode("utf-8", errors="replace")):
            if tag == "a":
                _add_file(page, attributes)
            elif tag == "meta":
                _read_meta(page, attributes)
            elif not has_base and attributes.get("href"):  # HTML: only the first <base> counts
                has_base = True
                page.base = urljoin(url, attributes["href"])
    return page


def _read_meta(page: PageContent, attributes: Mapping[str, str]) -> None:
    content = attributes.get("content", "")
    match attributes.get("name"):
        case "pypi:repository-version":
            page.api_version = content or "1.0"
        case "pypi:project-status":
            page.status = content
        case "pypi:project-status-reason":
            page.status_reason = content


def _add_file(page: PageContent, attributes: Mapping[str, str]) -> None:
    path, _, fragment = attributes.get("href", "").strip().partition("#")
    try:
        # Decoded once, never twice: a%252f.. is a strange name, not a way out of a folder.
        filename = unquote(urlsplit(path).path.rpartition("/")[2])
    except ValueError:
        return
    if not filename.lower().endswith(DISTRIBUTION_SUFFIXES):
        return
    page.entries.append(
        FileEntry(
            filename=filename,
            url=path,
            hashes=_digests(fragment),
            requires_python=attributes.get("data-requires-python") or None,
            yanked=attributes.get("data-yanked"),
            core_metadata=_offer(attributes, "data-core-metadata"),
            dist_info_metadata=_offer(attributes, "data-dist-info-metadata"),
            provenance=attributes.get("data-provenance"),
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
