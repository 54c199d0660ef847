"""Replacing a lock: what the new one keeps of the old one, and the check of what is written."""

from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_wheel_filename

from deep_lock.errors import DeepLockError, HashMismatch, LockInvalid
from deep_lock.lockfile.index import files_of, key_of, record_key
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import MAX_LOCK_BYTES, from_text
from deep_lock.lockfile.writer import ordered, to_text
from deep_lock.models.distribution import parse_sdist_filename
from deep_lock.models.lock import REVISION, Lock, LockedBuild
from deep_lock.parsing.toml import parse_toml
from deep_lock.targets.target import Target


def checked_text(lock: Lock, targets: tuple[Target, ...] = ()) -> str:
    """Return the text of a lock, which is read back and compared before it may replace anything.

    ``targets`` as in `broken_invariants`. Raises LockInvalid on a fault of deep-lock, and as `to_text`.
    """
    text = to_text(lock)
    try:
        read = from_text(text, "the new lock")
    except DeepLockError as error:
        raise _internal_error(error.message) from None
    if read != ordered(lock):
        raise _internal_error("the new lock is read back as another one")
    faults = broken_invariants(read, targets)
    if faults:
        raise _internal_error("the new lock breaks invariants:\n  " + "\n  ".join(faults))
    return text


def _internal_error(message: str) -> LockInvalid:
    return LockInvalid(f"internal error, please report: {message}")


def keep_unknown(old: Lock, new: Lock) -> Lock:
    """Return ``new`` with the revision of ``old``, and its unknown keys in each table that both have.

    An unknown key cannot be checked against what changed around it: it is kept as it was.
    """
    if old.revision <= REVISION:
        return new
    targets = {target.name: target.unknown for target in old.targets}
    packages = {key_of(entry): entry.unknown for entry in old.packages}
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
        packages=tuple(replace(entry, unknown=packages.get(key_of(entry), ())) for entry in new.packages),
        builds=tuple(replace(build, unknown=builds.get(_key(build), ())) for build in new.builds),
    )


def require_same_bytes(old: Lock, new: Lock, moved: Collection[str]) -> None:
    """Refuse a lock that has another sha256 for a file of the old one: published files never change.

    ``moved`` are projects that the user upgrades. A file with a path may be built anew. Raises HashMismatch.
    """
    before = {key_of(entry): entry for entry in old.packages if entry.name not in moved}
    for entry in new.packages:
        was = before.get(key_of(entry))
        known = {file.name: file.sha256 for file in files_of(was) if file.url is not None} if was is not None else {}
        for file in files_of(entry):
            if file.url is not None and known.get(file.name, file.sha256) != file.sha256:
                raise HashMismatch(
                    f"{file.name}: sha256 {known[file.name]} is locked, but its index has {file.sha256} now",
                    hint=f"deep-lock verify compares the lock with the index; deep-lock lock -P {entry.name} accepts the other file",
                )


def _key(build: LockedBuild) -> tuple[object, ...]:
    return record_key(build), build.hook, tuple(sorted(build.targets))


class Moved(Struct, frozen=True, kw_only=True):
    """A package whose version was edited and its files were not, as some bots do."""

    name: str
    was: str
    """The version of its files."""
    now: str


def moved_versions(text: str, source: str) -> tuple[Moved, ...]:
    """Return the packages of which only the version was edited; nothing where the text is not TOML."""
    try:
        packages = parse_toml(text, source, LockInvalid, limit=MAX_LOCK_BYTES).get("packages")
    except DeepLockError:
        return ()
    return tuple(_moved(packages)) if isinstance(packages, list) else ()


def _moved(packages: list[Any]) -> Iterator[Moved]:
    for package in packages:
        if not isinstance(package, dict):
            continue
        name, version, wheels = package.get("name"), package.get("version"), package.get("wheels")
        files = [*(wheels if isinstance(wheels, list) else ()), package.get("sdist")]
        versions = {_version(file) for file in files if file is not None}
        if isinstance(name, str) and isinstance(version, str) and len(versions) == 1:
            was = versions.pop()
            if was and was != version:
                yield Moved(name=name, was=was, now=version)


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
    """Return the text with the versions of the files in place of the edited ones."""
    for one in every:
        head = f'[[packages]]\nname = "{one.name}"\nversion = "'
        text = text.replace(f'{head}{one.now}"', f'{head}{one.was}"', 1)
    return text
