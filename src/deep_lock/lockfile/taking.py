"""What one target takes of each release of a lock: a wheel that is listed, or one that must be built; and in what order.

Law: a record that holds on the target decides. Where it has none, a wheel that fits is taken; there is no third way.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from msgspec import Struct

from deep_lock.errors import NotLocked
from deep_lock.lockfile.on_targets import everything, present, tags_of
from deep_lock.lockfile.register import Key, Register, called, covers, key_of, open_register
from deep_lock.model.lock import Lock, LockedBuild, LockedFile, LockedPackage
from deep_lock.model.target import Target, rank

LOCK_AGAIN = "run deep-lock lock"


class Taken(Struct, frozen=True, kw_only=True):
    """One release as a target has it. Exactly one of ``wheel`` and ``build`` is set; with ``build``, its ``sdist``."""

    entry: LockedPackage
    wheel: LockedFile | None = None
    build: LockedBuild | None = None

    @property
    def key(self) -> Key:
        return key_of(self.entry)

    @property
    def called(self) -> str:
        return called(self.entry)

    @property
    def sdist(self) -> LockedFile:
        """The sdist of what is built."""
        assert self.entry.sdist is not None
        return self.entry.sdist


class Taking(Struct, frozen=True, kw_only=True):
    """All that a target takes, of the run time and of every build that this needs."""

    ordered: Mapping[Key, Taken]
    """Each release after those that its build needs."""
    runtime: frozenset[Key]

    @property
    def built(self) -> tuple[Taken, ...]:
        return tuple(taken for taken in self.ordered.values() if taken.build is not None)


def take(lock: Lock, target: Target) -> Taking:
    """Say what the target takes, with every extra and group. The project's own build is not part of it.

    Raises NotLocked where the lock does not say how something is had, or builds need each other.
    """
    register = open_register(lock)
    runtime = [key_of(entry) for entry in present(register, target, everything(register))]
    found: dict[Key, Taken] = {}
    waiting = list(runtime)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = _taken(register, key, target)
            waiting += needed(found[key])
    graph = {key: sorted(needed(found[key])) for key in sorted(found)}
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = " -> ".join(f"{name} {version}" for name, version in reversed(error.args[1]))
        raise NotLocked(f"these builds need each other: {names}", hint=LOCK_AGAIN) from None
    return Taking(ordered={key: found[key] for key in order}, runtime=frozenset(runtime))


def needed(taken: Taken) -> tuple[Key, ...]:
    """Return the releases that the build environment holds; none where nothing is built."""
    return () if taken.build is None else tuple(key_of(member) for member in taken.build.packages)


def _taken(register: Register, key: Key, target: Target) -> Taken:
    entry = register.entries.get(key)
    if entry is None:
        raise NotLocked(f"a build uses {key[0]} {key[1]}, which has no entry in the lock", hint=LOCK_AGAIN)
    builds = [build for build in register.records.get(key, ()) if covers(build, target.label)]
    if builds:
        return Taken(entry=entry, build=_checked(builds[0], entry))
    ranked = [
        (place, wheel.name, wheel) for wheel in entry.wheels if (place := rank(tags_of(wheel.name), target)) is not None
    ]
    if ranked:
        return Taken(entry=entry, wheel=min(ranked, key=lambda item: item[:2])[2])
    if entry.sdist is None:
        raise NotLocked(f"{called(entry)} has no file that fits {target.label}", hint=LOCK_AGAIN)
    if register.options.get("build-scope") == "none":
        hint = "lock builds too: deep-lock lock --build-scope needed"
    else:
        hint = LOCK_AGAIN
    raise NotLocked(f"{called(entry)} must be built on {target.label}, and no record says how", hint=hint)


def _checked(build: LockedBuild, entry: LockedPackage) -> LockedBuild:
    if entry.sdist is None:
        raise NotLocked(f"there is a record of the build of {called(entry)}, and no sdist is listed", hint=LOCK_AGAIN)
    if build.sdist != f"sha256:{entry.sdist.sha256}":
        raise NotLocked(
            f"the record of the build of {called(entry)} was made from another sdist than the one that is listed",
            hint=LOCK_AGAIN,
        )
    return build
