"""The finished graph, written as a Lock: what each entry is marked with, and why each file is listed.

Law: only files that some declared target uses are listed, and an sdist only where some target builds it; so an installer
that requires hashes cannot build anything whose build was not locked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.model import Built, Closure, Subject, key_of_pin
from deep_lock.closure.scopes import RequirementScope, scopes_by_pin
from deep_lock.lockfile.paths import path_of_url, seen_from
from deep_lock.models.build_system import Evidence
from deep_lock.models.distribution import (
    Archive,
    Buildable,
    Direct,
    Directory,
    Distribution,
    Installable,
    SourceDistribution,
    Vcs,
    Wheel,
    built_from,
    is_wheel,
    source_of,
)
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedPackage,
    LockedReference,
    LockedSource,
    LockedVcs,
    Needed,
)
from deep_lock.models.resolution import ALL, UNKNOWN_VERSION, Edge, Pin, Problem, Resolved, Selection
from deep_lock.resolver.candidates import fitting_wheels, sdists_first, suffix_rank
from deep_lock.sanitize import show
from deep_lock.targets.markers import Scope, with_scopes
from deep_lock.targets.target import Target

EntryKey = tuple[NormalizedName, Version, str]
"""What tells entries apart: name, version, and where a direct reference leads. A source tree has UNKNOWN_VERSION."""


def entry_key(pin: Pin) -> EntryKey:
    """Return the key of a pin's entry."""
    version = pin.version if vouched_version(pin) is not None else UNKNOWN_VERSION
    return pin.name, version, source_of(pin.distribution)


def vouched_version(pin: Pin) -> str | None:
    """Return the version that an entry states: none for a source tree, whose version may change (PEP 751)."""
    match pin.distribution:
        case Directory() | Vcs() | Archive(version=None):
            return None
        case _:
            return str(pin.version)


def direct_of(file: Installable) -> Direct | None:
    """Return what was named directly, if it was."""
    return None if isinstance(file, Wheel | SourceDistribution) else file


def locked_source(file: Direct) -> LockedSource:
    """Return the source of an entry."""
    match file:
        case Directory():
            return LockedDirectory(path=file.path, editable=file.editable, subdirectory=file.subdirectory or None)
        case Vcs():
            return LockedVcs(
                url=file.url,
                path=file.path,
                requested_revision=file.requested_revision,
                commit_id=file.commit_id,
                subdirectory=file.subdirectory or None,
            )
        case Archive():
            return LockedArchive(
                url=None if file.is_path else file.place,
                path=file.place if file.is_path else None,
                size=file.file.size,
                sha256=file.file.sha256 or "",
                subdirectory=file.subdirectory or None,
            )


class FileCatalog(Protocol):
    """What the assembly asks of the index: every file of a release, and digests where the index has none."""

    def files(self, name: NormalizedName, version: Version) -> Sequence[Distribution]:
        """Return the files of a release."""

    def digest(self, file: Distribution) -> str:
        """Return the sha256 of a file: the promised one, else that of its bytes."""

    def license(self, file: Distribution) -> str | None:
        """Return the licence expression of a file's own metadata; None where they have none."""

    def metadata_evidence(self, sdist: Buildable) -> Evidence | None:
        """Return how the sdist's (or tree's) own metadata is known; None where it is plain metadata."""


class _Entry(Struct, kw_only=True):
    """All uses of one release, over all targets and environments."""

    name: NormalizedName
    version: Version
    pin: Pin
    """One of its pins."""
    taken: dict[str, Installable] = field(default_factory=dict)
    """The file that each target takes, by label."""
    scopes: dict[str, tuple[Scope, ...]] = field(default_factory=dict)
    recorded: bool = False
    """Whether a build record stands for it."""
    in_environment: bool = False
    children: set[EntryKey] = field(default_factory=set)
    direct: bool = False


class AssemblyInput(Struct, frozen=True, kw_only=True):
    """What is needed to write a closure down. ``problems`` are the runtime problems, in target order."""

    closure: Closure
    problems: tuple[Problem, ...]
    parts: tuple[RequirementScope, ...]
    shelf: FileCatalog
    selection: Selection
    folder: Path
    """Where the lock will stand, absolute: files in folders are named as seen from there."""
    every_file: bool = False
    """List every file of each release, for mirrors, and not only what some target uses."""

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(problem.target for problem in self.problems)


def packages(assembly: AssemblyInput) -> tuple[LockedPackage, ...]:
    """Return every entry of the lock, sorted."""
    entries = _entries(assembly)
    written = _References(entries=entries, several=_several(entries))
    keys = sorted(entries)
    return tuple(_package(entries[key], assembly, written) for key in keys)


def _several(entries: Mapping[EntryKey, _Entry]) -> frozenset[NormalizedName]:
    """Return the names that have more than one entry: references to them need a version."""
    names = [key[0] for key in entries]
    return frozenset(name for name in names if names.count(name) > 1)


def _entries(assembly: AssemblyInput) -> dict[EntryKey, _Entry]:
    entries: dict[EntryKey, _Entry] = {}
    for (target, resolved), problem in zip(assembly.closure.runtime, assembly.problems, strict=True):
        scopes = scopes_by_pin(assembly.parts, problem, resolved)
        for pin, entry in _entered(entries, resolved, target):
            entry.scopes[target.label] = scopes[pin.name]
        keys = _keys(resolved)
        for edge in resolved.edges:
            if edge.parent is None:
                entries[keys[edge.child]].direct = True
    for built in assembly.closure.builds:
        for resolved in (built.final, built.declared):
            for _, entry in _entered(entries, resolved, built.target):
                entry.in_environment = True
    recorded = {built.subject.key for built in assembly.closure.builds}
    for entry in entries.values():
        entry.recorded = key_of_pin(entry.pin) in recorded
    return entries


def _entered(entries: dict[EntryKey, _Entry], resolved: Resolved, target: Target) -> list[tuple[Pin, _Entry]]:
    """Note each pin's file, and what it brings in; return the pins with their entries."""
    found = []
    for pin in resolved.pins:
        entry = entries.setdefault(entry_key(pin), _Entry(name=pin.name, version=pin.version, pin=pin))
        entry.taken[target.label] = pin.distribution
        found.append((pin, entry))
    _add_children(entries, resolved, _keys(resolved))
    return found


def _keys(resolved: Resolved) -> dict[NormalizedName, EntryKey]:
    return {pin.name: entry_key(pin) for pin in resolved.pins}


def _add_children(
    entries: Mapping[EntryKey, _Entry], resolved: Resolved, keys: Mapping[NormalizedName, EntryKey]
) -> None:
    for edge in resolved.edges:
        if edge.parent is not None and edge.parent != edge.child:
            entries[keys[edge.parent]].children.add(keys[edge.child])


class _References(Struct, frozen=True, kw_only=True):
    """What references between entries are made from."""

    entries: Mapping[EntryKey, _Entry]
    several: frozenset[NormalizedName]
    """Names that have more than one entry."""

    def references(self, entry: _Entry) -> tuple[LockedReference, ...]:
        return tuple(self._reference(key) for key in sorted(entry.children))

    def _reference(self, key: EntryKey) -> LockedReference:
        if key[0] not in self.several:
            return LockedReference(name=key[0])
        pin = self.entries[key].pin
        direct = direct_of(pin.distribution)
        return LockedReference(
            name=key[0],
            version=vouched_version(pin),
            source=None if direct is None else locked_source(direct),
        )


def _package(entry: _Entry, assembly: AssemblyInput, written: _References) -> LockedPackage:
    direct = direct_of(entry.pin.distribution)
    return _release(entry, assembly, written) if direct is None else _named(entry, direct, assembly, written)


def _named(entry: _Entry, file: Direct, assembly: AssemblyInput, written: _References) -> LockedPackage:
    """Return the entry of a direct reference."""
    source = built_from(file)
    edited = any(isinstance(own, Directory) and own.editable for own in entry.taken.values())
    return LockedPackage(
        name=entry.name,
        version=vouched_version(entry.pin),
        marker=_marker(entry, assembly.targets),
        dependencies=written.references(entry),
        source=locked_source(replace(file, editable=edited) if isinstance(file, Directory) else file),
        direct=entry.direct,
        build=f"{entry.name} @ {source_of(file)}" if entry.recorded else None,
        metadata=assembly.shelf.metadata_evidence(source) if source is not None else None,
        no_source=source is None and _no_source(entry, assembly.selection),
    )


def _release(entry: _Entry, assembly: AssemblyInput, written: _References) -> LockedPackage:
    targets = assembly.targets
    files = assembly.shelf.files(entry.name, entry.version)
    uses = {label: own for label, own in entry.taken.items() if isinstance(own, Wheel | SourceDistribution)}
    taken = next(iter(uses.values()))
    wheels = _every_wheel(files) if assembly.every_file else _wheels(uses, files, targets, assembly.selection)
    sdists = {label: file for label, file in uses.items() if isinstance(file, SourceDistribution)}
    sdist = next(iter(sdists.values()), None)
    listed = sdist or (_best_sdist(files) if assembly.every_file else None)
    has_wheel = any(isinstance(file, Wheel) for file in files)
    by_choice = is_no_binary(entry.name, assembly.selection) or sdists_first(entry.name, assembly.selection)
    runtime = bool(entry.scopes)
    return LockedPackage(
        name=entry.name,
        version=str(entry.version),
        marker=_marker(entry, targets) if runtime else BUILD_MARKER,
        requires_python=taken.requires_python,
        dependencies=written.references(entry),
        index=_index_of((taken, *wheels, *((listed,) if listed is not None else ()))),
        sdist=_locked(listed, assembly) if listed is not None else None,
        wheels=tuple(_locked(wheel, assembly) for wheel in wheels),
        build_only=not runtime,
        also_build=runtime and entry.in_environment,
        sdist_only=sdist is not None and not has_wheel,
        build_on=tuple(sorted(sdists)) if has_wheel and not by_choice else (),
        direct=entry.direct,
        build=f"{entry.name}=={entry.version}" if entry.recorded else None,
        metadata=assembly.shelf.metadata_evidence(sdist) if sdist is not None else None,
        license=assembly.shelf.license(taken),
        yanked=next((show(file.yanked) for file in uses.values() if file.yanked is not None), None),
        hash_origin="computed" if _lacks_digest(wheels, listed) else None,
        no_source=_no_source(entry, assembly.selection),
    )


def _lacks_digest(wheels: Sequence[Wheel], sdist: SourceDistribution | None) -> bool:
    return any(wheel.sha256 is None for wheel in wheels) or (sdist is not None and sdist.sha256 is None)


def is_no_binary(name: str, selection: Selection) -> bool:
    """Whether the user asked for the project as an sdist."""
    return name in selection.no_binary or ALL in selection.no_binary


def _no_source(entry: _Entry, selection: Selection) -> bool:
    return (
        selection.build_scope == "all"
        and entry.name in selection.allow_wheel
        and all(map(is_wheel, entry.taken.values()))
    )


def _wheels(
    uses: Mapping[str, Distribution], files: Sequence[Distribution], targets: Sequence[Target], selection: Selection
) -> list[Wheel]:
    """Return the wheels that fit a target which uses the release, in file name order."""
    found: dict[str, Wheel] = {}
    for target in targets:
        taken = uses.get(target.label)
        if taken is None:
            continue
        for wheel in fitting_wheels(files, target, selection, yanked_ok=taken.yanked is not None):
            found[wheel.filename] = wheel
    return [found[filename] for filename in sorted(found)]


def _every_wheel(files: Sequence[Distribution]) -> list[Wheel]:
    return [file for file in files if isinstance(file, Wheel)]


def _best_sdist(files: Sequence[Distribution]) -> SourceDistribution | None:
    sdists = [file for file in files if isinstance(file, SourceDistribution)]
    return min(sdists, key=lambda file: suffix_rank(file.filename), default=None)


def _index_of(files: Sequence[Distribution]) -> str | None:
    """Return the index of the first file that has one. A folder is no index: its place is told by the files' paths."""
    return next((file.index for file in files if path_of_url(file.url) is None), None)


def _locked(file: Distribution, assembly: AssemblyInput) -> LockedFile:
    path = path_of_url(file.url)
    return LockedFile(
        name=file.filename,
        url=file.url if path is None else None,
        path=None if path is None else seen_from(assembly.folder, path),
        sha256=assembly.shelf.digest(file),
        upload_time=file.upload_time,
        size=file.size,
    )


def _marker(entry: _Entry, targets: Sequence[Target]) -> str | None:
    labels: dict[Scope, set[str]] = {}
    for label, scopes in entry.scopes.items():
        for scope in scopes:
            labels.setdefault(scope, set()).add(label)
    return with_scopes([(frozenset(own), scope) for scope, own in sorted(labels.items())], tuple(targets))


def builds(assembly: AssemblyInput) -> tuple[LockedBuild, ...]:
    """Return the build records; targets on which a record says the same are put together."""
    alike: dict[tuple[object, ...], list[Built]] = {}
    for built in assembly.closure.builds:
        alike.setdefault(_content(built, assembly), []).append(built)
    everywhere = len(assembly.targets)
    return tuple(
        _build(same, assembly, () if len(same) == everywhere else tuple(sorted(built.target.label for built in same)))
        for same in alike.values()
    )


def _content(built: Built, assembly: AssemblyInput) -> tuple[object, ...]:
    """Return all that a record says, targets aside."""
    return (
        built.subject.name,
        built.subject.version,
        _source(built),
        built.subject.hook,
        built.answer,
        _needed(built, assembly),
        _members(built.final),
        _members(built.declared),
    )


def _build(same: Sequence[Built], assembly: AssemblyInput, labels: tuple[str, ...]) -> LockedBuild:
    built = same[0]
    subject, answer = built.subject, built.answer
    system = subject.facts.build_system
    final, declared = _members(built.final), _members(built.declared)
    added = tuple(sorted({str(requirement) for requirement in subject.added}))
    return LockedBuild(
        name=subject.name,
        version=_recorded_version(subject),
        source=_source(built),
        hook="editable" if subject.hook == "editable" else None,
        sdist=_recorded_digest(subject, assembly),
        cargo_lock=f"sha256:{subject.facts.cargo_lock}" if subject.facts.cargo_lock else None,
        needed=_needed(built, assembly),
        targets=labels,
        backend=system.backend,
        backend_path=system.backend_path,
        requires=system.requires,
        requires_user=added,
        requires_from="user" if added and not system.requires else system.requires_from,
        requires_dynamic=answer.requires,
        conditional=answer.conditional,
        evidence=answer.evidence,
        observed_on=answer.observed_on or None,
        packages=final,
        declared_packages=declared if declared != final else None,
        ends="self-hosted" if system.backend_path and not final else None,
    )


def _source(built: Built) -> str | None:
    """Return where the source tree of a record is; None for an sdist of an index."""
    source = built.subject.source
    return "." if source is None else source_of(source) or None


def _recorded_version(subject: Subject) -> str | None:
    match subject.source:
        case Directory() | Vcs():
            return None
        case Archive(version=version):
            return version
        case _:
            return subject.version


def _recorded_digest(subject: Subject, assembly: AssemblyInput) -> str | None:
    match subject.source:
        case SourceDistribution() as sdist:
            return f"sha256:{assembly.shelf.digest(sdist)}"
        case Archive(file=file):
            return f"sha256:{file.sha256}"
        case _:
            return None


def _needed(built: Built, assembly: AssemblyInput) -> Needed:
    subject = built.subject
    if subject.source is None:
        return "project"
    if subject.sdist is None:
        return "direct"
    files = assembly.shelf.files(subject.sdist.name, subject.sdist.version)
    if not any(isinstance(file, Wheel) for file in files):
        return "always"
    if sdists_first(subject.sdist.name, assembly.selection):
        return "scope"
    if is_no_binary(subject.sdist.name, assembly.selection):
        return "forced"
    return "targets"


def _members(resolved: Resolved) -> tuple[EnvironmentMember, ...]:
    below: dict[NormalizedName, set[str]] = {}
    for edge in _inner(resolved.edges):
        below.setdefault(edge[0], set()).add(edge[1])
    return tuple(
        EnvironmentMember(name=pin.name, version=str(pin.version), dependencies=tuple(sorted(below.get(pin.name, ()))))
        for pin in resolved.pins
    )


def _inner(edges: Sequence[Edge]) -> list[tuple[NormalizedName, NormalizedName]]:
    return [(edge.parent, edge.child) for edge in edges if edge.parent is not None and edge.parent != edge.child]
