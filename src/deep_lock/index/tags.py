"""The few tags of an HTML page that an index speaks with, read in one pass.

Law: time grows with the length of the page and with nothing else. html.parser is not used, since it does not keep
that: 60 KB of unclosed tags took it a minute (CPython 3.11.7, 3.13.0), and a page may have 64 MB.
"""

import re
from collections.abc import Iterator, Mapping
from html import unescape

# Possessive quantifiers throughout: nothing is tried twice.
_START = re.compile(r"<(?:(!--)|(a|base|meta|script|style)(?=[\s/>]))", re.IGNORECASE)
_NAME = re.compile(r"[\s/]*+([^\s/>=<\"'][^\s/>=<]*+)")
_EQUALS = re.compile(r"\s*+=\s*+")
_BARE = re.compile(r"[^\s>]*+")
_REST = re.compile(r"[\s/\"'=]*+")
_CLOSED = {"script": re.compile("</script", re.IGNORECASE), "style": re.compile("</style", re.IGNORECASE)}


def read_tags(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield (name, attributes) of each a, base and meta tag in order; names in lower case, values decoded.

    Comments, scripts and styles are passed over; a tag that is never closed is none. Of an attribute that stands
    twice the first counts. Raises ValueError for a character reference that cannot be read.
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
    """Return the place after the next ``sign``; the end where there is none, so that no second search is made for it."""
    found = text.find(sign, start)
    return len(text) if found == -1 else found + len(sign)


def _read_attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """Read attributes up to the end of a tag; returns them and the place of its ``>``, or of where it broke off."""
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
