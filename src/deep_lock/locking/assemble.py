"""Writes a finished closure as the entries and build records of a lock.

Invariant: a file is listed only where some target uses it, and an sdist only where some target builds it; so an installer
that requires hashes cannot build anything whose build was not locked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.model import Built, Closure, OpenMarker, Subject, key_of_pin
from deep_lock.errors import Unsatisfiable
from deep_lock.lockfile.paths import seen_from
from deep_lock.models.build_system import Evidence, KnownMetadata
from deep_lock.models.conflicts import Choice, Implied, chosen_scopes, combined, conflicting_scopes
from deep_lock.models.direct_url import is_editable, path_of_url
from deep_lock.models.distribution import (
    Archive,
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
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import ALL, UNKNOWN_VERSION, Pin, Problem, RequirementScope, Resolved, Selection
from deep_lock.models.workspace import without_implied
from deep_lock.resolver.candidates import fitting_wheels, sdists_first, suffix_rank
from deep_lock.resolver.dependencies import BASE, Node, applicable, overridden, parts_below
from deep_lock.sanitize import show
from deep_lock.targets.markers import BASE as BASE_SCOPE
from deep_lock.targets.markers import Scope, with_parts
from deep_lock.targets.open_markers import (
    NEVER,
    TargetPart,
    admitted_micros,
    is_whole,
    part_for_python,
    part_where,
    whole,
    without,
)
from deep_lock.targets.target import Target, python_fits, same_pythons


class FileCatalog(Protocol):
    """The files of every release, and what is known of them. ``index`` of a method is as `index_of` returns it."""

    def files(self, name: NormalizedName, version: Version, target: Target, index: str) -> Sequence[Distribution]:
        """Return the files of a release that a target may take."""

    def every_file(self, name: NormalizedName, version: Version, index: str) -> Sequence[Distribution]:
        """Return the files that exist of a release."""

    def index_of(self, file: Installable) -> str:
        """Return the index of a file where releases of one version on two indexes are not the same; else ""."""

    def digest(self, file: Distribution) -> str:
        """Return the sha256 of a file: as its index states it, else of its bytes."""

    def stated_url(self, file: Distribution) -> str:
        """Return the URL that the lock states for a file."""

    def known_metadata(self, file: Installable) -> KnownMetadata | None:
        """Return the metadata of a file or a source tree; None where nothing is known."""


class AssemblyInput(Struct, frozen=True, kw_only=True):
    """All that the lock is written from. ``problems`` are the runtime problems, as in the plan."""

    closure: Closure
    problems: tuple[Problem, ...]
    parts: Mapping[Choice, Sequence[RequirementScope]]
    """What each part of the project requires, by choice between its conflicts."""
    files: FileCatalog
    selection: Selection
    folder: Path
    """The folder of the lock, absolute: paths of files are relative to it."""
    implied: Implied = field(default_factory=dict)
    """By extra of a member of the workspace the group of the member, which is selected with it."""
    members: frozenset[str] = frozenset()
    """The names of the members of the workspace: what they require is direct too."""
    every_file: bool = False
    """List every file of each release, for mirrors, and not only those that some target uses."""

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(dict.fromkeys(problem.target for problem in self.problems))

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The choices between the conflicts of the project."""
        return tuple(dict.fromkeys(problem.choice for problem in self.problems))

    @property
    def in_conflicts(self) -> Choice:
        """The scopes that are in conflicts."""
        return conflicting_scopes(self.choices)


# -- entries


_EntryKey = tuple[NormalizedName, Version, str, str]
"""Identifies an entry: name, version, source of a direct reference, and index. A source tree has UNKNOWN_VERSION.

The index is "" for a project whose index does not depend on conditions.
"""


class _Entry(Struct, kw_only=True):
    """All uses of one release, over all targets and environments."""

    pin: Pin
    """The first of its pins."""
    taken: dict[str, Installable] = field(default_factory=dict)
    """The file that each target takes, by label."""
    scopes: dict[str, dict[Choice, Mapping[Scope, TargetPart]]] = field(default_factory=dict)
    """By target label and choice, the scopes that bring it in at run time, each on a part of the target or all of it."""
    children: set[_EntryKey] = field(default_factory=set)
    direct: bool = False
    """Whether the project itself requires it, or a member of the workspace."""
    editable: bool = False
    """Whether any requirement says that the folder is installed as editable."""
    in_environment: bool = False
    """Whether a build environment has it."""
    recorded: bool = False
    """Whether it has a build record."""
    by_index: bool = False
    """Whether another index has an entry of the same name and version."""


def packages(assembly: AssemblyInput) -> tuple[LockedPackage, ...]:
    """Return every entry of the lock, sorted.

    Raises Unsatisfiable for a release of two indexes that is a part of a build: build records name no index.
    """
    entries = _entries(assembly)
    counts = Counter(name for name, _, _, _ in entries)
    versions = Counter(key[:3] for key in entries)
    for key, entry in entries.items():
        entry.by_index = versions[key[:3]] > 1
        if entry.by_index and (entry.in_environment or not all(map(is_wheel, entry.taken.values()))):
            raise _in_a_build(entry)
    references = {key: _reference(entry, by_name=counts[key[0]] == 1) for key, entry in entries.items()}
    return tuple(
        _package(entries[key], tuple(references[child] for child in sorted(entries[key].children)), assembly)
        for key in sorted(entries)
    )


def _in_a_build(entry: _Entry) -> Unsatisfiable:
    name, version = entry.pin.name, entry.pin.version
    return Unsatisfiable(
        f"{name} {version} comes from different indexes, and is a part of a build: build records name no index",
        hint=f"require versions of {name} that differ, or assign one index in [tool.deep-lock.sources]: {name}",
    )


def _entries(assembly: AssemblyInput) -> dict[_EntryKey, _Entry]:
    entries: dict[_EntryKey, _Entry] = {}
    for (target, resolved), problem in zip(assembly.closure.runtime, assembly.problems, strict=True):
        keys = _add_pins(entries, resolved, target, assembly.files)
        scopes = scopes_by_pin(_parts_with(problem.choice, assembly), problem, resolved)
        for name, key in keys.items():
            own = without_implied(scopes[name], assembly.implied)
            entries[key].scopes.setdefault(target.label, {})[problem.choice] = own
        for edge in resolved.edges:
            entry = entries[keys[edge.child]]
            entry.direct = entry.direct or edge.parent is None or edge.parent in assembly.members
            entry.editable = entry.editable or is_editable(edge.requirement.url)
    for built in assembly.closure.builds:
        for resolved in (built.final, built.declared):
            for key in _add_pins(entries, resolved, built.target, assembly.files).values():
                entries[key].in_environment = True
    recorded = {built.subject.key for built in assembly.closure.builds}
    for entry in entries.values():
        entry.recorded = key_of_pin(entry.pin) in recorded
    return entries


def _parts_with(choice: Choice, assembly: AssemblyInput) -> tuple[RequirementScope, ...]:
    """Return the parts of the project with a choice between its conflicts: what is chosen is a part of the base."""
    parts = assembly.parts[choice]
    if not assembly.in_conflicts:
        return tuple(parts)
    base = tuple(requirement for scope, own in parts if scope == BASE_SCOPE or scope in choice for requirement in own)
    chosen = chosen_scopes([scope for scope, _ in parts], choice, assembly.choices, assembly.implied)
    others = (part for part in parts if part[0] != BASE_SCOPE and part[0] in chosen and part[0] not in choice)
    return ((BASE_SCOPE, base), *others)


def _add_pins(
    entries: dict[_EntryKey, _Entry], resolved: Resolved, target: Target, files: FileCatalog
) -> dict[NormalizedName, _EntryKey]:
    """Add each pin's file and dependencies to its entry; returns the keys of the entries by name."""
    keys = {pin.name: _entry_key(pin, files) for pin in resolved.pins}
    for pin in resolved.pins:
        entry = entries.setdefault(keys[pin.name], _Entry(pin=pin))
        entry.taken[target.label] = pin.distribution
    for parent, child in _dependencies(resolved):
        entries[keys[parent]].children.add(keys[child])
    return keys


def _entry_key(pin: Pin, files: FileCatalog) -> _EntryKey:
    version = pin.version if _stated_version(pin) is not None else UNKNOWN_VERSION
    return pin.name, version, source_of(pin.distribution), files.index_of(pin.distribution)


def _stated_version(pin: Pin) -> str | None:
    """Return the version of an entry: None for a source tree, whose version may change (PEP 751)."""
    match pin.distribution:
        case Directory() | Vcs() | Archive(version=None):
            return None
        case _:
            return str(pin.version)


def _reference(entry: _Entry, *, by_name: bool) -> LockedReference:
    """Return the reference to an entry: ``by_name`` where no other entry has its name."""
    pin, file = entry.pin, entry.pin.distribution
    if by_name:
        return LockedReference(name=pin.name)
    if isinstance(file, Wheel | SourceDistribution):
        return LockedReference(
            name=pin.name, version=_stated_version(pin), index=_index_of((file,)) if entry.by_index else None
        )
    return LockedReference(name=pin.name, version=_stated_version(pin), source=_locked_source(file))


def _package(entry: _Entry, references: tuple[LockedReference, ...], assembly: AssemblyInput) -> LockedPackage:
    file = entry.pin.distribution
    if isinstance(file, Wheel | SourceDistribution):
        return _release(entry, references, assembly)
    return _direct_reference(entry, file, references, assembly)


def _direct_reference(
    entry: _Entry, file: Direct, references: tuple[LockedReference, ...], assembly: AssemblyInput
) -> LockedPackage:
    source = built_from(file)
    return LockedPackage(
        name=entry.pin.name,
        version=_stated_version(entry.pin),
        marker=_marker(entry, assembly),
        requires_python=None if isinstance(file, Directory) else _requires_python(entry, assembly),
        dependencies=references,
        source=_locked_source(replace(file, editable=entry.editable) if isinstance(file, Directory) else file),
        direct=entry.direct,
        build=f"{entry.pin.name} @ {source_of(file)}" if entry.recorded else None,
        metadata=_evidence(source, assembly),
        no_source=source is None and _is_allowed_wheel(entry, assembly.selection),
    )


def _locked_source(file: Direct) -> LockedSource:
    subdirectory = file.subdirectory or None
    match file:
        case Directory():
            return LockedDirectory(path=file.path, editable=file.editable, subdirectory=subdirectory)
        case Vcs():
            return LockedVcs(
                url=file.url,
                path=file.path,
                requested_revision=file.requested_revision,
                commit_id=file.commit_id,
                subdirectory=subdirectory,
            )
        case Archive():
            return LockedArchive(
                url=None if file.is_path else file.place,
                path=file.place if file.is_path else None,
                size=file.file.size,
                sha256=file.file.sha256 or "",
                subdirectory=subdirectory,
            )


def _release(entry: _Entry, references: tuple[LockedReference, ...], assembly: AssemblyInput) -> LockedPackage:
    """Return the entry of a release of an index."""
    name, version, selection = entry.pin.name, entry.pin.version, assembly.selection
    files = assembly.files.every_file(name, version, assembly.files.index_of(entry.pin.distribution))
    all_wheels = [file for file in files if isinstance(file, Wheel)]
    taken = {label: file for label, file in entry.taken.items() if isinstance(file, Wheel | SourceDistribution)}
    first = next(iter(taken.values()))
    built_on = {label: file for label, file in taken.items() if isinstance(file, SourceDistribution)}
    sdist = next(iter(built_on.values()), None)
    listed_sdist = sdist or (_best_sdist(files) if assembly.every_file else None)
    wheels = all_wheels if assembly.every_file else _used_wheels(taken, assembly)
    listed = (*wheels, *((listed_sdist,) if listed_sdist is not None else ()))
    by_choice = _is_no_binary(name, selection) or sdists_first(name, selection)
    at_runtime = bool(entry.scopes)
    has_wheels = bool(all_wheels or len(built_on) < len(taken))
    known = assembly.files.known_metadata(first)
    return LockedPackage(
        name=name,
        version=str(version),
        marker=_marker(entry, assembly) if at_runtime else BUILD_MARKER,
        requires_python=_requires_python(entry, assembly),
        dependencies=references,
        index=_index_of((first, *listed)),
        sdist=_locked_file(listed_sdist, assembly) if listed_sdist is not None else None,
        wheels=tuple(_locked_file(wheel, assembly) for wheel in wheels),
        by_index=entry.by_index,
        build_only=not at_runtime,
        also_build=at_runtime and entry.in_environment,
        sdist_only=sdist is not None and not has_wheels,
        build_on=tuple(sorted(built_on)) if has_wheels and not by_choice else (),
        direct=entry.direct,
        build=f"{name}=={version}" if entry.recorded else None,
        metadata=_evidence(sdist, assembly),
        license=None if known is None else known.metadata.license,
        license_classifiers=() if known is None else known.metadata.license_classifiers,
        yanked=next((show(file.yanked) for file in taken.values() if file.yanked is not None), None),
        hash_origin="computed" if any(file.sha256 is None for file in listed) else None,
        no_source=_is_allowed_wheel(entry, selection),
    )


def _requires_python(entry: _Entry, assembly: AssemblyInput) -> str | None:
    """Return the first Requires-Python of the files that allows every target which takes the package.

    The files of a release may differ in it.
    """
    targets = [target for target in assembly.targets if target.label in entry.taken]
    texts = (_file_python(file, assembly) for file in dict.fromkeys(entry.taken.values()))
    return next((text for text in texts if text is not None and all(python_fits(text, own) for own in targets)), None)


def _file_python(file: Installable, assembly: AssemblyInput) -> str | None:
    """Return the Requires-Python of the index; that of the metadata where the index states another one, or none."""
    known = assembly.files.known_metadata(file)
    inside = known.metadata.requires_python if known is not None else None
    listed = file.requires_python if isinstance(file, Wheel | SourceDistribution) else None
    return listed if inside is None or same_pythons(inside, listed) else inside


def _evidence(source: Installable | None, assembly: AssemblyInput) -> Evidence | None:
    known = assembly.files.known_metadata(source) if source is not None else None
    return None if known is None else known.evidence


def _is_no_binary(name: str, selection: Selection) -> bool:
    """Whether the user chose sdists for the project."""
    return name in selection.no_binary or ALL in selection.no_binary


def _is_allowed_wheel(entry: _Entry, selection: Selection) -> bool:
    """Whether it is a wheel that the build scope "all" makes an exception for."""
    return (
        selection.build_scope == "all"
        and entry.pin.name in selection.allow_wheel
        and all(map(is_wheel, entry.taken.values()))
    )


def _used_wheels(taken: Mapping[str, Distribution], assembly: AssemblyInput) -> list[Wheel]:
    """Return the wheels that fit a target which uses the release, in file name order."""
    found: dict[str, Wheel] = {}
    for target in assembly.targets:
        own = taken.get(target.label)
        if own is not None:
            files = assembly.files.files(own.name, own.version, target, assembly.files.index_of(own))
            for wheel in fitting_wheels(files, target, assembly.selection, yanked_ok=own.yanked is not None):
                found[wheel.filename] = wheel
    return [found[filename] for filename in sorted(found)]


def _best_sdist(files: Sequence[Distribution]) -> SourceDistribution | None:
    sdists = [file for file in files if isinstance(file, SourceDistribution)]
    return min(sdists, key=lambda file: suffix_rank(file.filename), default=None)


def _index_of(files: Sequence[Distribution]) -> str | None:
    """Return the index of the first file that has one. A folder is no index: the files' paths state it."""
    return next((file.index for file in files if path_of_url(file.url) is None), None)


def _locked_file(file: Distribution, assembly: AssemblyInput) -> LockedFile:
    path = path_of_url(file.url)
    return LockedFile(
        name=file.filename,
        url=assembly.files.stated_url(file) if path is None else None,
        path=None if path is None else seen_from(assembly.folder, path),
        sha256=assembly.files.digest(file),
        upload_time=file.upload_time,
        size=file.size,
    )


def _marker(entry: _Entry, assembly: AssemblyInput) -> str | None:
    return with_parts(
        {label: combined(own, assembly.choices, assembly.implied) for label, own in entry.scopes.items()},
        assembly.targets,
    )


def lockable_parts(targets: tuple[Target, ...], open_markers: Sequence[OpenMarker]) -> dict[str, TargetPart]:
    """Return the part of each target, by label, that the lock is for, where it is not for all of it."""
    by_label = {target.label: target for target in targets}
    parts: dict[str, TargetPart] = {}
    for own in open_markers:
        if not own.locked:
            target = by_label[own.target.label]
            part = own.part if own.applies else without(own.part, target)
            parts[target.label] = parts.get(target.label, whole(target)) & part
    return parts


def pythons_left_out(
    entries: Sequence[LockedPackage], assembly: AssemblyInput
) -> list[tuple[str, str, Target, TargetPart]]:
    """Return the releases whose Requires-Python excludes micro versions of a target on which they are installed.

    The values are the release, its Requires-Python, the target, and the part of it that is left.
    """
    texts = {entry.requires_python for entry in entries}
    pythons = {(target.environment["python_version"], target.micros) for target in assembly.targets}
    if not any(text and micros & ~admitted_micros(text, minor) for text in texts for minor, micros in pythons):
        return []
    found: list[tuple[str, str, Target, TargetPart]] = []
    for entry in _entries(assembly).values():
        text = _requires_python(entry, assembly) or ""
        for target in assembly.targets:
            if target.label in entry.taken:
                by_choice = entry.scopes.get(target.label)
                parts = (part for scopes in (by_choice or {}).values() for part in scopes.values())
                used = whole(target) if by_choice is None else reduce(or_, parts, NEVER)
                left = without(used, target) | part_for_python(text, target)
                if not is_whole(left, target):
                    found.append((f"{entry.pin.name} {entry.pin.version}", text, target, left))
    return found


# -- scopes


def scopes_by_pin(
    parts: Sequence[RequirementScope], problem: Problem, resolved: Resolved
) -> dict[NormalizedName, dict[Scope, TargetPart]]:
    """Return, for each pinned name, the scopes that bring it in, in the order given, and on which part of the target."""
    below: dict[Node, list[Requirement]] = {}
    target = problem.target
    for edge in resolved.edges:
        if edge.parent is not None:
            below.setdefault((edge.parent, edge.parent_extra or BASE), []).append(edge.requirement)
    found: dict[NormalizedName, dict[Scope, TargetPart]] = {}
    for scope, requirements in parts:
        is_imported = problem.fixed_pins is not None
        own = applicable(requirements, target, apply_open=problem.apply_open or is_imported)
        if is_imported:  # an imported lock names every pin of each scope
            names = {requirement.name: part_where(requirement.marker, target) for requirement in own}
        else:
            names = _names_below(overridden(own, problem), below, problem)
        for name, part in names.items():
            found.setdefault(name, {})[scope] = part
    return found


def _names_below(
    requirements: Sequence[Requirement], below: Mapping[Node, Sequence[Requirement]], problem: Problem
) -> dict[NormalizedName, TargetPart]:
    """Return the names that requirements bring in, at any depth, and on which part of the target each."""
    found: dict[NormalizedName, TargetPart] = {}
    for (name, _), part in parts_below(requirements, below, problem).items():
        found[name] = found.get(name, NEVER) | part
    return found


# -- build records


def builds(assembly: AssemblyInput) -> tuple[LockedBuild, ...]:
    """Return the build records; targets with the same record share it."""
    alike: dict[tuple[object, ...], list[Built]] = {}
    for built in assembly.closure.builds:
        alike.setdefault(_content(built, assembly), []).append(built)
    everywhere = len(assembly.targets)
    return tuple(
        _build(
            same[0],
            () if len(same) == everywhere else tuple(sorted(built.target.label for built in same)),
            assembly,
        )
        for same in alike.values()
    )


def _content(built: Built, assembly: AssemblyInput) -> tuple[object, ...]:
    """Return all that differs between records, targets aside."""
    return (
        built.subject.name,
        built.subject.version,
        _record_source(built.subject),
        built.subject.hook,
        built.answer,
        _needed(built.subject, assembly),
        _members(built.final),
        _members(built.declared),
    )


def _build(built: Built, labels: tuple[str, ...], assembly: AssemblyInput) -> LockedBuild:
    subject, answer = built.subject, built.answer
    system = subject.facts.build_system
    final, declared = _members(built.final), _members(built.declared)
    added = tuple(sorted({str(requirement) for requirement in subject.added}))
    return LockedBuild(
        name=subject.name,
        version=_record_version(subject),
        source=_record_source(subject),
        hook="editable" if subject.hook == "editable" else None,
        sdist=_record_digest(subject, assembly),
        cargo_lock=f"sha256:{subject.facts.cargo_lock}" if subject.facts.cargo_lock else None,
        needed=_needed(subject, assembly),
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


def _record_source(subject: Subject) -> str | None:
    """Return the location of the source tree; None for an sdist of an index."""
    return "." if subject.source is None else source_of(subject.source) or None


def _record_version(subject: Subject) -> str | None:
    match subject.source:
        case Directory() | Vcs():
            return None
        case Archive(version=version):
            return version
        case _:
            return subject.version


def _record_digest(subject: Subject, assembly: AssemblyInput) -> str | None:
    match subject.source:
        case SourceDistribution() as sdist:
            return f"sha256:{assembly.files.digest(sdist)}"
        case Archive(file=file):
            return f"sha256:{file.sha256}"
        case _:
            return None


def _needed(subject: Subject, assembly: AssemblyInput) -> Needed:
    if subject.source is None:
        return "project"
    sdist = subject.sdist
    if sdist is None:
        return "direct"
    files = assembly.files.every_file(sdist.name, sdist.version, assembly.files.index_of(sdist))
    if not any(isinstance(file, Wheel) for file in files):
        return "always"
    if sdists_first(sdist.name, assembly.selection):
        return "scope"
    return "forced" if _is_no_binary(sdist.name, assembly.selection) else "targets"


def _members(resolved: Resolved) -> tuple[EnvironmentMember, ...]:
    below: dict[NormalizedName, set[str]] = {}
    for parent, child in _dependencies(resolved):
        below.setdefault(parent, set()).add(child)
    return tuple(
        EnvironmentMember(name=pin.name, version=str(pin.version), dependencies=tuple(sorted(below.get(pin.name, ()))))
        for pin in resolved.pins
    )


def _dependencies(resolved: Resolved) -> list[tuple[NormalizedName, NormalizedName]]:
    """Return (parent, child) of every edge between two pins."""
    return [
        (edge.parent, edge.child) for edge in resolved.edges if edge.parent is not None and edge.parent != edge.child
    ]
