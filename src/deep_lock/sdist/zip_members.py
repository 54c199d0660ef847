"""The members of a zip sdist or a wheel. `read_archive` checks the archive; the standard library then decompresses it."""

import zipfile
import zlib
from calendar import timegm
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from deep_lock.errors import ArchiveBroken, ArchiveTooBig, ArchiveUnsafe
from deep_lock.parsing.zip_archive import read_archive
from deep_lock.sdist import decompress
from deep_lock.sdist.decompress import CHUNK_OUT, MAX_RATIO, MIB, RATIO_COUNTS_FROM
from deep_lock.sdist.tar_members import MAX_MEMBERS, Member


def walk_zip(file: BinaryIO, where: str) -> Iterator[tuple[Member, Callable[[], Iterator[bytes]]]]:
    """Yield each member with a function that gives its bytes. Raises ArchiveError in one of its four kinds."""
    with open_zip(file, where) as archive:
        for entry in archive.infolist():
            yield zip_member(entry, where), partial(_zip_chunks, archive, entry, where)


def open_zip(file: BinaryIO, where: str) -> zipfile.ZipFile:
    """Open an archive that every reader sees alike, and that is no bomb. Raises ArchiveError in one of its four kinds."""
    members, _ = read_archive(file, where)
    if len(members) > MAX_MEMBERS:
        raise ArchiveTooBig(f"{where}: more than {MAX_MEMBERS} members")
    size, unpacked = file.seek(0, 2), sum(member.size for member in members)
    if unpacked > RATIO_COUNTS_FROM and unpacked > MAX_RATIO * size:
        raise ArchiveTooBig(f"{where}: unpacks to more than {MAX_RATIO} times its size")
    limit = max(decompress.MAX_DECOMPRESSED, decompress.MAX_GROWTH * size)
    if unpacked > limit:
        raise ArchiveTooBig(f"{where}: unpacks to more than {limit // MIB} MiB")
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise ArchiveBroken(f"{where}: not a whole zip archive ({error})") from None


def zip_member(entry: zipfile.ZipInfo, where: str) -> Member:
    """Read one entry of the directory. Raises ArchiveUnsafe."""
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ArchiveUnsafe(f"{where}: has members compressed by an unusual method")
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
        raise ArchiveBroken(f"{where}: {entry.filename[:200]!a} has another size than its header states")
