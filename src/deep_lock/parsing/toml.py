"""TOML from outside: guarded before it is parsed, and searched for the lines on which things stand.

tomllib is quadratic in the parts of a dotted key, recurses on nested arrays and lets ValueError through on huge numbers.
One linear walk over the text's tokens serves both the guard and the line numbers.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from msgspec import Struct

from deep_lock.errors import DeepLockError, LockInvalid, UserError
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


MAX_LOCK_BYTES = 64 * 1024 * 1024
MAX_DOTS_IN_KEY = 64
"""tomllib takes time with the square of a dotted key's length: 6 s for 20,000 parts."""

RELOCK = 'take either side of the merge (git checkout --ours or --theirs), then run "deep-lock lock": it keeps every pin that still fits'

_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|\Z)", re.MULTILINE)
# Strings and comments are walked over, so that a chain is found only where a key can stand. Each piece is taken whole
# and gives nothing back, an unfinished one too: linear in any text.
_CHAIN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)'
    r"|\'\'\'.*?(?:'{3,5}|\Z)"
    r"|(?P<key>(?<![A-Za-z0-9_-])"
    r'(?:(?:[A-Za-z0-9_-]++|"(?:\\[^\n]|[^"\\\n])*+"|\'[^\'\n]*+\')[ \t]*+\.[ \t]*+)'
    f"{{{MAX_DOTS_IN_KEY + 1}}})"
    r'|"(?:\\[^\n]|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_PLAIN = re.compile(r"[ !#-\[\]-~]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def parse_toml(text: str, source: str) -> dict[str, object]:
    """Read a TOML document; ``source`` names it in messages. Raises LockInvalid."""
    _refuse_size(text, source)
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise LockInvalid(
            f"{source}:{line}: has conflict markers ({conflict.group()!r}): a merge was left unfinished", hint=RELOCK
        )
    _refuse_long_keys(text, source)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise LockInvalid(f"{source}: is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise LockInvalid(f"{source}: is not valid TOML: {show(str(error))}") from None
    except (ValueError, OverflowError, MemoryError):
        # what int() and datetime() raise
        raise LockInvalid(f"{source}: holds a value that is out of bounds") from None


def _refuse_size(text: str, source: str) -> None:
    try:
        size = len(text) if len(text) > MAX_LOCK_BYTES else len(text.encode())
    except UnicodeEncodeError:
        raise LockInvalid(f"{source}: is not UTF-8") from None
    if size > MAX_LOCK_BYTES:
        raise LockInvalid(f"{source}: is larger than {MAX_LOCK_BYTES // 2**20} MiB; no more is read")


def _refuse_long_keys(text: str, source: str) -> None:
    if all(line.count(".") <= MAX_DOTS_IN_KEY for line in text.split("\n")):
        return
    for match in _CHAIN.finditer(text):
        if match["key"] is not None:
            line = text.count("\n", 0, match.start()) + 1
            raise LockInvalid(f"{source}:{line}: has a key of more than {MAX_DOTS_IN_KEY} dots")


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    if 0xD800 <= code <= 0xDFFF:
        raise LockInvalid(f"a text with half a character (U+{code:X}) cannot be written to a lock")
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def quoted(text: str) -> str:
    """Return a basic string in ASCII. Raises LockInvalid on a lone surrogate, which TOML cannot say."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return f'"{"".join(map(_escaped, text))}"'


def key_text(key: str) -> str:
    """Return a key, quoted only where it must be."""
    return key if _BARE_KEY.fullmatch(key) else quoted(key)


def moment_text(moment: datetime) -> str:
    """Return an offset date-time in UTC with "Z". Raises LockInvalid where the zone is not known."""
    if moment.tzinfo is None:
        raise LockInvalid(f"{moment.isoformat()}: a time without a zone cannot be written to a lock")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def value_text(value: object) -> str:
    """Return any TOML value on one line. Raises LockInvalid on what TOML cannot say."""
    match value:
        case str():
            return quoted(value)
        case bool():
            return "true" if value else "false"
        case datetime() if value.tzinfo is not None:
            return moment_text(value)
        case list() | tuple():
            return f"[{', '.join(map(value_text, value))}]"
        case dict():
            return f"{{{', '.join(f'{key_text(key)} = {value_text(item)}' for key, item in sorted(value.items()))}}}"
        case _:
            return _plain_text(value)


def _plain_text(value: object) -> str:
    """A number, or a date or time without a zone: only a later revision has those."""
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | time):
        return value.isoformat()
    raise LockInvalid(f"a {type(value).__name__} cannot be written to a lock")
