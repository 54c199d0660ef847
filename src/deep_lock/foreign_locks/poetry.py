"""poetry.lock, as Poetry installs from it.

Since lock version 2.1 each package has its groups and markers. Before that the project's own requirements are in
pyproject.toml, the packages have edges with ranges of versions, and Poetry resolves again within the lock.
The fields that Poetry reads decide: groups, markers, extras; not "optional" or "category".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from deep_lock.errors import LimitExceeded, LockInvalid, RequirementInvalid
from deep_lock.events import Warned
from deep_lock.foreign_locks.fields import (
    Files,
    Name,
    Position,
    Rows,
    extra_decided,
    extras_selected,
    names,
    notes_without_sha256,
    read_files,
    read_toml_lock,
)
from deep_lock.foreign_locks.poetry_project import PoetryProject, direct_requirements, read_poetry_project
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, Edge, ForeignFile, ForeignLock, ForeignPin
from deep_lock.models.requirement import Requirement
from deep_lock.parsing.poetry_constraints import read_constraint, to_python_marker, to_python_specifier
from deep_lock.targets.markers import BASE, Scope

_WITH_GROUPS = "2.1"
_AS_GRAPH = frozenset(("1.0", "1.1", "2.0"))
_MAIN = "main"
_NEVER = "<empty>"
"""How Poetry writes a marker that holds nowhere."""
_LISTED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,199})")
"""The name in a requirement of an extra."""
MAX_EDGES = 1000
"""Of one package."""


class _Dependency(Struct, frozen=True):
    """What a package requires: a range of versions, or a direct reference."""

    version: str | None = None
    python: str | None = None
    markers: str = ""
    extras: Rows[str] = ()
    optional: bool = False
    git: str | None = None
    path: str | None = None
    url: str | None = None
    file: str | None = None

    @property
    def is_direct(self) -> bool:
        """Whether it is a direct reference."""
        return any(place is not None for place in (self.git, self.path, self.url, self.file))


class _Source(Struct, frozen=True):
    type: str | None = None
    url: str | None = None
    reference: str | None = None
    resolved_reference: str | None = None
    subdirectory: str | None = None


class _Package(Struct, frozen=True, rename="kebab"):
    """A ``[[package]]``."""

    name: Name
    version: Version
    python_versions: str | None = None
    groups: Rows[str] | None = None
    """Since lock version 2.1."""
    markers: str | dict[str, str] = ""
    """Of all groups, or by group."""
    develop: bool = False
    source: _Source = _Source()
    files: Files | None = None
    """None in lock version 1: they are in the metadata."""
    dependencies: dict[
        str, str | _Dependency | Annotated[tuple[str | _Dependency, ...], Meta(max_length=MAX_EDGES)]
    ] = {}
    extras: dict[str, Annotated[tuple[str, ...], Meta(max_length=MAX_EDGES)]] = {}
    """Requirements by extra."""


class _Metadata(Struct, frozen=True, rename="kebab"):
    """The ``[metadata]``."""

    lock_version: str
    python_versions: str | None = None
    files: dict[Name, Files] = {}


class _Header(Struct, frozen=True):
    """What all versions of the format have alike."""

    metadata: _Metadata


class _Lock(_Header, frozen=True):
    """A whole poetry.lock."""

    package: Rows[_Package] = ()
    extras: dict[Name, Any] = {}


class _LockedPackage(Struct, frozen=True, kw_only=True):
    """A package and its pin, which has no conditions or edges yet."""

    package: _Package
    pin: ForeignPin
    at: Position


_Roots = tuple[tuple[Scope, tuple[Edge, ...]], ...]


def read_poetry_lock(text: str, source: str, project: str | None) -> ForeignLock:
    """Read a poetry.lock. ``project`` is the text of the pyproject.toml in its folder, if there is one.

    Raises LockInvalid that names the position, or LimitExceeded.
    """
    document, top = read_toml_lock(text, source)
    version = top.convert(document, _Header).metadata.lock_version
    if version != _WITH_GROUPS and version not in _AS_GRAPH:
        known = ", ".join(sorted({*_AS_GRAPH, _WITH_GROUPS}))
        raise top.invalid(f"is of lock version {version!r:.20}; known are {known}")
    lock, packages = _read_packages(document, top, {} if project is None else direct_requirements(project))
    requires_python, environments = _read_pythons(lock.metadata, top.below("metadata", "python-versions"))
    roots: _Roots = ()
    if version == _WITH_GROUPS:
        pins, groups, notes = _with_conditions(packages)
    else:
        own = _required_project(project, version, source)
        pins, roots, notes = _with_edges(packages, own)
        groups = tuple(sorted(name for name, _ in own.groups))
    return ForeignLock(
        kind="poetry.lock",
        source=source,
        requires_python=requires_python,
        environments=environments,
        extras=tuple(map(NormalizedName, lock.extras)),
        groups=groups,
        pins=pins,
        roots=roots,
        notes=(*notes_without_sha256(pins, source), *notes),
    )


def _read_pythons(metadata: _Metadata, at: Position) -> tuple[str | None, tuple[str, ...]]:
    """Read the Pythons of the project: a specifier set, or where none can express them, a marker."""
    pythons = metadata.python_versions
    if pythons is None:
        return None, ()
    try:
        try:
            return to_python_specifier(pythons) or None, ()
        except RequirementInvalid:
            return None, (to_python_marker(pythons),)
    except RequirementInvalid as error:
        raise at.invalid(f"cannot be read: {error.message}", error.hint) from None


def _required_project(project: str | None, version: str, source: str) -> PoetryProject:
    if project is None:
        raise LockInvalid(
            f"{source}: a lock of version {version} does not contain the requirements of the project",
            hint="Put the pyproject.toml that it was made for next to it, or run poetry lock with Poetry 2.",
        )
    return read_poetry_project(project)


def _read_packages(
    document: Mapping[str, Any], top: Position, direct: Mapping[NormalizedName, frozenset[NormalizedName]]
) -> tuple[_Lock, list[_LockedPackage]]:
    """Read all packages. ``direct`` is what the project itself requires, with the extras of each. Raises LockInvalid."""
    lock = top.convert(document, _Lock)
    found = []
    for number, package in enumerate(lock.package):
        name, source, at = NormalizedName(package.name), package.source, top.below("package", number)
        is_indexed = source.type in {None, "legacy", "pypi"}
        url = "" if source.type in {None, "pypi"} else at.below("source").required(source.url, "url")
        pin = ForeignPin(
            name=name,
            version=package.version,
            url=None if is_indexed else _reference(package, url, at.below("source")),
            direct=name in direct,
            extras=direct.get(name, frozenset()),
            files=_files(package, lock.metadata, top, at),
            index=at.below("source", "url").index(url) if source.type == "legacy" else None,
            origin=at.origin,
        )
        found.append(_LockedPackage(package=package, pin=pin, at=at))
    return lock, found


def _reference(package: _Package, url: str, at: Position) -> str:
    source, here = package.source, at.below("url")
    match source.type:
        case "directory":
            return here.reference(quoted_path(url), editable=package.develop)
        case "file":
            return here.reference(quoted_path(url))
        case "url":
            return here.reference(url, subdirectory=source.subdirectory)
        case "git":
            commit = source.resolved_reference or source.reference
            at_commit = f"@{commit}" if commit else ""
            return here.reference(f"git+{_repository_url(url)}{at_commit}", subdirectory=source.subdirectory)
        case _:
            known = "legacy, directory, file, url and git"
            raise at.below("type").invalid(f"is {source.type!r:.40}; known are {known}")


def _repository_url(text: str) -> str:
    """Return the URL of a repository that may be written as ``user@host:path``, or as a path."""
    if "://" in text:
        return text
    host, colon, path = text.partition(":")
    if colon and "/" not in host:
        return f"ssh://{host}/{path.lstrip('/')}"
    return f"file:{text}"


def _files(package: _Package, metadata: _Metadata, top: Position, at: Position) -> tuple[ForeignFile, ...]:
    """Read the files of a package: its own list, or in older locks that of all versions of its name."""
    if package.files is not None:
        return read_files(package.files, at.below("files"))
    files = read_files(metadata.files.get(package.name, ()), top.below("metadata", "files", package.name))
    return tuple(file for file in files if _version_of(file.name) in {package.version, None})


def _version_of(filename: str) -> Version | None:
    """Return the version in a file name; None where there is none."""
    try:
        if PurePosixPath(filename).suffix == ".whl":
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None


def _with_conditions(
    packages: Sequence[_LockedPackage],
) -> tuple[tuple[ForeignPin, ...], tuple[NormalizedName, ...], tuple[Warned, ...]]:
    notes: list[Warned] = []
    groups: set[str] = set()
    pins = []
    for locked in packages:
        at = locked.at
        conditions: list[Condition] = []
        for number, spelling in enumerate(at.required(locked.package.groups, "groups")):
            group = at.below("groups", number).convert(spelling, Name)
            groups.add(group)
            conditions += _conditions(locked, spelling, group, notes)
        pins.append(replace(locked.pin, conditions=tuple(conditions)))
    return tuple(pins), tuple(sorted(map(NormalizedName, groups - {_MAIN}))), tuple(notes)


def _conditions(locked: _LockedPackage, spelling: str, group: str, notes: list[Warned]) -> list[Condition]:
    """Read when a group installs a package; the main group has the extras in its markers."""
    text, at = locked.package.markers, locked.at.below("markers")
    if isinstance(text, dict):
        text, at = text.get(spelling, ""), at.below(spelling)
    if text.strip() == _NEVER:
        return []
    text, named = extras_selected(text)
    marker = at.marker(text)
    if group != _MAIN:
        return [Condition(scope=Scope(kind="group", name=group), marker=marker)]
    if " not in extras" in text:
        message = (
            "is installed only while an extra is not selected: with that extra, the lock has another package for it"
        )
        notes.append(Warned(code="foreign-extra-excludes", subject=locked.pin.name, message=message))
    extras = sorted({at.convert(extra, Name) for extra in named})
    scopes = [BASE, *(Scope(kind="extra", name=extra) for extra in extras)]
    return [Condition(scope=scope, marker=marker) for scope in scopes]


def _with_edges(
    packages: Sequence[_LockedPackage], project: PoetryProject
) -> tuple[tuple[ForeignPin, ...], _Roots, tuple[Warned, ...]]:
    """Return the pins with their edges, the edges of the project's scopes, and notes. Raises LockInvalid."""
    graph = _Graph(packages)
    notes: list[Warned] = []
    scopes = (
        (BASE, project.base),
        *((Scope(kind="extra", name=name), own) for name, own in project.extras),
        *((Scope(kind="group", name=name), own) for name, own in project.groups),
    )
    roots = tuple((scope, tuple(graph.roots(requirements, notes))) for scope, requirements in scopes)
    return tuple(map(graph.pin, packages)), roots, tuple(notes)


class _Graph:
    """The packages of a lock by name, as indexes into its pins, the highest version first."""

    def __init__(self, packages: Sequence[_LockedPackage]) -> None:
        self._packages = packages
        self._by_name: dict[str, list[int]] = {}
        for index in sorted(range(len(packages)), key=self._version, reverse=True):
            self._by_name.setdefault(packages[index].pin.name, []).append(index)

    def roots(self, requirements: Sequence[Requirement], notes: list[Warned]) -> Iterator[Edge]:
        """Yield the edges of the project's requirements; one that nothing in the lock satisfies is noted."""
        for requirement in requirements:
            found = self._admitted(
                [
                    index
                    for index in self._by_name.get(requirement.name, ())
                    if requirement.url is None or self._packages[index].pin.url is not None
                ],
                (requirement.specifier,),
            )
            if found:
                child, *alternatives = found
                extras, marker = requirement.extras, requirement.marker
                yield Edge(child=child, alternatives=tuple(alternatives), extras=extras, marker=marker)
            else:
                message = (
                    f"is required ({requirement.origin}) but not in the lock: its marker is false on each Python of the project, "
                    "or the lock is older than the project"
                )
                notes.append(Warned(code="foreign-not-locked", subject=requirement.name, message=message))

    def pin(self, locked: _LockedPackage) -> ForeignPin:
        """Return the pin of a package with its edges."""
        pin, package = locked.pin, locked.package
        fits = None
        if len(self._by_name[pin.name]) > 1:
            # Poetry's resolution looks at the Pythons of a version too
            pythons = locked.at.required(package.python_versions, "python-versions")
            at = locked.at.below("python-versions")
            fits = at.marker(_python_marker(pythons, at))
        return replace(pin, edges=tuple(self._edges(package, locked.at)), fits=fits)

    def _edges(self, package: _Package, at: Position) -> Iterator[Edge]:
        extras_of = _extras_by_dependency(package, at.below("extras"))
        for spelling, wanted in package.dependencies.items():
            here = at.below("dependencies", spelling)
            name = here.convert(spelling, Name)
            if isinstance(wanted, tuple):
                for number, one in enumerate(wanted):
                    yield from self._edges_to(name, one, extras_of.get(name, []), here.below(number))
            else:
                yield from self._edges_to(name, wanted, extras_of.get(name, []), here)

    def _edges_to(
        self, name: str, wanted: str | _Dependency, of_extras: Sequence[NormalizedName], at: Position
    ) -> Iterator[Edge]:
        """Yield one edge of a dependency, or where it is optional, one for each extra that lists it."""
        dependency = _Dependency(version=wanted) if isinstance(wanted, str) else wanted
        known = self._by_name.get(name, [])
        same_kind = [index for index in known if (self._packages[index].pin.url is not None) == dependency.is_direct]
        found = self._admitted(same_kind or known, _ranges(dependency.version, at.below("version")))
        if not found:
            # of an extra that nothing requires, or on no Python of the project
            return
        extras = names(at.below("extras").convert(dependency.extras, tuple[Name, ...]))
        for of_extra in of_extras if dependency.optional else [None]:
            yield Edge(
                child=found[0],
                alternatives=tuple(found[1:]),
                extras=extras,
                marker=at.marker(extra_decided(_condition(dependency, at), of_extra)),
                of_extra=of_extra,
            )

    def _admitted(self, indexes: list[int], ranges: Sequence[SpecifierSet]) -> list[int]:
        """Return the packages that any range allows; a name that is locked once needs no choice."""
        if len(indexes) < 2:
            return indexes
        return [
            index
            for index in indexes
            if self._packages[index].pin.url is not None
            or any(one.contains(self._version(index), prereleases=True) for one in ranges)
        ]

    def _version(self, index: int) -> Version:
        return self._packages[index].package.version


def _extras_by_dependency(package: _Package, at: Position) -> dict[str, list[NormalizedName]]:
    """Return the extras of a package that list each dependency."""
    found: dict[str, list[NormalizedName]] = {}
    for spelling, requirements in package.extras.items():
        extra = NormalizedName(at.below(spelling).convert(spelling, Name))
        for number, requirement in enumerate(requirements):
            here = at.below(spelling, number)
            begin = _LISTED.match(requirement)
            if begin is None:
                raise here.invalid("is not a valid requirement")
            found.setdefault(here.convert(begin[1].rstrip("._-"), Name), []).append(extra)
    return found


def _condition(dependency: _Dependency, at: Position) -> str:
    """Return the marker of a dependency, with its Pythons."""
    python = "" if dependency.python is None else _python_marker(dependency.python, at.below("python"))
    return " and ".join(f"({text})" for text in (dependency.markers, python) if text.strip())


def _python_marker(pythons: str, at: Position) -> str:
    try:
        return to_python_marker(pythons)
    except (RequirementInvalid, LimitExceeded) as error:
        raise at.invalid(f"cannot be read: {error.message}") from None


def _ranges(version: str | None, at: Position) -> tuple[SpecifierSet, ...]:
    """Read a constraint as the ranges of which any may allow a version."""
    if version is None:
        return (SpecifierSet(),)
    try:
        return tuple(SpecifierSet(",".join(map(str, conjunction))) for conjunction in read_constraint(version))
    except (RequirementInvalid, LimitExceeded, InvalidSpecifier, ValueError) as error:
        raise at.invalid(f"cannot be read: {str(error)[:200]}") from None
