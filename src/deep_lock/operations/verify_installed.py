"""The work of `verify --installed`: compares an environment with a lock. Nothing is run, written or requested."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from deep_lock.analysis.installed import Expected, WheelRows, installed_findings
from deep_lock.builds import installed
from deep_lock.config.options import InstalledOptions, SelectionOptions
from deep_lock.errors import NotLocked, UsageError
from deep_lock.events import Reporter
from deep_lock.index.cache import Cache
from deep_lock.index.file_cache import FileCache, file_sha256
from deep_lock.index.wheel_record import installed_rows
from deep_lock.lockfile.build_digests import build_digests
from deep_lock.lockfile.index import Key, LockIndex, index_lock, key_of, wheels_of
from deep_lock.lockfile.selection import (
    InstallSelection,
    ever_installed,
    fits,
    installed_packages,
    is_built,
    plan_of,
    select,
    tags_of,
)
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.changes import Finding
from deep_lock.models.installed import EnvironmentFolders
from deep_lock.models.lock import Lock, LockedFile, LockedPackage
from deep_lock.models.metadata import is_same_version
from deep_lock.operations.inputs import chosen_selection, read_lock_file
from deep_lock.operations.verify import Verified, by_severity
from deep_lock.targets.factory import read_host, runs_on
from deep_lock.targets.target import Target, rank


def verify_installed(options: InstalledOptions, reporter: Reporter) -> Verified:
    """Compare an environment with a lock. Raises UsageError, LockInvalid, CacheInvalid and ArchiveError of a wheel of the lock."""
    file = read_lock_file(options.lock, reporter)
    lock, index = file.lock, index_lock(file.lock)
    folders = installed.find_environment(options.environment)
    target = _target(options, lock, folders)
    selection = _selection(options, lock, index)
    environment = installed.read_environment(folders)
    possible = ever_installed(index, target)
    names = {own.name for own in environment.distributions}
    present = [entry for entry in possible if entry.name in names]
    wheels = _Wheels(options, reporter)
    expected = Expected(
        target=target,
        possible=possible,
        required=frozenset(map(key_of, installed_packages(index, target, selection))),
        own=_own_names(lock),
        builds=_builds(index, target, present),
        wheels={
            key_of(entry): wheels.built(entry) if is_built(index, entry, target) else wheels.locked(entry, target)
            for entry in present
        },
    )
    found: set[Finding] = set(installed_findings(environment, index, expected))
    return Verified(
        findings=tuple(sorted(found, key=by_severity)),
        releases=len(environment.distributions),
        files=sum(own.same + sum(state == "changed" for _, state in own.faults) for own in environment.distributions),
        lines=file.lines,
    )


def _own_names(lock: Lock) -> frozenset[str]:
    """Return the names of the project, if it is built, and of the members of its workspace."""
    built = (build.name for build in lock.builds if build.needed == "project")
    return frozenset((*built, *(member.name for member in lock.inputs.members)))


def _target(options: InstalledOptions, lock: Lock, folders: EnvironmentFolders) -> Target:
    """Return the requested target, or the one of the environment's Python on this machine. Raises UsageError."""
    every = chosen_targets(lock, (options.target,) if options.target else (), options.lock.name)
    if options.target:
        return every[0]
    known = ", ".join(target.label for target in every) or "none"
    hint = f"name the target: --target; the lock has: {known}"
    if not folders.python:
        raise UsageError(f"{options.environment}: the version of its Python is not known", hint=hint)
    version = folders.python if folders.python.count(".") == 2 else f"{folders.python}.0"
    host = replace(
        read_host(), implementation="cpython", python_full_version=version, free_threaded=folders.free_threaded
    )
    found = [target for target in every if runs_on(host, target)]
    if len(found) != 1:
        number = "several targets" if found else "no target"
        raise UsageError(
            f"{options.lock.name} has {number} of Python {folders.python} that run on this machine", hint=hint
        )
    return found[0]


def _selection(options: InstalledOptions, lock: Lock, index: LockIndex) -> InstallSelection:
    """Return what must be installed: what the options select, else the project's dependencies without extras and groups."""
    if options.selection == SelectionOptions():
        return select(index, options.lock.name, extras=frozenset(), groups=frozenset())
    return chosen_selection(lock, options.selection, options.lock)


def _builds(index: LockIndex, target: Target, present: Sequence[LockedPackage]) -> dict[Key, str]:
    """Return the digests of the builds of these packages; a build that the lock does not have in full has none."""
    found: dict[Key, str] = {}
    for entry in present:
        if is_built(index, entry, target):
            try:
                found |= build_digests(plan_of(index, target, [key_of(entry)]))
            except NotLocked:
                continue
    return found


class _Wheels:
    """The wheels on this machine: in folders that the user names, and in the cache."""

    def __init__(self, options: InstalledOptions, reporter: Reporter) -> None:
        self._folders = options.fetched
        self._base = options.lock.parent.resolve()
        self._cache = FileCache(Cache(options.context.cache_folder, reporter).files_folder)

    def built(self, entry: LockedPackage) -> tuple[WheelRows, ...]:
        """Return those of a release in the folders of the user: the lock has no hash of a wheel that is built."""
        found = []
        for path in sorted(path for folder in self._folders for path in folder.glob("*.whl")):
            with suppress(InvalidWheelFilename):
                name, version, _, _ = parse_wheel_filename(path.name)
                if name == entry.name and entry.version is not None and is_same_version(str(version), entry.version):
                    found.append(WheelRows(name=path.name, rows=installed_rows(path, path.name)))
        return tuple(found)

    def locked(self, entry: LockedPackage, target: Target) -> tuple[WheelRows, ...]:
        """Return those of the lock that fit the target, the best first."""
        fitting = [wheel for wheel in wheels_of(entry) if fits(wheel, target)]
        found = []
        for wheel in sorted(fitting, key=lambda own: (rank(tags_of(own.name), target), own.name)):
            path = self._find(wheel)
            if path is not None:
                found.append(WheelRows(name=wheel.name, rows=installed_rows(path, wheel.name)))
        return tuple(found)

    def _find(self, wheel: LockedFile) -> Path | None:
        candidates = [folder / wheel.name for folder in self._folders]
        candidates += [self._base / wheel.path] if wheel.path is not None else []
        for path in candidates:
            if path.is_file() and file_sha256(path) == wheel.sha256:
                return path
        return self._cache.get(wheel.sha256)
