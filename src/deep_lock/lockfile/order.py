"""The canonical order of a lock: two locks of the same content are equal in it, and have the same text."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace
from packaging.version import Version

from deep_lock.errors import LockInvalid
from deep_lock.lockfile.fields import parsed_version
from deep_lock.models.lock import (
    EnvironmentMember,
    Lock,
    LockedBuild,
    LockedFile,
    LockedInputs,
    LockedPackage,
    LockedReference,
    OptionValue,
    source_text,
)

Item = TypeVar("Item")
Record = TypeVar("Record", bound=Struct)

DEFAULT_INDEX = "default"


@lru_cache(maxsize=16384)
def _version(text: str) -> Version:
    version = parsed_version(text)
    if version is None:
        raise LockInvalid(f"{text!r} is not a version, and cannot be written to a lock")
    return version


def ordered(lock: Lock) -> Lock:
    """Return the lock in canonical order, times in UTC.

    Packages and builds are sorted by name and version, files by name, arrays by text, environments as their targets.
    ``backend-path`` keeps its order: it is a search path. Raises LockInvalid on an invalid version.
    """
    targets = tuple(sorted(lock.targets, key=lambda target: target.name))
    positions = {target.marker: position for position, target in reversed(list(enumerate(targets)))}
    return replace(
        _with_sorted_texts(lock),
        environments=_sorted(lock.environments, lambda marker: (positions.get(marker, len(positions)), marker)),
        requires_python=lock.requires_python or None,
        inputs=_ordered_inputs(lock.inputs),
        options=_sorted((key, _ordered_option(value)) for key, value in lock.options),
        indexes=_sorted(lock.indexes, lambda index: (index[0] != DEFAULT_INDEX, index)),
        targets=targets,
        packages=_sorted(map(_ordered_package, lock.packages), _package_key),
        builds=_sorted(map(_ordered_build, lock.builds), _build_key),
    )


def _sorted(items: Iterable[Item], key: Callable[[Item], Any] | None = None) -> tuple[Item, ...]:
    return tuple(sorted(items, key=key))  # type: ignore[type-var, arg-type]  # without a key, each Item here is comparable


@lru_cache(maxsize=32)
def _text_arrays(kind: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a record that are arrays of texts, but for ``backend_path``, whose order has a meaning."""
    arrays = (tuple[str, ...], tuple[str, ...] | None)
    return tuple(field.name for field in fields(kind) if field.type in arrays and field.name != "backend_path")


def _with_sorted_texts(record: Record) -> Record:
    arrays = [(name, getattr(record, name)) for name in _text_arrays(type(record))]
    changed = {name: in_order for name, texts in arrays if texts and (in_order := _sorted(texts)) != texts}
    return replace(record, **changed) if changed else record


def _sorted_lists(lists: Iterable[tuple[str, tuple[Item, ...]]]) -> tuple[tuple[str, tuple[Item, ...]], ...]:
    return _sorted((name, _sorted(items)) for name, items in lists)


def _ordered_inputs(inputs: LockedInputs) -> LockedInputs:
    return replace(
        _with_sorted_texts(inputs),
        extras=_sorted_lists(inputs.extras),
        dependency_groups=_sorted_lists(inputs.dependency_groups),
        extra_build_requires=_sorted_lists(inputs.extra_build_requires),
        config_settings=_sorted_lists(inputs.config_settings),
        conflicts=_sorted(map(_sorted, inputs.conflicts)),
        members=_sorted(map(_with_sorted_texts, inputs.members), lambda member: member.name),
        trees=_sorted(map(_with_sorted_texts, inputs.trees), lambda tree: tree.path),
    )


def _ordered_option(value: OptionValue) -> OptionValue:
    if isinstance(value, tuple):
        return _sorted(value)
    return _in_utc(value) if isinstance(value, datetime) else value


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        # astimezone() would take the zone of this machine
        raise LockInvalid(f"{moment.isoformat()}: a time without a zone cannot be written to a lock")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _ordered_file(file: LockedFile) -> LockedFile:
    if file.upload_time is None or file.upload_time.tzinfo is UTC:
        return file
    return replace(file, upload_time=_in_utc(file.upload_time))


def _package_key(entry: LockedPackage | LockedReference) -> tuple[str, bool, Version, str, str]:
    version, source = _version(entry.version or "0"), source_text(entry.source)
    return entry.name, entry.version is not None, version, source, entry.index or ""


def _build_key(build: LockedBuild) -> tuple[str, bool, Version, str, bool, str, tuple[str, ...]]:
    version, of_project = _version(build.version or "0"), build.needed == "project"
    return (
        build.name,
        build.version is not None,
        version,
        build.source or "",
        of_project,
        build.hook or "",
        build.targets,
    )


def _ordered_package(entry: LockedPackage) -> LockedPackage:
    return replace(
        _with_sorted_texts(entry),
        requires_python=entry.requires_python or None,
        dependencies=_sorted(entry.dependencies, _package_key),
        sdist=None if entry.sdist is None else _ordered_file(entry.sdist),
        wheels=_sorted(map(_ordered_file, entry.wheels), lambda file: file.name),
        attestation_identities=_sorted(map(_sorted, entry.attestation_identities)),
    )


def _ordered_build(build: LockedBuild) -> LockedBuild:
    declared = build.declared_packages
    return replace(
        _with_sorted_texts(build),
        packages=_ordered_members(build.packages),
        declared_packages=None if declared is None else _ordered_members(declared),
    )


def _ordered_members(members: tuple[EnvironmentMember, ...]) -> tuple[EnvironmentMember, ...]:
    return _sorted(map(_with_sorted_texts, members), lambda member: (member.name, _version(member.version)))
