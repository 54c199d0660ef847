"""A lock, opened at the places where its tables point at each other."""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache

from msgspec import Struct
from packaging.markers import InvalidMarker, Marker

from deep_lock.errors import DeepLockError
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedFile,
    LockedInputs,
    LockedPackage,
    LockedReference,
    source_text,
)
from deep_lock.models.requirement import Requirement, parse_requirement

Key = tuple[str, str, str]
"""(name, version, source) of an entry; "" where it has none."""


class LockIndex(Struct, frozen=True, kw_only=True):
    """The entries and records of a lock by what they are called."""

    lock: Lock
    entries: Mapping[Key, LockedPackage]
    versions: Mapping[str, tuple[LockedPackage, ...]]
    """Entries by name alone."""
    records: Mapping[Key, tuple[LockedBuild, ...]]
    """Build records of entries; the project's own is not among them."""
    labels: frozenset[str]
    options: Mapping[str, object]


def open_register(lock: Lock) -> LockIndex:
    """Index a lock."""
    versions: dict[str, list[LockedPackage]] = {}
    for entry in lock.packages:
        versions.setdefault(entry.name, []).append(entry)
    records: dict[Key, list[LockedBuild]] = {}
    for build in lock.builds:
        if build.needed != "project":
            records.setdefault((build.name, build.version or "", build.source or ""), []).append(build)
    return LockIndex(
        lock=lock,
        entries={key_of(entry): entry for entry in lock.packages},
        versions={name: tuple(entries) for name, entries in versions.items()},
        records={key: tuple(builds) for key, builds in records.items()},
        labels=frozenset(target.name for target in lock.targets),
        options=dict(lock.options),
    )


def called(subject: LockedPackage | LockedBuild | EnvironmentMember) -> str:
    """Return how a message calls an entry, a record or a member."""
    if isinstance(subject, LockedBuild) and subject.hook:
        return f"{subject.name} {subject.version or ''}".rstrip() + f" ({subject.hook})"
    if subject.version:
        return f"{subject.name} {subject.version}"
    source = source_text(subject.source) if isinstance(subject, LockedPackage) else ""
    return f"{subject.name} @ {source}" if source else subject.name


def key_of(subject: LockedPackage | EnvironmentMember) -> Key:
    """Return the key of the entry that is, or is meant."""
    source = source_text(subject.source) if isinstance(subject, LockedPackage) else ""
    return subject.name, subject.version or "", source


def record_key(build: LockedBuild) -> Key:
    """Return the key of the entry that a record is of."""
    return build.name, build.version or "", build.source or ""


def meant(reference: LockedReference, register: LockIndex) -> tuple[LockedPackage, ...]:
    """Return the entries that a reference fits: one, in a lock that is right."""
    entries = register.versions.get(reference.name, ())
    source = source_text(reference.source)
    if reference.version is None and not source:
        return entries
    wanted = (reference.version, source)
    return tuple(entry for entry in entries if (entry.version, source_text(entry.source)) == wanted)


def members(build: LockedBuild) -> tuple[EnvironmentMember, ...]:
    """Return the members of a build environment, of both stages."""
    return (*build.packages, *(build.declared_packages or ()))


def covers(build: LockedBuild, label: str) -> bool:
    """Whether a record holds on a target."""
    return not build.targets or label in build.targets


@lru_cache(maxsize=1024)
def is_gate(marker: str | None) -> bool:
    """Whether a marker is the gate of the build layer, however it is written."""
    if marker is None:
        return False
    try:
        return Marker(marker) == Marker(BUILD_MARKER)
    except (InvalidMarker, ValueError, RecursionError):
        return False


def reached_entries(register: LockIndex) -> frozenset[Key]:
    """Return the entries that a build brings in: of the project, of a runtime entry, and of what those bring in."""
    queue = deque(build for build in register.lock.builds if build.needed == "project")
    for entry in register.lock.packages:
        if not is_gate(entry.marker):
            queue.extend(register.records.get(key_of(entry), ()))
    reached: set[Key] = set()
    while queue:
        for member in members(queue.popleft()):
            if key_of(member) not in reached:
                reached.add(key_of(member))
                queue.extend(register.records.get(key_of(member), ()))
    return frozenset(reached)


def installed_entries(register: LockIndex, roots: Iterable[LockedPackage]) -> frozenset[Key]:
    """Return the entries that the roots reach by the edges of ``dependencies``."""
    queue = deque(roots)
    reached: set[Key] = set()
    while queue:
        entry = queue.popleft()
        if key_of(entry) not in reached:
            reached.add(key_of(entry))
            for reference in entry.dependencies:
                queue.extend(meant(reference, register))
    return frozenset(reached)


def uses_of(register: LockIndex) -> frozenset[Key]:
    """Return the keys of all members of all build environments."""
    return frozenset(key_of(member) for build in register.lock.builds for member in members(build))


def named_in(inputs: LockedInputs) -> frozenset[str]:
    """Return the projects that the inputs name, for the base, an extra or a group."""
    chosen = [texts for _, texts in (*inputs.extras, *inputs.dependency_groups)]
    return frozenset(requirement.name for texts in (inputs.requirements, *chosen) for requirement in parsed(texts))


def parsed(texts: Iterable[str]) -> list[Requirement]:
    """Return the requirements that can be read: the reader refuses a lock with others, so this forgives its maker."""
    requirements: list[Requirement] = []
    for text in texts:
        with suppress(DeepLockError):
            requirements.append(parse_requirement(text))
    return requirements


def needs_record(entry: LockedPackage) -> bool:
    """Whether something of the entry is built where it is installed."""
    match entry.source:
        case None:
            return entry.sdist is not None
        case LockedArchive() as archive:
            return not (archive.url or archive.path or "").partition("?")[0].endswith(".whl")
        case _:
            return True


def files_of(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the files of an entry, the sdist last."""
    return (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ()))
