"""An index of a lock: its packages and build records by key, and the references between them."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache

from msgspec import Struct
from packaging.markers import InvalidMarker

from deep_lock.errors import DeepLockError
from deep_lock.lockfile.fields import url_filename
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedInputs,
    LockedPackage,
    LockedReference,
    source_text,
)
from deep_lock.models.requirement import Requirement
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.pep440 import parse_marker

Key = tuple[str, str, str]
"""(name, version, source) of a package; "" where it has none. The source of a release is its index if it is `by_index`."""


class LockIndex(Struct, frozen=True, kw_only=True):
    """The packages and build records of a lock by key."""

    lock: Lock
    entries: Mapping[Key, LockedPackage]
    versions: Mapping[str, tuple[LockedPackage, ...]]
    """Packages by name alone."""
    records: Mapping[Key, tuple[LockedBuild, ...]]
    """Build records of packages; the project's own is not among them."""
    labels: frozenset[str]
    """Of the targets."""
    options: Mapping[str, object]

    @property
    def locks_builds(self) -> bool:
        """Whether builds are locked, and not the runtime part only."""
        return self.options.get("build-scope") != "none"


def index_lock(lock: Lock) -> LockIndex:
    """Index a lock."""
    versions: dict[str, list[LockedPackage]] = {}
    for entry in lock.packages:
        versions.setdefault(entry.name, []).append(entry)
    records: dict[Key, list[LockedBuild]] = {}
    for build in lock.builds:
        if build.needed != "project":
            records.setdefault(record_key(build), []).append(build)
    return LockIndex(
        lock=lock,
        entries={key_of(entry): entry for entry in lock.packages},
        versions={name: tuple(entries) for name, entries in versions.items()},
        records={key: tuple(builds) for key, builds in records.items()},
        labels=frozenset(target.name for target in lock.targets),
        options=dict(lock.options),
    )


def called(subject: LockedPackage | LockedBuild | EnvironmentMember) -> str:
    """Return the name of a package, a build record or a member in messages."""
    if isinstance(subject, LockedBuild) and subject.hook:
        return f"{subject.name} {subject.version or ''}".rstrip() + f" ({subject.hook})"
    if subject.version:
        index = f" of {subject.index}" if isinstance(subject, LockedPackage) and subject.by_index else ""
        return f"{subject.name} {subject.version}{index}"
    source = source_text(subject.source) if isinstance(subject, LockedPackage) else ""
    return f"{subject.name} @ {source}" if source else subject.name


def key_of(subject: LockedPackage | EnvironmentMember) -> Key:
    """Return the key of a package, or of the package that is a member of a build environment."""
    if not isinstance(subject, LockedPackage):
        return subject.name, subject.version, ""
    return subject.name, subject.version or "", _source_of(subject)


def _source_of(entry: LockedPackage) -> str:
    return entry.index or "" if entry.by_index else source_text(entry.source)


def record_key(build: LockedBuild) -> Key:
    """Return the key of the package that a build record belongs to."""
    return build.name, build.version or "", build.source or ""


def referenced(reference: LockedReference, index: LockIndex) -> tuple[LockedPackage, ...]:
    """Return the packages that a reference fits: one, in a valid lock."""
    entries = index.versions.get(reference.name, ())
    source = reference.index or source_text(reference.source)
    if reference.version is None and not source:
        return entries
    wanted = (reference.version, source)
    return tuple(entry for entry in entries if (entry.version, _source_of(entry)) == wanted)


def reference_to(entry: LockedPackage, *, by_name: bool) -> LockedReference:
    """Return as much of a package as distinguishes it from the others (PEP 751); ``by_name`` where no other has its name."""
    if by_name:
        return LockedReference(name=entry.name)
    index = entry.index if entry.by_index else None
    return LockedReference(name=entry.name, version=entry.version, index=index, source=entry.source)


def several_indexes(lock: Lock) -> frozenset[str]:
    """Return the projects with packages of several indexes."""
    indexes: dict[str, set[str]] = {}
    for entry in lock.packages:
        if entry.index is not None:
            indexes.setdefault(entry.name, set()).add(entry.index)
    return frozenset(name for name, own in indexes.items() if len(own) > 1)


def members(build: LockedBuild) -> tuple[EnvironmentMember, ...]:
    """Return the members of a build environment, of both stages."""
    return (*build.packages, *(build.declared_packages or ()))


def covers(build: LockedBuild, label: str) -> bool:
    """Whether a build record applies to a target."""
    return not build.targets or label in build.targets


def builds_on(index: LockIndex, entry: LockedPackage, label: str) -> Iterator[LockedBuild]:
    """Yield the build records of a package that apply to a target."""
    return (build for build in index.records.get(key_of(entry), ()) if covers(build, label))


@lru_cache(maxsize=1024)
def is_gate(marker: str | None) -> bool:
    """Whether a marker is that of packages that only builds need, in any spelling."""
    if marker is None:
        return False
    try:
        return parse_marker(marker) == parse_marker(BUILD_MARKER)
    except InvalidMarker:
        return False


def build_closure(index: LockIndex) -> frozenset[Key]:
    """Return the packages that builds use: those of the project, of installed packages, and of what these builds use."""
    queue = deque(build for build in index.lock.builds if build.needed == "project")
    for entry in index.lock.packages:
        if not is_gate(entry.marker):
            queue.extend(index.records.get(key_of(entry), ()))
    found: set[Key] = set()
    while queue:
        for key in map(key_of, members(queue.popleft())):
            if key not in found:
                found.add(key)
                queue.extend(index.records.get(key, ()))
    return frozenset(found)


def runtime_closure(index: LockIndex, roots: Iterable[LockedPackage]) -> frozenset[Key]:
    """Return the roots and all packages that they depend on."""
    queue = deque(roots)
    found: set[Key] = set()
    while queue:
        entry = queue.popleft()
        if key_of(entry) not in found:
            found.add(key_of(entry))
            for reference in entry.dependencies:
                queue.extend(referenced(reference, index))
    return frozenset(found)


def required_packages(index: LockIndex) -> frozenset[Key]:
    """Return the packages that the inputs lead to by what the lock records, at run time and in builds.

    Marks of a package do not count: a lock that was edited may have any number of packages that nothing requires.
    """
    names = names_in(index.lock.inputs)
    own = (entry for entry in index.lock.packages if not is_gate(entry.marker) and entry.name in names)
    runtime = runtime_closure(index, own)
    builds = deque(build for build in index.lock.builds if build.needed == "project")
    builds.extend(build for key in runtime for build in index.records.get(key, ()))
    found = set(runtime)
    while builds:
        build = builds.popleft()
        waiting: list[str] = [requirement.name for requirement in parsed(build.all_requires)]
        by_name: dict[str, list[EnvironmentMember]] = {}
        for member in members(build):
            by_name.setdefault(member.name, []).append(member)
        while waiting:
            for member in by_name.pop(waiting.pop(), ()):
                waiting += member.dependencies
                key = key_of(member)
                if key not in found:
                    found.add(key)
                    builds.extend(index.records.get(key, ()))
    return frozenset(found)


def uses_of(index: LockIndex) -> frozenset[Key]:
    """Return the keys of all members of all build environments."""
    return frozenset(key_of(member) for build in index.lock.builds for member in members(build))


def names_in(inputs: LockedInputs) -> frozenset[str]:
    """Return the projects that the inputs require, with all extras and groups."""
    lists = [texts for _, texts in (*inputs.extras, *inputs.dependency_groups)]
    return frozenset(requirement.name for texts in (inputs.requirements, *lists) for requirement in parsed(texts))


def names_of_members(lock: Lock) -> frozenset[str]:
    """Return the projects that members of the workspace require in their folders."""
    paths = {member.path for member in lock.inputs.members}
    return frozenset(
        reference.name
        for entry in lock.packages
        if isinstance(entry.source, LockedDirectory) and entry.source.path in paths
        for reference in entry.dependencies
    )


def roots(lock: Lock) -> frozenset[Key]:
    """Return the packages at which the runtime graph starts: direct ones that the inputs themselves require.

    What only members of a workspace require in their folders is direct too, and is below the member.
    """
    named = names_in(lock.inputs)
    return frozenset(key_of(entry) for entry in lock.packages if entry.direct and entry.name in named)


def parsed(texts: Iterable[str]) -> list[Requirement]:
    """Return the requirements that can be read: the reader refuses a lock with any other."""
    requirements: list[Requirement] = []
    for text in texts:
        with suppress(DeepLockError):
            requirements.append(parse_requirement(text))
    return requirements


def archive_file(entry: LockedPackage) -> LockedFile | None:
    """Return the file of a package whose direct source is an archive."""
    source = entry.source
    if not isinstance(source, LockedArchive):
        return None
    name = url_filename(source.url) if source.url is not None else (source.path or "").rpartition("/")[2]
    return LockedFile(name=name, url=source.url, path=source.path, sha256=source.sha256, size=source.size)


def needs_record(entry: LockedPackage) -> bool:
    """Whether the package has a source that may have to be built."""
    if entry.source is None:
        return entry.sdist is not None
    archive = archive_file(entry)
    return archive is None or not archive.name.endswith(".whl")


def wheels_of(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the wheels of a package; a direct source may be one."""
    archive = archive_file(entry)
    return entry.wheels if archive is None or needs_record(entry) else (archive,)


def files_of(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the files of an index that a package lists, the sdist last."""
    return (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ()))
