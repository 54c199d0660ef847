"""What a lock installs on a target, with a selection of extras and groups (PEP 751)."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from packaging.markers import InvalidMarker
from packaging.utils import canonicalize_name

from deep_lock.errors import NotLocked, UsageError
from deep_lock.lazy import graphlib
from deep_lock.lockfile.index import (
    Key,
    LockIndex,
    archive_file,
    builds_on,
    called,
    covers,
    index_lock,
    is_gate,
    key_of,
    members,
    needs_record,
    record_key,
    referenced,
    wheels_of,
)
from deep_lock.models.build_system import ConfigSettings
from deep_lock.models.conflicts import Conflict, broken_conflict, choices, chosen_scopes, conflicting_scopes
from deep_lock.models.lock import (
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedPackage,
    LockedVcs,
)
from deep_lock.models.requirement import Requirement
from deep_lock.models.workspace import implied_scopes, scope_text
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.suggestions import choices_hint
from deep_lock.targets.markers import Scope
from deep_lock.targets.open_markers import TargetPart, part_where_in_lock
from deep_lock.targets.target import Target, UnevaluableMarker, holds, rank

LOCK_AGAIN = "run deep-lock lock"


class InstallSelection(Struct, frozen=True, kw_only=True):
    """What a user selects at installation (PEP 751)."""

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    project: bool = True
    """Whether the project's own dependencies are installed; False is what ``--only-group`` selects."""

    @property
    def scopes(self) -> frozenset[Scope]:
        """The selected extras and groups."""
        extras = (Scope(kind="extra", name=name) for name in self.extras)
        return frozenset((*extras, *(Scope(kind="group", name=name) for name in self.groups)))


def every_name(lock: Lock) -> InstallSelection:
    """Return every extra and every group. They can be selected together only where the lock has no conflicts."""
    return InstallSelection(
        extras=frozenset(lock.extras), groups=frozenset((*lock.dependency_groups, *lock.default_groups))
    )


def full_selections(lock: Lock) -> tuple[InstallSelection, ...]:
    """Return the largest selections: one for each choice between conflicts, without conflicts that of everything."""
    every = every_name(lock)
    implied = implied_scopes(lock.inputs.members)
    allowed = choices(lock.inputs.conflicts, every.scopes, implied)
    return tuple(selection_of(chosen_scopes(every.scopes, choice, allowed, implied)) for choice in allowed)


def selection_of(scopes: Iterable[Scope]) -> InstallSelection:
    """Return the selection of these extras and groups."""
    names: dict[str, set[str]] = {"extra": set(), "group": set()}
    for scope in scopes:
        names[scope.kind].add(scope.name)
    return InstallSelection(extras=frozenset(names["extra"]), groups=frozenset(names["group"]))


def installed_ever(lock: Lock, marker: str | None, target: Target) -> bool:
    """Whether any allowed selection installs a package with this marker on a target."""
    return any(holds_in_lock(marker, target, selection) for selection in full_selections(lock))


def ever_installed(index: LockIndex, target: Target) -> list[LockedPackage]:
    """Return the packages that any allowed selection installs on a target, in the lock's order."""
    found = {
        key_of(entry)
        for selection in full_selections(index.lock)
        for entry in installed_packages(index, target, selection)
    }
    return [entry for entry in index.lock.packages if key_of(entry) in found]


def selections(
    lock: Lock, source: str, *, extras: frozenset[str] | None, groups: frozenset[str] | None, project: bool = True
) -> tuple[InstallSelection, ...]:
    """Return the largest selections with these extras and groups; None is as many as go together.

    There is one, if nothing that is left open is in a conflict. ``source`` is the file name of the lock. ``project``: in
    the lock of a workspace, the groups that are selected by default are selected too, as the project's own dependencies.

    Raises UsageError on a name that the lock does not have, and on names of which the lock allows only one at once.
    """
    every = every_name(lock)
    wanted = InstallSelection(
        extras=_known("extra", extras, every.extras, source), groups=_known("group", groups, every.groups, source)
    ).scopes
    named = frozenset(scope for scope in wanted if (extras if scope.kind == "extra" else groups) is not None)
    implied = implied_scopes(lock.inputs.members)
    named |= {implied[scope] for scope in named if scope in implied}
    if project and lock.inputs.members and groups is not None:
        named |= {Scope(kind="group", name=name) for name in lock.default_groups}
    wanted |= named | {implied[scope] for scope in wanted if scope in implied}
    both = broken_conflict(lock.inputs.conflicts, named)
    if both is not None:
        raise _not_together(source, both)
    allowed = choices(lock.inputs.conflicts, wanted, implied)
    needed = named & conflicting_scopes(allowed)
    chosen = [chosen_scopes(wanted, choice, allowed, implied) for choice in allowed if needed <= choice]
    return tuple(map(selection_of, chosen))


def select(
    index: LockIndex,
    source: str,
    *,
    extras: frozenset[str] | None,
    groups: frozenset[str] | None,
    project: bool = True,
) -> InstallSelection:
    """Return the selection of these extras and groups; None is all of them. ``source`` is the file name of the lock.

    Raises UsageError as `selections`, and where all of them cannot be selected together.
    """
    found = selections(index.lock, source, extras=extras, groups=groups, project=project)
    if len(found) > 1:
        together = frozenset[Scope]().union(*(own.scopes for own in found))
        raise _not_together(source, broken_conflict(index.lock.inputs.conflicts, together) or ())
    return found[0]


def _not_together(source: str, conflict: Conflict) -> UsageError:
    return UsageError(
        f"{source}: {' and '.join(map(scope_text, conflict))} cannot be selected together: they are in conflict",
        hint=f"select one of them: {' or '.join(f'--{scope.kind} {scope.name}' for scope in conflict)}",
    )


def _known(kind: str, selected: frozenset[str] | None, known: frozenset[str], source: str) -> frozenset[str]:
    names = known if selected is None else frozenset(canonicalize_name(name) for name in selected)
    for name in sorted(names - known):
        raise UsageError(f"{source} has no {kind} {name!r}", hint=choices_hint(name, sorted(known)))
    return names


def holds_in_lock(marker: str | None, target: Target, selection: InstallSelection | None = None) -> bool:
    """Whether a marker of the lock holds on any part of the target; one that cannot be evaluated does not."""
    if marker is None:
        return True
    try:
        return not part_in_lock(marker, target, selection or InstallSelection()).is_never
    except (InvalidMarker, ValueError, RecursionError, *UnevaluableMarker):
        return False


def part_in_lock(marker: str | None, target: Target, selection: InstallSelection) -> TargetPart:
    """Return the part of the target on which a marker of the lock holds. Raises InvalidMarker and UnevaluableMarker."""
    return part_where_in_lock(marker, target, selection.extras, selection.groups)


def installed_packages(index: LockIndex, target: Target, selection: InstallSelection) -> list[LockedPackage]:
    """Return the packages that are installed at run time on a target with this selection."""
    truth: dict[str | None, bool] = {}
    for entry in index.lock.packages:
        if entry.marker not in truth:
            truth[entry.marker] = not is_gate(entry.marker) and holds_in_lock(entry.marker, target, selection)
    found = [entry for entry in index.lock.packages if truth[entry.marker]]
    return found if selection.project else _needed_by_groups(index, target, selection, found)


def _needed_by_groups(
    index: LockIndex, target: Target, selection: InstallSelection, installed: list[LockedPackage]
) -> list[LockedPackage]:
    """Return those of the installed packages that the groups alone need, in the lock's order.

    A lock does not say which dependencies of a package come with an extra of it: all of them count.
    """
    there = {key_of(entry): entry for entry in installed}
    texts = (text for name, own in index.lock.inputs.dependency_groups if name in selection.groups for text in own)
    required = {own.name for own in map(parse_requirement, texts) if _applies(own, target)}
    found: set[Key] = set()
    waiting = [key for key, entry in there.items() if entry.name in required]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            references = there[key].dependencies
            waiting += [own for each in references for own in map(key_of, referenced(each, index)) if own in there]
    return [entry for key, entry in there.items() if key in found]


def _applies(requirement: Requirement, target: Target) -> bool:
    try:
        return holds(requirement.marker, target)
    except UnevaluableMarker:
        return False


def tags_of(wheel: str) -> str:
    """Return the compressed tag set of a wheel's file name."""
    return "-".join(wheel.removesuffix(".whl").split("-")[-3:])


def fits(wheel: LockedFile, target: Target) -> bool:
    """Whether a wheel can be installed on a target."""
    return rank(tags_of(wheel.name), target) is not None


def best_wheel(wheels: Iterable[LockedFile], target: Target) -> LockedFile | None:
    """Return the wheel that an installer takes on the target: the lowest rank, by name among equals. None: none fits."""
    ranked = [
        (place, wheel.name, wheel) for wheel in wheels if (place := rank(tags_of(wheel.name), target)) is not None
    ]
    return min(ranked, key=lambda item: item[:2])[2] if ranked else None


def is_built(index: LockIndex, entry: LockedPackage, target: Target) -> bool:
    """Whether a build record of the package applies to the target."""
    return any(builds_on(index, entry, target.label))


def missing_file(index: LockIndex, entry: LockedPackage, target: Target) -> str:
    """Return a sentence if the target has neither a wheel of the package nor a record of its build; else ""."""
    if any(fits(wheel, target) for wheel in wheels_of(entry)):
        return ""
    if not needs_record(entry):
        return f"{called(entry)} has no file that fits {target.label}"
    if is_built(index, entry, target):
        return ""
    return f"{called(entry)} must be built on {target.label}, but has no build record for it"


def taken_files(index: LockIndex, entry: LockedPackage, target: Target) -> Iterator[LockedFile]:
    """Yield the wheels that fit the target, and the sdist where it is built or no wheel fits."""
    fitting = [wheel for wheel in entry.wheels if fits(wheel, target)]
    yield from fitting
    if entry.sdist is not None and (not fitting or is_built(index, entry, target)):
        yield entry.sdist


def every_file(lock: Lock) -> tuple[LockedFile, ...]:
    """Return each file that the lock names, in the lock's order."""
    return tuple(file for entry in lock.packages for file in (*_sources(entry), *entry.wheels))


def source_trees(lock: Lock) -> tuple[LockedPackage, ...]:
    """Return the packages that are no files: folders and commits."""
    return tuple(entry for entry in lock.packages if isinstance(entry.source, LockedDirectory | LockedVcs))


def picked_files(
    lock: Lock, targets: Iterable[Target], selection: InstallSelection, *, runtime: bool, build: bool
) -> tuple[LockedFile, ...]:
    """Return the files that these targets use with a selection, in the lock's order.

    ``runtime``: of what is installed. ``build``: of the members of the build environments that this needs. An sdist that is
    built on a target belongs to both.
    """
    index = index_lock(lock)
    found: set[str] = set()
    for target in targets:
        installed = installed_packages(index, target, selection)
        used = list(installed) if runtime else []
        if build:
            for record in _builds_of(index, target, selection, installed):
                used += [index.entries[key] for key in map(key_of, members(record)) if key in index.entries]
                built = index.entries.get(record_key(record))
                found.update(file.sha256 for file in (_sources(built) if built is not None else ()))
        for entry in used:
            archive = archive_file(entry)
            found.update(file.sha256 for file in taken_files(index, entry, target))
            found.update((archive.sha256,) if archive is not None else ())
    return tuple(file for file in every_file(lock) if file.sha256 in found)


def _builds_of(
    index: LockIndex, target: Target, selection: InstallSelection, installed: Iterable[LockedPackage]
) -> list[LockedBuild]:
    """Return the records of all builds that these packages, and the project where it is selected, need, to full depth."""
    own = [build for build in index.lock.builds if build.needed == "project" and covers(build, target.label)]
    found = own if selection.project else []
    keys = deque((*map(key_of, installed), *(key_of(each) for build in found for each in members(build))))
    seen: set[Key] = set()
    while keys:
        key = keys.popleft()
        if key in seen:
            continue
        seen.add(key)
        for build in index.records.get(key, ()):
            if covers(build, target.label):
                found.append(build)
                keys.extend(map(key_of, members(build)))
    return found


def _sources(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the file that a package is built from, or the archive that is its direct source."""
    file = entry.sdist if entry.source is None else archive_file(entry)
    return () if file is None else (file,)


class WheelArtifact(Struct, frozen=True, kw_only=True):
    """A package that is installed from a wheel of the lock."""

    entry: LockedPackage
    version: str
    wheel: LockedFile

    @property
    def key(self) -> Key:
        return key_of(self.entry)


class BuiltArtifact(Struct, frozen=True, kw_only=True):
    """A package that is built, and its build record."""

    entry: LockedPackage
    version: str
    sdist: LockedFile
    subdirectory: str = ""
    """Of the archive: what is built."""
    build: LockedBuild
    config_settings: ConfigSettings = ()
    """For its backend, in every call of a hook."""

    @property
    def key(self) -> Key:
        return key_of(self.entry)

    @property
    def called(self) -> str:
        return called(self.entry)

    @property
    def needed(self) -> tuple[Key, ...]:
        """The packages of its build environment."""
        return tuple(key_of(member) for member in self.build.packages)


Artifact = WheelArtifact | BuiltArtifact


class InstallPlan(Struct, frozen=True, kw_only=True):
    """All packages that a target uses, at run time and in every build that this needs."""

    ordered: Mapping[Key, Artifact]
    """Each package after those that its build needs."""
    runtime: frozenset[Key]

    @property
    def published(self) -> tuple[WheelArtifact, ...]:
        return tuple(artifact for artifact in self.ordered.values() if isinstance(artifact, WheelArtifact))

    @property
    def sourced(self) -> tuple[BuiltArtifact, ...]:
        return tuple(artifact for artifact in self.ordered.values() if isinstance(artifact, BuiltArtifact))

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of the runtime packages, by name."""
        return self.named(self.runtime)

    def named(self, keys: Iterable[Key]) -> dict[str, str]:
        """Return the versions of packages, by name."""
        return {self.ordered[key].entry.name: self.ordered[key].version for key in keys}


def take(lock: Lock, target: Target, selection: InstallSelection, *, left_out: Collection[str] = ()) -> InstallPlan:
    """Plan the installation of a selection on a target. The project's own build is not part of it.

    ``left_out`` are the paths of folders that are not part of it either: members of a workspace.

    Raises NotLocked where the lock lacks a file or a build record, or builds need each other.
    """
    index = index_lock(lock)
    installed = installed_packages(index, target, selection)
    return plan_of(index, target, [key_of(entry) for entry in installed if not _is_in(entry, left_out)])


def plan_of(index: LockIndex, target: Target, runtime: Collection[Key]) -> InstallPlan:
    """Plan the installation of these packages on a target. Raises NotLocked as `take`."""
    found: dict[Key, Artifact] = {}
    waiting = list(runtime)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = _artifact(index, key, target)
            waiting += _needed(found[key])
    graph = {key: sorted(_needed(found[key])) for key in sorted(found)}
    try:
        order = tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        names = " -> ".join(called(found[key].entry) for key in reversed(error.args[1]))
        raise NotLocked(f"these builds need each other: {names}", hint=LOCK_AGAIN) from None
    return InstallPlan(ordered={key: found[key] for key in order}, runtime=frozenset(runtime))


def _is_in(entry: LockedPackage, folders: Collection[str]) -> bool:
    return isinstance(entry.source, LockedDirectory) and entry.source.path in folders


def _needed(artifact: Artifact) -> tuple[Key, ...]:
    return artifact.needed if isinstance(artifact, BuiltArtifact) else ()


def _artifact(index: LockIndex, key: Key, target: Target) -> Artifact:
    entry = index.entries.get(key)
    if entry is None:
        raise NotLocked(f"a build uses {key[0]} {key[1]}, which is not in the lock", hint=LOCK_AGAIN)
    if isinstance(entry.source, LockedDirectory | LockedVcs):
        raise NotLocked(
            f"{called(entry)} is a source tree: the lock has no sha256 of its content",
            hint="a wheelhouse contains wheels of versions and of archives only; build a source tree with pip, in its own folder",
        )
    if entry.version is None:
        raise NotLocked(
            f"{called(entry)}: the lock does not state its version",
            hint="name an archive whose file name or metadata has the version",
        )
    build = next(builds_on(index, entry, target.label), None)
    if build is not None:
        return _built(index, entry, entry.version, build)
    wheel = best_wheel(wheels_of(entry), target)
    if wheel is not None:
        return WheelArtifact(entry=entry, version=entry.version, wheel=wheel)
    unlocked = needs_record(entry) and not index.locks_builds
    hint = "lock builds too: deep-lock lock --build-scope needed" if unlocked else LOCK_AGAIN
    raise NotLocked(missing_file(index, entry, target), hint=hint)


def _built(index: LockIndex, entry: LockedPackage, version: str, build: LockedBuild) -> BuiltArtifact:
    sdist = entry.sdist if entry.source is None else archive_file(entry)
    if sdist is None:
        raise NotLocked(f"the build record of {called(entry)} has no sdist in the lock", hint=LOCK_AGAIN)
    if build.sdist != f"sha256:{sdist.sha256}":
        raise NotLocked(f"the build record of {called(entry)} is of another sdist than the locked one", hint=LOCK_AGAIN)
    subdirectory = entry.source.subdirectory if isinstance(entry.source, LockedArchive) else None
    return BuiltArtifact(
        entry=entry,
        version=version,
        sdist=sdist,
        subdirectory=subdirectory or "",
        build=build,
        config_settings=dict(index.lock.inputs.config_settings).get(entry.name, ()),
    )
