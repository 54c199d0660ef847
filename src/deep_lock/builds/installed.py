"""Reads an environment as data: its distributions, their files, and files that no distribution has.

Invariants: nothing of the environment is imported or run, and no path outside of its folder is opened. Links are followed: uv can
install links to its cache.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NoReturn

import msgspec
from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.boundary import reading
from deep_lock.errors import ArchiveBroken, DeepLockError, UsageError, raise_machine_fault
from deep_lock.files import open_regular
from deep_lock.models.contents import runs_at_start
from deep_lock.models.installed import (
    Environment,
    EnvironmentFolders,
    FileFault,
    InstalledDistribution,
    Origin,
    RecordRow,
)
from deep_lock.models.metadata import MAX_METADATA_BYTES, parse_metadata
from deep_lock.models.receipt import MAX_RECEIPT_BYTES, RECEIPT_NAME, Receipt, decode_receipt
from deep_lock.parsing.record_file import MAX_RECORD_BYTES, parse_record, record_digest

MAX_FILES = 2_000_000
"""In the folders of packages."""
_MAX_SMALL_BYTES = 1024 * 1024
"""Of direct_url.json, provenance_url.json and pyvenv.cfg."""
_CHUNK = 1024 * 1024

_PACKAGES = frozenset({"site-packages", "dist-packages"})
_PYTHON_FOLDER = re.compile(r"python(3\.[0-9]{1,3})(t?)")
_VERSION = re.compile(r"(?m)^version(?:_info)?\s*=\s*(3\.[0-9]{1,3}(?:\.[0-9]{1,3})?)")
_SEES_BASE = re.compile(r"(?mi)^include-system-site-packages\s*=\s*true\s*$")
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


# -- where it is


def find_environment(path: Path) -> EnvironmentFolders:
    """Find the folders of packages below a virtual environment or a Python prefix, or take a folder of packages itself.

    Raises UsageError where there is none, or where there are those of several Pythons.
    """
    folder = Path(os.path.realpath(path))  # unlike Path.resolve(), also for links in a circle
    if not folder.is_dir():
        raise UsageError(f"{path}: is not a folder", hint="name a virtual environment, or a folder site-packages")
    found = _below(folder)
    if not found and (folder.name in _PACKAGES or any(folder.glob("*.dist-info"))):
        found = {_python_of(folder): [folder]}
        folder = _prefix_of(folder)
    if not found:
        raise UsageError(
            f"{path}: is not an environment: it has no folder site-packages",
            hint="name a virtual environment, or a folder site-packages",
        )
    if len(found) > 1:
        names = ", ".join(sorted(str(own) for folders in found.values() for own in folders))
        raise UsageError(f"{path}: has the packages of several Pythons", hint=f"name one of them: {names}")
    ((python, free_threaded), packages), *_ = found.items()
    settings = _text(folder / "pyvenv.cfg")
    version = _VERSION.search(settings)
    return EnvironmentFolders(
        prefix=str(folder),
        packages=tuple(dict.fromkeys(os.path.realpath(own) for own in packages)),
        python=version[1] if version else python,
        free_threaded=free_threaded,
        sees_base=_SEES_BASE.search(settings) is not None,
    )


def _below(folder: Path) -> dict[tuple[str, bool], list[Path]]:
    """Return the folders of packages of a prefix, by Python version and threading: lib and lib64 may be two."""
    found: dict[tuple[str, bool], list[Path]] = {}
    for library in ("lib", "lib64", "local/lib"):
        for python in sorted((folder / library).glob("python3*")):
            for own in sorted(python.glob("*-packages")):
                if own.name in _PACKAGES and own.is_dir():
                    found.setdefault(_python_of(own), []).append(own)
    windows = folder / "Lib" / "site-packages"
    if not found and windows.is_dir():
        found["", False] = [windows]
    return found


def _python_of(packages: Path) -> tuple[str, bool]:
    match = _PYTHON_FOLDER.fullmatch(packages.parent.name)
    return (match[1], bool(match[2])) if match else ("", False)


def _prefix_of(packages: Path) -> Path:
    """Return the prefix of a folder of packages; the folder itself where it is in none."""
    if packages.name not in _PACKAGES:
        return packages
    if packages.parent.name == "Lib":
        return packages.parent.parent
    library = packages.parent.parent
    return library.parent if _python_of(packages)[0] and library.name in {"lib", "lib64"} else packages


# -- what it has


def read_environment(folders: EnvironmentFolders) -> Environment:
    """Read the distributions and compare their files with RECORD. Raises UsageError where there are too many files."""
    distributions: list[InstalledDistribution] = []
    owned: set[str] = set()
    for folder in map(Path, folders.packages):
        for info in sorted(_listed(folder)):
            if info.endswith((".dist-info", ".egg-info", ".egg-link")):
                found = _Distribution(folders.prefix, folder, info)
                distributions.append(found.read())
                owned |= found.owned
    startup: list[str] = []
    unowned: Counter[str] = Counter()
    for searched in folders.packages:
        for path in _unowned(searched, owned):
            if runs_at_start(path):
                startup.append(path)
            else:
                unowned[path.partition("/")[0]] += 1
    return Environment(
        distributions=tuple(distributions),
        startup=tuple(sorted(startup)),
        unowned=dict(sorted(unowned.items())),
        sees_base=folders.sees_base,
    )


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone
    except OSError as error:
        raise_machine_fault(error)
        _raise_unlisted(error)


def _raise_unlisted(error: OSError) -> NoReturn:
    """Raise UsageError for a folder that cannot be listed: which files it has is not known."""
    raise_machine_fault(error)
    raise UsageError(f"{error.filename}: {error.strerror or error}") from None


def _unowned(folder: str, owned: set[str]) -> Iterator[str]:
    """Yield the files and links to folders that no RECORD has, relative, with "/". Compiled files of a source are left out."""
    count = 0
    for parent, folders, names in os.walk(folder, onerror=_raise_unlisted):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]  # noqa: PTH114, PTH118 - texts of os.walk
        for name in (*names, *links):
            count += 1
            if count > MAX_FILES:
                raise UsageError(f"{folder}: has more than {MAX_FILES} files")
            path = os.path.join(parent, name)  # noqa: PTH118 - texts of os.walk
            if os.path.normcase(path) in owned or _is_compiled(parent, name) or _is_mark(path):
                continue
            relative = os.path.relpath(path, folder).replace(os.sep, "/")
            if not relative.partition("/")[0].endswith((".egg-info", ".egg-link")):  # a finding of its own
                yield relative


def _is_compiled(parent: str, name: str) -> bool:
    """Whether Python writes the file when it imports a module: it is not imported without its source."""
    return name.endswith(".pyc") and os.path.basename(parent) == "__pycache__"  # noqa: PTH119 - a text of os.walk


def _is_mark(path: str) -> bool:
    """Whether it is the empty file with which virtualenv marks what it installed."""
    return path.endswith(".virtualenv") and os.lstat(path).st_size == 0


class _Distribution:
    """One folder of metadata."""

    def __init__(self, prefix: str, packages: Path, info: str) -> None:
        self._prefix = prefix
        self._packages = packages
        self._info = info
        self.owned: set[str] = set()
        """The absolute paths of the files of RECORD, as the file system compares them."""

    def read(self) -> InstalledDistribution:
        name, _, version = self._info.rpartition(".")[0].partition("-")
        plain = InstalledDistribution(name=canonicalize_name(name), version=version, folder=self._info)
        if not self._info.endswith(".dist-info"):
            return msgspec.structs.replace(plain, fault="it has no RECORD: which files are its own is not known")
        try:
            metadata = parse_metadata(self._content("METADATA", MAX_METADATA_BYTES), f"{self._info}/METADATA")
            rows = parse_record(self._content("RECORD", MAX_RECORD_BYTES), f"{self._info}/RECORD", ArchiveBroken)
        except DeepLockError as error:
            return msgspec.structs.replace(plain, fault=error.message)
        compared = [(row, self._compare(row)) for row in rows]
        receipt, receipt_fault = self._receipt()
        origin, origin_fault = self._origin()
        return InstalledDistribution(
            name=metadata.name,
            version=metadata.version,
            folder=self._info,
            rows={row.path: row.digest for row in rows},
            same=sum(state == "same" for _, state in compared),
            faults=tuple((row.path, state) for row, state in compared if state != "same" if state != "exempt"),
            origin=origin,
            origin_fault=origin_fault,
            receipt=receipt,
            receipt_fault=receipt_fault,
        )

    def _content(self, name: str, limit: int) -> bytes:
        where = f"{self._info}/{name}"
        try:
            with open_regular(self._packages / self._info / name) as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise_machine_fault(error)
            raise ArchiveBroken(f"{where}: {error.strerror or error}") from None
        if len(data) > limit:
            raise ArchiveBroken(f"{where}: is larger than {limit} bytes")
        return data

    def _compare(self, row: RecordRow) -> "_State":
        path = os.path.normpath(self._packages / row.path)
        if not _is_below(path, self._prefix):
            return "outside"
        self.owned.add(os.path.normcase(path))
        if not row.digest and self._needs_no_hash(path):
            return "exempt"
        try:
            return _compared(path, row)
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError as error:
            raise_machine_fault(error)
            return "unreadable"

    def _needs_no_hash(self, path: str) -> bool:
        parent, name = os.path.split(path)
        if name in {"RECORD", "INSTALLER", *_SIGNATURES}:
            return os.path.basename(parent) == self._info  # noqa: PTH119 - a text
        # virtualenv lists the folders too, and files of Python 2 next to their sources, which are not there
        is_absent = name.endswith((".pyc", "__pycache__")) and not os.path.isfile(path)  # noqa: PTH113 - a text
        return is_absent or _is_compiled(parent, name)

    def _receipt(self) -> tuple[Receipt | None, str]:
        if not (self._packages / self._info / RECEIPT_NAME).exists():
            return None, ""
        try:
            data = self._content(RECEIPT_NAME, MAX_RECEIPT_BYTES)
            return decode_receipt(data, f"{self._info}/{RECEIPT_NAME}", ArchiveBroken), ""
        except DeepLockError as error:
            return None, error.message

    def _origin(self) -> tuple[Origin | None, str]:
        """Return what the installer recorded, or why it cannot be read."""
        for name, is_direct in (("direct_url.json", True), ("provenance_url.json", False)):
            if (self._packages / self._info / name).exists():
                try:
                    data = self._content(name, _MAX_SMALL_BYTES)
                    return read_origin(data, f"{self._info}/{name}", is_direct=is_direct), ""
                except DeepLockError as error:
                    return None, error.message
        return None, ""


_State = FileFault | Literal["same", "exempt"]
"""What a file is; "exempt" are RECORD itself, INSTALLER and compiled files, which may have no hash."""


def _compared(path: str, row: RecordRow) -> _State:
    """Compare a file with its row. Raises OSError."""
    algorithm, _, expected = row.digest.partition("=")
    with open_regular(path) as file:
        if algorithm not in _HASHES:
            return "unhashed"
        if row.size is not None and os.fstat(file.fileno()).st_size != row.size:
            return "changed"
        digest = hashlib.file_digest(file, algorithm).digest()
    return "same" if record_digest(digest) == expected.rstrip("=") else "changed"


class _Archive(Struct, frozen=True):
    hash: str = ""
    hashes: Mapping[str, str] = {}


class _Vcs(Struct, frozen=True):
    commit_id: str = ""


class _OriginFile(Struct, frozen=True):
    url: str
    archive_info: _Archive | None = None
    vcs_info: _Vcs | None = None
    dir_info: Mapping[str, msgspec.Raw] | None = None


def read_origin(data: bytes, where: str, *, is_direct: bool) -> Origin:
    """Read direct_url.json (PEP 610) or provenance_url.json (PEP 710). Raises ArchiveBroken."""
    with reading(where, ArchiveBroken):
        found = msgspec.json.decode(data, type=_OriginFile)
    archive = found.archive_info or _Archive()
    old = archive.hash.partition("=")[2] if archive.hash.startswith("sha256=") else ""
    return Origin(
        url=found.url,
        sha256=(archive.hashes.get("sha256") or old).lower(),
        commit=found.vcs_info.commit_id if found.vcs_info is not None else "",
        is_folder=found.dir_info is not None,
        is_direct=is_direct,
    )


def _is_below(path: str, prefix: str) -> bool:
    return os.path.normcase(path).startswith(os.path.normcase(os.path.join(prefix, "")))  # noqa: PTH118 - texts


def _text(path: Path) -> str:
    """Return the text of a small file; "" where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(_MAX_SMALL_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise_machine_fault(error)
        return ""
