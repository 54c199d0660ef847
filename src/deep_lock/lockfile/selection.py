"""What a lock installs on a target, by the selection of extras and groups that an installer is given (PEP 751)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import InvalidMarker, Marker

from deep_lock.errors import NotLocked
from deep_lock.lockfile.fields import url_filename
from deep_lock.lockfile.index import (
    Key,
    LockIndex,
    called,
    covers,
    is_gate,
    key_of,
    members,
    needs_record,
    open_register,
)
from deep_lock.models.build_system import ConfigSettings
from deep_lock.models.lock import (
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedPackage,
    LockedVcs,
)
from deep_lock.targets.target import Target, UnevaluableMarker, rank


class Selection(Struct, frozen=True, kw_only=True):
    """What a user selects at installation (PEP 751)."""

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


def holds_in_lock(marker: str | None, target: Target, selection: Selection | None = None) -> bool:
    """Whether a marker of the lock holds; one that cannot be evaluated does not."""
    if marker is None:
        return True
    chosen = selection or Selection()
    variables = {"extras": chosen.extras, "dependency_groups": chosen.groups}
    try:
        return Marker(marker).evaluate({**target.environment, **variables}, context="lock_file")
    except (InvalidMarker, ValueError, RecursionError, *UnevaluableMarker):
        return False


def installed_packages(register: LockIndex, target: Target, selection: Selection) -> list[LockedPackage]:
    """Return the entries that are installed at run time on a target with this selection."""
    truth: dict[str | None, bool] = {}
    for entry in register.lock.packages:
        if entry.marker not in truth:
            truth[entry.marker] = not is_gate(entry.marker) and holds_in_lock(entry.marker, target, selection)
    return [entry for entry in register.lock.packages if truth[entry.marker]]


def full_selection(register: LockIndex) -> Selection:
    """Return the selection of every extra and every group."""
    lock = register.lock
    return Selection(extras=frozenset(lock.extras), groups=frozenset((*lock.dependency_groups, *lock.default_groups)))


def tags_of(wheel: str) -> str:
    """Return the compressed tag set of a wheel's file name."""
    return "-".join(wheel.removesuffix(".whl").split("-")[-3:])


def best_wheel(wheels: Iterable[LockedFile], target: Target) -> LockedFile | None:
    """Return the wheel that an installer takes on the target: the lowest rank, by name among equals. None: none fits."""
    ranked = [
        (place, wheel.name, wheel) for wheel in wheels if (place := rank(tags_of(wheel.name), target)) is not None
    ]
    return min(ranked, key=lambda item: item[:2])[2] if ranked else None


def is_built(register: LockIndex, entry: LockedPackage, target: Target) -> bool:
    """Whether a record says that the entry is built on the target."""
    return any(covers(build, target.label) for build in register.records.get(key_of(entry), ()))


def taken_files(register: LockIndex, entry: LockedPackage, target: Target) -> Iterator[LockedFile]:
    """Yield the wheels of a release that fit the target, and its sdist where it is built or nothing else is there."""
    fitting = [wheel for wheel in entry.wheels if rank(tags_of(wheel.name), target) is not None]
    yield from fitting
    if entry.sdist is not None and (not fitting or is_built(register, entry, target)):
        yield entry.sdist


def every_file(lock: Lock) -> tuple[LockedFile, ...]:
    """Return each file that the lock names, in the lock's order."""
    return tuple(file for entry in lock.packages for file in _files(entry))


def source_trees(lock: Lock) -> tuple[LockedPackage, ...]:
    """Return the entries that are no files: folders and commits."""
    return tuple(entry for entry in lock.packages if isinstance(entry.source, LockedDirectory | LockedVcs))


def picked_files(lock: Lock, targets: Iterable[Target], *, runtime: bool, build: bool) -> tuple[LockedFile, ...]:
    """Return the files that these targets take, in the lock's order.

    ``runtime``: what is installed there, with every extra and group. ``build``: the members of build environments. An
    sdist that is built on a target belongs to both.
    """
    register = open_register(lock)
    found: dict[str, LockedFile] = {}
    for target in targets:
        if runtime:
            entries = installed_packages(register, target, full_selection(register))
            found.update((file.sha256, file) for entry in entries for file in _picked_files(register, entry, target))
        if build:
            found.update((file.sha256, file) for file in _of_builds(register, target))
    return tuple(file for file in every_file(lock) if file.sha256 in found)


def archive_file(entry: LockedPackage) -> LockedFile | None:
    """Return the file of an entry that was named directly, if a file was named."""
    source = entry.source
    if not isinstance(source, LockedArchive):
        return None
    name = url_filename(source.url) if source.url is not None else (source.path or "").rpartition("/")[2]
    return LockedFile(name=name, url=source.url, path=source.path, sha256=source.sha256, size=source.size)


def _files(entry: LockedPackage) -> Sequence[LockedFile]:
    archive = archive_file(entry)
    if archive is not None:
        return (archive,)
    return entry.wheels if entry.sdist is None else (entry.sdist, *entry.wheels)


def _picked_files(register: LockIndex, entry: LockedPackage, target: Target) -> Iterator[LockedFile]:
    archive = archive_file(entry)
    if archive is not None:
        yield archive
    yield from taken_files(register, entry, target)


def _of_builds(register: LockIndex, target: Target) -> Iterator[LockedFile]:
    for build in register.lock.builds:
        if not covers(build, target.label):
            continue
        for member in members(build):
            entry = register.entries.get(key_of(member))
            if entry is not None:
                yield from _picked_files(register, entry, target)
    for entry in register.lock.packages:
        if is_built(register, entry, target):
            yield from (file for file in _files(entry) if file not in entry.wheels)


LOCK_AGAIN = "run deep-lock lock"


class WheelArtifact(Struct, frozen=True, kw_only=True):
    """A release that is taken as a wheel of the lock."""

    entry: LockedPackage
    version: str
    wheel: LockedFile

    @property
    def key(self) -> Key:
        return key_of(self.entry)


class BuiltArtifact(Struct, frozen=True, kw_only=True):
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


Artifact = WheelArtifact | BuiltArtifact


class InstallPlan(Struct, frozen=True, kw_only=True):
    """All that a target takes, of the run time and of every build that this needs."""

    ordered: Mapping[Key, Artifact]
    """Each release after those that its build needs."""
    runtime: frozenset[Key]

    @property
    def published(self) -> tuple[WheelArtifact, ...]:
        return tuple(taken for taken in self.ordered.values() if isinstance(taken, WheelArtifact))

    @property
    def versions(self) -> Mapping[str, str]:
        """The releases of the run time by name."""
        return self.named(self.runtime)

    def named(self, keys: Iterable[Key]) -> dict[str, str]:
        """Return the versions of releases by name."""
        return {self.ordered[key].entry.name: self.ordered[key].version for key in keys}

    @property
    def sourced(self) -> tuple[BuiltArtifact, ...]:
        return tuple(taken for taken in self.ordered.values() if isinstance(taken, BuiltArtifact))


def take(lock: Lock, target: Target) -> InstallPlan:
    """Say what the target takes, with every extra and group. The project's own build is not part of it.

    Raises NotLocked where the lock does not say how something is had, or builds need each other.
    """
    register = open_register(lock)
    runtime = [key_of(entry) for entry in installed_packages(register, target, full_selection(register))]
    found: dict[Key, Artifact] = {}
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
    return InstallPlan(ordered={key: found[key] for key in order}, runtime=frozenset(runtime))


def _needed(taken: Artifact) -> tuple[Key, ...]:
    return taken.needed if isinstance(taken, BuiltArtifact) else ()


def _taken(register: LockIndex, key: Key, target: Target) -> Artifact:
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
        return WheelArtifact(entry=entry, version=entry.version, wheel=wheel)
    raise _without_file(register, entry, target)


def _without_file(register: LockIndex, entry: LockedPackage, target: Target) -> NotLocked:
    if not needs_record(entry):
        return NotLocked(f"{called(entry)} has no file that fits {target.label}", hint=LOCK_AGAIN)
    unlocked = register.options.get("build-scope") == "none"
    return NotLocked(
        f"{called(entry)} must be built on {target.label}, and no record says how",
        hint="lock builds too: deep-lock lock --build-scope needed" if unlocked else LOCK_AGAIN,
    )


def _sourced(build: LockedBuild, entry: LockedPackage, version: str) -> BuiltArtifact:
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
    return BuiltArtifact(entry=entry, version=version, sdist=sdist, subdirectory=inner or "", build=build)
