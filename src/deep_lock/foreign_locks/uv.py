"""uv.lock, as ``uv sync --frozen`` installs from it: a graph, in which forks give a name several versions.

The members of a workspace, their extras and their groups have the names that they have in a deep.lock of the workspace.
"""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from typing import Any, Literal
from urllib.parse import parse_qsl

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import LimitExceeded, LockInvalid
from deep_lock.events import Warned
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
from deep_lock.models.conflicts import MAX_CHOICES, Implied, choices
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Edge, ForeignFile, ForeignLock, ForeignPin
from deep_lock.models.workspace import Member, implied_scopes, scope_of
from deep_lock.targets.markers import BASE, Scope

MAX_EDGES = 200_000
"""Followed while the lock is read: edges of a package that is no pin are followed once for each path to it."""
MAX_PATH = 50
"""Members without a package on one path."""
MAX_PAIRS = 500
"""Of parts that exclude each other."""
MAX_PAIR_CHOICES = 16
"""With pairs, or twice as many as with sets: each choice is resolved on each target."""
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
    def folder(self) -> str | None:
        """The folder of a source tree, relative to that of the lock; None for another source."""
        source = self.source
        return next((own for own in (source.virtual, source.editable, source.directory) if own is not None), None)

    @property
    def is_root(self) -> bool:
        """Whether it is in the folder of the lock."""
        return self.folder == "."

    @property
    def extras(self) -> list[Name]:
        """Its extras, also those that require nothing."""
        return list(dict.fromkeys((*self.optional_dependencies, *self.metadata.provides_extras)))

    @property
    def groups(self) -> list[Name]:
        """Its dependency groups, also those that require nothing."""
        return list(dict.fromkeys((*self.dev_dependencies, *self.metadata.requires_dev)))


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


class _Part(Struct, frozen=True, kw_only=True):
    """What is selected at once: a project, an extra or a group of it."""

    edges: tuple[Edge, ...] = ()
    selector: str = ""
    """uv's name for it; empty where it belongs to no package."""
    is_empty: bool = False
    """Whether the lock does not list it, since it requires nothing. uv does not evaluate markers with its name then."""


_Parts = dict[Scope, _Part]
"""By what a part is called in a deep.lock."""
_Node = Scope | tuple[int, NormalizedName | None]
"""A part of the project, or a pin with an extra (None: without one)."""


def read_uv_lock(text: str, source: str, project: str | None = None) -> ForeignLock:
    """Read a uv.lock. ``project`` is the text of the pyproject.toml in its folder, if there is one.

    Raises LockInvalid that names the position, or LimitExceeded.
    """
    document, top = read_toml_lock(text, source)
    version = top.convert(document, _Header).version
    if type(version) is not int or version != _VERSION:
        raise top.below("version").invalid(f"is {str(version)[:20]!r}; known is {_VERSION}")
    if "distribution" in document:
        raise top.invalid("was written by a version of uv whose lock format was not stable", hint="run uv lock")
    lock = top.convert(document, _Lock)
    graph = _Graph(lock, source, root_is_there=project is not None)
    _check_markers(lock.supported_markers, top.below("supported-markers"))
    parts = _parts(graph)
    direct = frozenset(edge.child for part in parts.values() for edge in part.edges)
    pins = tuple(_pin(graph, number, is_direct=index in direct) for number, index in graph.indexes.items())
    conflicts, notes = _conflicts(lock, parts, _ActiveParts(parts, pins, source), tuple(graph.members.values()))
    selectors = (
        (scope, frozenset([part.selector] if part.selector and not part.is_empty else ()))
        for scope, part in parts.items()
    )
    return ForeignLock(
        kind="uv.lock",
        source=source,
        requires_python=lock.requires_python or None,
        environments=lock.supported_markers,
        extras=tuple(NormalizedName(scope.name) for scope in parts if scope.kind == "extra"),
        groups=tuple(NormalizedName(scope.name) for scope in parts if scope.kind == "group"),
        members=tuple(sorted(graph.members.values(), key=lambda member: member.name)),
        pins=pins,
        roots=tuple((scope, part.edges) for scope, part in parts.items()),
        selectors=tuple(selectors) if lock.conflicts is not None else (),
        conflicts=conflicts,
        notes=(*notes, *notes_without_sha256(pins, source)),
    )


def _check_markers(texts: Sequence[str], at: Position) -> None:
    for number, text in enumerate(texts):
        at.below(number).marker(text)


class _Path(Struct, frozen=True, kw_only=True):
    """How an edge is found: through packages that are no pins."""

    markers: tuple[str, ...] = ()
    selects: frozenset[str] = frozenset()
    through: tuple[tuple[int, str | None], ...] = ()
    """Packages with the extra (None: without one)."""


_START = _Path()


class _Graph:
    """The packages, and what the edges between them mean. Packages have their number in the lock."""

    def __init__(self, lock: _Lock, source: str, *, root_is_there: bool) -> None:
        self.lock = lock
        self.top = Position(source=source)
        self._by_name: dict[str, list[int]] = {}
        self._edges_left = MAX_EDGES
        for number, package in enumerate(lock.package):
            self._by_name.setdefault(package.name, []).append(number)
        roots = [number for number, package in enumerate(lock.package) if package.is_root]
        if len(roots) > 1:
            raise self.top.invalid(f"has {len(roots)} packages that are in the folder of the lock")
        self.members = self._members()
        """The members of a workspace by package; none in the lock of one project."""
        self.projects = list(self.members) or roots
        """The members, or the project in the folder of the lock; a script has none."""
        left_out = frozenset(roots if not self.members or not root_is_there else ())
        pinned = [
            number
            for number, package in enumerate(lock.package)
            if package.source.virtual is None and number not in left_out
        ]
        self.indexes = {number: index for index, number in enumerate(pinned)}
        """Package to its index in the pins."""

    def _members(self) -> dict[int, Member]:
        found: dict[int, Member] = {}
        for place, name in enumerate(dict.fromkeys(self.lock.manifest.members)):
            own = [number for number in self._by_name.get(name, ()) if self.lock.package[number].folder is not None]
            if len(own) != 1:
                at = self.top.below("manifest", "members", place)
                raise at.invalid(f"names {name!r}, and {len(own)} of the packages are folders of this name")
            package = self.lock.package[own[0]]
            found[own[0]] = Member(
                name=name,
                path=posixpath.normpath(package.folder or ""),
                root=package.is_root,
                extras=tuple(sorted(package.extras)),
                dependency_groups=tuple(sorted(package.groups)),
            )
        return found if any(not member.root for member in found.values()) else {}

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
            raise LimitExceeded(f"{at.source}: {at.place} has too many nested dependencies")
        package, selects = self.lock.package[number], path.selects
        if self.lock.conflicts is not None:
            selects |= {_selector("extra", package.name, extra) for extra in extras}
        if number in self.indexes:
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


def _parts(graph: _Graph) -> _Parts:
    """Return what can be selected. A part without dependencies has no edges."""
    found: _Parts = {} if graph.members else {BASE: _Part()}
    for number in graph.projects:
        package, member = graph.lock.package[number], graph.members.get(number)
        for own, edges in _own_parts(graph, number):
            scope = scope_of(member, own) if member is not None else own
            if member is not None and scope in found:
                raise _same_name(scope, graph.at(number))
            listed = package.optional_dependencies if own.kind == "extra" else package.dev_dependencies
            found[scope] = _Part(
                edges=tuple(edges),
                selector=_selector(own.kind, package.name, own.name),
                is_empty=own != BASE and own.name not in listed,
            )
    of_members = frozenset(found if graph.members else ())
    for scope, requirements, at in _manifest_lists(graph):
        if scope in of_members:
            raise _same_name(scope, at)
        part = found.get(scope, _Part())
        found[scope] = replace(part, edges=(*part.edges, *graph.edges_to_all(requirements, at)))
    return found


def _same_name(scope: Scope, at: Position) -> LockInvalid:
    return at.invalid(
        f"would be the {scope.kind} {scope.name!r} of deep.lock, as another part of the workspace would",
        hint="rename one of the members, or the extra or group, and run uv lock",
    )


def _manifest_lists(graph: _Graph) -> Iterator[tuple[Scope, Sequence[_Requirement], Position]]:
    """Yield the requirements that belong to no package: those of a script, and of a root without a project."""
    manifest, at = graph.lock.manifest, graph.top.below("manifest")
    if manifest.requirements:  # uv before 0.5 wrote the dev-dependencies of such a root there
        own = Scope(kind="group", name="dev") if graph.members else BASE
        yield own, manifest.requirements, at.below("requirements")
    for name, requirements in manifest.dependency_groups.items():
        yield Scope(kind="group", name=name), requirements, at.below("dependency-groups", name)


def _own_parts(graph: _Graph, number: int) -> Iterator[tuple[Scope, Iterable[Edge]]]:
    """Yield the edges of a project itself, its extras and its groups."""
    package, at = graph.lock.package[number], graph.at(number)
    yield BASE, graph.edges_to(number, (), at)
    for name in package.extras:
        own = package.optional_dependencies.get(name, ())
        yield (
            Scope(kind="extra", name=name),
            graph.edges_to(number, (name,), at)
            if number in graph.indexes
            else graph.edges(own, at.below("optional-dependencies", name)),
        )
    for name in package.groups:
        own = package.dev_dependencies.get(name, ())
        yield Scope(kind="group", name=name), graph.edges(own, at.below("dev-dependencies", name))


def _selector(kind: Literal["base", "extra", "group"], package: str, name: str = "") -> str:
    """Return uv's name for a project, an extra or a group of it in the markers of a lock with conflicts."""
    word = "project" if kind == "base" else kind
    return f"{word}-{len(package)}-{package}" + (f"-{name}" if name else "")


_Conflicts = tuple[frozenset[Scope], ...]


def _conflicts(
    lock: _Lock, parts: _Parts, active: "_ActiveParts", members: Sequence[Member]
) -> tuple[_Conflicts, tuple[Warned, ...]]:
    """Return the sets of parts that exclude each other, and a warning where they are larger than they need to be.

    A part that requires an extra which is in a conflict, as a member does with ``core[cpu]``, excludes the other ones too:
    in pairs. Where these allow too many selections, all parts that a conflict is about are one set.
    """
    by_selector = {part.selector: scope for scope, part in parts.items() if part.selector}
    implied = implied_scopes(members)
    stated: list[frozenset[Scope]] = []
    joined: list[frozenset[Scope]] = []
    candidates: list[tuple[frozenset[Scope], list[frozenset[Scope]]]] = []
    for conflict in lock.conflicts or ():
        selectors = [_item_selector(item) for item in conflict]
        own = frozenset(by_selector[selector] for selector in selectors if selector in by_selector)
        users = [_without_implied(active.parts(selector), implied) for selector in selectors]
        stated.append(own)
        joined.append(_without_implied(own.union(*users), implied))
        candidates.append((own, users))
    pairs = list(islice(_pairs(candidates, implied), MAX_PAIRS))
    exact, larger = _of_two_or_more((*stated, *pairs)), _of_two_or_more(joined)
    if not pairs:
        return exact, ()
    if len(exact) < MAX_PAIRS:
        limit = min(MAX_CHOICES, max(MAX_PAIR_CHOICES, 2 * _count(larger, parts, implied)))
        if _count(exact, parts, implied) <= limit:
            return exact, ()
    message = (
        "allow too many selections: of all extras, groups and members that one conflict is about, one at once is locked"
    )
    return larger, (Warned(code="foreign-conflicts", subject="its conflicts", message=message),)


def _without_implied(scopes: frozenset[Scope], implied: Implied) -> frozenset[Scope]:
    """Leave out the extras whose member is there too: they are selected with it only."""
    return frozenset(scope for scope in scopes if implied.get(scope) not in scopes)


def _pairs(
    candidates: Iterable[tuple[frozenset[Scope], Sequence[frozenset[Scope]]]], implied: Implied
) -> Iterator[frozenset[Scope]]:
    """Yield the pairs of parts that use different items of a conflict. ``candidates`` have its own parts, and the users."""
    every = (
        (own, frozenset(pair)) for own, users in candidates for two in combinations(users, 2) for pair in product(*two)
    )
    for own, pair in islice(every, MAX_EDGES):
        # of an extra and its member it would mean that the extra is never selected
        if not pair <= own and _without_implied(pair, implied) == pair:
            yield pair


def _of_two_or_more(conflicts: Iterable[frozenset[Scope]]) -> _Conflicts:
    return tuple(dict.fromkeys(own for own in conflicts if len(own) > 1))


def _count(conflicts: _Conflicts, parts: Collection[Scope], implied: Implied) -> int:
    """Return how many choices there are, or one more than a lock may have."""
    try:
        return len(choices([tuple(sorted(own)) for own in conflicts], parts, implied))
    except LimitExceeded:
        return MAX_CHOICES + 1


class _ActiveParts:
    """Which parts of the project make a selector active: the one that it names, and those that require the extra."""

    def __init__(self, parts: _Parts, pins: Sequence[ForeignPin], source: str) -> None:
        self._source = source
        self._first: dict[str, list[_Node]] = {part.selector: [scope] for scope, part in parts.items()}
        self._above: dict[_Node, list[_Node]] = {}
        self._steps_left = MAX_EDGES
        edges: list[tuple[_Node, Edge]] = [(scope, edge) for scope, part in parts.items() for edge in part.edges]
        edges += [((index, edge.of_extra), edge) for index, pin in enumerate(pins) for edge in pin.edges]
        for node, edge in edges:
            for extra in (None, *edge.extras):
                self._above.setdefault((edge.child, extra), []).append(node)
            for selector in edge.selects:
                self._first.setdefault(selector, []).append(node)

    def parts(self, selector: str) -> frozenset[Scope]:
        """Return the parts with which a selector may be active, for any markers on the way. Raises LimitExceeded."""
        queue = list(dict.fromkeys(self._first.get(selector, ())))
        seen = set(queue)
        for node in queue:
            for above in self._above.get(node, ()):
                self._steps_left -= 1
                if self._steps_left < 0:
                    raise LimitExceeded(
                        f"{self._source}: its conflicts are about extras that too many packages require"
                    )
                if above not in seen:
                    seen.add(above)
                    queue.append(above)
        return frozenset(node for node in queue if isinstance(node, Scope))


def _item_selector(item: _ConflictItem) -> str:
    if item.extra is not None:
        return _selector("extra", item.package, item.extra)
    return _selector("group" if item.group is not None else "base", item.package, item.group or "")


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
