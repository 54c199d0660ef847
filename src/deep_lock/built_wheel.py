"""A wheel that was built here, held against the lock: it is used only where it is what was locked.

Law: the backend is a stranger. Its wheel is read as one from an index is, and what it asks for must be there already.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from deep_lock.display import show
from deep_lock.errors import ArchiveBroken, MetadataInvalid, WheelDiffers
from deep_lock.index.lazy_wheel import metadata_from_wheel
from deep_lock.lockfile.taking import LOCK_AGAIN
from deep_lock.model.installed import tags_of
from deep_lock.model.lock import LockedPackage
from deep_lock.model.metadata import Metadata, check_name, parse_metadata
from deep_lock.model.platforms import parse_platform
from deep_lock.model.requirement import Requirement
from deep_lock.model.target import Target, python_fits, rank
from deep_lock.resolve.dependencies import BASE, IneligibleError, dependencies


class Expected(Struct, frozen=True, kw_only=True):
    """What the lock says of a release that is built on a target."""

    entry: LockedPackage
    version: str
    target: Target
    targets: tuple[Target, ...]
    """All targets of the lock: the entry's dependencies are those on any of them."""
    overridden: frozenset[str] = frozenset()
    """Names whose requirements the project replaced by its own."""

    @property
    def release(self) -> str:
        return f"{self.entry.name} {self.version}"


def judge_wheel(path: Path, expected: Expected) -> Metadata:
    """Read a wheel that was built, and return its metadata if name, version, tags and dependencies are the locked ones.

    Raises WheelDiffers, MetadataInvalid and ArchiveError.
    """
    entry, release = expected.entry, expected.release
    _judge_name(path.name, expected)
    where = f"the wheel that was built of {release}"
    try:
        with path.open("rb") as file:
            metadata = parse_metadata(metadata_from_wheel(file, canonicalize_name(entry.name), where), where)
    except OSError as error:
        raise ArchiveBroken(f"{where}: {error.strerror or error}") from None
    check_name(metadata, canonicalize_name(entry.name), where)
    if not _same(metadata.version, expected.version):
        raise WheelDiffers(f"{where} is of version {show(metadata.version)}", hint=LOCK_AGAIN)
    if not python_fits(metadata.requires_python, expected.target):
        wanted = show(metadata.requires_python or "")
        raise WheelDiffers(f"{where} wants Python {wanted}, which {expected.target.label} is not", hint=LOCK_AGAIN)
    _judge_dependencies(metadata, expected, where)
    return metadata


def _judge_name(filename: str, expected: Expected) -> None:
    entry, target = expected.entry, expected.target
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        raise WheelDiffers(f"{expected.release}: its backend made {show(filename)}, which names no wheel") from None
    if name != entry.name or not _same(str(version), expected.version):
        raise WheelDiffers(f"{expected.release}: its backend made {show(filename)}, another release", hint=LOCK_AGAIN)
    if rank(_as_locked(tags_of(filename), target), target) is None:
        raise WheelDiffers(
            f"{expected.release}: its backend made {show(filename)}, which does not fit {target.label}",
            hint="lock for this machine: deep-lock lock --platform host",
        )


def _as_locked(tags: str, target: Target) -> str:
    """Return the tags with the target's own platform for the bare one, which says: where it was built."""
    python, abi, platforms = tags.rsplit("-", 2) if tags.count("-") >= 2 else ("", "", "")
    system = parse_platform(target.platform)
    bare = f"linux_{system.machine}" if system.variables["sys_platform"] == "linux" else ""
    known = (system.tags[0] if platform == bare else platform for platform in platforms.split("."))
    return f"{python}-{abi}-{'.'.join(known)}"


def _same(told: str, version: str) -> bool:
    try:
        return Version(told) == Version(version)
    except (InvalidVersion, ValueError):
        return told == version


# -- dependencies


def _judge_dependencies(metadata: Metadata, expected: Expected, where: str) -> None:
    """Compare names: what is asked for here is locked, and what is locked is asked for on some target or by an extra."""
    entry = expected.entry
    locked = {reference.name for reference in entry.dependencies}
    for requirement in asked_for(metadata, expected.target, where):
        if requirement.name not in locked and not _is_left_out(requirement, expected):
            raise WheelDiffers(
                f"{where} asks for {show(str(requirement))}, and the lock does not know that", hint=LOCK_AGAIN
            )
    if entry.wheels:
        return  # on other targets a wheel is taken, which may ask for something else
    possible = _possible(metadata, expected, where)
    for name in sorted(locked - possible - expected.overridden):
        raise WheelDiffers(f"{where} does not ask for {name}, and the lock says that it does", hint=LOCK_AGAIN)


def _is_left_out(requirement: Requirement, expected: Expected) -> bool:
    return requirement.name == expected.entry.name or requirement.name in expected.overridden


def _possible(metadata: Metadata, expected: Expected, where: str) -> frozenset[str]:
    extras = (BASE, *(canonicalize_name(extra) for extra in metadata.provides_extra))
    return frozenset(
        requirement.name
        for target in expected.targets
        for extra in extras
        for requirement in asked_for(metadata, target, where, extra)
    )


def asked_for(metadata: Metadata, target: Target, where: str, extra: NormalizedName = BASE) -> tuple[Requirement, ...]:
    """Return what a release asks for on a target, by itself or because of an extra. Raises MetadataInvalid."""
    try:
        return dependencies(metadata, target, extra)
    except IneligibleError as error:
        raise MetadataInvalid(f"{where}: {error}") from None


def judge_company(metadata: Metadata, expected: Expected, versions: Mapping[str, str], place: str) -> None:
    """Refuse a built wheel whose requirements the releases around it do not meet; ``place`` says around what.

    ``versions`` are the releases by name. Raises WheelDiffers and MetadataInvalid.
    """
    where = f"the wheel that was built of {expected.release}"
    for requirement in asked_for(metadata, expected.target, where):
        if not _is_left_out(requirement, expected) and not is_met(requirement, versions):
            found = versions.get(requirement.name)
            there = f"{requirement.name} {found} is locked there" if found else "it is not locked there"
            raise WheelDiffers(f"{where} asks for {show(str(requirement))} {place}, but {there}", hint=LOCK_AGAIN)


def is_met(requirement: Requirement, versions: Mapping[str, str]) -> bool:
    """Whether one of the releases is what is asked for. Nothing locked is known to be what stands at a URL."""
    version = versions.get(requirement.name)
    if version is None or requirement.url is not None:
        return False
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:
        return False
