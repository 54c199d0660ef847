"""uv.lock, as ``uv sync --frozen`` installs from it: a graph, in which forks give a name several versions."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import LimitExceeded
from deep_lock.foreign_locks.fields import (
    File,
    Files,
    Name,
    Position,
    Rows,
    Specifiers,
    extras_selected,
    names,
    notes_without_sha256,
    read_file,
    read_files,
    read_toml_lock,
)
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Edge, ForeignFile, ForeignLock, ForeignPin
from deep_lock.targets.markers import BASE, Scope

MAX_EDGES = 200_000
"""Followed while the lock is read: edges of a package that is no pin are followed once for each path to it."""
MAX_PATH = 50
"""Members without a package on one path."""
_VERSION = 1


class _Source(Struct, frozen=True):
    registry: str | None = None
    git: str | None = None
    url: str | None = None
    path: str | None = None
    directory: str | None = None
    editable: str | None = None
    virtual: str | None = None
    subdirectory: str | None = None


class _Dependency(Struct, frozen=True):
    name: Name
    version: Version | None = None
    source: _Source | None = None
    marker: str = ""
    extra: Rows[Name] = ()


class _Requirement(Struct, frozen=True):
    """A requirement of the manifest: it has a specifier, and means every package of the name."""

    name: Name
    marker: str = ""
    extras: Rows[Name] = ()


class _Metadata(Struct, frozen=True, rename="kebab"):
    provides_extras: Rows[Name] = ()
    requires_dev: dict[Name, Any] = {}


class _Package(Struct, frozen=True, rename="kebab"):
    name: Name
    source: _Source
    version: Version | None = None
    dependencies: Rows[_Dependency] = ()
    optional_dependencies: dict[Name, Rows[_Dependency]] = {}
    dev_dependencies: dict[Name, Rows[_Dependency]] = {}
    resolution_markers: Rows[str] = ()
    sdist: File | None = None
    wheels: Files = ()
    metadata: _Metadata = _Metadata()

    @property
    def is_root(self) -> bool:
        """Whether it is in the folder of the lock."""
        return "." in {self.source.virtual, self.source.editable}

    @property
    def is_pin(self) -> bool:
        """Whether uv installs it in addition to the project."""
        return not self.is_root and self.source.virtual is None


class _Manifest(Struct, frozen=True, rename="kebab"):
    members: Rows[Name] = ()
    requirements: Rows[_Requirement] = ()
    dependency_groups: dict[Name, Rows[_Requirement]] = {}


class _ConflictItem(Struct, frozen=True):
    package: Name
    extra: Name | None = None
    group: Name | None = None


class _Lock(Struct, frozen=True, rename="kebab"):
    requires_python: Specifiers = Specifiers()
    supported_markers: Rows[str] = ()
    conflicts: Rows[Rows[_ConflictItem]] | None = None
    manifest: _Manifest = _Manifest()
    package: Rows[_Package] = ()


class _Header(Struct, frozen=True):
    version: Any


_Scopes = dict[Scope, tuple[Edge, ...]]


def read_uv_lock(text: str, source: str) -> ForeignLock:
    """Read a uv.lock. Raises LockInvalid that names the position, or LimitExceeded."""
    document, top = read_toml_lock(text, source)
    version = top.convert(document, _Header).version
    if type(version) is not int or version != _VERSION:
        raise top.below("version").invalid(f"is {str(version)[:20]!r}; known is {_VERSION}")
    if "distribution" in document:
        raise top.invalid("was written by a uv of before its format was stable", hint="write it anew: uv lock")
    lock = top.convert(document, _Lock)
    graph = _Graph(lock, source)
    roots = _roots(lock, top)
    _check_markers(lock.supported_markers, top.below("supported-markers"))
    scopes = _scopes(graph, roots)
    direct = frozenset(edge.child for edges in scopes.values() for edge in edges)
    pins = tuple(_pin(graph, number, is_direct=index in direct) for number, index in graph.indexes.items())
    return ForeignLock(
        kind="uv.lock",
        source=source,
        requires_python=lock.requires_python or None,
        environments=lock.supported_markers,
        extras=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "extra"),
        groups=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "group"),
        pins=pins,
        roots=tuple(scopes.items()),
        selectors=_selectors(lock, roots, scopes) if lock.conflicts is not None else (),
        conflicts=tuple(_conflicts(lock, roots)),
        notes=tuple(notes_without_sha256(pins, source)),
    )


def _check_markers(texts: Sequence[str], at: Position) -> None:
    for number, text in enumerate(texts):
        at.below(number).marker(text)


def _roots(lock: _Lock, top: Position) -> list[int]:
    """Return the project, or of a workspace without one at its root all its members."""
    roots = [number for number, package in enumerate(lock.package) if package.is_root]
    if len(roots) > 1:
        raise top.invalid(f"has {len(roots)} packages that are in the folder of the lock")
    members = frozenset(lock.manifest.members)
    return roots or [number for number, package in enumerate(lock.package) if package.name in members]


class _Path(Struct, frozen=True, kw_only=True):
    """How an edge is found: through packages that are no pins."""

    markers: tuple[str, ...] = ()
    selects: frozenset[str] = frozenset()
    through: tuple[tuple[int, str | None], ...] = ()
    """Packages with the extra (None: without one)."""


_START = _Path()


class _Graph:
    """The packages, and what the edges between them mean. Packages have their number in the lock."""

    def __init__(self, lock: _Lock, source: str) -> None:
        self.lock = lock
        self.top = Position(source=source)
        pinned = [number for number, package in enumerate(lock.package) if package.is_pin]
        self.indexes = {number: index for index, number in enumerate(pinned)}
        """Package to its index in the pins."""
        self._by_name: dict[str, list[int]] = {}
        self._edges_left = MAX_EDGES
        for number, package in enumerate(lock.package):
            self._by_name.setdefault(package.name, []).append(number)

    def at(self, number: int, *steps: str | int) -> Position:
        """Return the position of a package, or of a field in it."""
        return self.top.below("package", number, *steps)

    def edges(self, dependencies: Sequence[_Dependency], at: Position, path: _Path = _START) -> Iterator[Edge]:
        """Yield the edges of a list of dependencies."""
        for index, dependency in enumerate(dependencies):
            here = at.below(index)
            onward = replace(path, markers=(*path.markers, dependency.marker))
            yield from self.edges_to(self._package_of(dependency, here), dependency.extra, here, onward)

    def edges_to(self, number: int, extras: Sequence[str], at: Position, path: _Path = _START) -> Iterator[Edge]:
        """Yield the edge to a package, or where it is no pin, the edges to what it depends on."""
        self._edges_left -= 1
        if self._edges_left < 0 or len(path.through) > MAX_PATH:
            raise LimitExceeded(f"{at.source}: {at.place} leads too far, or on too many paths")
        package, selects = self.lock.package[number], path.selects
        if self.lock.conflicts is not None:
            selects |= {_selector("extra", package, extra) for extra in extras}
        if package.is_pin:
            marker = at.marker(extras_selected(_all_of(path.markers))[0])
            yield Edge(child=self.indexes[number], extras=names(extras), marker=marker, selects=selects)
            return
        for extra in (None, *sorted(extras)):
            if (number, extra) not in path.through:
                onward = replace(path, selects=selects, through=(*path.through, (number, extra)))
                if extra is None:
                    yield from self.edges(package.dependencies, self.at(number, "dependencies"), onward)
                else:
                    dependencies = package.optional_dependencies.get(Name(extra), ())
                    yield from self.edges(dependencies, self.at(number, "optional-dependencies", extra), onward)

    def edges_to_all(self, requirements: Iterable[_Requirement], at: Position) -> Iterator[Edge]:
        """Yield edges to all packages that requirements of the manifest name, each where its fork is."""
        for index, requirement in enumerate(requirements):
            extras = names(requirement.extras)
            for number in self._by_name.get(requirement.name, ()):
                if number in self.indexes:
                    forks = self.lock.package[number].resolution_markers
                    _check_markers(forks, self.at(number, "resolution-markers"))
                    fork = " or ".join(f"({text})" for text in forks)
                    marker = at.below(index).marker(extras_selected(_all_of((requirement.marker, fork)))[0])
                    yield Edge(child=self.indexes[number], extras=extras, marker=marker)

    def _package_of(self, dependency: _Dependency, at: Position) -> int:
        found = [
            number
            for number in self._by_name.get(dependency.name, ())
            if dependency.version in {None, self.lock.package[number].version}
            and dependency.source in {None, self.lock.package[number].source}
        ]
        if len(found) != 1:
            raise at.invalid(f"means {len(found)} of the packages")
        return found[0]


def _all_of(markers: Iterable[str]) -> str:
    texts = [text for text in markers if text.strip()]
    return texts[0] if len(texts) == 1 else " and ".join(f"({text})" for text in texts)


def _scopes(graph: _Graph, roots: Sequence[int]) -> _Scopes:
    """Return the edges of the project itself, its extras and its groups. One without dependencies has no edges."""
    found: _Scopes = {BASE: ()}

    def add(kind: Literal["base", "extra", "group"], name: str, edges: Iterable[Edge] = ()) -> None:
        scope = Scope(kind=kind, name=name)
        found[scope] = (*found.get(scope, ()), *edges)

    for number in roots:
        root, at = graph.lock.package[number], graph.at(number)
        add("base", "", graph.edges_to(number, (), at))
        for name, own in root.optional_dependencies.items():
            of_extra = (
                graph.edges_to(number, (name,), at)
                if root.is_pin
                else graph.edges(own, at.below("optional-dependencies", name))
            )
            add("extra", name, of_extra)
        for name in root.metadata.provides_extras:
            add("extra", name)
        for name, own in root.dev_dependencies.items():
            add("group", name, graph.edges(own, at.below("dev-dependencies", name)))
        for name in root.metadata.requires_dev:
            add("group", name)
    manifest, at = graph.lock.manifest, graph.top.below("manifest")
    add("base", "", graph.edges_to_all(manifest.requirements, at.below("requirements")))
    for name, requirements in manifest.dependency_groups.items():
        add("group", name, graph.edges_to_all(requirements, at.below("dependency-groups", name)))
    return found


def _selectors(lock: _Lock, roots: Sequence[int], scopes: Iterable[Scope]) -> tuple[tuple[Scope, frozenset[str]], ...]:
    def selector(scope: Scope, root: int) -> str:
        return _selector("project" if scope == BASE else scope.kind, lock.package[root], scope.name)

    return tuple((scope, frozenset(selector(scope, root) for root in roots)) for scope in scopes)


def _selector(kind: str, package: _Package, name: str) -> str:
    """Return uv's name for a project, an extra or a group of it in the markers of a lock with conflicts."""
    return f"{kind}-{len(package.name)}-{package.name}" + (f"-{name}" if name else "")


def _conflicts(lock: _Lock, roots: Sequence[int]) -> Iterator[frozenset[Scope]]:
    """Yield the sets of scopes that exclude each other. Conflicts with extras of other packages are in the edges."""
    own_names = {lock.package[root].name for root in roots}
    for conflict in lock.conflicts or ():
        own = frozenset(_conflicting(item) for item in conflict if item.package in own_names)
        if len(own) > 1:
            yield own


def _conflicting(item: _ConflictItem) -> Scope:
    if item.extra is not None:
        return Scope(kind="extra", name=item.extra)
    return Scope(kind="group", name=item.group) if item.group is not None else BASE


def _pin(graph: _Graph, number: int, *, is_direct: bool) -> ForeignPin:
    package, at = graph.lock.package[number], graph.at(number)
    registry = package.source.registry
    edges = [*graph.edges(package.dependencies, at.below("dependencies"))]
    for extra, dependencies in package.optional_dependencies.items():
        own = graph.edges(dependencies, at.below("optional-dependencies", extra))
        edges += [replace(edge, of_extra=NormalizedName(extra)) for edge in own]
    return ForeignPin(
        name=NormalizedName(package.name),
        version=package.version if registry is not None else None,
        url=_reference(package, at) if registry is None else None,
        edges=tuple(edges),
        direct=is_direct,
        files=_files(package, at) if registry is not None else (),
        index=at.below("source", "registry").index(registry) if registry is not None and "://" in registry else None,
        origin=at.origin,
    )


def _files(package: _Package, at: Position) -> tuple[ForeignFile, ...]:
    sdist = (read_file(package.sdist, at.below("sdist")),) if package.sdist is not None else ()
    return (*sdist, *read_files(package.wheels, at.below("wheels")))


def _reference(package: _Package, at: Position) -> str:
    """Return what a source that is no index names, as the URL of a requirement."""
    source, at = package.source, at.below("source")
    if source.editable is not None:
        return at.reference(quoted_path(source.editable), editable=True)
    if source.directory is not None:
        return at.reference(quoted_path(source.directory))
    if source.git is not None:
        return at.reference(_git_url(source.git, at.below("git")))
    archive = quoted_path(posixpath.normpath(source.path)) if source.path is not None else source.url
    if not archive:
        raise at.invalid("is of a kind that is not known")
    files = (*((package.sdist,) if package.sdist is not None else ()), *package.wheels)
    digest = min((file.hash for file in files if file.hash), default=None)
    return at.reference(archive, sha256=digest, subdirectory=source.subdirectory)


def _git_url(text: str, at: Position) -> str:
    """Return the URL of a commit: uv writes ``URL?tag=v1&subdirectory=x#commit``."""
    start, _, commit = text.partition("#")
    url, _, query = start.partition("?")
    if not commit:
        raise at.invalid("names no commit")
    options: Mapping[str, str] = dict(parse_qsl(query))
    folder = options.get("subdirectory")
    return f"git+{url}@{commit}" + (f"#subdirectory={folder}" if folder else "")
