"""The one order of a lock: whoever made it, in whatever order, the same content is the same bytes."""

from datetime import UTC, datetime
from functools import lru_cache

from msgspec.structs import replace
from packaging.version import Version

from deep_lock.errors import LockInvalid
from deep_lock.lockfile.fields import parsed_version
from deep_lock.model.lock import (
    EnvironmentMember,
    Lock,
    LockedBuild,
    LockedFile,
    LockedInputs,
    LockedPackage,
    LockedReference,
    LockedTree,
    OptionValue,
    source_text,
)

DEFAULT_INDEX = "default"


@lru_cache(maxsize=16384)
def _version(text: str) -> Version:
    version = parsed_version(text)
    if version is None:
        raise LockInvalid(f"{text!r} is not a version and cannot be written to a lock")
    return version


def ordered(lock: Lock) -> Lock:
    """Return the lock in canonical order, times in UTC.

    Packages and builds by name and version, files by name, arrays by text. `backend-path` keeps its order: it is a
    search path. Environments stand as their targets do. Raises LockInvalid on a version that is none.
    """
    targets = tuple(sorted(lock.targets, key=lambda target: target.name))
    places = {target.marker: place for place, target in reversed(list(enumerate(targets)))}
    return replace(
        lock,
        environments=tuple(sorted(lock.environments, key=lambda marker: (places.get(marker, len(places)), marker))),
        requires_python=lock.requires_python or None,
        extras=tuple(sorted(lock.extras)),
        dependency_groups=tuple(sorted(lock.dependency_groups)),
        default_groups=tuple(sorted(lock.default_groups)),
        inputs=_ordered_inputs(lock.inputs),
        options=tuple(sorted((key, _ordered_option(value)) for key, value in lock.options)),
        indexes=tuple(sorted(lock.indexes, key=lambda index: (index[0] != DEFAULT_INDEX, index))),
        targets=targets,
        packages=tuple(sorted(map(_ordered_package, lock.packages), key=_package_key)),
        builds=tuple(sorted(map(_ordered_build, lock.builds), key=_build_key)),
    )


def _ordered_inputs(inputs: LockedInputs) -> LockedInputs:
    return replace(
        inputs,
        sources=tuple(sorted(inputs.sources)),
        requirements=tuple(sorted(inputs.requirements)),
        extras=tuple(sorted((name, tuple(sorted(texts))) for name, texts in inputs.extras)),
        dependency_groups=tuple(sorted((name, tuple(sorted(texts))) for name, texts in inputs.dependency_groups)),
        constraints=tuple(sorted(inputs.constraints)),
        overrides=tuple(sorted(inputs.overrides)),
        build_constraints=tuple(sorted(inputs.build_constraints)),
        extra_build_requires=tuple(sorted((name, tuple(sorted(texts))) for name, texts in inputs.extra_build_requires)),
        config_settings=tuple(sorted((name, tuple(sorted(own))) for name, own in inputs.config_settings)),
        build_requires=_sorted_or_none(inputs.build_requires),
        trees=tuple(sorted(map(_ordered_tree, inputs.trees), key=lambda tree: tree.path)),
    )


def _ordered_tree(tree: LockedTree) -> LockedTree:
    return replace(
        tree, requirements=_sorted_or_none(tree.requirements), build_requires=tuple(sorted(tree.build_requires))
    )


def _sorted_or_none(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(sorted(texts))


def _ordered_option(value: OptionValue) -> OptionValue:
    if isinstance(value, tuple):
        return tuple(sorted(value))
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


def _reference_key(reference: LockedReference) -> tuple[str, bool, Version, str]:
    version = reference.version
    return reference.name, version is not None, _version(version or "0"), source_text(reference.source)


def _package_key(entry: LockedPackage) -> tuple[str, bool, Version, str]:
    return entry.name, entry.version is not None, _version(entry.version or "0"), source_text(entry.source)


def _ordered_package(entry: LockedPackage) -> LockedPackage:
    return replace(
        entry,
        requires_python=entry.requires_python or None,
        dependencies=tuple(sorted(entry.dependencies, key=_reference_key)),
        sdist=None if entry.sdist is None else _ordered_file(entry.sdist),
        wheels=tuple(sorted(map(_ordered_file, entry.wheels), key=lambda file: file.name)),
        attestation_identities=tuple(sorted(tuple(sorted(identity)) for identity in entry.attestation_identities)),
        build_on=tuple(sorted(entry.build_on)),
    )


def _ordered_members(members: tuple[EnvironmentMember, ...]) -> tuple[EnvironmentMember, ...]:
    if any(member.dependencies for member in members):
        members = tuple(
            replace(member, dependencies=tuple(sorted(member.dependencies))) if member.dependencies else member
            for member in members
        )
    return tuple(sorted(members, key=lambda member: (member.name, _version(member.version))))


def _ordered_build(build: LockedBuild) -> LockedBuild:
    declared = build.declared_packages
    return replace(
        build,
        targets=tuple(sorted(build.targets)),
        requires=tuple(sorted(build.requires)),
        requires_user=tuple(sorted(build.requires_user)),
        requires_dynamic=_sorted_or_none(build.requires_dynamic),
        packages=_ordered_members(build.packages),
        declared_packages=None if declared is None else _ordered_members(declared),
    )


def _build_key(build: LockedBuild) -> tuple[str, bool, Version, str, str, tuple[str, ...]]:
    version = _version(build.version or "0")
    return build.name, build.version is not None, version, build.source or "", build.hook or "", build.targets
