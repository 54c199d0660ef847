"""A three-way merge of locks.

What only one side changed is taken from it; what both changed alike is taken once. What both changed in another way is merged
part by part: lists of requirements by project, members of a workspace and folders by name, and the extras and groups that
install a package. A project that both changed in another way still is taken from the side with the newer version and is named:
it has to be resolved again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import InvalidMarker

from deep_lock.analysis.versions import newest
from deep_lock.errors import DeepLockError
from deep_lock.lockfile.index import (
    is_gate,
    key_of,
    names_in,
    names_of_members,
    parsed,
)
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.selection import every_name, part_in_lock, selection_of
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import BUILD_MARKER, Lock, LockedInputs, LockedPackage, LockedTree
from deep_lock.models.workspace import Member, implied_scopes, scope_text, without_implied
from deep_lock.targets.markers import BASE, Scope, with_parts
from deep_lock.targets.open_markers import TargetPart
from deep_lock.targets.target import Target, UnevaluableMarker


class Merged(Struct, frozen=True, kw_only=True):
    """A merge, and its conflicts."""

    lock: Lock
    both: tuple[str, ...] = ()
    """Projects of which both sides changed a package or a build, each in another way."""
    settings: tuple[str, ...] = ()
    """What else both sides changed: inputs, options, targets. Our side is taken."""


def merge(base: Lock, ours: Lock, theirs: Lock) -> Merged:
    """Merge two locks. ``base`` is their common ancestor."""
    sides = base, ours, theirs
    conflicts: list[str] = []
    head = ours
    for field in ("environments", "requires_python", "options", "indexes", "targets"):
        found, conflict = _either(*(getattr(lock, field) for lock in sides))
        head = replace(head, **{field: found})
        conflicts += [field.replace("_", "-")] if conflict else []
    for field in ("extras", "dependency_groups", "default_groups"):
        head = replace(head, **{field: _joined(*(getattr(lock, field) for lock in sides))})
    inputs, more = _merged_inputs(base.inputs, ours.inputs, theirs.inputs)
    merge_of_packages = _PackageMerge(sides)
    packages, both = _by_name(*(lock.packages for lock in sides), merged=merge_of_packages.merged, pick=_newer)
    builds, in_builds = _by_name(*(lock.builds for lock in sides), merged=lambda *_: None, pick=lambda one, _: one)
    merged = _with_direct(replace(head, inputs=inputs, packages=packages, builds=builds), merge_of_packages.names)
    return Merged(lock=ordered(merged), both=tuple(sorted({*both, *in_builds})), settings=(*conflicts, *more))


def _with_direct(lock: Lock, names: Collection[str]) -> Lock:
    """Mark the packages of these names that the inputs or members require, and no others of them, as direct."""
    required = names_in(lock.inputs) | names_of_members(lock)
    return replace(
        lock,
        packages=tuple(
            replace(entry, direct=entry.name in required and not is_gate(entry.marker))
            if entry.name in names
            else entry
            for entry in lock.packages
        ),
    )


def _either(base: Any, ours: Any, theirs: Any) -> tuple[Any, bool]:
    """Return what one side, or neither, changed; our side and True where both did."""
    if ours in (theirs, base):
        return theirs, False
    return ours, theirs != base


def _joined(base: Iterable[Any], ours: Iterable[Any], theirs: Iterable[Any]) -> tuple[Any, ...]:
    """Return what both sides have, and what one of them added."""
    old, one, other = tuple(base), tuple(ours), tuple(theirs)
    return tuple(own for own in dict.fromkeys((*one, *other)) if (own in one and own in other) or own not in old)


# -- inputs


def _merged_inputs(base: LockedInputs, ours: LockedInputs, theirs: LockedInputs) -> tuple[LockedInputs, list[str]]:
    """Merge the inputs; the second value names what both sides changed."""
    sides = base, ours, theirs
    members = tuple({member.name: member for side in sides for member in side.members}.values())
    by_path = {member.path: f"member {member.name!r}" for member in members}
    merged: dict[str, Any] = {}
    conflicts: list[str] = []
    for field in LockedInputs.__struct_fields__:
        values = [getattr(side, field) for side in sides]
        match field:
            case "requirements":
                merged[field], conflict = _requirements(*values)
                named = ["requirements"] if conflict else []
            case "extras" | "dependency_groups":
                found, both = _by_key(*map(dict, values), merged=_requirements)
                merged[field] = tuple(sorted(found.items()))
                kind: Any = "extra" if field == "extras" else "group"
                named = [scope_text(Scope(kind=kind, name=name), members) for name in both]
            case "members":
                found, both = _by_key(*({own.name: own for own in value} for value in values), merged=_member)
                merged[field] = tuple(found.values())
                named = [f"member {name!r}" for name in both]
            case "trees":
                found, both = _by_key(*({own.path: own for own in value} for value in values), merged=_tree)
                merged[field] = tuple(found.values())
                named = [by_path.get(path, f"the folder {path}") for path in both]
            case _:
                merged[field], conflict = _either(*values)
                named = [field.replace("_", "-")] if conflict else []
        conflicts += [name for name in named if name not in conflicts]
    return replace(ours, **merged), conflicts


def _by_key(
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    *,
    merged: Callable[[Any, Any, Any], tuple[Any, bool]],
) -> tuple[dict[str, Any], list[str]]:
    """Merge tables entry by entry; the second value has the keys whose entries both sides changed in another way."""
    found: dict[str, Any] = {}
    both: list[str] = []
    for key in sorted({*base, *ours, *theirs}):
        values = base.get(key), ours.get(key), theirs.get(key)
        taken, conflict = _either(*values)
        if conflict and values[1] is not None and values[2] is not None:
            taken, conflict = merged(*values)
        both += [key] if conflict else []
        if taken is not None:
            found[key] = taken
    return found, both


def _member(base: Member | None, ours: Member, theirs: Member) -> tuple[Member, bool]:
    """Merge a member of the workspace: its names of extras and groups."""
    old = base or replace(ours, extras=(), dependency_groups=())
    sides = old, ours, theirs
    path, moved = _either(*(side.path for side in sides))
    return replace(
        ours,
        path=path,
        extras=tuple(sorted(_joined(*(side.extras for side in sides)))),
        dependency_groups=tuple(sorted(_joined(*(side.dependency_groups for side in sides)))),
    ), moved or ours.root != theirs.root


def _tree(base: LockedTree | None, ours: LockedTree, theirs: LockedTree) -> tuple[LockedTree, bool]:
    """Merge a folder: what it requires, and what its build requires."""
    if base is None or base.requirements is None or ours.requirements is None or theirs.requirements is None:
        return ours, True
    requirements, runtime = _requirements(base.requirements, ours.requirements, theirs.requirements)
    build, in_build = _requirements(base.build_requires, ours.build_requires, theirs.build_requires)
    python, other = _either(base.requires_python, ours.requires_python, theirs.requires_python)
    tree = replace(ours, requirements=requirements, build_requires=build, requires_python=python)
    return tree, runtime or in_build or other


def _requirements(
    base: tuple[str, ...] | None, ours: tuple[str, ...], theirs: tuple[str, ...]
) -> tuple[tuple[str, ...], bool]:
    """Merge lists of requirements: those of a project that have one marker together."""
    sides = [_by_subject(texts or ()) for texts in (base, ours, theirs)]
    found: list[str] = []
    conflict = False
    for subject in sorted({subject for side in sides for subject in side}):
        texts, differs = _either(*(side.get(subject, ()) for side in sides))
        found += texts
        conflict = conflict or differs
    return tuple(sorted(found)), conflict


def _by_subject(texts: Iterable[str]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Return requirements by name and marker: what an extra of a folder requires has a marker too."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for text in texts:
        for own in parsed((text,)):
            subject = own.name, str(own.marker or "")
            found[subject] = (*found.get(subject, ()), text)
    return found


# -- packages and builds


def _by_name(
    base: Iterable[Any],
    ours: Iterable[Any],
    theirs: Iterable[Any],
    *,
    merged: Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], tuple[Any, ...] | None],
    pick: Callable[[Any, Any], Any],
) -> tuple[tuple[Any, ...], list[str]]:
    """Merge packages, or build records, by project; ``pick`` takes one side where ``merged`` has no answer."""
    sides: list[dict[str, tuple[Any, ...]]] = []
    for items in (base, ours, theirs):
        side: dict[str, tuple[Any, ...]] = {}
        for item in items:
            side[item.name] = (*side.get(item.name, ()), item)
        sides.append(side)
    found: list[Any] = []
    both: list[str] = []
    for name in sorted({name for side in sides for name in side}):
        values = [side.get(name, ()) for side in sides]
        taken, conflict = _either(*values)
        if conflict:
            whole = merged(*values)
            both += [name] if whole is None else []
            taken = pick(values[1], values[2]) if whole is None else whole
        found += taken
    return tuple(found), both


def _newer(ours: tuple[LockedPackage, ...], theirs: tuple[LockedPackage, ...]) -> tuple[LockedPackage, ...]:
    """Return the side whose newest version is higher; ours where neither is."""
    return max(ours, theirs, key=lambda entries: newest(entry.version for entry in entries))


_MISSING = object()
"""Is not equal to any value of a field."""
_USE = frozenset({"also_build", "build_only", "direct", "marker"})
"""Fields about the use of a package."""
Parts = dict[str, dict[Scope, TargetPart]]
"""By target label the scopes that install a package, each on a part of the target."""


def _in_builds(entry: LockedPackage) -> bool:
    return entry.build_only or entry.also_build


def _unused(entry: LockedPackage) -> LockedPackage:
    """Return a package of the base as a side has it that removed it."""
    return replace(entry, marker=BUILD_MARKER, build_only=False, also_build=False)


class _PackageMerge:
    """Merges packages that both sides changed, where the versions and files are the same."""

    def __init__(self, sides: tuple[Lock, Lock, Lock]) -> None:
        self._sides = sides
        # scopes that exclude each other have conditions together, which no merge of single scopes gives; of the pins of
        # another tool only that tool's lock has what requires them
        self._is_simple = not any(lock.inputs.conflicts or lock.inputs.pinned for lock in sides) and all(
            lock.targets == sides[0].targets and lock.requires_python == sides[0].requires_python for lock in sides
        )
        self._targets: tuple[Target, ...] | None = None
        self._implied = {scope: own for side in sides for scope, own in implied_scopes(side.inputs.members).items()}
        self.names: set[str] = set()
        """Of the packages that were merged. Whether they are direct depends on the merged inputs."""

    def merged(
        self, base: Sequence[LockedPackage], ours: Sequence[LockedPackage], theirs: Sequence[LockedPackage]
    ) -> tuple[LockedPackage, ...] | None:
        """Return the packages of one name; None where they have to be resolved again."""
        old, one, other = ({key_of(entry): entry for entry in side} for side in (base, ours, theirs))
        if not self._is_simple or not one.keys() ^ other.keys() <= old.keys():
            return None
        found: list[LockedPackage] = []
        for key in one.keys() | other.keys():
            there = [side.get(key) or _unused(old[key]) for side in (one, other)]
            entry = self._package(old.get(key), *there)
            if entry is None:
                return None
            found.append(entry)
        self.names |= {entry.name for entry in found}
        return tuple(found)

    def _package(self, base: LockedPackage | None, ours: LockedPackage, theirs: LockedPackage) -> LockedPackage | None:
        # of a package that both sides added, all that is not about its use must be the same
        before: dict[str, Any] = dict.fromkeys(LockedPackage.__struct_fields__, _MISSING)
        before |= {"dependencies": ()} if base is None else msgspec.structs.asdict(base)
        merged: dict[str, Any] = {}
        for field in before.keys() - _USE:
            sides = before[field], getattr(ours, field), getattr(theirs, field)
            merged[field], conflict = _either(*sides)
            if conflict and field != "dependencies":
                return None
            if conflict:
                merged[field] = _joined(*sides)
        markers = {ours.marker, theirs.marker, *([base.marker] if base is not None else [])}
        if len(markers) > 1 and ours.dependencies != theirs.dependencies:
            return None  # what one side depends on is not installed for the scopes of the other one
        try:
            marker = self._marker(base, ours, theirs) if len(markers) > 1 else ours.marker
        except (InvalidMarker, DeepLockError, ValueError, *UnevaluableMarker):
            return None
        in_builds, _ = _either(base is not None and _in_builds(base), _in_builds(ours), _in_builds(theirs))
        if is_gate(marker) and not in_builds:
            return None
        use = {"marker": marker, "build_only": is_gate(marker), "also_build": in_builds and not is_gate(marker)}
        return replace(ours, **merged, **use)

    def _marker(self, base: LockedPackage | None, ours: LockedPackage, theirs: LockedPackage) -> str | None:
        if self._targets is None:
            self._targets = chosen_targets(self._sides[0], (), "the lock")
        before, one, other = (
            self._parts(lock, entry) for lock, entry in zip(self._sides, (base, ours, theirs), strict=True)
        )
        parts: Parts = {}
        for target in self._targets:
            sides = [side.get(target.label, {}) for side in (before, one, other)]
            for scope in {scope for side in sides for scope in side}:
                part, conflict = _either(*(side.get(scope) for side in sides))
                if conflict:
                    raise InvalidMarker(f"both sides changed it for {scope.name}")
                if part is not None:
                    parts.setdefault(target.label, {})[scope] = part
        needed = {label: without_implied(scopes, self._implied) for label, scopes in parts.items()}
        return with_parts(needed, self._targets) if needed else BUILD_MARKER

    def _parts(self, lock: Lock, entry: LockedPackage | None) -> Parts:
        found: Parts = {}
        if entry is None or is_gate(entry.marker):
            return found
        for target in self._targets or ():
            for scope in (BASE, *every_name(lock).scopes):
                selected: Collection[Scope] = () if scope == BASE else (scope,)
                part = part_in_lock(entry.marker, target, selection_of(selected))
                if not part.is_never and part != found.get(target.label, {}).get(BASE):
                    found.setdefault(target.label, {})[scope] = part
        return found
