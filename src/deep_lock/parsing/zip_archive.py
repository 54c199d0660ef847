"""The records of a ZIP archive, read strictly (APPNOTE 4.3, 4.4): of wheels and of sdists, in part or as a whole.

Invariant: an archive that two readers could read in two ways is refused, not interpreted: several end records, a central
directory that does not end where the end record begins, a name twice, members that share bytes.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, ArchiveUnsafe
from deep_lock.sanitize import quote

MAX_MEMBERS = 100_000
MAX_DIRECTORY_BYTES = 32 * 1024 * 1024

_END_SIZE = 22
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL_SIZE = 30
_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA = struct.Struct("<2H")

_END_SIGNATURE = b"PK\x05\x06"
_LOCAL_SIGNATURE = b"PK\x03\x04"
_END64_SIGNATURE = b"PK\x06\x06"
_LOCATOR64_SIGNATURE = b"PK\x06\x07"
_CENTRAL_SIGNATURE = b"PK\x01\x02"

ENCRYPTED = 0x0001 | 0x0040 | 0x2000
"""Flags: encrypted, strongly encrypted, local headers masked."""
HAS_DESCRIPTOR = 0x0008
"""Flag: sizes and checksum come after the data, not in the local header."""

_UNICODE_PATH = b"up"
"""The identifier of the extra field with another name, 0x7075."""

_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_LONGEST_END = 0x10000 + 1024
"""An end record with the longest comment, and the ZIP64 records before it."""
_DESCRIPTOR_SIZES = frozenset({12, 16, 20, 24})
"""A data descriptor has a signature or not, and sizes of 32 or 64 bits (APPNOTE 4.3.9)."""


class Directory(Struct, frozen=True, kw_only=True):
    """The position of the central directory, and the number of its entries."""

    start: int
    size: int
    count: int


class ZipMember(Struct, frozen=True, kw_only=True):
    """An entry of the central directory."""

    name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    """Bytes in the archive."""
    size: int
    """Bytes unpacked, as declared."""
    start: int
    """The position of its local header."""


def read_archive(file: BinaryIO, where: str) -> tuple[tuple[ZipMember, ...], Directory]:
    """Read a whole archive, with every local header; members come in the order of their bytes in the file.

    Raises ArchiveBroken, ArchiveAmbiguous, ArchiveUnsafe or ArchiveTooBig. An OSError is the file's own.
    """
    total = file.seek(0, 2)
    tail = read_at(file, max(0, total - _LONGEST_END), _LONGEST_END)
    directory = find_directory(tail, total, where)
    members = read_members(read_at(file, directory.start, directory.size), directory, where)
    followers = [*(member.start for member in members[1:]), directory.start]
    for member, following in zip(members, followers, strict=True):
        # a reader of local headers alone must see the same members
        local = read_at(file, member.start, LOCAL_SIZE + len(member.name))
        gap = following - member.start - data_start(local, member, where) - member.compressed
        if gap not in (_DESCRIPTOR_SIZES if member.flags & HAS_DESCRIPTOR else {0}):
            raise ArchiveAmbiguous(f"{where}: {shown_name(member.name)} does not end where what follows it begins")
    return members, directory


def read_at(file: BinaryIO, start: int, size: int) -> bytes:
    """Return up to ``size`` bytes of a file from a position on."""
    file.seek(start)
    return file.read(size)


def find_directory(tail: bytes, total: int, where: str) -> Directory:
    """Read the end record of an archive of ``total`` bytes out of its last bytes.

    Raises ArchiveBroken (no end record), ArchiveAmbiguous (several, or one that does not fit the file) or
    ArchiveTooBig.
    """
    offset = total - len(tail)
    at = _find_end(tail, where)
    _, disk, first_disk, disk_count, count, size, start, _ = _END.unpack_from(tail, at)
    directory = Directory(start=start, size=size, count=count)
    end = offset + at
    if at >= _LOCATOR64.size and tail[at - _LOCATOR64.size : at].startswith(_LOCATOR64_SIGNATURE):
        directory, end = _read_end64(tail, offset, at - _LOCATOR64.size, directory, where)
    elif _FULL16 in {disk_count, count} or _FULL32 in {size, start}:
        raise ArchiveBroken(f"{where}: its end record refers to a ZIP64 record that is not there")
    if disk or first_disk or disk_count != count:
        raise ArchiveBroken(f"{where}: part of an archive of several files")
    if directory.start + directory.size != end:
        raise ArchiveAmbiguous(f"{where}: its central directory does not end where its end record begins")
    if directory.count > MAX_MEMBERS or directory.size > MAX_DIRECTORY_BYTES:
        raise ArchiveTooBig(f"{where}: {directory.count} members; at most {MAX_MEMBERS} are allowed")
    _refuse_second_end(tail[max(0, directory.start - offset) :], where)
    return directory


def _find_end(tail: bytes, where: str) -> int:
    """Return the position of the end record whose comment ends with the file."""
    at = tail.rfind(_END_SIGNATURE)
    while at >= 0:
        if at + _END_SIZE <= len(tail):
            comment = int.from_bytes(tail[at + 20 : at + 22], "little")
            if at + _END_SIZE + comment == len(tail):
                return at
        at = tail.rfind(_END_SIGNATURE, 0, at)
    raise ArchiveBroken(f"{where}: no end record: the file is truncated, or is not a ZIP archive")


def _refuse_second_end(rest: bytes, where: str) -> None:
    """Some readers search the end record from the back, some from the front."""
    if rest.count(_END_SIGNATURE) != 1:
        raise ArchiveAmbiguous(f"{where}: has several end records")


def _read_end64(tail: bytes, offset: int, at: int, plain: Directory, where: str) -> tuple[Directory, int]:
    """Return the ZIP64 end record and its position. Its values must be those of the plain end record, where that has them."""
    _, disk, position, disks = _LOCATOR64.unpack_from(tail, at)
    begin = position - offset
    if disk or disks > 1 or not 0 <= begin <= at - _END64.size:
        raise ArchiveBroken(f"{where}: its ZIP64 end record is not where it should be")
    signature, length, _, _, disk, first_disk, disk_count, count, size, start = _END64.unpack_from(tail, begin)
    if signature != _END64_SIGNATURE or begin + 12 + length != at or disk or first_disk or disk_count != count:
        raise ArchiveBroken(f"{where}: its ZIP64 end record is damaged")
    pairs = ((plain.count, count, _FULL16), (plain.size, size, _FULL32), (plain.start, start, _FULL32))
    if any(short not in {full, long} for short, long, full in pairs):
        raise ArchiveAmbiguous(f"{where}: its two end records contradict each other")
    return Directory(start=start, size=size, count=count), position


def read_members(raw: bytes, directory: Directory, where: str) -> tuple[ZipMember, ...]:
    """Read the whole central directory. Members come in the order of their bytes in the file.

    Raises ArchiveBroken, ArchiveAmbiguous (a name twice, bytes before the first member) or ArchiveUnsafe (a name
    that leaves its folder, members that share bytes).
    """
    members = []
    at = 0
    for _ in range(directory.count):
        member, at = _read_member(raw, at, where)
        members.append(member)
    if at != len(raw):
        raise ArchiveAmbiguous(f"{where}: its central directory has more in it than its members")
    if len({member.name for member in members}) != len(members):
        raise ArchiveAmbiguous(f"{where}: a name occurs twice in it")
    members.sort(key=lambda member: member.start)
    _refuse_shared_bytes(members, directory.start, where)
    return tuple(members)


def _read_member(raw: bytes, at: int, where: str) -> tuple[ZipMember, int]:
    if at + _CENTRAL.size > len(raw) or not raw.startswith(_CENTRAL_SIGNATURE, at):
        raise ArchiveBroken(f"{where}: its central directory is damaged")
    fields = _CENTRAL.unpack_from(raw, at)
    _, _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length, comment_length, disk, *rest = fields
    name_end = at + _CENTRAL.size + name_length
    end = name_end + extra_length + comment_length
    if end > len(raw) or disk not in {0, _FULL16}:
        raise ArchiveBroken(f"{where}: its central directory is damaged")
    name = raw[at + _CENTRAL.size : name_end]
    start = rest[2]
    if _FULL32 in {compressed, size, start}:
        size, compressed, start = _read_extra64(
            raw[name_end : name_end + extra_length], (size, compressed, start), where
        )
    extra = raw[name_end : name_end + extra_length]
    if _UNICODE_PATH in extra and any(other != name for other in _other_names(extra)):
        raise ArchiveAmbiguous(f"{where}: {shown_name(name)} has a second name in an extra field")
    if _is_unsafe(name):
        raise ArchiveUnsafe(f"{where}: has a member outside its folder: {shown_name(name)}")
    if flags & ENCRYPTED:
        raise ArchiveBroken(f"{where}: {shown_name(name)} is encrypted")
    member = ZipMember(name=name, flags=flags, method=method, crc=crc, compressed=compressed, size=size, start=start)
    return member, end


def _read_extra64(extra: bytes, fields: tuple[int, int, int], where: str) -> tuple[int, int, int]:
    """Fill in what did not fit into 32 bits from the ZIP64 extra field (APPNOTE 4.5.3)."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == 1:
            values = [extra[i : i + 8] for i in range(at, min(at + length, len(extra)) - 7, 8)]
            filled = [
                int.from_bytes(values.pop(0), "little") if field == _FULL32 and values else field for field in fields
            ]
            return filled[0], filled[1], filled[2]
        at += length
    raise ArchiveBroken(f"{where}: a ZIP64 size is missing")


def _other_names(extra: bytes) -> Iterator[bytes]:
    """Yield the names in extra fields (APPNOTE 4.6.9), which some readers take instead."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == int.from_bytes(_UNICODE_PATH, "little"):
            yield extra[at + 5 : at + length]  # after a version and a checksum
        at += length


def _is_unsafe(name: bytes) -> bool:
    """Whether a name is empty, absolute, or leaves the folder it is unpacked to, on any system."""
    if name[:1] in {b"", b"/"} or b"\\" in name or b"\0" in name or name[1:2] == b":":
        return True
    return b".." in name and b".." in name.split(b"/")


def _refuse_shared_bytes(members: list[ZipMember], end: int, where: str) -> None:
    if members and members[0].start != 0:
        raise ArchiveAmbiguous(f"{where}: bytes come before its first member")
    for member, following in zip(members, [*(later.start for later in members[1:]), end], strict=True):
        if member.start + LOCAL_SIZE + len(member.name) + member.compressed > following:
            raise ArchiveUnsafe(f"{where}: {shown_name(member.name)} shares bytes with what follows it")


def data_start(local: bytes, member: ZipMember, where: str) -> int:
    """Return the position of a member's data, counted from its local header; header and directory must agree.

    Raises ArchiveBroken or ArchiveAmbiguous.
    """
    if len(local) < LOCAL_SIZE or not local.startswith(_LOCAL_SIGNATURE):
        raise ArchiveBroken(f"{where}: {shown_name(member.name)} has no local header")
    fields: tuple[int, ...] = _LOCAL.unpack_from(local)[1:]
    _, flags, method, _, _, crc, compressed, size, name_length, extra_length = fields
    same = local[LOCAL_SIZE : LOCAL_SIZE + name_length] == member.name and method == member.method
    if same and not flags & HAS_DESCRIPTOR and _FULL32 not in {compressed, size}:
        same = (crc, compressed, size) == (member.crc, member.compressed, member.size)
    if not same or flags & ENCRYPTED:
        raise ArchiveAmbiguous(f"{where}: {shown_name(member.name)} differs between local header and directory")
    return LOCAL_SIZE + name_length + extra_length


def shown_name(name: bytes) -> str:
    """Return a member's name for messages."""
    return quote(name.decode("utf-8", "replace"))
