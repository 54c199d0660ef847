"""RECORD of a whole wheel: which files it installs, with their hashes."""

from collections.abc import Mapping
from pathlib import Path

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveBroken, raise_machine_fault
from deep_lock.index.lazy_wheel import read_member
from deep_lock.parsing.record_file import MAX_RECORD_BYTES, parse_record
from deep_lock.parsing.zip_archive import read_archive

_RECORD = b".dist-info/RECORD"


def installed_rows(path: Path, where: str) -> Mapping[str, str]:
    """Return the digests of the files that a wheel puts into the folder of packages, by path.

    Left out are RECORD with its signatures, compiled files, and the files of other folders: scripts, headers, data. Installers
    change them, or their paths. ``where`` is the name of the wheel. Raises ArchiveError.
    """
    try:
        with path.open("rb") as file, reading(where, ArchiveBroken):
            members, directory = read_archive(file, where)
            found = [member for member in members if member.name.endswith(_RECORD) and member.name.count(b"/") == 1]
            if len(found) != 1 or found[0].size > MAX_RECORD_BYTES:
                raise ArchiveBroken(f"{where}: has {len(found)} RECORD, or a too large one")
            data = read_member(file, found[0], members, directory.start, where)
    except OSError as error:
        raise_machine_fault(error)
        raise ArchiveBroken(f"{where}: {error.strerror or error}") from None
    rows: dict[str, str] = {}
    for row in parse_record(data, f"RECORD of {where}", ArchiveBroken):
        name = _installed_name(row.path)
        if name and row.digest:
            rows[name] = row.digest
    return rows


def _installed_name(path: str) -> str:
    """Return the path below the folder of packages; "" for a file that is left out."""
    top, _, rest = path.partition("/")
    if "/__pycache__/" in f"/{path}" or path.endswith((".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")):
        return ""
    if not top.endswith(".data"):
        return path
    scheme, _, inside = rest.partition("/")
    return inside if scheme in {"purelib", "platlib"} else ""
