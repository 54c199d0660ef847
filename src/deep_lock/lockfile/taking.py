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


class Published(Struct, frozen=True, kw_only=True):
    """A release that is taken as a wheel of the lock."""

    entry: LockedPackage
    wheel: LockedFile

    @property
    def key(self) -> Key:
        return key_of(self.entry)


class Sourced(Struct, frozen=True, kw_only=True):
    """A release that is built, and its record."""

    entry: LockedPackage
    sdist: LockedFile
    build: LockedBuild

    @property
    def key(self) -> Key:
        return key_of(self.entry)

    @property
    def called(self) -> str:
        return called(self.entry)

    @property
    def needed(self) -> tuple[Key, ...]:
        """The releases that its build environment holds."""
        return tuple(key_of(member) for member in self.build.packages)


Taken = Published | Sourced


class Taking(Struct, frozen=True, kw_only=True):
    """All that a target takes, of the run time and of every build that this needs."""

    ordered: Mapping[Key, Taken]
    """Each release after those that its build needs."""
    runtime: frozenset[Key]

    @property
    def published(self) -> tuple[Published, ...]:
        return tuple(taken for taken in self.ordered.values() if isinstance(taken, Published))

    @property
    def sourced(self) -> tuple[Sourced, ...]:
        return tuple(taken for taken in self.ordered.values() if isinstance(taken, Sourced))


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
            waiting += _needed(found[key])
    graph = {key: sorted(_needed(found[key])) for key in sorted(found)}
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = " -> ".join(f"{name} {version}" for name, version in reversed(error.args[1]))
        raise NotLocked(f"these builds need each other: {names}", hint=LOCK_AGAIN) from None
    return Taking(ordered={key: found[key] for key in order}, runtime=frozenset(runtime))


def _needed(taken: Taken) -> tuple[Key, ...]:
    return taken.needed if isinstance(taken, Sourced) else ()


def _taken(register: Register, key: Key, target: Target) -> Taken:
    entry = register.entries.get(key)
    if entry is None:
        raise NotLocked(f"a build uses {key[0]} {key[1]}, which has no entry in the lock", hint=LOCK_AGAIN)
    builds = [build for build in register.records.get(key, ()) if covers(build, target.label)]
    if builds:
        return _sourced(builds[0], entry)
    ranked = [
        (place, wheel.name, wheel) for wheel in entry.wheels if (place := rank(tags_of(wheel.name), target)) is not None
    ]
    if ranked:
        return Published(entry=entry, wheel=min(ranked, key=lambda item: item[:2])[2])
    if entry.sdist is None:
        raise NotLocked(f"{called(entry)} has no file that fits {target.label}", hint=LOCK_AGAIN)
    if register.options.get("build-scope") == "none":
        hint = "lock builds too: deep-lock lock --build-scope needed"
    else:
        hint = LOCK_AGAIN
    raise NotLocked(f"{called(entry)} must be built on {target.label}, and no record says how", hint=hint)


def _sourced(build: LockedBuild, entry: LockedPackage) -> Sourced:
    if entry.sdist is None:
        raise NotLocked(f"there is a record of the build of {called(entry)}, and no sdist is listed", hint=LOCK_AGAIN)
    if build.sdist != f"sha256:{entry.sdist.sha256}":
        raise NotLocked(
            f"the record of the build of {called(entry)} was made from another sdist than the one that is listed",
            hint=LOCK_AGAIN,
        )
    return Sourced(entry=entry, sdist=entry.sdist, build=build)
