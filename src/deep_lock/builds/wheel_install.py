"""Installs a wheel into the folders of an environment, by the `installer` project (PEP 427).

Invariant: a wheel is untrusted, and nothing of it is run, imported or compiled. Its members are checked by the rules for
sdists (`zip_archive`, `member_rules`); RECORD must list every file with its size and a sha2 hash, and each is checked; no
file replaces another one, unless their bytes are the same.
"""

import configparser
import csv
import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import installer
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.records import Hash, InvalidRecordEntry, RecordEntry, parse_record_file
from installer.scripts import InvalidScript
from installer.sources import WheelContentElement, WheelFile
from installer.utils import Scheme, get_launcher_kind
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveUnsafe, LimitExceeded, raise_machine_fault
from deep_lock.parsing.record_file import record_digest
from deep_lock.sdist.decompress import CHUNK_OUT, MIB
from deep_lock.sdist.member_rules import Kinds, shown_name, split_name
from deep_lock.sdist.zip_members import open_zip, zip_member

_RECORD_LIMIT = 16 * MIB
_TEXT_LIMIT = MIB
"""Bytes of WHEEL and of entry_points.txt."""
_HASHES = ("sha256=", "sha384=", "sha512=")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def install_wheel(
    path: Path, filename: str, *, schemes: Mapping[str, Path], python: Path, owners: dict[Path, str]
) -> None:
    """Install a wheel; ``filename`` is its wheel file name, which the file at ``path`` need not have.

    ``schemes`` are the folders of purelib, platlib, headers, scripts and data; ``python`` is the interpreter of scripts;
    ``owners`` maps each file to the wheel that wrote it, and is extended. Raises ArchiveError in one of its four kinds, or
    LimitExceeded; files written until then are left.
    """
    with _wheel_faults(filename), path.open("rb") as file, open_zip(file, filename) as archive:
        archive.filename = filename
        _check_members(archive, filename)
        wheel = _Wheel(archive)
        _check_dist_info(wheel, archive, filename)
        wheel.validate_record()
        destination = _Destination(
            scheme_dict={name: str(folder) for name, folder in schemes.items()},
            interpreter=str(python),
            script_kind=get_launcher_kind(),
        )
        destination.filename, destination.owners = filename, owners
        installer.install(wheel, destination, {})


@contextmanager
def _wheel_faults(filename: str) -> Iterator[None]:
    """Turn every error into ArchiveError in one of its four kinds, or LimitExceeded."""
    # installer asserts the form of entry points, and other readers raise various errors for bad input
    with reading(filename, ArchiveBroken):
        try:
            yield
        except (InstallerError, InvalidRecordEntry, InvalidScript, configparser.Error, csv.Error) as error:
            raise ArchiveBroken(f"{filename}: is not a valid wheel: {_shown(error)}") from None
        except OSError as error:
            raise_machine_fault(error)
            raise ArchiveBroken(f"{filename}: cannot be installed: {error.strerror or type(error).__name__}") from None


def _shown(error: Exception) -> str:
    return ascii(str(error)[:300])[1:-1]


def _check_members(archive: zipfile.ZipFile, where: str) -> None:
    """Refuse paths outside, paths of two members, and members that are neither file nor folder."""
    kinds, seen = Kinds(where=where), set[str]()
    for entry in archive.infolist():
        member = zip_member(entry, where)
        if member.kind == "special":
            raise ArchiveUnsafe(f"{where}: the member {shown_name(member.name)} is a link or a device")
        parts = split_name(member.name, where)
        path = "/".join(parts)
        if path != member.name.removesuffix("/"):
            raise ArchiveAmbiguous(f"{where}: the member {shown_name(member.name)} is not a normalized path")
        if path in seen and member.kind == "file":
            raise ArchiveAmbiguous(f"{where}: {shown_name(path)} is in the archive twice")
        seen.add(path)
        kinds.add(path, member.kind)


def _check_dist_info(wheel: "_Wheel", archive: zipfile.ZipFile, where: str) -> None:
    """Refuse another project's .dist-info, large files in it, and what installer does not check."""
    name, version, _, _ = parse_wheel_filename(where)
    # installer itself compares names only, and raises where there is not exactly one such folder
    found, _, found_version = wheel.dist_info_dir.removesuffix(".dist-info").rpartition("-")
    if canonicalize_name(found) != name or Version(found_version) != version:
        raise ArchiveBroken(f"{where}: its {shown_name(wheel.dist_info_dir)} belongs to another project or version")
    for file, limit in {"RECORD": _RECORD_LIMIT, "WHEEL": _TEXT_LIMIT, "entry_points.txt": _TEXT_LIMIT}.items():
        if file in wheel.dist_info_filenames:
            size = archive.getinfo(f"{wheel.dist_info_dir}/{file}").file_size
            if size > limit:
                raise LimitExceeded(f"{where}: its {file} has {size} bytes; at most {limit} are allowed")
        elif file != "entry_points.txt":
            raise ArchiveBroken(f"{where}: has no {file}")
    _check_record(wheel, where)
    if "entry_points.txt" in wheel.dist_info_filenames and "%(" in wheel.read_dist_info("entry_points.txt"):
        # configparser would expand it: a few lines become gigabytes
        raise ArchiveUnsafe(f"{where}: its entry_points.txt refers to values by %(name)s")


def _check_record(wheel: "_Wheel", where: str) -> None:
    """Refuse rows of paths outside, paths of two rows, and hashes weaker than sha256 (PEP 427)."""
    seen = set()
    for path, digest, _ in parse_record_file(wheel.read_dist_info("RECORD").splitlines()):
        split_name(path, where)
        if path in seen:
            raise ArchiveAmbiguous(f"{where}: {shown_name(path)} has two rows in its RECORD")
        seen.add(path)
        if digest and not digest.startswith(_HASHES):
            raise ArchiveBroken(f"{where}: its RECORD has a hash of {shown_name(path)} that is weaker than sha256")


class _Wheel(WheelFile):
    """installer's reader of wheels, with two corrections."""

    @property
    def data_dir(self) -> str:
        # by the folder's own name: the file name may spell the project otherwise
        return f"{self.dist_info_dir.removesuffix('.dist-info')}.data"

    def get_contents(self) -> Iterator[WheelContentElement]:
        """Yield all members but compiled bytecode, which may not be that of its source."""
        for record, stream, is_executable in super().get_contents():
            if "__pycache__" not in record[0].split("/"):
                yield record, stream, is_executable


class _Destination(SchemeDictionaryDestination):
    """installer's writer, which never overwrites."""

    filename: str
    owners: dict[Path, str]

    def write_script(self, name: str, module: str, attr: str, section: Literal["console", "gui"]) -> RecordEntry:
        """Write the script of an entry point."""
        if split_name(name, self.filename) != [name]:
            raise ArchiveUnsafe(
                f"{self.filename}: the script {shown_name(name)} would be written outside of its folder"
            )
        return super().write_script(name, module, attr, section)

    def write_to_fs(self, scheme: Scheme, path: str, stream: BinaryIO, is_executable: bool) -> RecordEntry:  # noqa: FBT001 - installer's signature
        """Write a new file, or compare the one that is there, which must have the same bytes."""
        folder = Path(self.scheme_dict[scheme])
        location = folder.joinpath(*split_name(path, self.filename))
        location.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(location, _NEW, 0o755 if is_executable else 0o644)
        except FileExistsError:
            return self._compare(location, path, stream)
        digest, size = hashlib.sha256(), 0
        with os.fdopen(handle, "wb") as file:
            while data := stream.read(CHUNK_OUT):
                file.write(data)
                digest.update(data)
                size += len(data)
        self.owners[location] = self.filename
        return _entry(path, digest.digest(), size)

    def _compare(self, location: Path, path: str, stream: BinaryIO) -> RecordEntry:
        data = stream.read()
        if location.is_symlink() or not location.is_file() or location.read_bytes() != data:
            other = self.owners.get(location, "the environment itself")
            raise ArchiveAmbiguous(f"{self.filename}: {shown_name(path)} is also in {other}, with other content")
        return _entry(path, hashlib.sha256(data).digest(), len(data))


def _entry(path: str, digest: bytes, size: int) -> RecordEntry:
    return RecordEntry(path, Hash("sha256", record_digest(digest)), size)
