"""The headers of a tar stream, one after another (POSIX ustar and pax; GNU long names).

Not the standard library's tarfile: that loops for ever on a negative size before the fix of CVE-2025-8194, reads
a long name of any size into memory, and costs several times as much for each member. Nothing is unpacked here.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, ArchiveUnsafe
from deep_lock.sdist.decompress import CHUNK_OUT, PlainStream

BLOCK = 512
MAX_MEMBERS = 50_000
MAX_EXTRA = 256 * 1024
"""Bytes of one pax or long-name header: names are far shorter."""
MAX_EXTRAS = 8
"""Extended headers in front of one member: pax, long name, long link, and a global one."""

MemberKind = Literal["file", "folder", "link", "hardlink", "special"]

_KINDS: dict[bytes, MemberKind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",  # contiguous file
    b"1": "hardlink",
    b"2": "link",
    b"3": "special",
    b"4": "special",
    b"5": "folder",
    b"6": "special",
}
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*\Z")


class Member(Struct):
    """One archive member. ``name`` and ``target`` are as written (bytes outside UTF-8 are kept as surrogates)."""

    name: str
    kind: MemberKind
    size: int
    target: str = ""
    executable: bool = False
    """Whether its owner may run it."""
    modified: int = 0
    """Seconds since 1970; 0 where the archive does not state it."""


class TarWalk:
    """Iterate over the members; `chunks` gives the bytes of the current one and must be called before the next."""

    def __init__(self, stream: PlainStream, where: str) -> None:
        self._stream = stream
        self._where = where
        self._unread = 0
        self._padding = 0

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the first ``size`` bytes of the current member, at most CHUNK_OUT at a time."""
        while size:
            data = self._stream.read(min(size, CHUNK_OUT))
            if not data:
                raise ArchiveBroken(f"{self._where}: the archive ends in the middle of a member")
            self._unread -= len(data)
            size -= len(data)
            yield data

    def __iter__(self) -> Iterator[Member]:
        extra: dict[str, str] = {}
        count = extras = 0
        while header := self._next_header():
            kind = header[156:157]
            if kind in b"xgLKS":
                extras += 1
                if extras > MAX_EXTRAS:
                    raise ArchiveBroken(f"{self._where}: more than {MAX_EXTRAS} extended headers for one member")
                self._take_extra(kind, header, extra)
                continue
            count += 1
            if count > MAX_MEMBERS:
                raise ArchiveTooBig(f"{self._where}: more than {MAX_MEMBERS} members")
            member = self._member(header, kind, extra)
            extra, extras = {}, 0
            self._start(member.size)
            yield member
        if not self._stream.rest_is_zeros():
            raise ArchiveAmbiguous(f"{self._where}: data follows the end mark of the tar archive")
        if not count:
            raise ArchiveBroken(f"{self._where}: an archive without members")

    def _start(self, size: int) -> None:
        self._unread = size
        self._padding = -size % BLOCK

    def _next_header(self) -> bytes:
        """Return the next header block; empty at the end mark, or where the stream ends without one."""
        left = self._unread + self._padding
        self._unread = self._padding = 0
        if left and not self._stream.skip(left):
            raise ArchiveBroken(f"{self._where}: the archive ends in the middle of a member")
        header = self._stream.read(BLOCK)
        if not header.strip(b"\0"):
            return b""
        if len(header) < BLOCK:
            raise ArchiveBroken(f"{self._where}: the archive ends in the middle of a header")
        # POSIX sums unsigned bytes, with the checksum field itself read as blanks.
        total = sum(header) - sum(header[148:156]) + 256
        if total != self._number(header[148:156]):
            raise ArchiveBroken(f"{self._where}: a member header has a wrong checksum")
        return header

    def _number(self, field: bytes) -> int:
        if field[0] in {0x80, 0xFF}:  # GNU base-256; 0xff begins a negative number
            if field[0] == 0xFF:
                raise ArchiveBroken(f"{self._where}: a member of negative size")
            return int.from_bytes(field[1:])
        match = _OCTAL.match(field.split(b"\0", 1)[0] if field[0] else field)
        if match is None:
            raise ArchiveBroken(f"{self._where}: a member header with a malformed number")
        return int(match[1] or b"0", 8)

    def _take_extra(self, kind: bytes, header: bytes, extra: dict[str, str]) -> None:
        if kind == b"S":
            raise ArchiveUnsafe(f"{self._where}: has a sparse member")
        size = self._number(header[124:136])
        if size > MAX_EXTRA:
            raise ArchiveTooBig(f"{self._where}: an extended header of {size} bytes")
        self._start(size)
        data = b"".join(self.chunks(size))
        if kind == b"L":
            extra["path"] = _text(data)
        elif kind == b"K":
            extra["linkpath"] = _text(data)
        elif kind == b"x":
            extra.update(self._pax(data))
        elif self._pax(data).keys() & {"path", "linkpath", "size"}:
            # one name or size for all members: no writer of sdists does it, and readers disagree about it
            raise ArchiveAmbiguous(f"{self._where}: a global header that renames members")

    def _pax(self, data: bytes) -> dict[str, str]:
        """Read "LENGTH KEY=VALUE" records."""
        records: dict[str, str] = {}
        at = 0
        while at < len(data) and data[at]:
            digits, _, _ = data[at : at + 8].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            record = data[at + len(digits) + 1 : at + length]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n"):
                raise ArchiveBroken(f"{self._where}: a malformed extended header")
            records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
            at += length
        if any(key.startswith("GNU.sparse") for key in records):
            raise ArchiveUnsafe(f"{self._where}: has a sparse member")
        return records

    def _member(self, header: bytes, kind: bytes, extra: dict[str, str]) -> Member:
        name = extra.get("path") or _name(header)
        found = _KINDS.get(kind, "file")  # POSIX: an unknown type is a regular file
        if found == "file" and name.endswith("/"):
            found = "folder"  # before POSIX, only the slash marked a folder
        size = self._size(header, extra)
        if found != "file":
            # A reader that skips the bytes of a folder or link sees other members than one that does not.
            if size and found != "hardlink":
                raise ArchiveAmbiguous(f"{self._where}: {name[:100]!r} is not a file, but has {size} bytes of data")
            size = 0
        target = extra.get("linkpath") or _text(header[157:257]) if found in {"link", "hardlink"} else ""
        return Member(
            name=name,
            kind=found,
            size=size,
            target=target,
            executable=bool(_lenient(header[100:108]) & 0o100),
            modified=_modified(header, extra),
        )

    def _size(self, header: bytes, extra: dict[str, str]) -> int:
        written = extra.get("size")
        if written is None:
            return self._number(header[124:136])
        if not (written.isascii() and written.isdigit() and len(written) < 20):
            raise ArchiveBroken(f"{self._where}: a member with a malformed size")
        return int(written)


def _lenient(field: bytes) -> int:
    """A number that decides nothing: 0 where it is malformed (or of a form that modes and times do not need)."""
    match = _OCTAL.match(field)
    return int(match[1] or b"0", 8) if match else 0


def _modified(header: bytes, extra: dict[str, str]) -> int:
    whole = extra.get("mtime", "").partition(".")[0]
    if whole.isascii() and whole.isdigit() and len(whole) < 12:
        return int(whole)
    return _lenient(header[136:148])


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345]:
        return f"{_text(header[345:500])}/{name}"
    return name
