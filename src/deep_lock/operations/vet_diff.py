"""The work of `vet diff`: the files of two releases, or the sdist and the wheel of one, and what differs.

Invariant: the bytes have the sha256 of the lock, where it has the file, else that of the audits and exemptions, else that of the index.
So what is read is what `vet certify --from` records. Nothing is built or run.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.analysis.content_diff import Release, count_to_read, dangers, dangers_of_build, differences, unlike_sdist
from deep_lock.analysis.vetting import counterpart, recorded_files
from deep_lock.builds import unpack
from deep_lock.config.options import VerifyOptions, VetDiffOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.files import is_there
from deep_lock.index.client import IndexClient
from deep_lock.index.file_cache import file_sha256
from deep_lock.lazy import load_all
from deep_lock.lockfile.index import files_of
from deep_lock.locking.read_inputs import require_lock
from deep_lock.models.distribution import Distribution
from deep_lock.models.lock import Lock
from deep_lock.models.vetting import AUDITS, Vetting
from deep_lock.operations.file_contents import contents_of
from deep_lock.operations.inputs import locked_indexes, open_indexes
from deep_lock.pep440 import parse_version
from deep_lock.project.vetting_files import read_vetting, vetting_folder
from deep_lock.reports.vet_diff import ComparedFile, Comparison
from deep_lock.sanitize import listed, quote, show
from deep_lock.sdist.archive_tree import read_tree, sdist_contents

MAX_NAMES = 5


def compare(options: VetDiffOptions, reporter: Reporter) -> Comparison:
    """Return what differs; with ``folder`` both files are unpacked there.

    Raises UsageError, LockInvalid, IndexFault and SafetyError.
    """
    if options.folder is not None:
        _require_empty(options.folder)
    lock = require_lock(options.lock, reporter)
    name = canonicalize_name(options.name)
    verify = VerifyOptions(lock=options.lock, network=options.network, context=options.context)
    with closing(open_indexes(lock, verify, reporter, refresh=False)) as opened:
        releases = _Releases(lock, _vetting(options.lock), opened.client, name)
        old_files = releases.files(options.old)
        new_files = releases.files(options.new) if options.new else old_files
        are_two = old_files[0].version != new_files[0].version
        if are_two:
            old, new = _same_kind(old_files, new_files, options.file)
        else:
            old, new = _both_kinds(old_files, options.file)
        paths = [own.fetch() for own in (old, new)]
        load_all()
        # where the cache cannot be written, the files are there only until the client is closed
        before, after = (read_release(path, own.filename) for path, own in zip(paths, (old, new), strict=True))
        if options.folder is not None:
            names = ("old", "new") if are_two else ("sdist", "wheel")
            unpacked = zip(paths, (old.filename, new.filename), strict=True)
            _unpack(options.folder, dict(zip(names, unpacked, strict=True)))
        digests = list(map(file_sha256, paths))
    if are_two:
        found, dangerous = differences(before.tree, after.tree), dangers(before, after)
    else:
        found = unlike_sdist(before.tree, after.tree)
        dangerous = dangers_of_build(found, after)
    return Comparison(
        name=name,
        old=ComparedFile(version=old.version, filename=old.filename, sha256=digests[0]),
        new=ComparedFile(version=new.version, filename=new.filename, sha256=digests[1]),
        dangers=dangerous,
        files=found,
        to_read=count_to_read(found),
        others=_others(new_files, (old, new), old_files if are_two else ()),
    )


def read_release(path: Path, filename: str) -> Release:
    """Read a file of a release. Raises ArchiveError in one of its four kinds, or LimitExceeded."""
    with path.open("rb") as file:
        tree = read_tree(file, filename)
        contents = contents_of(file, filename) if tree.is_wheel else sdist_contents(tree)
    return Release(tree=tree, contents=contents)


class _File(Struct, frozen=True, kw_only=True):
    """A file of a release, not fetched yet."""

    filename: str
    version: str
    fetch: Callable[[], Path]
    """Returns its path, its hash checked."""

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")


class _Releases:
    """The releases of a project, with the hashes of the lock and of the records."""

    def __init__(self, lock: Lock, vetting: Vetting, client: IndexClient, name: NormalizedName) -> None:
        self._client = client
        self._name = name
        self._entries = [entry for entry in lock.packages if entry.name == name]
        self._index = locked_indexes(lock, client).of(self._entries[0] if self._entries else None)
        self._vetting = vetting

    def files(self, text: str) -> Sequence[_File]:
        """Return the files of a version. Raises UsageError, IndexFault."""
        try:
            version = parse_version(text)
        except InvalidVersion:
            raise UsageError(f"{quote(text)}: is not a version") from None
        known = self._client.versions(self._name, self._index)
        hashes = self._hashes(version)
        offered = self._client.files(self._name, version, self._index) if version in known else ()
        found = [self._of_index(own, hashes) for own in offered] or list(self._of_cache(version, hashes))
        if not found:
            raise UsageError(f"{self._name} {version}: is not on the index", hint=_near(version, known))
        return found

    def _hashes(self, version: Version) -> Mapping[str, str]:
        """Return the sha256 of each file of a version that the lock has, or else the records, by name."""
        found = recorded_files(self._vetting, self._name, str(version))
        for entry in self._entries:
            if entry.version is not None and parse_version(entry.version) == version:
                found |= {file.name: file.sha256 for file in files_of(entry)}
        return found

    def _of_index(self, own: Distribution, hashes: Mapping[str, str]) -> _File:
        wanted = replace(own, sha256=hashes.get(own.filename, own.sha256))
        return _File(filename=own.filename, version=str(own.version), fetch=lambda: self._client.cached_file(wanted))

    def _of_cache(self, version: Version, hashes: Mapping[str, str]) -> Iterator[_File]:
        """Yield the files of a known release that are in the cache: a malicious release is removed from the index."""
        for name, sha256 in hashes.items():
            path = self._client.built_file(sha256)
            if path is not None:
                yield _File(filename=name, version=str(version), fetch=partial(Path, path))


def _vetting(lock: Path) -> Vetting:
    """Return the records next to a lock; none before `vet init`."""
    folder = vetting_folder(lock)
    return read_vetting(folder) if is_there(folder / AUDITS) else Vetting()


def _near(version: Version, known: Iterable[Version]) -> str:
    near = sorted(
        known, key=lambda own: (own.release[:2] != version.release[:2], own.release[:1] != version.release[:1])
    )
    return f"it has {listed([str(own) for own in near], MAX_NAMES)}" if near else "it has no version of this project"


# -- which files


def _same_kind(old: Sequence[_File], new: Sequence[_File], requested: str) -> tuple[_File, _File]:
    """Return a file of each release, of the same kind.

    Wheels that run on every platform come first, then the sdist. Raises UsageError.
    """
    by_name = {file.filename: file for file in old}
    found = [(counterpart(after.filename, by_name), after) for after in sorted(new, key=_preference)]
    pairs = [(by_name[name], after) for name, after in found if name is not None and requested in {"", after.filename}]
    if not pairs:
        if requested and requested not in {file.filename for file in new}:
            raise _no_file(requested, new)
        names = listed([file.filename for file in old], MAX_NAMES)
        raise UsageError(f"the old release has no file of the same kind: it has {names or 'none'}")
    return pairs[0]


def _others(files: Sequence[_File], compared: Sequence[_File], old: Sequence[_File]) -> tuple[str, ...]:
    """Return the names of the files of a release that are not compared; first those of a kind that the old release does not have."""
    by_name = {file.filename: file for file in old}
    names = {file.filename for file in compared}
    others = [file for file in sorted(files, key=_preference) if file.filename not in names]
    others.sort(key=lambda file: counterpart(file.filename, by_name) is not None)
    return tuple(file.filename for file in others)


def _both_kinds(files: Sequence[_File], requested: str) -> tuple[_File, _File]:
    """Return the sdist and a wheel of a release. Raises UsageError."""
    sdists = [file for file in files if not file.is_wheel]
    wheels = [file for file in sorted(files, key=_preference) if file.is_wheel]
    if requested:
        wheels = [file for file in wheels if file.filename == requested]
        if not wheels:
            raise _no_file(requested, files)
    if not sdists or not wheels:
        raise UsageError(
            f"the release has no {'wheel' if sdists else 'sdist'}: it has {listed([own.filename for own in files], MAX_NAMES)}",
            hint="name two versions to compare them",
        )
    return sdists[0], wheels[0]


def _no_file(requested: str, files: Sequence[_File]) -> UsageError:
    names = listed([file.filename for file in files], MAX_NAMES)
    return UsageError(f"--file {show(requested)}: is not a file of the release", hint=f"it has {names}")


def _preference(file: _File) -> tuple[int, str]:
    if file.is_wheel:
        return (0 if file.filename.endswith("-none-any.whl") else 2), file.filename
    return 1, file.filename


# -- unpacking


def _require_empty(folder: Path) -> None:
    """Raises UsageError where the folder has something in it, or is none."""
    try:
        if any(folder.iterdir()):
            raise UsageError(f"{folder}: is not empty", hint="name a new folder: --to DIR")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}") from None


def _unpack(folder: Path, files: dict[str, tuple[Path, str]]) -> None:
    """Write each file below the folder of its name; none is left where one cannot be written. Raises ArchiveError and UsageError."""
    try:
        for name, (path, filename) in files.items():
            own = folder / name
            own.mkdir(parents=True)
            with path.open("rb") as file:
                unpack.unpack(file, filename, own)
    except BaseException as error:
        for name in files:
            shutil.rmtree(folder / name, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"{folder}: {error.strerror or error}") from None
        raise
