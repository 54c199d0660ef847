"""The members of a zip sdist, judged by the rules that indexes have for uploads.

The standard library reads the directory at the end and compares each local header on opening; what it lets pass and
two readers could see in two ways is refused here.
"""

import zipfile
import zlib
from calendar import timegm
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, ArchiveUnsafe
from deep_lock.sdist import decompress
from deep_lock.sdist.decompress import CHUNK_OUT, MAX_RATIO, MIB, RATIO_COUNTS_FROM
from deep_lock.sdist.tar_members import MAX_MEMBERS, Member

_END_RECORD = b"PK\x05\x06"


def walk_zip(file: BinaryIO, where: str) -> Iterator[tuple[Member, Callable[[], Iterator[bytes]]]]:
    """Yield each member with what gives its bytes. Raises ArchiveError in one of its four kinds."""
    with open_zip(file, where) as archive:
        for entry in archive.infolist():
            yield zip_member(entry, where), partial(_zip_chunks, archive, entry, where)


def open_zip(file: BinaryIO, where: str) -> zipfile.ZipFile:
    """Open an archive that every reader would see alike. Raises ArchiveError in one of its four kinds."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ArchiveBroken(f"{where}: not a whole zip archive ({error})") from None
    _judge_zip(archive, file, where)
    return archive


def _judge_zip(archive: zipfile.ZipFile, file: BinaryIO, where: str) -> None:
    """Refuse what makes two zip readers disagree, and zip bombs."""
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise ArchiveTooBig(f"{where}: more than {MAX_MEMBERS} members")
    size, unpacked = file.seek(0, 2), sum(entry.file_size for entry in entries)
    if unpacked > RATIO_COUNTS_FROM and unpacked > MAX_RATIO * size:
        raise ArchiveTooBig(f"{where}: unpacks to more than {MAX_RATIO} times its size")
    limit = max(decompress.MAX_DECOMPRESSED, decompress.MAX_GROWTH * size)
    if unpacked > limit:
        raise ArchiveTooBig(f"{where}: unpacks to more than {limit // MIB} MiB")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end or (end == 0 and entry.header_offset):
            raise ArchiveAmbiguous(f"{where}: members overlap, or something stands before the first one")
        end = entry.header_offset + 30 + entry.compress_size
    if archive.start_dir < end:
        raise ArchiveAmbiguous(f"{where}: members overlap the directory")
    _judge_end(archive, file, where)


def _judge_end(archive: zipfile.ZipFile, file: BinaryIO, where: str) -> None:
    """Refuse several end records (readers take the first or the last) and bytes that follow it."""
    file.seek(archive.start_dir)
    rest = file.read()
    at = rest.rfind(_END_RECORD)
    if rest.count(_END_RECORD) != 1 or at + 22 + int.from_bytes(rest[at + 20 : at + 22], "little") != len(rest):
        raise ArchiveAmbiguous(f"{where}: has several end records, or something follows the last one")


def zip_member(entry: zipfile.ZipInfo, where: str) -> Member:
    """Read one entry of the directory. Raises ArchiveUnsafe."""
    if entry.flag_bits & 0x1:
        raise ArchiveUnsafe(f"{where}: holds encrypted members")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ArchiveUnsafe(f"{where}: holds members compressed by an unusual method")
    name = entry.orig_filename
    kind, mode = entry.external_attr >> 28, entry.external_attr >> 16
    if kind == 0xA:
        return Member(name=name, kind="special", size=0)
    if entry.is_dir():
        return Member(name=name, kind="folder", size=0)
    return Member(
        name=name, kind="file", size=entry.file_size, executable=bool(mode & 0o100), modified=_modified(entry)
    )


def _modified(entry: zipfile.ZipInfo) -> int:
    """Read its time, which is of no zone, as UTC; 0 where there is no such day (all zeros is common)."""
    try:
        return timegm((*entry.date_time, 0, 0, 0))
    except ValueError:
        return 0


def _zip_chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Iterator[bytes]:
    left = entry.file_size
    try:
        with archive.open(entry) as member:
            while data := member.read(CHUNK_OUT):
                left -= len(data)
                yield data
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveBroken(f"{where}: {entry.filename[:200]!a} cannot be read ({error})") from None
    if left:
        raise ArchiveBroken(f"{where}: {entry.filename[:200]!a} has another size than its header says")
