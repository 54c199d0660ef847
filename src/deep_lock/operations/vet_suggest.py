"""The work of `vet suggest`: the smallest review of each release that is not covered, of whole files or of differences.

Files are fetched, or taken from the cache, and have the sha256 of the lock or of the record that covers them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from deep_lock.analysis.content_diff import FileDifference, ToRead, count_to_read, differences
from deep_lock.analysis.vetting import Coverage, Need, counterpart, needs, recorded
from deep_lock.config.options import VerifyOptions, VetOptions
from deep_lock.errors import IndexFault
from deep_lock.events import Reporter, Warned
from deep_lock.index.workers import OnceMap
from deep_lock.lazy import load_all
from deep_lock.lockfile.index import called, index_lock
from deep_lock.models.contents import ArchiveTree
from deep_lock.models.lock import LockedPackage
from deep_lock.models.vetting import CRITERIA, AuditedFile, Vetting
from deep_lock.operations.inputs import LockedIndexes, locked_indexes, open_indexes, read_lock_file
from deep_lock.operations.vet_diff import read_release
from deep_lock.pep440 import parse_version
from deep_lock.project.vetting_files import read_vetting, vetting_folder
from deep_lock.reports.vet import Suggestion
from deep_lock.sanitize import counted

Bases = Mapping[str, Mapping[str, AuditedFile]]
"""By the version of another release: its covered files, by the sha256 of the file that is compared with one."""


class _Release(Struct, frozen=True, kw_only=True, eq=False):
    """A release with files that are not covered."""

    entry: LockedPackage
    files: tuple[Need, ...]
    """Those that are not covered."""
    has_covered_files: bool
    bases: Bases


def suggest(options: VetOptions, reporter: Reporter) -> tuple[Suggestion, ...]:
    """Return the releases that are not covered, the least to read first.

    Raises UsageError, LockInvalid, VettingInvalid, and SafetyError for a file that has not the expected sha256 or cannot be read.
    """
    lock = read_lock_file(options.lock, reporter).lock
    vetting = read_vetting(vetting_folder(options.lock))
    coverage = Coverage(vetting)
    missing: dict[int, list[Need]] = {}
    covered: set[int] = set()
    for need in needs(index_lock(lock)):
        if coverage.missing(need):
            missing.setdefault(id(need.entry), []).append(need)
        else:
            covered.add(id(need.entry))
    releases = [
        _Release(
            entry=own[0].entry,
            files=tuple(own),
            has_covered_files=key in covered,
            bases=_bases(own, vetting, coverage),
        )
        for key, own in missing.items()
    ]
    if not releases:
        return ()
    verify = VerifyOptions(lock=options.lock, network=options.network, context=options.context)
    with closing(open_indexes(lock, verify, reporter, refresh=False)) as opened:
        trees = _Trees(locked_indexes(lock, opened.client))
        for release in releases:
            trees.prefetch(release)
        found = sorted((_suggestion(own, coverage, trees) for own in releases), key=_rank)
    if trees.faults:
        name, reason = min(trees.faults.items())
        files = counted(len(trees.faults), "file")
        message = f"{files} could not be fetched, and what to read in them is not known: {name}: {reason}"
        reporter(Warned(code="vet-not-read", subject=options.lock.name, message=message))
    return tuple(found)


def _rank(own: Suggestion) -> tuple[bool, int, int, str, str]:
    lines, binary = (own.to_read.lines, own.to_read.binary_bytes) if own.to_read is not None else (0, own.size)
    return own.to_read is None, lines, binary, own.name, own.version


def _bases(files: Sequence[Need], vetting: Vetting, coverage: Coverage) -> Bases:
    """Return the nearest release before this one, and the nearest after it, of which a file of the same kind is covered."""
    version = files[0].entry.version
    if version is None:
        return {}
    others: dict[str, list[AuditedFile]] = {}
    for record in recorded(vetting, files[0].entry.name):
        if record.version not in {"", version}:
            others.setdefault(record.version, []).extend(record.files)
    found: dict[str, dict[str, AuditedFile]] = {}
    for need in files:
        for other, theirs in others.items():
            covered = {
                file.name: file
                for file in theirs
                if all(coverage.covers(file.sha256, own) for own in coverage.missing(need))
            }
            name = counterpart(need.file.name, covered)
            if name is not None:
                found.setdefault(other, {})[need.file.sha256] = covered[name]
    versions = sorted(found, key=parse_version)
    before = [own for own in versions if parse_version(own) < parse_version(version)]
    after = [own for own in versions if own not in before]
    return {own: found[own] for own in (*before[-1:], *after[:1])}


# -- the bytes


class _Trees:
    """The contents of files that an index has. Each is fetched and read once."""

    def __init__(self, indexes: LockedIndexes) -> None:
        self._indexes = indexes
        self.faults: dict[str, str] = {}
        """Why a file could not be fetched, by its name."""
        self._found: OnceMap[str, ArchiveTree | None] = OnceMap()
        load_all()

    def prefetch(self, release: _Release) -> None:
        """Fetch the files of a release, and those that they can be compared with, in the background."""
        for version, name, sha256 in _files(release):
            self._indexes.client.prefetch(
                lambda version=version, name=name, sha256=sha256: self.get(release.entry, version, name, sha256)  # type: ignore[misc]  # mypy cannot infer a lambda's default
            )

    def get(self, entry: LockedPackage, version: str, name: str, sha256: str) -> ArchiveTree | None:
        """Return the contents of a file; None where it cannot be fetched. Raises SafetyError."""
        return self._found.get(sha256, lambda: self._read(entry, version, name, sha256))

    def _read(self, entry: LockedPackage, version: str, name: str, sha256: str) -> ArchiveTree | None:
        client = self._indexes.client
        cached = client.built_file(sha256)  # a malicious release is removed from the index
        if cached is not None:
            return read_release(cached, name).tree
        if entry.source is not None:
            self.faults[name] = "it is not of an index, and not in the cache"
            return None
        try:
            files = client.files(canonicalize_name(entry.name), parse_version(version), self._indexes.of(entry))
            file = next((own for own in files if own.filename == name), None)
            if file is None:
                self.faults[name] = "the index does not have it any more"
                return None
            return read_release(client.cached_file(replace(file, sha256=sha256)), name).tree
        except IndexFault as error:
            self.faults[name] = error.message
            return None


def _files(release: _Release) -> Iterator[tuple[str, str, str]]:
    """Yield version, name and sha256 of each file that is read for a release."""
    for need in release.files:
        yield release.entry.version or "", need.file.name, need.file.sha256
    for version, files in release.bases.items():
        yield from ((version, file.name, file.sha256) for file in files.values())


# -- what there is to read


def _suggestion(release: _Release, coverage: Coverage, trees: _Trees) -> Suggestion:
    """Return the least to read of a release: as it is, or what differs from another one."""
    entry = release.entry
    read = {base: _to_read(release, base, trees) for base in ("", *release.bases)}
    known = {base: own for base, own in read.items() if own is not None}
    nearest = next(iter(release.bases), "")
    base = min(known, key=lambda own: (known[own].lines, known[own].binary_bytes), default=nearest)
    olds = release.bases.get(base, {})
    criteria = {own for need in release.files for own in coverage.missing(need)}
    return Suggestion(
        name=entry.name,
        version=entry.version or "",
        subject=called(entry),
        criteria=tuple(own for own in CRITERIA if own in criteria),
        needs_all=all(coverage.missing(need) == need.criteria for need in release.files),
        has_covered_files=release.has_covered_files,
        base=base,
        compared=tuple(need.file.name for need in release.files if need.file.sha256 in olds),
        whole=tuple(need.file.name for need in release.files if need.file.sha256 not in olds),
        to_read=known.get(base),
        size=sum(need.file.size or 0 for need in release.files),
    )


def _to_read(release: _Release, base: str, trees: _Trees) -> ToRead | None:
    """Return how much differs from a release; "": how much the files have. None where a file cannot be fetched.

    Equal contents of several files are counted once.
    """
    entry, olds = release.entry, release.bases.get(base, {})
    found: dict[tuple[str, str, str], FileDifference] = {}
    for need in release.files:
        new = trees.get(entry, entry.version or "", need.file.name, need.file.sha256)
        file = olds.get(need.file.sha256)
        old = trees.get(entry, base, file.name, file.sha256) if file is not None else None
        if new is None or (file is not None and old is None):
            return None
        for own in differences(old, new):
            key = own.path, own.old.sha256 if own.old else "", own.new.sha256 if own.new else ""
            found[key] = own
    return count_to_read(tuple(found.values()))
