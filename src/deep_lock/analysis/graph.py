"""The dependency graph of a lock: packages, their builds, and the builds of those, for targets, extras and groups.

Invariant: every package that is installed or used there is a node, and a path from the project leads to it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from heapq import heappop, heappush
from itertools import chain, count
from typing import Literal, NamedTuple

from msgspec import Struct

from deep_lock.lockfile.index import (
    Key,
    LockIndex,
    called,
    covers,
    key_of,
    members,
    parsed,
    record_key,
    referenced,
    roots,
)
from deep_lock.lockfile.selection import InstallSelection, full_selections, installed_packages
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import EnvironmentMember, LockedBuild, LockedInputs, LockedPackage
from deep_lock.models.requirement import Requirement
from deep_lock.targets.markers import Scope
from deep_lock.targets.target import Target, UnevaluableMarker, holds

ROOT: Key = ("", "", "")
"""The project itself: no package has an empty name."""
TargetSet = int
"""Some of the graph's targets as bits, the first target lowest. `Graph.labels_of` names them."""
EdgeKind = Literal["runtime", "build", "inside", "built"]
Needs = Mapping[Key, Mapping[Key, TargetSet]]
"""Dependencies by the package that has them, each with the targets on which it holds."""


class Environment(Struct, frozen=True, kw_only=True, eq=False):
    """Where packages are installed together: the runtime, or the environment of one build."""

    number: int
    """Its index in `Graph.environments`."""
    record: LockedBuild | None
    """None is the runtime."""
    subject: Key
    """What is built there; ROOT for the project, and for the runtime."""
    level: int
    """0 is the runtime; a build is one deeper than the lowest level on which its subject has to be built."""
    targets: TargetSet


class Position(NamedTuple):
    """A package in one environment; without a key the environment itself: the project, or a build."""

    key: Key | None
    environment: Environment

    @property
    def subject(self) -> Key:
        """The package; of an environment what is built there."""
        return self.environment.subject if self.key is None else self.key


class Node(Struct, frozen=True, kw_only=True, eq=False):
    """A package, and where it is used."""

    key: Key
    entry: LockedPackage
    level: int
    """The lowest level that holds it: 0 where it is installed at runtime on any target."""
    runtime: TargetSet
    """Where the runtime holds it."""
    used: TargetSet
    """Where some build environment holds it."""
    built: TargetSet
    """Where it is built from its sdist, or from its source tree."""


class Edge(Struct, frozen=True, kw_only=True, eq=False):
    """``parent`` brings ``child`` in.

    ``runtime``: the project requires it, or a package depends on it. ``build``: a build requires it. ``inside``: a package
    of a build environment depends on it. ``built``: from a package to its build; `Graph.edges` leaves these out.
    """

    parent: Position
    child: Position
    kind: EdgeKind
    targets: TargetSet
    """A lock does not say on which targets a dependency is one: these are the targets where both are installed."""
    requirements: tuple[str, ...] = ()
    """As the project or the build has them. Empty: nothing is known to require it, and it is installed all the same."""
    declared_only: bool = False
    """Only in the environment of the declared requirements: the final environment does without it."""

    @property
    def environment(self) -> Environment:
        """Where the child is installed by it."""
        return self.child.environment


class Path(Struct, frozen=True, kw_only=True, eq=False):
    """A path from the project: its last edge, and the path to where that begins."""

    edge: Edge
    targets: TargetSet
    """On which the whole path holds."""
    before: "Path | None"
    builds: int
    length: int
    """How many packages are on it."""

    @property
    def edges(self) -> tuple[Edge, ...]:
        """From the project down."""
        edges: list[Edge] = []
        path: Path | None = self
        while path is not None:
            edges.append(path.edge)
            path = path.before
        return tuple(reversed(edges))


class Graph(Struct, frozen=True, kw_only=True, eq=False):
    """Nodes in the lock's order; edges of the runtime first, then by build record."""

    lock_index: LockIndex
    labels: tuple[str, ...]
    """Of the targets, in the lock's order."""
    nodes: Mapping[Key, Node]
    environments: tuple[Environment, ...]
    """The runtime first, then the builds in the lock's order."""
    edges: tuple[Edge, ...]
    below: Mapping[Position, tuple[Edge, ...]]
    """The edges that begin at a position: dependencies first, then builds."""
    above: Mapping[Position, tuple[Edge, ...]]
    """The edges that end at a position."""

    @property
    def root(self) -> Position:
        """The project."""
        return Position(None, self.environments[0])

    def labels_of(self, targets: TargetSet) -> tuple[str, ...]:
        """Return the labels of a set of targets, in the lock's order."""
        return tuple(label for number, label in enumerate(self.labels) if targets >> number & 1)


def whole_graph(lock_index: LockIndex, source: str = "deep.lock") -> Graph:
    """Return the graph on all targets of a lock, with every extra and group; ``source`` is its file name, for errors.

    Raises LockInvalid and UsageError on a target that is none.
    """
    return open_graph(lock_index, chosen_targets(lock_index.lock, (), source), full_selections(lock_index.lock))


def open_graph(lock_index: LockIndex, targets: Sequence[Target], selections: Sequence[InstallSelection]) -> Graph:
    """Return the graph of what a lock installs and builds on these targets, with any of these selections.

    Linear in the edges, times the depth at most. A member that has no entry (in a lock that is not closed) is left out.
    """
    runtime = _installed(lock_index, targets, selections)
    usage = _usage(lock_index, targets, runtime)
    environments = _environments(lock_index, targets, usage)
    builds = (_build_edges(lock_index, targets, environment) for environment in environments[1:])
    edges = (*_runtime_edges(lock_index, targets, selections, environments[0], runtime), *chain.from_iterable(builds))
    nodes = {
        key: Node(
            key=key,
            entry=entry,
            level=usage.levels[key],
            runtime=runtime.get(key, 0),
            used=usage.used.get(key, 0),
            built=usage.built.get(key, 0),
        )
        for key, entry in lock_index.entries.items()
        if key in usage.levels
    }
    every = (*edges, *_edges_to_builds(environments, edges))
    return Graph(
        lock_index=lock_index,
        labels=tuple(target.label for target in targets),
        nodes=nodes,
        environments=environments,
        edges=edges,
        below=_grouped((edge.parent, edge) for edge in every),
        above=_grouped((edge.child, edge) for edge in every),
    )


def _grouped(pairs: Iterable[tuple[Position, Edge]]) -> dict[Position, tuple[Edge, ...]]:
    found: dict[Position, list[Edge]] = {}
    for position, edge in pairs:
        found.setdefault(position, []).append(edge)
    return {position: tuple(edges) for position, edges in found.items()}


# -- what is installed and built where


def _everywhere(targets: Sequence[Target]) -> TargetSet:
    return (1 << len(targets)) - 1


def _where(targets: Sequence[Target], test: Callable[[Target], bool]) -> TargetSet:
    return sum(1 << bit for bit, target in enumerate(targets) if test(target))


def _installed(
    lock_index: LockIndex, targets: Sequence[Target], selections: Sequence[InstallSelection]
) -> dict[Key, TargetSet]:
    """Return the runtime, in the lock's order."""
    found: defaultdict[Key, TargetSet] = defaultdict(int)
    for number, target in enumerate(targets):
        for entry in (own for each in selections for own in installed_packages(lock_index, target, each)):
            found[key_of(entry)] |= 1 << number
    return {key: found[key] for key in lock_index.entries if key in found}


class _Usage(Struct, kw_only=True):
    """What a walk over the levels finds."""

    levels: dict[Key, int]
    used: defaultdict[Key, TargetSet]
    built: defaultdict[Key, TargetSet]
    builds: dict[int, tuple[TargetSet, int]]
    """By the index of the record in the lock: its targets, and its level."""


def _usage(lock_index: LockIndex, targets: Sequence[Target], runtime: Mapping[Key, TargetSet]) -> _Usage:
    """Walk level by level: each package is taken once for each target, on the lowest level that holds it there."""
    records: dict[Key, list[tuple[int, LockedBuild, TargetSet]]] = {}
    for number, build in enumerate(lock_index.lock.builds):
        covered = _build_targets(build, targets)
        records.setdefault(_subject(build), []).append((number, build, covered))
    frontier: dict[Key, TargetSet] = {ROOT: _everywhere(targets), **runtime}
    seen = defaultdict(int, frontier)
    found = _Usage(levels=dict.fromkeys(frontier, 0), used=defaultdict(int), built=defaultdict(int), builds={})
    level = 0
    while frontier:
        level += 1
        following: defaultdict[Key, TargetSet] = defaultdict(int)
        for key, bits in frontier.items():
            for number, build, covered in records.get(key, ()):
                if own := bits & covered:
                    found.built[key] |= own
                    before, first = found.builds.get(number, (0, level))
                    found.builds[number] = (before | own, first)
                    for member in map(key_of, members(build)):
                        if member in lock_index.entries:
                            found.used[member] |= own
                            following[member] |= own & ~seen[member]
                            seen[member] |= own
        frontier = {key: bits for key, bits in following.items() if bits}
        for key in frontier:
            found.levels.setdefault(key, level)
    return found


def _build_targets(build: LockedBuild, targets: Sequence[Target]) -> TargetSet:
    return _where(targets, lambda target: covers(build, target.label))


def _subject(build: LockedBuild) -> Key:
    return ROOT if build.needed == "project" else record_key(build)


def _environments(lock_index: LockIndex, targets: Sequence[Target], usage: _Usage) -> tuple[Environment, ...]:
    found = [Environment(number=0, record=None, subject=ROOT, level=0, targets=_everywhere(targets))]
    for number, (bits, level) in sorted(usage.builds.items()):
        build = lock_index.lock.builds[number]
        found.append(Environment(number=len(found), record=build, subject=_subject(build), level=level, targets=bits))
    return tuple(found)


# -- the edges of one environment


def _runtime_edges(
    lock_index: LockIndex,
    targets: Sequence[Target],
    selections: Sequence[InstallSelection],
    environment: Environment,
    runtime: Mapping[Key, TargetSet],
) -> Iterator[Edge]:
    """Yield what the project requires, then the dependencies, in the lock's order."""
    needs: dict[Key, dict[Key, TargetSet]] = {}
    for key, bits in runtime.items():
        for reference in lock_index.entries[key].dependencies:
            for child in map(key_of, referenced(reference, lock_index)):
                if both := bits & runtime.get(child, 0):
                    needs.setdefault(key, {})[child] = both
    first = roots(lock_index.lock)
    direct = {key: bits for key, bits in runtime.items() if key in first}
    texts = _texts(_project_requirements(lock_index.lock.inputs, selections), targets)
    yield from _edges(environment, runtime, needs, direct, texts)


def _project_requirements(inputs: LockedInputs, selections: Sequence[InstallSelection]) -> Iterator[str]:
    yield from inputs.requirements
    selected = frozenset[Scope]().union(*(own.scopes for own in selections))
    extras = ((Scope(kind="extra", name=name), texts) for name, texts in inputs.extras)
    groups = ((Scope(kind="group", name=name), texts) for name, texts in inputs.dependency_groups)
    for scope, texts in (*extras, *groups):
        if scope in selected:
            yield from texts


def _build_edges(lock_index: LockIndex, targets: Sequence[Target], environment: Environment) -> Iterator[Edge]:
    """Yield what a build requires, then the dependencies inside its environment: of the final build environment, then of the declared one."""
    build = environment.record
    if build is None:
        return
    texts = _texts(build.all_requires, targets)
    seen: set[tuple[Position, Position]] = set()
    for declared_only, packages in ((False, build.packages), (True, build.declared_packages or ())):
        for edge in _stage_edges(lock_index, packages, texts, environment, declared_only=declared_only):
            if (edge.parent, edge.child) not in seen:
                seen.add((edge.parent, edge.child))
                yield edge


Texts = Mapping[str, Sequence[tuple[str, TargetSet]]]
"""Requirements as they are written by the project that they name, each with the targets on which its marker holds."""


def _stage_edges(
    lock_index: LockIndex,
    packages: Sequence[EnvironmentMember],
    texts: Texts,
    environment: Environment,
    *,
    declared_only: bool,
) -> Iterator[Edge]:
    bits = environment.targets
    inside = {member.name: key_of(member) for member in packages if key_of(member) in lock_index.entries}
    needs = {
        inside[member.name]: {inside[name]: bits for name in member.dependencies if name in inside}
        for member in packages
        if member.name in inside
    }
    required: dict[Key, TargetSet] = {}
    for name, key in inside.items():
        for _, where in texts.get(name, ()):
            if where & bits:
                required[key] = required.get(key, 0) | where & bits
    yield from _edges(
        environment, dict.fromkeys(inside.values(), bits), needs, required, texts, declared_only=declared_only
    )


def _edges(
    environment: Environment,
    nodes: Mapping[Key, TargetSet],
    needs: Needs,
    required: Mapping[Key, TargetSet],
    texts: Texts,
    *,
    declared_only: bool = False,
) -> Iterator[Edge]:
    """Yield the edges from the top of an environment, then the dependencies inside it."""
    kinds: tuple[EdgeKind, EdgeKind] = ("runtime", "runtime") if environment.record is None else ("build", "inside")
    top = Position(None, environment)
    first = _top_packages(nodes, needs, required)
    for key in nodes:
        if key in first:
            yield Edge(
                parent=top,
                child=Position(key, environment),
                kind=kinds[0],
                targets=first[key],
                requirements=tuple(text for text, where in texts.get(key[0], ()) if where & first[key]),
                declared_only=declared_only,
            )
    for parent in nodes:
        for child, bits in needs.get(parent, {}).items():
            yield Edge(
                parent=Position(parent, environment),
                child=Position(child, environment),
                kind=kinds[1],
                targets=bits,
                declared_only=declared_only,
            )


def _texts(texts: Iterable[str], targets: Sequence[Target]) -> Texts:
    """Return the requirements whose markers hold on a target."""
    found: dict[str, list[tuple[str, TargetSet]]] = {}
    for text in dict.fromkeys(texts):
        for requirement in parsed((text,)):
            if where := _requirement_targets(requirement, targets):
                found.setdefault(requirement.name, []).append((text, where))
    return found


def _requirement_targets(requirement: Requirement, targets: Sequence[Target]) -> TargetSet:
    try:
        return _where(targets, partial(holds, requirement.marker))
    except UnevaluableMarker:
        # the resolver leaves such a requirement out, and warns of it
        return 0


def _top_packages(
    nodes: Mapping[Key, TargetSet], needs: Needs, required: Mapping[Key, TargetSet]
) -> dict[Key, TargetSet]:
    """Return where packages come from the top: what it requires; then what nothing needs; then the first of each cycle left."""
    needed: defaultdict[Key, TargetSet] = defaultdict(int)
    for parent, children in needs.items():
        for child, bits in children.items():
            if child != parent:
                needed[child] |= bits
    top = dict(required)
    connected: defaultdict[Key, TargetSet] = defaultdict(int)
    _connect(required.items(), needs, connected)
    for excluded in (needed, defaultdict[Key, TargetSet](int)):
        for key, bits in nodes.items():
            if loose := bits & ~connected[key] & ~excluded[key]:
                top[key] = top.get(key, 0) | loose
                _connect([(key, loose)], needs, connected)
    return top


def _connect(starts: Iterable[tuple[Key, TargetSet]], needs: Needs, connected: defaultdict[Key, TargetSet]) -> None:
    waiting = list(starts)
    while waiting:
        key, bits = waiting.pop()
        if fresh := bits & ~connected[key]:
            connected[key] |= fresh
            waiting += [(child, fresh & both) for child, both in needs.get(key, {}).items() if fresh & both]


def _edges_to_builds(environments: Sequence[Environment], edges: Iterable[Edge]) -> Iterator[Edge]:
    """Yield an edge from each position of a package to each build of it, and from the project to its own builds."""
    positions: dict[Key, dict[Position, None]] = {ROOT: {Position(None, environments[0]): None}}
    for edge in edges:
        positions.setdefault(edge.child.subject, {})[edge.child] = None
    for environment in environments[1:]:
        for position in positions.get(environment.subject, ()):
            if both := environment.targets & position.environment.targets:
                yield Edge(parent=position, child=Position(None, environment), kind="built", targets=both)


# -- paths


def shortest_paths(graph: Graph) -> Mapping[Edge, Path]:
    """Return by edge a shortest path that ends with it: of those with the fewest builds one with the fewest packages.

    In this order too, so that the first path to a package is a shortest one. Among equals the first in the order of the
    edges is taken: equal locks have equal paths. A path holds on one target at least from its beginning to its end.
    """
    found: dict[Edge, Path] = {}
    seen: defaultdict[Position, TargetSet] = defaultdict(int)
    order = count()
    waiting = list(_steps(graph, graph.root, None, order))
    while waiting:
        builds, length, _, edge, before = heappop(waiting)
        targets = edge.targets if before is None else edge.targets & before.targets
        if not targets:
            continue
        # a position is left once for each target, but every edge that leads to it gets its path
        fresh = targets & ~seen[edge.child]
        path = Path(edge=edge, targets=fresh or targets, before=before, builds=builds, length=length)
        found.setdefault(edge, path)
        if fresh:
            seen[edge.child] |= fresh
            for step in _steps(graph, edge.child, path, order):
                heappush(waiting, step)
    return found


def _steps(
    graph: Graph, position: Position, before: Path | None, order: Iterator[int]
) -> Iterator[tuple[int, int, int, Edge, Path | None]]:
    """Yield the edges from a position, each with the builds and the packages of a path that takes it, as a heap compares them."""
    builds, length = (0, 0) if before is None else (before.builds, before.length)
    for edge in graph.below.get(position, ()):
        is_build = edge.kind == "built"
        yield builds + is_build, length + (not is_build), next(order), edge, before


def position_paths(graph: Graph) -> Mapping[Position, Path]:
    """Return a shortest path to each position, as `shortest_paths` chooses it and in its order."""
    found: dict[Position, Path] = {}
    for edge, path in shortest_paths(graph).items():
        found.setdefault(edge.child, path)
    return found


def package_paths(paths: Mapping[Position, Path]) -> Mapping[Key, Path]:
    """Return a shortest path to each package, out of those to its positions."""
    found: dict[Key, Path] = {}
    for position, path in paths.items():
        if position.key is not None:
            found.setdefault(position.key, path)
    return found


def path_words(graph: Graph, path: Path) -> tuple[str, ...]:
    """Return a path as text: "NAME VERSION" for each step; what is built gives way to "build of NAME VERSION"."""
    found: list[str] = []
    for edge in path.edges:
        if edge.child.key is not None:
            found.append(called(graph.nodes[edge.child.key].entry))
        elif edge.environment.record is not None:
            found[-1:] = [f"build of {called(edge.environment.record)}"]
    return tuple(found)


class Explanations:
    """What brings the packages and builds of a lock in, as text. The graph is made at first use: most locks need none.

    Its methods raise LockInvalid and UsageError where a target of the lock is none.
    """

    def __init__(self, lock_index: LockIndex) -> None:
        self._lock_index = lock_index

    @cached_property
    def graph(self) -> Graph:
        """The whole graph."""
        return whole_graph(self._lock_index)

    @cached_property
    def _paths(self) -> Mapping[Position, Path]:
        return position_paths(self.graph)

    @cached_property
    def _packages(self) -> Mapping[Key, Path]:
        return package_paths(self._paths)

    def package(self, key: Key) -> tuple[str, ...]:
        """Return the shortest path to a package; empty where nothing brings it in."""
        return self._words(self._packages.get(key))

    def build(self, build: LockedBuild) -> tuple[str, ...]:
        """Return the shortest path to a build of the lock."""
        found = (path for own, path in self._paths.items() if own.key is None and own.environment.record is build)
        return self._words(next(found, None))

    def member(self, name: str, builds: Sequence[LockedBuild]) -> tuple[str, ...]:
        """Return the shortest path to a project as a member of one of these builds."""
        wanted = set(map(id, builds))
        found = (
            path
            for own, path in self._paths.items()
            if own.key is not None and own.key[0] == name and id(own.environment.record) in wanted
        )
        return self._words(next(found, None))

    def _words(self, path: Path | None) -> tuple[str, ...]:
        return () if path is None else path_words(self.graph, path)
