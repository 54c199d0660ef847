"""Asks the indexes about an old lock: what is yanked, gone, changed or added since; with ``deep``, about every byte of it.

Law: nothing is resolved and nothing is written. The lock's own indexes are asked, unless flags or settings name others.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.analysis.verify import against_index, metadata_findings, record_findings, sidecar_findings
from deep_lock.config.options import InputOptions, LockOptions, VerifyOptions
from deep_lock.errors import HashMismatch, NotFound, SafetyError
from deep_lock.events import Reporter
from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import LockIndex, called, key_of, open_register
from deep_lock.lockfile.invariants import check_closed
from deep_lock.lockfile.selection import best_wheel, full_selection, holds_in_lock, is_built
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.indexes import indexes_of, open_network
from deep_lock.locking.read_inputs import read_settings, require_lock
from deep_lock.models.build_system import SdistFacts
from deep_lock.models.changes import Finding
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel
from deep_lock.models.lock import Lock, LockedBuild, LockedPackage
from deep_lock.models.metadata import Metadata
from deep_lock.sdist import facts as facts_module
from deep_lock.targets.target import Target

RANKS = {"error": 0, "finding": 1, "note": 2}


class Verified(Struct, frozen=True, kw_only=True):
    """What was found, the gravest first, and how much was looked at."""

    findings: tuple[Finding, ...]
    releases: int
    files: int


def verify(flags: VerifyOptions, reporter: Reporter) -> Verified:
    """Hold a lock against the indexes as they are now. Raises UsageError, LockInvalid and IndexFault."""
    lock = require_lock(flags.lock, reporter)
    folder = flags.lock.parent.resolve()
    targets = chosen_targets(lock, (), flags.lock.name)
    config = read_settings(folder)
    network = indexes_of(lock, flags.network, configured=bool(config.index or config.no_index))
    asked_now = replace(network, refresh=not network.offline)  # a page of ten minutes ago is not what is there now
    own = LockOptions(inputs=InputOptions(folder=folder), network=asked_now, surroundings=flags.surroundings)
    register = open_register(lock)
    released = [entry for entry in lock.packages if entry.source is None and entry.version is not None]
    with closing(open_network(own, config, reporter)) as opened:
        opened.client.prefetch_pages([canonicalize_name(entry.name) for entry in released])
        walk = _Walk(register, targets, opened.client, deep=flags.deep)
        for entry in released:
            opened.client.prefetch(partial(walk.ahead, entry))
        found = [*_laws(lock, targets), *(finding for entry in released for finding in walk.look(entry))]
    ordered = sorted(
        set(found), key=lambda finding: (RANKS[finding.severity], finding.subject, finding.code, finding.message)
    )
    files = sum(len(entry.wheels) + (entry.sdist is not None) for entry in released)
    return Verified(findings=tuple(ordered), releases=len(released), files=files)


def _laws(lock: Lock, targets: tuple[Target, ...]) -> Iterator[Finding]:
    for told in check_closed(lock, targets):
        yield Finding(code="lock-law", severity="error", subject="the lock", message=told, hint="run deep-lock lock")


class _Walk:
    """One lock, looked at entry by entry."""

    def __init__(self, register: LockIndex, targets: tuple[Target, ...], client: IndexClient, *, deep: bool) -> None:
        self._register = register
        self._targets = targets
        self._client = client
        self._deep = deep
        self._told: set[str] = set()

    def ahead(self, entry: LockedPackage) -> None:
        """Fetch what `look` will ask for, in the background."""
        taken = taken_wheels(entry, self._targets)
        for file in self._client.files(canonicalize_name(entry.name), Version(entry.version or "0")):
            if isinstance(file, Wheel) and file.filename in taken:
                self._client.wheel_metadata(file, ahead=True)
                self._client.wheel_metadata(_without_sidecar(file), ahead=True)

    def look(self, entry: LockedPackage) -> Iterator[Finding]:
        name, version = canonicalize_name(entry.name), Version(entry.version or "0")
        status = self._client.status(name)
        if status is not None and name not in self._told:
            self._told.add(name)
            message = f"its index calls the project {status}"
            yield Finding(code="project-status", severity="finding", subject=entry.name, message=message)
        builds = self._register.records.get(key_of(entry), ())
        files = self._client.files(name, version) if version in self._client.versions(name) else ()
        yield from against_index(entry, files, builds, self._targets)
        named = {file.name for file in (*entry.wheels, *((entry.sdist,) if entry.sdist else ()))}
        yield from self._inside(entry, [file for file in files if file.filename in named], builds)

    def _inside(
        self, entry: LockedPackage, files: Iterable[Distribution], builds: Iterable[LockedBuild]
    ) -> Iterator[Finding]:
        """What metadata and bytes say. An unsafe or changed file is a finding, not the end of the run."""
        known: list[Metadata] = []
        unproven = False
        taken = taken_wheels(entry, self._targets)
        for file in files:
            try:
                match file:
                    case Wheel() if self._deep or file.filename in taken:
                        sidecar = self._client.wheel_metadata(file)
                        known.append(sidecar)
                        inside = self._client.wheel_metadata(_without_sidecar(file))
                        yield from sidecar_findings(entry, file.filename, sidecar, inside)
                        if self._deep:
                            self._client.cached_file(file)
                    case SourceDistribution() if self._deep:
                        facts = self._facts(file)
                        known += [facts.metadata] if facts.metadata is not None else []
                        unproven = facts.metadata is None and self._is_sdist_taken(entry)
                        for build in builds:
                            yield from record_findings(build, facts)
            except HashMismatch as error:
                yield _refused(entry, "hash-changed", error)
            except (SafetyError, NotFound) as error:
                yield _refused(entry, "file-unfit", error)
        if self._deep and not entry.build_only and not unproven:
            yield from metadata_findings(entry, known, self._register)

    def _facts(self, file: SourceDistribution) -> SdistFacts:
        with self._client.open_sdist(file) as archive:
            return facts_module.read_sdist(archive, filename=file.filename, name=file.name, version=file.version)

    def _is_sdist_taken(self, entry: LockedPackage) -> bool:
        """Whether some target installs the entry from its sdist: its edges are then what the backend told there."""
        register, chosen = self._register, full_selection(self._register)
        return any(
            is_built(register, entry, target) or best_wheel(entry.wheels, target) is None
            for target in self._targets
            if holds_in_lock(entry.marker, target, chosen)
        )


def taken_wheels(entry: LockedPackage, targets: Iterable[Target]) -> frozenset[str]:
    """Return the wheel that each target would take."""
    best = (best_wheel(entry.wheels, target) for target in targets)
    return frozenset(wheel.name for wheel in best if wheel is not None)


def _without_sidecar(wheel: Wheel) -> Wheel:
    """Return the wheel as an index without PEP 658 would offer it: its metadata then come out of itself."""
    return replace(wheel, metadata=None)


def _refused(entry: LockedPackage, code: str, error: SafetyError | NotFound) -> Finding:
    return Finding(code=code, severity="error", subject=called(entry), message=error.message, hint=error.hint or "")
