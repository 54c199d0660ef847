"""The work of `verify`: compares a lock with what its indexes have now; with ``deep``, compares every byte of it.

Nothing is resolved or written. The lock's own indexes are used, unless options or settings name others.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.verify import (
    archive_host_findings,
    host_findings,
    index_findings,
    metadata_findings,
    publisher_findings,
    python_findings,
    record_findings,
    sidecar_findings,
    unrequired,
)
from deep_lock.analysis.wheel_rules import FilesRead, wheel_matches
from deep_lock.config.options import VerifyOptions
from deep_lock.errors import AttestationInvalid, DeepLockError, HashMismatch, MetadataDiffers, NotFound, SafetyError
from deep_lock.events import Reporter
from deep_lock.index import attestations, provenance_files, wheel_files
from deep_lock.index.client import IndexClient
from deep_lock.index.wheel_contents import read_contents
from deep_lock.lockfile.index import LockIndex, called, files_of, index_lock, key_of, required_packages
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.selection import best_wheel, installed_ever, is_built
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.build_system import SdistFacts
from deep_lock.models.changes import SEVERITIES, Finding
from deep_lock.models.contents import FileContents
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel
from deep_lock.models.lock import Lock, LockedBuild, LockedPackage
from deep_lock.models.metadata import Metadata
from deep_lock.models.policy import Policy
from deep_lock.models.resolution import AttestationsMode
from deep_lock.operations.inputs import locked_indexes, open_indexes, read_lock_file
from deep_lock.operations.lock_hosts import allowed_hosts, page_hosts, project_hosts
from deep_lock.sdist import facts as facts_module
from deep_lock.targets.target import Target

_Found = provenance_files.ProvenanceFile | None  # loads the module: nothing is imported after the first request


class Verified(Struct, frozen=True, kw_only=True):
    """What was found, the worst first, and how much was checked."""

    findings: tuple[Finding, ...]
    releases: int
    files: int
    lines: Mapping[str, int]
    """The line of each package's name in the lock, from 1."""


def verify(options: VerifyOptions, reporter: Reporter) -> Verified:
    """Compare a lock with the indexes as they are now. Raises UsageError, LockInvalid and IndexFault."""
    file = read_lock_file(options.lock, reporter)
    lock = file.lock
    targets = chosen_targets(lock, (), options.lock.name)
    lock_index = index_lock(lock)
    required = required_packages(lock_index)
    released = [
        entry
        for entry in lock.packages
        if entry.source is None and entry.version is not None and key_of(entry) in required
    ]
    with closing(open_indexes(lock, options, reporter)) as opened:
        indexes = locked_indexes(lock, opened.client)
        opened.client.prefetch_pages((canonicalize_name(entry.name), indexes.of(entry)) for entry in released)
        allowed = allowed_hosts(lock, options.network, read_project_config(options.lock.parent.resolve()))
        if options.attestations == "verify":
            attestations.require_library()
        check = _Check(
            lock_index,
            targets,
            opened.client,
            allowed=allowed,
            deep=options.deep,
            attestations_mode=options.attestations,
        )
        for entry in released:
            opened.client.prefetch(partial(check.prefetch, entry))
        found = {
            *_invariants(lock, targets),
            *(finding for entry in lock.packages if key_of(entry) not in required for finding in unrequired(entry)),
            *archive_host_findings(lock, project_hosts(lock) | allowed),
            *(finding for entry in released for finding in check.package(entry)),
        }
        found |= set(check.contents())
    return Verified(
        findings=tuple(sorted(found, key=by_severity)),
        releases=len(released),
        files=sum(len(files_of(entry)) for entry in released),
        lines=file.lines,
    )


def by_severity(finding: Finding) -> tuple[object, ...]:
    """Return the key that sorts findings, the worst first."""
    return SEVERITIES.index(finding.severity), finding.subject, finding.code, finding.message


def _invariants(lock: Lock, targets: tuple[Target, ...]) -> Iterator[Finding]:
    for message in broken_invariants(lock, targets):
        yield Finding(
            code="lock-invalid", severity="error", subject="the lock", message=message, hint="run deep-lock lock"
        )


class _Check:
    """One lock, checked package by package."""

    def __init__(
        self,
        lock_index: LockIndex,
        targets: tuple[Target, ...],
        client: IndexClient,
        *,
        allowed: frozenset[str],
        deep: bool,
        attestations_mode: AttestationsMode,
    ) -> None:
        self._attestations_mode = attestations_mode
        self._allowed = allowed
        self._lock_index = lock_index
        self._targets = targets
        self._client = client
        self._deep = deep
        self._contents_of: dict[str, FileContents] = {}
        self._indexes = locked_indexes(lock_index.lock, client)
        self._reported: set[tuple[str, str]] = set()
        """Projects whose status is reported, by index."""

    def prefetch(self, entry: LockedPackage) -> None:
        """Fetch what `package` needs, in the background."""
        taken = _taken_wheels(entry, self._targets)
        name, version = canonicalize_name(entry.name), Version(entry.version or "0")
        for file in self._client.files(name, version, self._indexes.of(entry)):
            if self._is_attested(entry):
                self._client.provenance(file)
            if isinstance(file, Wheel) and file.filename in taken:
                self._client.wheel_metadata(file, ahead=True)
                if not self._deep:
                    self._client.wheel_metadata(_without_sidecar(file), ahead=True)

    def package(self, entry: LockedPackage) -> Iterator[Finding]:
        """Yield what differs."""
        name, version = canonicalize_name(entry.name), Version(entry.version or "0")
        index = self._indexes.of(entry)
        status = self._client.status(name, index)
        if status is not None and (name, index) not in self._reported:
            self._reported.add((name, index))
            message = f"its index marks the project as {status}"
            yield Finding(code="project-status", severity="finding", subject=entry.name, message=message)
        builds = self._lock_index.records.get(key_of(entry), ())
        files = self._client.files(name, version, index) if version in self._client.versions(name, index) else ()
        yield from host_findings(entry, page_hosts(self._client, entry, index) | self._allowed)
        yield from index_findings(entry, files, builds, self._targets)
        locked = {file.name: file.sha256 for file in files_of(entry)}
        there = [file for file in files if file.filename in locked]
        if self._is_attested(entry):
            for file in there:
                yield from self._publishers(entry, file, locked[file.filename])
        yield from self._contents(entry, there, builds)

    def _is_attested(self, entry: LockedPackage) -> bool:
        """Whether the publishers of a package are compared: the lock records one."""
        return bool(entry.attestation_identities) and self._attestations_mode != "off"

    def _publishers(self, entry: LockedPackage, file: Distribution, sha256: str) -> Iterator[Finding]:
        """Yield where the publishers of a file are not those of the lock, or an attestation is not valid."""
        try:
            found: _Found = self._client.provenance(file)
            attested = found.provenance.identities if found is not None else frozenset()
            yield from publisher_findings(entry, file.filename, attested, offered=found is not None)
            if found is not None and self._attestations_mode == "verify":
                attestations.verify(found.provenance, file.filename, sha256)
        except AttestationInvalid as error:
            yield Finding(
                code="attestation-invalid",
                severity="error",
                subject=called(entry),
                message=error.message,
                hint=error.hint,
            )

    def _contents(
        self, entry: LockedPackage, files: Iterable[Distribution], builds: Iterable[LockedBuild]
    ) -> Iterator[Finding]:
        """Yield what differs in metadata and bytes. An unsafe or changed file is a finding, not the end of the run."""
        known: list[Metadata] = []
        unproven = False
        taken = _taken_wheels(entry, self._targets)
        for file in files:
            try:
                match file:
                    case Wheel() if self._deep or file.filename in taken:
                        sidecar = self._client.wheel_metadata(file)
                        known.append(sidecar)
                        inside = self._inside(file)
                        yield from sidecar_findings(entry, file.filename, sidecar, inside)
                        yield from python_findings(entry, file.filename, inside, self._takers(entry, file.filename))
                    case SourceDistribution() if self._deep:
                        facts = self._facts(file)
                        known += [facts.metadata] if facts.metadata is not None else []
                        unproven = facts.metadata is None and self._is_built(entry)
                        for build in builds:
                            yield from record_findings(build, facts)
            except (SafetyError, NotFound) as error:
                yield Finding(
                    code=_code_of(error),
                    severity="error",
                    subject=called(entry),
                    message=error.message,
                    hint=error.hint,
                )
        if self._deep and not entry.build_only and not unproven:
            yield from metadata_findings(entry, known, self._lock_index)

    def _inside(self, file: Wheel) -> Metadata:
        """Return the metadata in a wheel: with ``deep`` out of its checked bytes, else by ranges."""
        if not self._deep:
            return self._client.wheel_metadata(_without_sidecar(file))
        path = self._client.cached_file(file)
        self._read_contents(file, path)
        return wheel_files.metadata_inside(path, file.name, file.filename)

    def _read_contents(self, file: Wheel, path: Path) -> None:
        """Read the contents of a wheel for `contents`. Raises ArchiveError."""
        with path.open("rb") as opened:
            self._contents_of[file.sha256 or ""] = read_contents(opened, file.filename)

    def contents(self) -> Iterator[Finding]:
        """Yield what the rules of a policy find in the contents of the wheels that were read."""
        explain = Explanations(self._lock_index)
        read = FilesRead(contents=self._contents_of)
        for match in wheel_matches(self._lock_index, read):
            level = Policy().level(match.code, lower=match.runtime)
            if level != "off":
                chain = explain.package(match.key) if match.key is not None else ()
                yield Finding(
                    code=match.code, severity=level, subject=match.subject, message=match.message, chain=chain
                )

    def _facts(self, file: SourceDistribution) -> SdistFacts:
        with self._client.open_sdist(file) as archive:
            return facts_module.read_sdist(archive, filename=file.filename, name=file.name, version=file.version)

    def _takers(self, entry: LockedPackage, filename: str) -> list[Target]:
        """Return the targets that take a wheel; those on which only build environments have it are not known, so all."""
        return [
            target
            for target in self._targets
            if (entry.build_only or entry.also_build or installed_ever(self._lock_index.lock, entry.marker, target))
            and (best := best_wheel(entry.wheels, target)) is not None
            and best.name == filename
        ]

    def _is_built(self, entry: LockedPackage) -> bool:
        """Whether some target installs the package from its sdist: its dependencies there are those of the backend."""
        lock_index = self._lock_index
        return any(
            is_built(lock_index, entry, target) or best_wheel(entry.wheels, target) is None
            for target in self._targets
            if installed_ever(lock_index.lock, entry.marker, target)
        )


def _taken_wheels(entry: LockedPackage, targets: Iterable[Target]) -> frozenset[str]:
    """Return the names of the wheels that the targets take."""
    best = (best_wheel(entry.wheels, target) for target in targets)
    return frozenset(wheel.name for wheel in best if wheel is not None)


def _code_of(error: DeepLockError) -> str:
    match error:
        case HashMismatch():
            return "hash-changed"
        case MetadataDiffers():
            return "sidecar-differs"
        case _:
            return "file-unfit"


def _without_sidecar(wheel: Wheel) -> Wheel:
    """Return the wheel as an index without PEP 658 offers it: its metadata is then read from the wheel itself."""
    return replace(wheel, metadata=None)
