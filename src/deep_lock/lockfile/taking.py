"""What one target takes of each release of a lock: a wheel that is listed, or one that must be built; and in what order.

Law: a record that holds on the target decides. Where it has none, a wheel that fits is taken; there is no third way.
"""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.errors import NotLocked
from deep_lock.lockfile.picking import archive_file
from deep_lock.model.build_system import ConfigSettings
from deep_lock.model.installed import best_wheel, everything, present
from deep_lock.model.lock import Lock, LockedArchive, LockedBuild, LockedDirectory, LockedFile, LockedPackage, LockedVcs
from deep_lock.model.register import Key, Register, called, covers, key_of, needs_record, open_register
from deep_lock.model.target import Target

LOCK_AGAIN = "run deep-lock lock"


class Published(Struct, frozen=True, kw_only=True):
    """A release that is taken as a wheel of the lock."""

    entry: LockedPackage
    version: str
    wheel: LockedFile

    @property
    def key(self) -> Key:
        return key_of(self.entry)


class Sourced(Struct, frozen=True, kw_only=True):
    """A release that is built, and its record."""

    entry: LockedPackage
    version: str
    sdist: LockedFile
    subdirectory: str = ""
    """Of the archive: what is built."""
    build: LockedBuild
    config_settings: ConfigSettings = ()
    """What its backend is told, in every call of a hook."""

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
    def versions(self) -> Mapping[str, str]:
        """The releases of the run time by name."""
        return self.named(self.runtime)

    def named(self, keys: Iterable[Key]) -> dict[str, str]:
        """Return the versions of releases by name."""
        return {self.ordered[key].entry.name: self.ordered[key].version for key in keys}

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
        names = " -> ".join(called(found[key].entry) for key in reversed(error.args[1]))
        raise NotLocked(f"these builds need each other: {names}", hint=LOCK_AGAIN) from None
    return Taking(ordered={key: found[key] for key in order}, runtime=frozenset(runtime))


def _needed(taken: Taken) -> tuple[Key, ...]:
    return taken.needed if isinstance(taken, Sourced) else ()


def _taken(register: Register, key: Key, target: Target) -> Taken:
    entry = register.entries.get(key)
    if entry is None:
        raise NotLocked(f"a build uses {key[0]} {key[1]}, which has no entry in the lock", hint=LOCK_AGAIN)
    if isinstance(entry.source, LockedDirectory | LockedVcs):
        raise NotLocked(
            f"{called(entry)} is a source tree: no sha256 in the lock says what is in it",
            hint="a wheelhouse is made of releases and archives; build a tree with pip, from where it lies",
        )
    if entry.version is None:
        raise NotLocked(
            f"{called(entry)}: the lock does not say of which version it is",
            hint="name an archive whose file name or metadata holds its version",
        )
    builds = [build for build in register.records.get(key, ()) if covers(build, target.label)]
    if builds:
        settings = dict(register.lock.inputs.config_settings).get(entry.name, ())
        return replace(_sourced(builds[0], entry, entry.version), config_settings=settings)
    archive = archive_file(entry)
    wheels = entry.wheels if archive is None or needs_record(entry) else (archive,)
    wheel = best_wheel(wheels, target)
    if wheel is not None:
        return Published(entry=entry, version=entry.version, wheel=wheel)
    raise _without_file(register, entry, target)


def _without_file(register: Register, entry: LockedPackage, target: Target) -> NotLocked:
    if not needs_record(entry):
        return NotLocked(f"{called(entry)} has no file that fits {target.label}", hint=LOCK_AGAIN)
    unlocked = register.options.get("build-scope") == "none"
    return NotLocked(
        f"{called(entry)} must be built on {target.label}, and no record says how",
        hint="lock builds too: deep-lock lock --build-scope needed" if unlocked else LOCK_AGAIN,
    )


def _sourced(build: LockedBuild, entry: LockedPackage, version: str) -> Sourced:
    archive = archive_file(entry)
    sdist = entry.sdist if archive is None else archive
    if sdist is None:
        raise NotLocked(f"there is a record of the build of {called(entry)}, and no sdist is listed", hint=LOCK_AGAIN)
    if build.sdist != f"sha256:{sdist.sha256}":
        raise NotLocked(
            f"the record of the build of {called(entry)} was made from another sdist than the one that is listed",
            hint=LOCK_AGAIN,
        )
    inner = entry.source.subdirectory if isinstance(entry.source, LockedArchive) else None
    return Sourced(entry=entry, version=version, sdist=sdist, subdirectory=inner or "", build=build)
