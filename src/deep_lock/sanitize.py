"""Text from outside, made safe to show.

Invariant: text of an index, an archive, a lock or a project file gets into a message through `show` only.
"""

import re
import unicodedata
from collections.abc import Sequence

MAX_SHOWN = 200
_CUT = "..."

# Controls, format characters (bidi, zero-width, tags), surrogates, private use, unassigned, and every space but " ".
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Letters and marks without a visible form: combining grapheme joiner, Hangul and Khmer fillers, Mongolian and other
# variation selectors, the blank Braille pattern.
_BLANK = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)

_LOGIN = re.compile(r"(?<=://)[^/?#\s'\"]*@")


def without_login(text: str) -> str:
    """Return the text with ``***`` for the login of a URL: a line that cannot be parsed may have one."""
    return _LOGIN.sub("***@", text) if "@" in text and "://" in text else text


def _piece(character: str, *, ascii_only: bool) -> str:
    if " " <= character <= "~":
        return character
    if ascii_only or unicodedata.category(character) in _HIDDEN_CATEGORIES or _BLANK.match(character):
        return f"\\u{{{ord(character):x}}}"
    return character


def show(text: str, limit: int = MAX_SHOWN, *, ascii_only: bool = False) -> str:
    r"""Return the text on one line, in NFC, with ``\u{...}`` for invisible characters, in at most ``limit`` characters.

    Logins of URLs are left out. ``ascii_only`` is for what must be ASCII (names, versions, hosts): a look-alike letter is shown
    as its code point. A shortened text ends in "...". Applied twice it gives the same.
    """
    text = without_login(text)
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    length = 0
    for character in unicodedata.normalize("NFC", text[: 8 * limit]):
        piece = _piece(character, ascii_only=ascii_only)
        shown.append(piece)
        length += len(piece)
        if length > limit:
            break
    if length <= limit:
        return "".join(shown)
    while shown and length > limit - len(_CUT):
        length -= len(shown.pop())
    return "".join(shown) + _CUT


def listed(names: Sequence[str], most: int) -> str:
    """Return the first ``most`` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def quote(text: str, limit: int = MAX_SHOWN) -> str:
    """Return text that must be ASCII, in quotes, for a message."""
    return f"'{show(text, limit, ascii_only=True)}'"
