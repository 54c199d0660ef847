"""TOML, read within limits, with the lines on which its strings and keys are.

Every TOML text that deep-lock reads passes `parse_toml`. tomli is quadratic in the parts of a dotted key and lets ValueError
through on huge numbers; both are caught here. It ends at 400 nested arrays and inline tables by itself.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import tomli
from msgspec import Struct, field

from deep_lock.boundary import ErrorOf, reading
from deep_lock.parsing.text import readable
from deep_lock.sanitize import show

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
# Strings and comments are matched too, so that a chain is found only where a key can be. Each alternative is possessive,
# for an unfinished piece too: linear in any text.
_CHAIN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)'
    r"|\'\'\'.*?(?:'{3,5}|\Z)"
    r"|(?P<key>(?<![A-Za-z0-9_-])"
    r'(?:(?:[A-Za-z0-9_-]++|"(?:\\[^\n]|[^"\\\n])*+"|\'[^\'\n]*+\')[ \t]*+\.[ \t]*+)'
    f"{{{MAX_KEY_DOTS + 1}}})"
    r'|"(?:\\[^\n]|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)


def parse_toml(text: str, source: str, error: ErrorOf, *, limit: int = MAX_TOML) -> dict[str, Any]:
    """Parse TOML 1.1 of at most ``limit`` characters; ``source`` names the file in messages.

    Raises ``error``, with the line where it is known, or LimitExceeded.
    """
    readable(text, source, error, limit)
    if any(line.count(".") > MAX_KEY_DOTS for line in text.split("\n")):
        _refuse_long_keys(text, source, error)
    with reading(source, error):
        try:
            return tomli.loads(text)
        except tomli.TOMLDecodeError as fault:
            raise error(f"{source}: is not valid TOML: {show(str(fault))}") from None
        except (ValueError, OverflowError):
            # what int() and datetime() raise
            raise error(f"{source}: has a value that is out of bounds") from None


def _refuse_long_keys(text: str, source: str, error: ErrorOf) -> None:
    for match in _CHAIN.finditer(text):
        if match["key"] is not None:
            line = text.count("\n", 0, match.start()) + 1
            raise error(f"{source}:{line}: has a key of more than {MAX_KEY_DOTS} dots")


Spots = Mapping[str, Mapping[str, int | None]]
"""Text to table header to line; None where the text is under that header more than once."""


class Lines(Struct, frozen=True, kw_only=True):
    """The lines of the strings and keys of a TOML text."""

    strings: Spots
    keys: Spots


def read_toml(text: str, source: str, error: ErrorOf, *, limit: int = MAX_TOML) -> tuple[dict[str, Any], Lines]:
    """Parse a TOML text of the user's, which may begin with a byte order mark, and find its lines.

    Raises as `parse_toml`.
    """
    text = readable(text, source, error, limit)
    return parse_toml(text, source, error, limit=limit), _find_lines(text.replace("\r\n", "\n"))


def line_of(spots: Spots, text: str, place: str) -> int | None:
    """Return the line of ``text`` under the dotted key ``place``; None where that is not certain."""
    found = spots.get(text, {})
    if len(found) == 1:
        return next(iter(found.values()))
    parts = place.split(".")
    headers = (".".join(parts[:size]) for size in range(len(parts), -1, -1))
    return next((found[header] for header in headers if header in found), None)


class _Position(Struct):
    """What is open where a token begins. The text is valid TOML."""

    header: str = ""
    brackets: list[tuple[str, str]] = field(default_factory=list)
    """Each open array and inline table: its bracket and the dotted key of its table."""
    reads: Literal["header", "key", "value"] = "key"
    key: list[str] = field(default_factory=list)
    """The parts of the header or key that is read, or of the last key."""

    @property
    def table(self) -> str:
        """The dotted key of the table in which a key or a string is."""
        if self.reads == "header":
            return ""
        return self.brackets[-1][1] if self.brackets else self.header

    def ends_key(self, character: str) -> bool:
        """Whether the character ends the key or header that is read."""
        return (character == "=" and self.reads == "key") or (character == "]" and self.reads == "header")

    def move(self, character: str) -> None:
        """Move on by a newline, or by a character that is no part of a string, comment or bare word."""
        match character:
            case "\n" if not self.brackets:
                self.reads, self.key = "key", []
            case "[" if self.reads != "value" and not self.brackets:
                self.reads = "header"
            case "]" if self.reads == "header":
                self.header, self.reads = ".".join(self.key), "value"
            case "=":
                self.reads = "value"
            case "[" | "{":
                self.brackets.append((character, _dotted(self.table, self.key)))
                self.reads, self.key = "value" if character == "[" else "key", []
            case "]" | "}" if self.brackets:
                self.brackets.pop()
                self.reads, self.key = "value", []
            case "," if self.brackets and self.brackets[-1][0] == "{":
                self.reads, self.key = "key", []


def _find_lines(text: str) -> Lines:
    strings: dict[str, dict[str, int | None]] = {}
    keys: dict[str, dict[str, int | None]] = {}
    line, at = 1, _Position()
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind in {"other", "newline"}:
            if at.ends_key(token[0]):
                _note_key(keys, at, line)
            at.move(token[0])
        elif kind in {"basic", "literal", "bare"} and at.reads != "value":
            at.key.append(token[kind])
        elif kind in {"basic", "literal"}:
            _note(strings, token[kind], at.table, line)
        line += token[0].count("\n")
    return Lines(strings=strings, keys=keys)


def _dotted(table: str, key: list[str]) -> str:
    return ".".join([table, *key] if table else key)


def _note_key(keys: dict[str, dict[str, int | None]], at: _Position, line: int) -> None:
    """Note a key. A table that only dotted keys name has the line of the first one."""
    *tables, last = at.key
    for size, table in enumerate(tables if at.reads == "key" else ()):
        keys.setdefault(table, {}).setdefault(_dotted(at.table, tables[:size]), line)
    _note(keys, last, _dotted(at.table, tables), line)


def _note(spots: dict[str, dict[str, int | None]], text: str, header: str, line: int) -> None:
    under = spots.setdefault(text, {})
    under[header] = None if header in under else line
