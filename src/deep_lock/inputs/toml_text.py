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

# Possessive, and an unclosed string ends with its line: no input makes this more than one pass.
_TOKEN = re.compile(
    r"""
      (?P<comment> \#[^\n]*+ )
    | (?P<long> \"\"\"(?:[^"\\]++|\\(?s:.)|"(?!""))*+(?:\"{3,5}|\Z) | '''(?:[^']++|'(?!''))*+(?:'{3,5}|\Z) )
    | " (?P<basic> (?:[^"\\\n]++|\\[^\n])*+ ) (?:"|\\?(?=\n|\Z))
    | ' (?P<literal> [^'\n]*+ ) (?:'|(?=\n|\Z))
    | (?P<bare> [A-Za-z0-9_-]++ )
    | (?P<other> [^\s] )
    | (?P<newline> \n )
    | [^\S\n]++
    """,
    re.VERBOSE,
)
_HEADER = re.compile(r"\[\[?([^\[\]\n]*+)\]")
_ENDS_A_KEY = frozenset("=,{}[]")


class Lines(Struct, frozen=True, kw_only=True):
    """Where strings and keys stand in a TOML text: (table header, line) for each occurrence."""

    strings: Mapping[str, tuple[tuple[str, int], ...]]
    keys: Mapping[str, tuple[tuple[str, int], ...]]


def read_toml(text: str, source: str, error: type[UserError]) -> tuple[dict[str, Any], Lines]:
    """Parse a TOML text of the user's.

    Raises ``error``, with the line where it is known, or LimitExceeded.
    """
    text = readable(text, source, error, MAX_TOML)
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


def line_of(occurrences: Mapping[str, tuple[tuple[str, int], ...]], text: str, place: str) -> int | None:
    """The line on which ``text`` stands, seen from the dotted key ``place``; None where that is not certain."""
    found = occurrences.get(text, ())
    if len(found) > 1:
        found = tuple(spot for spot in found if place == spot[0] or place.startswith(spot[0] + "."))
        longest = max((len(header) for header, _ in found), default=0)
        found = tuple(spot for spot in found if len(spot[0]) == longest)
    return found[0][1] if len(found) == 1 else None


def _walk(text: str, source: str, error: type[UserError]) -> Lines:
    strings: dict[str, list[tuple[str, int]]] = {}
    keys: dict[str, list[tuple[str, int]]] = {}
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
                keys.setdefault(parts[-1], []).append((".".join(parts[:-1]), line))
        elif kind in {"basic", "literal", "bare"}:
            into = keys if first else strings
            into.setdefault(token[kind], []).append((header, line))
            if first and kind != "bare":
                # a line of an array also begins with a string
                strings.setdefault(token[kind], []).append((header, line))
        if kind is not None and kind != "comment":
            first = False
        line += token[0].count("\n") if kind == "long" else 0
    return Lines(
        strings={text: tuple(spots) for text, spots in strings.items()},
        keys={text: tuple(spots) for text, spots in keys.items()},
    )


def _too_dotted(source: str, line: int, error: type[UserError]) -> DeepLockError:
    return error(f"{source}:{line}: a dotted key of more than {MAX_KEY_DOTS + 1} parts")
