"""A three-way merge of locks.

What only one side changed is taken from it; what both changed alike is taken once. Where both changed the same project the side
with the newer version is taken and the project is named: it has to be resolved again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis.versions import newest
from deep_lock.lockfile.index import parsed
from deep_lock.lockfile.order import ordered
from deep_lock.models.lock import Lock, LockedInputs, LockedPackage


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
    for field in (
        "environments",
        "requires_python",
        "extras",
        "dependency_groups",
        "default_groups",
        "options",
        "indexes",
        "targets",
    ):
        found, conflict = _either(*(getattr(lock, field) for lock in sides))
        head = replace(head, **{field: found})
        conflicts += [field.replace("_", "-")] if conflict else []
    inputs = ours.inputs
    for field in LockedInputs.__struct_fields__:
        values = [getattr(lock.inputs, field) for lock in sides]
        found, conflict = _requirements(*values) if field == "requirements" else _either(*values)
        inputs = replace(inputs, **{field: found})
        conflicts += [field.replace("_", "-")] if conflict else []
    packages, both = _by_name(*(lock.packages for lock in sides), pick=_newer)
    builds, more = _by_name(*(lock.builds for lock in sides), pick=lambda one, _: one)
    merged = replace(head, inputs=inputs, packages=packages, builds=builds)
    return Merged(lock=ordered(merged), both=tuple(sorted({*both, *more})), settings=tuple(conflicts))


def _either(base: Any, ours: Any, theirs: Any) -> tuple[Any, bool]:
    """Return what one side, or neither, changed; our side and True where both did."""
    if ours in (theirs, base):
        return theirs, False
    return ours, theirs != base


def _requirements(
    base: tuple[str, ...], ours: tuple[str, ...], theirs: tuple[str, ...]
) -> tuple[tuple[str, ...], bool]:
    """Merge lists of requirements project by project."""
    sides = [_named(texts) for texts in (base, ours, theirs)]
    found: list[str] = []
    conflict = False
    for name in sorted({name for side in sides for name in side}):
        texts, differs = _either(*(side.get(name, ()) for side in sides))
        found += texts
        conflict = conflict or differs
    return tuple(sorted(found)), conflict


def _named(texts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        for requirement in parsed((text,)):
            found.setdefault(requirement.name, []).append(text)
    return {name: tuple(own) for name, own in found.items()}


def _by_name(
    base: Iterable[Any], ours: Iterable[Any], theirs: Iterable[Any], *, pick: Callable[[Any, Any], Any]
) -> tuple[tuple[Any, ...], list[str]]:
    """Merge packages, or build records, by project."""
    sides: list[dict[str, tuple[Any, ...]]] = []
    for items in (base, ours, theirs):
        side: dict[str, tuple[Any, ...]] = {}
        for item in items:
            side[item.name] = (*side.get(item.name, ()), item)
        sides.append(side)
    found: list[Any] = []
    both: list[str] = []
    for name in sorted({name for side in sides for name in side}):
        taken, conflict = _either(*(side.get(name, ()) for side in sides))
        if conflict:
            both.append(name)
            taken = pick(sides[1].get(name, ()), sides[2].get(name, ()))
        found += taken
    return tuple(found), both


def _newer(ours: tuple[LockedPackage, ...], theirs: tuple[LockedPackage, ...]) -> tuple[LockedPackage, ...]:
    """Return the side whose newest version is higher; ours where neither is."""
    return max(ours, theirs, key=lambda entries: newest(entry.version for entry in entries))
