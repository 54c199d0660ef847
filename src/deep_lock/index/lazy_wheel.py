"""METADATA out of a wheel, by a few byte ranges or from the whole file. Pure: no network, no clock, nothing unpacked.

What is unclear is refused (parsing/zip_archive.py); what is read is bounded and checked against its own checksum. By ranges
only the central directory and one member are seen: whether the other local headers agree is known only of a whole file.
"""

import io
import zlib
from collections.abc import Callable, Generator
from typing import BinaryIO

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, MetadataInvalid, NameMismatch, NetworkError
from deep_lock.models.metadata import MAX_METADATA_BYTES, is_same_version
from deep_lock.parsing.zip_archive import (
    LOCAL_SIZE,
    ZipMember,
    data_start,
    find_directory,
    read_archive,
    read_at,
    read_members,
    shown_name,
)

TAIL_BYTES = 32 * 1024
"""The least size of the first request. It is the only one for nearly all wheels up to 1 MB."""
_MOST_TAIL_BYTES = 256 * 1024
_TAIL_PART = 16


def tail_bytes(size: int | None) -> int:
    """Return the size of the first request for a wheel of ``size`` bytes, which is None where the index has no sizes.

    Large wheels have more files, and so a longer central directory. Of the 214 wheels of three projects one request is enough
    for 204; with TAIL_BYTES for all of them it was enough for 185.
    """
    return TAIL_BYTES if size is None else max(TAIL_BYTES, min(size // _TAIL_PART, _MOST_TAIL_BYTES))


_DIST_INFO = b".dist-info"
_METADATA = b"/METADATA"
_STORED, _DEFLATED = 0, 8


class ByteRange(Struct, frozen=True, kw_only=True):
    """A part of a file: from ``first`` to ``last``, both included; or, where ``first`` is None, its last ``last`` bytes."""

    first: int | None
    last: int

    @property
    def header(self) -> str:
        """The value of the Range header (RFC 9110, 14.1.2)."""
        return f"bytes=-{self.last}" if self.first is None else f"bytes={self.first}-{self.last}"


Reading = Generator[ByteRange, tuple[bytes, int], bytes]
"""Yields what it needs, is sent those bytes and the size of the whole file, returns METADATA."""


def reading_metadata(name: NormalizedName, version: str, where: str, *, tail: int = TAIL_BYTES) -> Reading:
    """Read the METADATA of a wheel of one release; ``where`` names the file in messages.

    Raises ArchiveBroken, ArchiveAmbiguous, ArchiveUnsafe, ArchiveTooBig, NameMismatch, MetadataInvalid, or NetworkError where the
    file's size changes between answers. The caller still has to check the Name field of the metadata.
    """
    with reading(where, ArchiveBroken):
        window, total = yield ByteRange(first=None, last=tail)
        if len(window) > total or len(window) < min(tail, total):
            raise NetworkError(f"{where}: {len(window)} bytes were sent instead of the last {tail}")
        offset = total - len(window)
        if offset == 0:
            return metadata_from_wheel(io.BytesIO(window), name, version, where)
        directory = find_directory(window, total, where)
        if directory.start < offset:
            # METADATA is mostly one of the last members, and only RECORD, which is about as long as the directory, follows it.
            start = max(0, directory.start - min(directory.size, _MOST_TAIL_BYTES) - TAIL_BYTES)
            window = (yield from _fetch(start, offset, total, where)) + window
            offset = start
        at = directory.start - offset
        members = read_members(window[at : at + directory.size], directory, where)
        member = find_metadata(members, name, version, where)
        end = _end_of(member, members, directory.start)
        if member.start >= offset:
            raw = window[member.start - offset : end - offset]
        else:
            raw = yield from _fetch(member.start, min(end, offset), total, where)
            raw += window[: max(0, end - offset)]
        return unpack(raw, member, where)


def _fetch(start: int, stop: int, total: int, where: str) -> Generator[ByteRange, tuple[bytes, int], bytes]:
    data, size = yield ByteRange(first=start, last=stop - 1)
    if size != total or len(data) != stop - start:
        raise NetworkError(f"{where}: the file changed while it was read")
    return data


def _end_of(member: ZipMember, members: tuple[ZipMember, ...], directory_start: int) -> int:
    """Return the latest position at which a member's bytes end: where the next one begins."""
    starts = (other.start for other in members if other.start > member.start)
    longest = member.start + LOCAL_SIZE + 2 * 0xFFFF + member.compressed
    return min(next(starts, directory_start), longest)


def read_by_ranges(reading: Reading, fetch: Callable[[ByteRange], tuple[bytes, int]]) -> bytes:
    """Drive a reading with a function that returns the bytes of a range and the size of the whole file."""
    wanted = next(reading)
    while True:
        answer = fetch(wanted)
        try:
            wanted = reading.send(answer)
        except StopIteration as end:
            metadata: bytes = end.value
            return metadata


def read_content_range(value: str | None, wanted: ByteRange, length: int, where: str) -> int:
    """Return the size of the whole file, out of the Content-Range of a 206 with ``length`` bytes (RFC 9110, 14.4).

    Raises NetworkError for another range than the requested one.
    """
    unit, _, rest = (value or "").strip().partition(" ")
    span, _, size = rest.partition("/")
    first, _, last = span.partition("-")
    numbers = [number.strip() for number in (first, last, size)]
    if unit.lower() == "bytes" and all(text.isascii() and text.isdigit() and len(text) < 16 for text in numbers):
        start, stop, total = map(int, numbers)
        expected = max(0, total - wanted.last) if wanted.first is None else wanted.first
        if start == expected and stop - start + 1 == length and stop < total:
            return total
    raise NetworkError(f"{where}: the server sent another range than {wanted.header}")


def metadata_from_wheel(file: BinaryIO, name: NormalizedName, version: str, where: str) -> bytes:
    """Return the METADATA of a whole wheel, by the same rules; every local header is compared with the directory too.

    Raises as `reading_metadata`, but NetworkError. An OSError is the file's own.
    """
    with reading(where, ArchiveBroken):
        members, directory = read_archive(file, where)
        member = find_metadata(members, name, version, where)
        return read_member(file, member, members, directory.start, where)


def read_member(
    file: BinaryIO, member: ZipMember, members: tuple[ZipMember, ...], directory_start: int, where: str
) -> bytes:
    """Return the content of a member, whose size the caller has checked. Raises ArchiveBroken or ArchiveAmbiguous."""
    raw = read_at(file, member.start, _end_of(member, members, directory_start) - member.start)
    return unpack(raw, member, where)


def find_metadata(members: tuple[ZipMember, ...], name: NormalizedName, version: str, where: str) -> ZipMember:
    """Return the one ``NAME-VERSION.dist-info/METADATA`` at the top of a wheel (binary distribution format).

    Raises ArchiveBroken (none), ArchiveAmbiguous (several such folders), NameMismatch, MetadataInvalid (another version) or
    ArchiveTooBig.
    """
    # Lower case, since on some file systems two such folders are one.
    folders = {member.name.partition(b"/")[0] for member in members if _is_in_dist_info(member.name)}
    found = [member for member in members if member.name.endswith(_METADATA) and _is_metadata(member.name)]
    if not found:
        raise ArchiveBroken(f"{where}: has no .dist-info/METADATA: not a wheel")
    if len(folders) > 1 or len(found) > 1:
        raise ArchiveAmbiguous(f"{where}: has several .dist-info folders")
    member = found[0]
    project, _, written = member.name.partition(b"/")[0][: -len(_DIST_INFO)].decode("utf-8", "replace").rpartition("-")
    if canonicalize_name(project) != name:
        raise NameMismatch(f"{where}: has the metadata folder {shown_name(member.name)}, not one of {name!r}")
    if not is_same_version(written.replace("_", "-"), version):  # "-" of a version is "_" in a file name
        raise MetadataInvalid(
            f"{where}: has the metadata folder {shown_name(member.name)}, not one of version {version}"
        )
    if max(member.size, member.compressed) > MAX_METADATA_BYTES:
        raise ArchiveTooBig(f"{where}: {member.size} bytes of METADATA; at most {MAX_METADATA_BYTES} are allowed")
    return member


def _is_in_dist_info(name: bytes) -> bool:
    folder, slash, _ = name.lower().partition(b"/")
    return slash == b"/" and folder.endswith(_DIST_INFO)


def _is_metadata(name: bytes) -> bool:
    folder, _, rest = name.partition(b"/")
    return folder.endswith(_DIST_INFO) and rest == b"METADATA"


def unpack(raw: bytes, member: ZipMember, where: str) -> bytes:
    """Return a member's content out of the bytes from its local header on, checked by size and checksum.

    Raises ArchiveBroken or ArchiveAmbiguous. Never returns more than the declared size.
    """
    begin = data_start(raw, member, where)
    data = raw[begin : begin + member.compressed]
    what = f"{where}: {shown_name(member.name)}"
    if len(data) != member.compressed:
        raise ArchiveBroken(f"{what} is truncated")
    if member.method == _DEFLATED:
        data = _inflate(data, member.size, what)
    elif member.method != _STORED:
        raise ArchiveBroken(f"{what} is compressed by method {member.method}, which wheels do not use")
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise ArchiveBroken(f"{what} does not have the size and checksum that the archive declares")
    return data


def _inflate(data: bytes, size: int, what: str) -> bytes:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        # One byte more than declared: a wrong size is noticed, and a bomb is not unpacked.
        content = inflater.decompress(data, size + 1)
    except zlib.error:
        raise ArchiveBroken(f"{what} cannot be unpacked") from None
    if not inflater.eof or inflater.unused_data:
        raise ArchiveBroken(f"{what} does not end where the archive declares")
    return content
