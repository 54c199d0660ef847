"""The members of a zip sdist, judged by the rules that indexes have for uploads.

The standard library reads the directory at the end and compares each local header on opening; what it lets pass and
two readers could see in two ways is refused here.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from deep_lock.build.archive_stream import MAX_RATIO, RATIO_COUNTS_FROM
from deep_lock.build.tar_walk import MAX_MEMBERS, Member
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, ArchiveUnsafe


def walk_zip(file: BinaryIO, where: str) -> Iterator[tuple[Member, Callable[[], bytes]]]:
    """Yield each member with what reads its bytes. Raises ArchiveError in one of its four kinds."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ArchiveBroken(f"{where}: not a whole zip archive ({error})") from None
    with archive:
        _judge_zip(archive, file, where)
        for entry in archive.infolist():
            yield _zip_member(entry, where), partial(_zip_content, archive, entry, where)


def _judge_zip(archive: zipfile.ZipFile, file: BinaryIO, where: str) -> None:
    """Refuse what makes two zip readers disagree, and zip bombs."""
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise ArchiveTooBig(f"{where}: more than {MAX_MEMBERS} members")
    if sum(entry.file_size for entry in entries) > RATIO_COUNTS_FROM:
        size = file.seek(0, 2)
        if sum(entry.file_size for entry in entries) > MAX_RATIO * size:
            raise ArchiveTooBig(f"{where}: unpacks to more than {MAX_RATIO} times its size")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end or (end == 0 and entry.header_offset):
            raise ArchiveAmbiguous(f"{where}: members overlap, or something stands before the first one")
        end = entry.header_offset + 30 + entry.compress_size
    if archive.start_dir < end:
        raise ArchiveAmbiguous(f"{where}: members overlap the directory")


def _zip_member(entry: zipfile.ZipInfo, where: str) -> Member:
    if entry.flag_bits & 0x1:
        raise ArchiveUnsafe(f"{where}: holds encrypted members")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ArchiveUnsafe(f"{where}: holds members compressed by an unusual method")
    name = entry.orig_filename
    mode = entry.external_attr >> 28
    if mode == 0xA:
        return Member(name=name, kind="special", size=0)
    if entry.is_dir():
        return Member(name=name, kind="folder", size=0)
    return Member(name=name, kind="file", size=entry.file_size)


def _zip_content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> bytes:
    try:
        with archive.open(entry) as member:
            data = member.read(entry.file_size + 1)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveBroken(f"{where}: {entry.filename[:200]!a} cannot be read ({error})") from None
    if len(data) != entry.file_size:
        raise ArchiveBroken(f"{where}: {entry.filename[:200]!a} has another size than its header says")
    return data
