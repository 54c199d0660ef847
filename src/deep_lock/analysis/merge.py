"""Two locks that began as one, put together where they do not contradict each other (a three-way merge).

Law: pure. What only one side changed is taken from it; what both changed alike is taken once. Where both changed the same
project the newer release stands in, and the project is named: whoever merges resolves it again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.version import InvalidVersion, Version

from deep_lock.lockfile.index import parsed
from deep_lock.lockfile.writer import ordered
from deep_lock.models.lock import Lock, LockedInputs, LockedPackage


class Merged(Struct, frozen=True, kw_only=True):
    """What came of it."""

    lock: Lock
    both: tuple[str, ...] = ()
    """Projects of which both sides changed an entry or a build, each in its own way."""
    settings: tuple[str, ...] = ()
    """What else both sides changed: inputs, options, targets. Our side stands there."""


def merge(base: Lock, ours: Lock, theirs: Lock) -> Merged:
    """Put two locks together. ``base`` is what both began as."""
    clashes: list[str] = []
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
        found, clash = _either(*(getattr(lock, field) for lock in (base, ours, theirs)))
        head = replace(head, **{field: found})
        clashes += [field.replace("_", "-")] if clash else []
    inputs = ours.inputs
    for field in LockedInputs.__struct_fields__:
        values = [getattr(lock.inputs, field) for lock in (base, ours, theirs)]
        found, clash = _requirements(*values) if field == "requirements" else _either(*values)
        inputs = replace(inputs, **{field: found})
        clashes += [field.replace("_", "-")] if clash else []
    packages, both = _by_name(*(lock.packages for lock in (base, ours, theirs)), pick=_newer)
    builds, more = _by_name(*(lock.builds for lock in (base, ours, theirs)), pick=lambda one, _: one)
    merged = replace(head, inputs=inputs, packages=packages, builds=builds)
    return Merged(lock=ordered(merged), both=tuple(sorted({*both, *more})), settings=tuple(clashes))


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
    clash = False
    for name in sorted({name for side in sides for name in side}):
        texts, differs = _either(*(side.get(name, ()) for side in sides))
        found += texts
        clash = clash or differs
    return tuple(sorted(found)), clash


def _named(texts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        for requirement in parsed((text,)):
            found.setdefault(requirement.name, []).append(text)
    return {name: tuple(own) for name, own in found.items()}


def _by_name(
    base: Iterable[Any], ours: Iterable[Any], theirs: Iterable[Any], *, pick: Callable[[Any, Any], Any]
) -> tuple[tuple[Any, ...], list[str]]:
    """Merge entries, or records, by the project that they are of."""
    sides: list[dict[str, tuple[Any, ...]]] = []
    for items in (base, ours, theirs):
        side: dict[str, tuple[Any, ...]] = {}
        for item in items:
            side[item.name] = (*side.get(item.name, ()), item)
        sides.append(side)
    found: list[Any] = []
    both: list[str] = []
    for name in sorted({name for side in sides for name in side}):
        taken, clash = _either(*(side.get(name, ()) for side in sides))
        if clash:
            both.append(name)
            taken = pick(sides[1].get(name, ()), sides[2].get(name, ()))
        found += taken
    return tuple(found), both


def _newer(ours: tuple[LockedPackage, ...], theirs: tuple[LockedPackage, ...]) -> tuple[LockedPackage, ...]:
    """Return the side whose newest release is newer; ours where neither is."""
    return theirs if _newest(theirs) > _newest(ours) else ours


def _newest(entries: tuple[LockedPackage, ...]) -> Version:
    try:
        return max((Version(entry.version) for entry in entries if entry.version), default=Version("0"))
    except InvalidVersion:
        return Version("0")
