"""What outlives a rewrite: what a later deep-lock wrote, and the bytes of a release that is kept."""

from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_wheel_filename

from deep_lock.errors import DeepLockError, HashMismatch, LockInvalid
from deep_lock.lockfile.index import files_of
from deep_lock.lockfile.reader import MAX_LOCK_BYTES
from deep_lock.models.distribution import parse_sdist_filename
from deep_lock.models.lock import REVISION, Lock, LockedBuild, LockedPackage, source_text
from deep_lock.parsing.toml import parse_toml


def keep_unknown(old: Lock, new: Lock) -> Lock:
    """Return ``new`` with the revision and the unknown keys of ``old``, wherever the table they stood in is still there.

    A key that is not known cannot be checked against what changed around it: it is kept as it was.
    """
    if old.revision <= REVISION:
        return new
    targets = {target.name: target.unknown for target in old.targets}
    packages = {_entry_key(entry): entry.unknown for entry in old.packages}
    trees = {tree.path: tree.unknown for tree in old.inputs.trees}
    builds = {_key(build): build.unknown for build in old.builds}
    return replace(
        new,
        revision=old.revision,
        unknown=old.unknown,
        inputs=replace(
            new.inputs,
            unknown=old.inputs.unknown,
            trees=tuple(replace(tree, unknown=trees.get(tree.path, ())) for tree in new.inputs.trees),
        ),
        targets=tuple(replace(target, unknown=targets.get(target.name, ())) for target in new.targets),
        packages=tuple(replace(entry, unknown=packages.get(_entry_key(entry), ())) for entry in new.packages),
        builds=tuple(replace(build, unknown=builds.get(_key(build), ())) for build in new.builds),
    )


def require_same_bytes(old: Lock, new: Lock, moved: Collection[str]) -> None:
    """Refuse a lock that has other bytes under a version and file name of the old one: published files never change.

    ``moved`` are projects that the user gives up the pins of. Files of folders may be built anew. Raises HashMismatch.
    """
    before = {_entry_key(entry): entry for entry in old.packages if entry.name not in moved}
    for entry in new.packages:
        was = before.get(_entry_key(entry))
        known = {file.name: file.sha256 for file in files_of(was) if file.url is not None} if was is not None else {}
        for file in files_of(entry):
            if file.url is not None and known.get(file.name, file.sha256) != file.sha256:
                raise HashMismatch(
                    f"{file.name}: sha256 {known[file.name]} is locked, and its index promises {file.sha256} now",
                    hint=f"deep-lock verify says what the index has; deep-lock lock -P {entry.name} takes the other bytes",
                )


def _entry_key(entry: LockedPackage) -> tuple[str, str | None, str]:
    return entry.name, entry.version, source_text(entry.source)


def _key(build: LockedBuild) -> tuple[str, str | None, str | None, str | None, tuple[str, ...]]:
    return build.name, build.version, build.source, build.hook, tuple(sorted(build.targets))


class Moved(Struct, frozen=True, kw_only=True):
    """An entry whose version is not that of its files."""

    name: str
    was: str
    now: str


def moved_versions(text: str, source: str) -> tuple[Moved, ...]:
    """Return the entries of which only the version was moved; nothing where the text is no lock at all."""
    try:
        packages = parse_toml(text, source, LockInvalid, limit=MAX_LOCK_BYTES).get("packages")
    except DeepLockError:
        return ()
    return tuple(_moved(packages)) if isinstance(packages, list) else ()


def _moved(packages: list[Any]) -> Iterator[Moved]:
    for package in packages:
        if not isinstance(package, dict):
            continue
        name, version = package.get("name"), package.get("version")
        versions = {_version(file) for file in _files(package)}
        if isinstance(name, str) and isinstance(version, str) and len(versions) == 1:
            was = versions.pop()
            if was and was != version:
                yield Moved(name=name, was=was, now=version)


def _files(package: dict[str, Any]) -> list[Any]:
    wheels = package.get("wheels")
    return [*(wheels if isinstance(wheels, list) else ()), *((package["sdist"],) if "sdist" in package else ())]


def _version(file: Any) -> str:
    name = file.get("name") if isinstance(file, dict) else None
    if not isinstance(name, str):
        return ""
    try:
        found = parse_wheel_filename(name)[1] if name.endswith(".whl") else parse_sdist_filename(name)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return ""
    return str(found)


def restored(text: str, every: tuple[Moved, ...]) -> str:
    """Return the text with the versions that the files have."""
    for one in every:
        head = f'[[packages]]\nname = "{one.name}"\nversion = "'
        text = text.replace(f'{head}{one.now}"', f'{head}{one.was}"', 1)
    return text
