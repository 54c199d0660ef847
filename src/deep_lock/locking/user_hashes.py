"""The hashes that requirements files and constraints give of the files of releases (pip's ``--hash``).

A line is about the releases that its specifier allows, where its marker holds. Files without one of its hashes are left
out, wherever the release is used. Lines about the same release must all be met, as in pip.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.errors import HashMismatch, HashMissing
from deep_lock.lockfile.index import called, files_of
from deep_lock.locking.read_inputs import HashFiles
from deep_lock.models.distribution import Distribution
from deep_lock.models.lock import Lock, LockedArchive, LockedPackage
from deep_lock.models.requirement import Requirement
from deep_lock.project.requirements_txt import RequirementsFile
from deep_lock.resolver.candidates import is_exact
from deep_lock.sanitize import listed, show
from deep_lock.targets.target import Target, holds

MAX_SHOWN = 3
_HINT = "the file differs from the one whose hash was written: find out why, or correct the hash"
_REQUIRED_HINT = "give each of them --hash=sha256:..., or remove --require-hashes"


class _Line(Struct, frozen=True, kw_only=True):
    """A line with hashes."""

    requirement: Requirement
    sha256s: frozenset[str]

    def is_about(self, version: Version) -> bool:
        return self.requirement.specifier.contains(version, prereleases=True)

    @property
    def place(self) -> str:
        return str(self.requirement.origin or self.requirement)


class UserHashes:
    """The hashes of all files of a run."""

    def __init__(self, files: HashFiles, targets: Sequence[Target]) -> None:
        """Raise HashMissing for a line without a sha256 where one is needed."""
        every = (*files.run_time, *files.limits, *files.builds)
        self._targets = targets
        self._lines: dict[NormalizedName, list[_Line]] = {}
        for requirement, digests in (own for file in every for own in file.hashes):
            if any(holds(requirement.marker, target) for target in targets):
                line = _Line(requirement=requirement, sha256s=_sha256s(requirement, digests))
                self._lines.setdefault(requirement.name, []).append(line)
        for file in every:
            if file.require_hashes:
                _refuse_without(file, {requirement.name for own in every for requirement, _ in own.hashes})
        self._required = {
            "at run time": next((file.files[0] for file in files.run_time if file.require_hashes), ""),
            "in build environments": next((file.files[0] for file in files.builds if file.require_hashes), ""),
        }

    def kept(self, name: NormalizedName, version: Version, files: Sequence[Distribution]) -> Sequence[Distribution]:
        """Return the files that have one of the hashes, or none known; all of a release that no line is about.

        Raises HashMismatch where a line that names the release exactly has the hash of no file.
        """
        lines = self._about(name, version)
        if not lines or not files:
            return files
        allowed = self._allowed(lines)
        kept = [file for file in files if allowed is None or file.sha256 is None or file.sha256 in allowed]
        exact = next((line for line in lines if is_exact(line.requirement.specifier)), None)
        if not kept and exact is not None:
            raise _mismatch(lines, {file.filename: file.sha256 or "" for file in files})
        return kept

    def require_any(
        self,
        name: NormalizedName,
        versions: Iterable[Version],
        files_of_version: Callable[[Version], Sequence[Distribution]],
    ) -> None:
        """Raise HashMismatch where a line is about several releases, and no file of any of them has its hash."""
        for line in self._lines.get(name, ()):
            if is_exact(line.requirement.specifier):
                continue
            files = [file for version in versions if line.is_about(version) for file in files_of_version(version)]
            if files and not any(file.sha256 is None or file.sha256 in line.sha256s for file in files):
                raise _mismatch([line], {file.filename: file.sha256 or "" for file in files})

    def check(self, lock: Lock) -> None:
        """Compare the files of a finished lock, whose sha256 are all known. Raises HashMismatch and HashMissing."""
        for entry, lines in self._entries(lock):
            allowed = self._allowed(lines)
            others = {file.name: file.sha256 for file in files_of(entry) if allowed and file.sha256 not in allowed}
            if others:
                raise _mismatch(lines, others)
        self._check_required(lock)

    def changes(self, lock: Lock) -> Iterator[str]:
        """Yield a sentence for each release of an earlier lock with a file whose hash no line gives now."""
        for entry, lines in self._entries(lock):
            allowed = self._allowed(lines)
            if allowed is not None and any(file.sha256 not in allowed for file in files_of(entry)):
                yield f"{show(lines[0].place)} has other hashes for {called(entry)}"

    def _entries(self, lock: Lock) -> Iterator[tuple[LockedPackage, list[_Line]]]:
        for entry in lock.packages:
            if entry.source is None and entry.version is not None:
                lines = self._about(canonicalize_name(entry.name), Version(entry.version))
                if lines:
                    yield entry, lines

    def _about(self, name: NormalizedName, version: Version) -> list[_Line]:
        return [line for line in self._lines.get(name, ()) if line.is_about(version)]

    def _allowed(self, lines: Iterable[_Line]) -> frozenset[str] | None:
        """Return the sha256 that some target may take; None where lines are about none of the files of one."""
        allowed: set[str] = set()
        for target in self._targets:
            own = [line.sha256s for line in lines if holds(line.requirement.marker, target)]
            if not own:
                return None
            allowed |= frozenset.intersection(*own)
        return frozenset(allowed)

    def _check_required(self, lock: Lock) -> None:
        for where, source in self._required.items():
            missing = [
                called(entry)
                for entry in lock.packages
                if (not entry.build_only if where == "at run time" else entry.build_only or entry.also_build)
                and not self._has_hash(entry)
            ]
            if source and missing:
                raise HashMissing(
                    f"{source}: has --require-hashes, but no hash for packages that are needed {where}:"
                    f" {listed(missing, MAX_SHOWN)}",
                    hint=_REQUIRED_HINT,
                )

    def _has_hash(self, entry: LockedPackage) -> bool:
        if entry.source is not None or entry.version is None:
            return isinstance(entry.source, LockedArchive)  # the lines with URLs are checked before
        return bool(self._about(canonicalize_name(entry.name), Version(entry.version)))


def _sha256s(requirement: Requirement, digests: Iterable[str]) -> frozenset[str]:
    found = frozenset(digest.removeprefix("sha256:") for digest in digests if digest.startswith("sha256:"))
    if not found:
        raise HashMissing(
            f"{requirement.origin}: has no sha256 for {requirement.name}, and only sha256 is compared",
            hint="add --hash=sha256:... of the same file (pip hash)",
        )
    return found


def _refuse_without(file: RequirementsFile, hashed: set[NormalizedName]) -> None:
    """Refuse the lines of a file with ``--require-hashes`` that have none, unless another line gives it."""
    unnamed = [line for line in file.unnamed if line.reference.sha256 is None]
    named = [
        own
        for own in file.requirements
        if own.name not in hashed and (own.url is None or "sha256=" not in own.url.partition("#")[2])
    ]
    places = [
        *(f"{own.origin} ({own.name})" for own in named),
        *(f"{line.origin} ({show(line.reference.place)})" for line in unnamed),
    ]
    if places:
        raise HashMissing(
            f"{file.files[0]}: has --require-hashes, and these lines have no hash: {listed(places, MAX_SHOWN)}",
            hint=_REQUIRED_HINT,
        )


def _mismatch(lines: Sequence[_Line], files: Mapping[str, str]) -> HashMismatch:
    places = " and ".join(dict.fromkeys(line.place for line in lines))
    markers = {str(line.requirement.marker) for line in lines}
    if len(markers) == 1 and not frozenset.intersection(*(line.sha256s for line in lines)):
        hashes = "; ".join(f"{line.place}: {listed(sorted(line.sha256s), MAX_SHOWN)}" for line in lines)
        return HashMismatch(
            f"{places}: have no sha256 for {lines[0].requirement.name} in common ({hashes})",
            hint="correct one of them: a file needs a hash of each",
        )
    wanted = listed(sorted({sha256 for line in lines for sha256 in line.sha256s}), MAX_SHOWN)
    found = listed([f"{show(name)} has sha256 {sha256 or '(not stated)'}" for name, sha256 in files.items()], MAX_SHOWN)
    return HashMismatch(f"{places}: has sha256 {wanted} for {lines[0].requirement}, and {found}", hint=_HINT)
