"""Adds the receipt to a wheel that was built (`models.receipt`).

The wheel is written again, member by member: each keeps its content, name, mode and time. An archive with an appended member
would have a second RECORD, which readers of streams and readers of the directory see differently.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import BinaryIO

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken
from deep_lock.lazy import shutil
from deep_lock.models.receipt import RECEIPT_NAME
from deep_lock.parsing.record_file import record_digest
from deep_lock.sdist.zip_members import open_zip, zip_member

_CHUNK = 1024 * 1024
_RECORD = ".dist-info/RECORD"


def add_receipt(wheel: Path, receipt: bytes, new: BinaryIO) -> None:
    """Write a wheel with its receipt to a new file.

    Raises ArchiveError: no RECORD, or a receipt that the backend wrote. An OSError is that of the files.
    """
    where = wheel.name
    with reading(where, ArchiveBroken), wheel.open("rb") as file, open_zip(file, where) as old:
        record = _record(old, where)
        path = f"{record.filename.removesuffix('RECORD')}{RECEIPT_NAME}"
        if any(entry.filename.lower() == path.lower() for entry in old.infolist()):
            raise ArchiveAmbiguous(f"{where}: its build backend wrote {RECEIPT_NAME}, which only deep-lock may write")
        with zipfile.ZipFile(new, "w") as archive:
            for entry in old.infolist():
                if entry is not record:
                    _copy(old, entry, archive, where)
            archive.writestr(_info(path, record), receipt)
            archive.writestr(_info(record.filename, record), _extended(old.read(record), path, receipt))


def _record(archive: zipfile.ZipFile, where: str) -> zipfile.ZipInfo:
    names = [
        entry for entry in archive.infolist() if entry.filename.endswith(_RECORD) and entry.filename.count("/") == 1
    ]
    if len(names) != 1:
        raise ArchiveBroken(f"{where}: has {len(names) or 'no'} RECORD in a .dist-info folder, and must have one")
    return names[0]


def _copy(old: zipfile.ZipFile, entry: zipfile.ZipInfo, archive: zipfile.ZipFile, where: str) -> None:
    zip_member(entry, where)
    info = _info(entry.filename, entry)
    info.file_size = entry.file_size
    with old.open(entry) as source, archive.open(info, "w") as member:
        shutil.copyfileobj(source, member, _CHUNK)


def _info(name: str, like: zipfile.ZipInfo) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, like.date_time)
    info.compress_type, info.external_attr, info.create_system = (
        like.compress_type,
        like.external_attr,
        like.create_system,
    )
    return info


def _extended(record: bytes, path: str, receipt: bytes) -> bytes:
    """Return RECORD with a row of the receipt; ``path`` has no character that CSV quotes, as no name of a project has."""
    digest = record_digest(hashlib.sha256(receipt).digest())
    end = b"" if record.endswith(b"\n") or not record else b"\n"
    return record + end + f"{path},sha256={digest},{len(receipt)}\n".encode()
