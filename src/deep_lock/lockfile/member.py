"""The part of a workspace's lock that belongs to one member, as a lock of this member alone."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace
from packaging.utils import canonicalize_name

from deep_lock.errors import UsageError
from deep_lock.lockfile.index import Key, LockIndex, index_lock, key_of, members, names_in, reference_to, referenced
from deep_lock.lockfile.selection import installed_packages, part_in_lock, selection_of
from deep_lock.models.conflicts import Choice, Conflict, choices, combined, conflicting_scopes
from deep_lock.models.lock import BUILD_MARKER, Lock, LockedDirectory, LockedInputs, LockedPackage, LockedReference
from deep_lock.models.workspace import Member, scope_of, scopes_of
from deep_lock.suggestions import choices_hint
from deep_lock.targets.markers import BASE, Scope, with_parts
from deep_lock.targets.open_markers import TargetPart
from deep_lock.targets.target import Target

Parts = Mapping[str, Mapping[Scope, TargetPart]]
"""By target label the scopes that install a package, each on a part of the target."""


def member_lock(lock: Lock, package: str, targets: Sequence[Target], source: str) -> Lock:
    """Return the lock of one member: its extras and groups have their own names, and others are not there.

    ``targets`` are all targets of the lock, ``source`` is its file name. Raises UsageError on a name that is no member.
    """
    name = canonicalize_name(package)
    member = next((own for own in lock.inputs.members if own.name == name), None)
    if member is None:
        known = [own.name for own in lock.inputs.members]
        raise UsageError(
            f"{source} has no member {package!r}",
            hint=choices_hint(package, known) if known else "it is the lock of one project, and of no workspace",
        )
    index = index_lock(lock)
    names = _names(lock, member)
    if not {*lock.dependency_groups, *lock.default_groups} & {scope.name for scope in names if scope.kind == "group"}:
        raise UsageError(
            f"{source}: member {name!r} is not locked: the lock is of some groups only",
            hint="run deep-lock lock without --only-group",
        )
    inputs = _inputs(lock.inputs, names)
    runtime = _runtime(index, targets, {own: scope for scope, own in names.items()}, inputs.conflicts)
    in_builds = _in_builds(index, runtime)
    kept = {key: entry for key, entry in index.entries.items() if key in runtime or key in in_builds}
    required = names_in(inputs)
    packages = tuple(
        replace(
            entry,
            marker=with_parts(runtime[key], tuple(targets)) if key in runtime else BUILD_MARKER,
            dependencies=_dependencies(entry, index, kept),
            build_only=key not in runtime,
            also_build=key in runtime and key in in_builds,
            direct=entry.direct and key in runtime and entry.name in required,
        )
        for key, entry in kept.items()
    )
    paths = {entry.source.path for entry in kept.values() if isinstance(entry.source, LockedDirectory)}
    return replace(
        lock,
        extras=tuple(own for own, _ in inputs.extras),
        dependency_groups=tuple(own for own, _ in inputs.dependency_groups),
        default_groups=(),
        inputs=replace(inputs, trees=tuple(tree for tree in inputs.trees if tree.path in paths)),
        packages=packages,
        builds=tuple(build for key in index.records for build in index.records[key] if key in kept),
    )


def _names(lock: Lock, member: Member) -> Mapping[Scope, Scope]:
    """Return what the member calls its scopes, without those that cannot be selected together with the member itself."""
    itself = scope_of(member, BASE)
    others = {scope for conflict in lock.inputs.conflicts if itself in conflict for scope in conflict} - {itself}
    return {scope: own for own, scope in scopes_of(member).items() if scope not in others}


def _inputs(old: LockedInputs, names: Mapping[Scope, Scope]) -> LockedInputs:
    lists = {Scope(kind="extra", name=name): texts for name, texts in old.extras}
    lists |= {Scope(kind="group", name=name): texts for name, texts in old.dependency_groups}
    own = {names[scope]: texts for scope, texts in lists.items() if scope in names}
    conflicts = (tuple(sorted(names[scope] for scope in conflict if scope in names)) for conflict in old.conflicts)
    return replace(
        old,
        requirements=own.get(BASE, ()),
        extras=tuple(sorted((scope.name, texts) for scope, texts in own.items() if scope.kind == "extra")),
        dependency_groups=tuple(sorted((scope.name, texts) for scope, texts in own.items() if scope.kind == "group")),
        conflicts=tuple(sorted({conflict for conflict in conflicts if len(conflict) > 1})),
        members=(),
    )


def _runtime(
    index: LockIndex, targets: Sequence[Target], scopes: Mapping[Scope, Scope], conflicts: Sequence[Conflict]
) -> Mapping[Key, Parts]:
    """Return the packages that the member installs with any selection, each with the scopes that install it.

    ``scopes`` are those of the member, by what it calls them.
    """
    every = choices(conflicts, scopes)
    free = [own for own in scopes if own not in conflicting_scopes(every)]
    found: dict[Key, dict[str, Mapping[Scope, TargetPart]]] = {}
    for target in targets:
        by_choice: dict[Key, dict[Choice, dict[Scope, TargetPart]]] = {}
        for choice in every:
            for own in free:
                selection = selection_of(scopes[scope] for scope in {BASE, own, *choice})
                for entry in installed_packages(index, target, selection):
                    part = part_in_lock(entry.marker, target, selection)
                    by_choice.setdefault(key_of(entry), {}).setdefault(choice, {})[own] = part
        for key, own_parts in by_choice.items():
            found.setdefault(key, {})[target.label] = combined(own_parts, every)
    return found


def _in_builds(index: LockIndex, runtime: Collection[Key]) -> frozenset[Key]:
    """Return the packages of the build environments that these packages need, to full depth."""
    waiting, found = list(runtime), set[Key]()
    while waiting:
        for build in index.records.get(waiting.pop(), ()):
            new = {key_of(each) for each in members(build)} - found
            found |= new
            waiting += new
    return frozenset(found)


def _dependencies(
    entry: LockedPackage, index: LockIndex, kept: Mapping[Key, LockedPackage]
) -> tuple[LockedReference, ...]:
    there = [own for reference in entry.dependencies for own in referenced(reference, index) if key_of(own) in kept]
    counts = Counter(own.name for own in kept.values())
    return tuple(reference_to(own, by_name=counts[own.name] == 1) for own in there)


def is_of_member(entry: LockedPackage, lock: Lock) -> bool:
    """Whether a package is a member of the workspace itself."""
    paths = {member.path for member in lock.inputs.members}
    return isinstance(entry.source, LockedDirectory) and entry.source.path in paths
