"""Text from outside: decoding, characters that hide or reorder text, and excerpts for messages."""

import re
import unicodedata
from typing import Protocol

from deep_lock.boundary import ErrorOf
from deep_lock.errors import LimitExceeded
from deep_lock.events import Warned
from deep_lock.sanitize import without_login

MAX_SHOWN = 40
MAX_NOTES = 20

_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_REMEDY = "Save the file as UTF-8 (in PowerShell: Out-File -Encoding utf8)."
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
# Bidirectional controls, zero-width characters, and every control but tab and line ends.
_DECEIVING = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Opener(Protocol):
    """Opens a file that another file names.

    It returns the text. It raises a DeepLockError for what may not be read (outside the project, a URL, not UTF-8), and
    FileNotFoundError for what does not exist. Any other OSError is reported as unreadable.
    """

    def __call__(self, including: str, relative: str, /) -> str:
        """Return the text of ``relative``, which the file ``including`` names."""


def decode(raw: bytes, source: str, error: ErrorOf) -> str:
    """Decode a file of the user: UTF-8, with or without a byte order mark.

    Raises ``error`` with the remedy; the message never quotes the bytes.
    """
    if raw.startswith(_UTF16_OR_32):
        raise error(f"{source}: this is UTF-16 or UTF-32, not UTF-8", hint=_REMEDY)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise error(f"{source}:{line}: this is not UTF-8", hint=_REMEDY) from None
    return readable(text, source, error)


def readable(text: str, source: str, error: ErrorOf, limit: int | None = None) -> str:
    """Return the text without its byte order mark.

    Raises ``error`` on NUL (UTF-16 read as something else) and lone surrogates, LimitExceeded above ``limit`` characters.
    """
    if limit is not None and len(text) > limit:
        raise LimitExceeded(f"{source}: {len(text)} characters; at most {limit} are allowed")
    text = text.removeprefix("\ufeff")
    if (not text.isascii() or "\0" in text) and (found := _UNREADABLE.search(text)):
        line = text.count("\n", 0, found.start()) + 1
        raise error(f"{source}:{line}: has U+{ord(found[0]):04X} in it, so it is not UTF-8 text", hint=_REMEDY)
    return text


def shown(text: str) -> str:
    """Return the begin of a text in quotes, with everything escaped that a terminal could misread."""
    flat = unicodedata.normalize("NFC", without_login(text))
    return repr(flat if len(flat) <= MAX_SHOWN else flat[: MAX_SHOWN - 3] + "...")


def deceiving(text: str) -> str | None:
    """Return the first character that hides or reorders text, as "U+202E"; None where there is none."""
    found = _DECEIVING.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def notes_on_characters(text: str, source: str) -> tuple[Warned, ...]:
    """Return one warning for each line (of the first few) with characters that hide or reorder text."""
    if _DECEIVING.search(text) is None:
        return ()
    found = [(number, deceiving(line)) for number, line in enumerate(text.split("\n"), 1)]
    return tuple(
        Warned(
            code="bidi-in-input",
            subject=f"{source}:{number}",
            message=f"has {code}, a character that hides or reorders text: what you see may not be what is read",
        )
        for number, code in found
        if code is not None
    )[:MAX_NOTES]
