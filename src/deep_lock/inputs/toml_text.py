"""TOML from outside: guarded before it is parsed, and searched for the lines on which things stand.

tomllib is quadratic in the parts of a dotted key, recurses on nested arrays and lets ValueError through on huge numbers.
One linear walk over the text's tokens serves both the guard and the line numbers.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from deep_lock.errors import DeepLockError, UserError
from deep_lock.inputs.text import readable

MAX_TOML = 1024 * 1024
MAX_KEY_DOTS = 64

# Alternatives that exclude each other, and an unclosed string ends with its line: no input makes this more than one pass.
# (Possessive quantifiers would say so, but Python 3.11.2 matches nested ones wrongly.)
_TOKEN = re.compile(
    r"""
      (?P<comment> \#[^\n]* )
    | (?P<long> \"\"\"(?:[^"\\]|\\(?s:.)|"(?!""))*(?:\"{3,5}|\Z) | '''(?:[^']|'(?!''))*(?:'{3,5}|\Z) )
    | " (?P<basic> (?:[^"\\\n]|\\[^\n])* ) (?:"|\\?(?=\n|\Z))
    | ' (?P<literal> [^'\n]* ) (?:'|(?=\n|\Z))
    | (?P<bare> [A-Za-z0-9_-]+ )
    | (?P<other> [^\s] )
    | (?P<newline> \n )
    | [^\S\n]+
    """,
    re.VERBOSE,
)
_HEADER = re.compile(r"\[\[?([^\[\]\n]*+)\]")
_ENDS_A_KEY = frozenset("=,{}[]")


Spots = Mapping[str, Mapping[str, int | None]]
"""Text to table header to line; None where the text stands under that header more than once."""


class Lines(Struct, frozen=True, kw_only=True):
    """Where strings and keys stand in a TOML text."""

    strings: Spots
    keys: Spots


def read_toml(text: str, source: str, error: type[UserError], *, limit: int = MAX_TOML) -> tuple[dict[str, Any], Lines]:
    """Parse a TOML text of the user's, of at most ``limit`` characters.

    Raises ``error``, with the line where it is known, or LimitExceeded.
    """
    text = readable(text, source, error, limit)
    lines = _walk(text.replace("\r\n", "\n"), source, error)
    try:
        return tomllib.loads(text), lines
    except RecursionError:
        raise error(f"{source}: nested too deeply") from None
    except tomllib.TOMLDecodeError as fault:
        raise error(f"{source}: not valid TOML: {fault}") from None
    except ValueError as fault:
        # a number of thousands of digits
        raise error(f"{source}: not valid TOML: {str(fault)[:80]}") from None


def line_of(spots: Spots, text: str, place: str) -> int | None:
    """The line on which ``text`` stands, seen from the dotted key ``place``; None where that is not certain."""
    found = spots.get(text, {})
    if len(found) == 1:
        return next(iter(found.values()))
    parts = place.split(".")
    headers = (".".join(parts[:size]) for size in range(len(parts), -1, -1))
    return next((found[header] for header in headers if header in found), None)


def _walk(text: str, source: str, error: type[UserError]) -> Lines:
    strings: dict[str, dict[str, int | None]] = {}
    keys: dict[str, dict[str, int | None]] = {}
    header, line, dots, first = "", 1, 0, True
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "newline":
            line, dots, first = line + 1, 0, True
            continue
        if kind == "other":
            dots = dots + 1 if token[0] == "." else 0 if token[0] in _ENDS_A_KEY else dots
            if dots > MAX_KEY_DOTS:
                raise _too_dotted(source, line, error)
            if first and token[0] == "[" and (opened := _HEADER.match(text, token.start())):
                parts = [part.strip(" \t\"'") for part in opened[1].split(".")]
                header = ".".join(parts)
                _note(keys, parts[-1], ".".join(parts[:-1]), line)
        elif kind in {"basic", "literal", "bare"}:
            if first:
                _note(keys, token[kind], header, line)
            if kind != "bare":
                # also at the begin of a line: arrays are written so
                _note(strings, token[kind], header, line)
        if kind is not None and kind != "comment":
            first = False
        line += token[0].count("\n") if kind == "long" else 0
    return Lines(strings=strings, keys=keys)


def _note(spots: dict[str, dict[str, int | None]], text: str, header: str, line: int) -> None:
    under = spots.setdefault(text, {})
    under[header] = None if header in under else line


def _too_dotted(source: str, line: int, error: type[UserError]) -> DeepLockError:
    return error(f"{source}:{line}: a dotted key of more than {MAX_KEY_DOTS + 1} parts")
