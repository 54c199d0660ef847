"""Seeds, changed: a list of small edits of bytes. The same edits of the same seed give the same bytes."""

import re
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

MAX_BYTES = 256 * 1024

TOKENS: tuple[bytes, ...] = (
    b"",
    b"\0",
    b"\n",
    b"\r",
    b"\\",
    b'"',
    b"'",
    b"'''",
    b"#",
    b"%",
    b"%(x)s",
    b"-",
    b"--",
    b"-1",
    b"0",
    b"1.5",
    b"12.0",
    b"1e999",
    b"NaN",
    b"inf",
    b"true",
    b"null",
    b"[]",
    b"[1]",
    b"[[]]",
    b"[{}]",
    b"{}",
    b'{"a": 1}',
    b"{a = 1}",
    b'{a = {b = "c"}}',
    b'""',
    b'"x"',
    b'["x"]',
    b'["x", 1]',
    b"2026-11-30",
    b"2026-11-30T00:00:00Z",
    b"12:30:00",
    b"9" * 30,
    b"1" * 1200,
    b"7" * 5000,
    b">=" + b"1" * 5000,
    b"==1." + b"3" * 4999 + b".*",
    b"1.0-final!!",
    b"1!2.0",
    b"1.0+local_1",
    b"~=1",
    b"===",
    b"(" * 3000,
    b"[" * 3000,
    b'{"a":' * 1500,
    b"a." * 500,
    b"; " * 50,
    b" and ",
    b" or ",
    b"extra == 'x'",
    b"python_version in '3.8 3.9'",
    b"python_full_version >= '" + b"5" * 5000 + b"'",
    b"os_name > 'a'",
    b"../../x",
    b"/etc/passwd",
    b"C:\\x",
    b"https://user:secret@host.example:99999999/x",
    b"http://[::1",
    b"file:///x",
    b"git+https://h.example/x@a..b",
    b"://",
    b"#sha256=x&egg=y",
    b"&#x110000;",
    b"&#" + b"9" * 5000 + b";",
    b"<!--",
    b"<base href='http://[x'>",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    "\u202e".encode(),
    "\u0661".encode(),
    "\u2028".encode(),
    "\ufeff".encode(),
    "\u0130\u0131\u00df".encode(),
    b"::error::x",
    b"##vso[x]y",
)

_VALUE = re.compile(rb"[=:][ \t]*")
_NUMBER = re.compile(rb"[0-9]+")


class Edit(NamedTuple):
    """One edit. ``at`` and ``to`` are positions from 0 to 1, ``token`` is an index into TOKENS."""

    kind: str
    at: float
    to: float
    token: int


def mutated(seed: bytes, edits: Sequence[Edit], seeds: Sequence[bytes]) -> bytes:
    """Return the seed with the edits, at most MAX_BYTES."""
    data = seed
    for edit in edits:
        data = _KINDS[edit.kind](data, edit, seeds)[:MAX_BYTES]
    return data


def random_edits(random: Random) -> list[Edit]:
    """Return one to six edits."""
    kinds = tuple(_KINDS)
    return [
        Edit(random.choice(kinds), random.random(), random.random(), random.randrange(len(TOKENS)))
        for _ in range(random.choice((1, 1, 2, 2, 3, 6)))
    ]


def _span(data: bytes, edit: Edit, most: int = 64) -> tuple[int, int]:
    start = int(edit.at * (len(data) + 1))
    return start, min(len(data), start + int(edit.to * most))


def _insert(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    start, _ = _span(data, edit)
    return data[:start] + TOKENS[edit.token] + data[start:]


def _replace(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    start, stop = _span(data, edit)
    return data[:start] + TOKENS[edit.token] + data[stop:]


def _delete(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    start, stop = _span(data, edit, 512)
    return data[:start] + data[stop:]


def _cut(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    return data[: int(edit.at * len(data))]


def _flip(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = min(len(data) - 1, int(edit.at * len(data)))
    return data[:at] + bytes((data[at] ^ (1 << int(edit.to * 7.99)),)) + data[at + 1 :]


def _set_byte(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = min(len(data) - 1, int(edit.at * len(data)))
    return data[:at] + bytes((int(edit.to * 255.99),)) + data[at + 1 :]


def _repeat(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    start, stop = _span(data, edit)
    return data[:stop] + data[start:stop] * (1 + edit.token * 4) + data[stop:]


def _splice(data: bytes, edit: Edit, seeds: Sequence[bytes]) -> bytes:
    other = seeds[edit.token % len(seeds)]
    return data[: int(edit.at * len(data))] + other[int(edit.to * len(other)) :]


def _value(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    """Replace the value of a key: of TOML and INI, of a JSON object, of a header."""
    found = list(_VALUE.finditer(data))
    if not found:
        return data
    start = found[min(len(found) - 1, int(edit.at * len(found)))].end()
    ends = [data.find(end, start) for end in ((b"\n",) if edit.to < 0.5 else (b",", b"\n", b"}", b"]"))]
    stop = min((end for end in ends if end >= 0), default=len(data))
    return data[:start] + TOKENS[edit.token] + data[stop:]


def _number(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    """Replace a number by a huge one."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    match = found[min(len(found) - 1, int(edit.at * len(found)))]
    return data[: match.start()] + (b"8" * 5000 if edit.to < 0.5 else b"4" * 900) + data[match.end() :]


def _line(data: bytes, edit: Edit, _seeds: Sequence[bytes]) -> bytes:
    """Drop, double or move a line."""
    lines = data.split(b"\n")
    at = min(len(lines) - 1, int(edit.at * len(lines)))
    line = lines.pop(at)
    if edit.token % 3:
        lines.insert(int(edit.to * len(lines)), line)
    if edit.token % 3 == 1:
        lines.insert(at, line)
    return b"\n".join(lines)


_KINDS = {
    "insert": _insert,
    "replace": _replace,
    "delete": _delete,
    "cut": _cut,
    "flip": _flip,
    "set": _set_byte,
    "repeat": _repeat,
    "splice": _splice,
    "value": _value,
    "value again": _value,
    "number": _number,
    "line": _line,
}
KINDS = tuple(_KINDS)
