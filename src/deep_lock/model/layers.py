"""A lock as a graph in layers: the run time, what builds it, what builds that, on chosen targets, extras and groups.

Law: every entry that is installed or built with there is a node and hangs on the project by at least one chain of edges; an
edge says in which environment it holds, on which targets, and nothing is walked twice for a target.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from deep_lock.model.installed import Chosen, present
from deep_lock.model.layer_edges import EdgeKind, Masks, build_edges, runtime_edges
from deep_lock.model.lock import LockedBuild, LockedPackage
from deep_lock.model.register import Key, Register, key_of, members
from deep_lock.model.target import Target

ROOT: Key = ("", "", "")
"""Stands for the project itself: no entry has an empty name."""


class Environment(Struct, frozen=True, kw_only=True, eq=False):
    """Where packages are installed together: the run time, or the environment of one build."""

    place: int
    """In `Layers.environments`."""
    record: LockedBuild | None
    """None is the run time."""
    subject: Key
    """What is built there; ROOT for the project, and for the run time."""
    level: int
    """0 is the run time; a build is one deeper than the highest layer in which its subject has to be built."""
    labels: frozenset[str]
    """Of the chosen targets: on which of them it is made up."""


class Node(Struct, frozen=True, kw_only=True, eq=False):
    """An entry, and where it stands."""

    key: Key
    entry: LockedPackage
    level: int
    """The lowest level that reaches it: 0 where it is installed at run time on any chosen target."""
    runtime: frozenset[str]
    """Labels of the targets on which the run time holds it."""
    used: frozenset[str]
    """Labels of the targets on which some build environment holds it."""
    built: frozenset[str]
    """Labels of the targets on which it is built from its sdist, or from its tree."""


class Edge(Struct, frozen=True, kw_only=True, eq=False):
    """``parent`` brings ``child`` in.

    ``runtime``: the project asks for it, or an entry depends on it. ``build``: the build of the parent asks for it.
    ``inside``: in an environment of a build, a member depends on another one.
    """

    parent: Key
    child: Key
    kind: EdgeKind
    environment: Environment
    """Where the child is installed by it."""
    labels: frozenset[str]
    """Of targets. A lock does not say on which targets a dependency is one: here it is where both are there."""
    requirements: tuple[str, ...] = ()
    """As they were written, of the project or of a build. Empty: nothing known asks for it, and it is there all the same."""
    declared_only: bool = False
    """Only in the declared stage: the final environment does without it."""


class Layers(Struct, frozen=True, kw_only=True, eq=False):
    """Nodes in the lock's order, and edges: those of the run time first, then by build record, from the top down."""

    register: Register
    labels: tuple[str, ...]
    """Of the chosen targets."""
    nodes: Mapping[Key, Node]
    environments: tuple[Environment, ...]
    """The run time first, then the builds in the lock's order."""
    edges: tuple[Edge, ...]
    children: Mapping[Key, tuple[Edge, ...]]
    """Edges by parent, of all environments; ROOT among them."""
    parents: Mapping[Key, tuple[Edge, ...]]
    """Edges by child, of all environments."""


def open_layers(register: Register, targets: Sequence[Target], chosen: Chosen) -> Layers:
    """Return the graph of what a lock installs and builds on these targets, for these extras and groups.

    Linear in the edges, times the depth at most. A member that has no entry (in a lock that is not closed) is left out.
    """
    masks = Masks(targets=tuple(targets))
    runtime = _installed(register, targets, chosen)
    reach = _reach(register, masks, runtime)
    environments = _environments(register, masks, reach)
    edges = tuple(_edges(register, masks, chosen, runtime, environments))
    nodes = {
        key: Node(
            key=key,
            entry=entry,
            level=reach.levels[key],
            runtime=masks.labels(runtime.get(key, 0)),
            used=masks.labels(reach.used.get(key, 0)),
            built=masks.labels(reach.built.get(key, 0)),
        )
        for key, entry in register.entries.items()
        if key in reach.levels
    }
    return Layers(
        register=register,
        labels=tuple(target.label for target in targets),
        nodes=nodes,
        environments=environments,
        edges=edges,
        children=_grouped((edge.parent, edge) for edge in edges),
        parents=_grouped((edge.child, edge) for edge in edges),
    )


def _installed(register: Register, targets: Sequence[Target], chosen: Chosen) -> dict[Key, int]:
    """Return the run time, with the targets as bits, in the lock's order."""
    found: dict[Key, int] = {}
    for place, target in enumerate(targets):
        for entry in present(register, target, chosen):
            key = key_of(entry)
            found[key] = found.get(key, 0) | 1 << place
    return {key: found[key] for key in register.entries if key in found}


class _Reach(Struct, kw_only=True):
    """What a walk over the levels has found so far; sets of targets are bits."""

    levels: dict[Key, int]
    seen: dict[Key, int]
    used: dict[Key, int] = {}
    built: dict[Key, int] = {}
    builds: dict[int, tuple[int, int]] = {}
    """By the record's place in the lock: its targets, and its level."""


def _reach(register: Register, masks: Masks, runtime: Mapping[Key, int]) -> _Reach:
    """Walk level by level: each entry is taken once for each target, on the lowest level that reaches it there."""
    records = _records(register, masks)
    frontier = {ROOT: masks.everywhere, **runtime}
    found = _Reach(levels=dict.fromkeys(frontier, 0), seen=dict(frontier))
    level = 0
    while frontier:
        level += 1
        following: dict[Key, int] = {}
        for key, bits in frontier.items():
            for place, build, covered in records.get(key, ()):
                if own := bits & covered:
                    found.built[key] = found.built.get(key, 0) | own
                    before, first = found.builds.get(place, (0, level))
                    found.builds[place] = (before | own, first)
                    _enter(register, build, own, found, following)
        for key in following:
            found.levels.setdefault(key, level)
        frontier = following
    return found


def _enter(register: Register, build: LockedBuild, bits: int, found: _Reach, following: dict[Key, int]) -> None:
    for member in members(build):
        key = key_of(member)
        if key in register.entries:
            found.used[key] = found.used.get(key, 0) | bits
            if fresh := bits & ~found.seen.get(key, 0):
                found.seen[key] = found.seen.get(key, 0) | fresh
                following[key] = following.get(key, 0) | fresh


def _records(register: Register, masks: Masks) -> dict[Key, list[tuple[int, LockedBuild, int]]]:
    """Return the records by what is built, each with its place in the lock and the targets that it covers."""
    found: dict[Key, list[tuple[int, LockedBuild, int]]] = {}
    for place, build in enumerate(register.lock.builds):
        covered = masks.bits(frozenset(build.targets)) if build.targets else masks.everywhere
        found.setdefault(_subject(build), []).append((place, build, covered))
    return found


def _subject(build: LockedBuild) -> Key:
    return ROOT if build.needed == "project" else (build.name, build.version or "", build.source or "")


def _environments(register: Register, masks: Masks, reach: _Reach) -> tuple[Environment, ...]:
    run_time = Environment(place=0, record=None, subject=ROOT, level=0, labels=masks.labels(masks.everywhere))
    found = [run_time]
    for place in sorted(reach.builds):
        bits, level = reach.builds[place]
        build = register.lock.builds[place]
        found.append(
            Environment(place=len(found), record=build, subject=_subject(build), level=level, labels=masks.labels(bits))
        )
    return tuple(found)


def _edges(
    register: Register,
    masks: Masks,
    chosen: Chosen,
    runtime: Mapping[Key, int],
    environments: tuple[Environment, ...],
) -> Iterable[Edge]:
    for environment in environments:
        if environment.record is None:
            drawn = runtime_edges(register, masks, chosen, runtime)
        else:
            drawn = build_edges(register, masks, environment.record, masks.bits(environment.labels))
        for own in drawn:
            yield Edge(
                parent=environment.subject if own.parent is None else own.parent,
                child=own.child,
                kind=own.kind,
                environment=environment,
                labels=masks.labels(own.bits),
                requirements=own.requirements,
                declared_only=own.declared_only,
            )


def _grouped(pairs: Iterable[tuple[Key, Edge]]) -> dict[Key, tuple[Edge, ...]]:
    found: dict[Key, list[Edge]] = {}
    for key, edge in pairs:
        found.setdefault(key, []).append(edge)
    return {key: tuple(edges) for key, edges in found.items()}


def above(layers: Layers, edge: Edge) -> tuple[Edge, ...]:
    """Return the edges that bring the parent of an edge to where the edge begins; none where that is the project.

    A dependency begins in its own environment; a build begins wherever what is built has to be installed. An edge that shares
    no target with this one is no way to it.
    """
    if edge.parent == ROOT:
        return ()
    return tuple(
        other
        for other in layers.parents.get(edge.parent, ())
        if (edge.kind == "build" or other.environment is edge.environment) and other.labels & edge.labels
    )


def below(layers: Layers, edge: Edge) -> tuple[Edge, ...]:
    """Return the edges that go on from the child of an edge: its dependencies in that environment, then its builds."""
    following = [other for other in layers.children.get(edge.child, ()) if other.labels & edge.labels]
    here = [other for other in following if other.kind != "build" and other.environment is edge.environment]
    return (*here, *(other for other in following if other.kind == "build"))


class Step(Struct, frozen=True, kw_only=True, eq=False):
    """The last edge of a chain from the project, and the step before it."""

    edge: Edge
    labels: frozenset[str]
    """Of targets on which the whole chain holds."""
    before: "Step | None"


def nearest(layers: Layers) -> Mapping[Key, Step]:
    """Return the end of a shortest chain to each entry: of those with the fewest builds one with the fewest edges.

    The first of these in the order of the edges, so that equal locks have equal chains. A chain holds on one target at
    least from its beginning to its end.
    """
    found: dict[Key, Step] = {}
    for step in _steps(layers):
        found.setdefault(step.edge.child, step)
    return found


def ways_in(layers: Layers) -> tuple[Step, ...]:
    """Return the end of a chain that ends with each edge, as `nearest` chooses it; the fewest builds first, then the shortest."""
    found: dict[Edge, Step] = {}
    for step in _steps(layers):
        found.setdefault(step.edge, step)
    return tuple(found.values())


def _steps(layers: Layers) -> Iterator[Step]:
    """Walk down from the project. A place is left once for each target, but every edge that leads to it is told."""
    seen: dict[tuple[Key, int], frozenset[str]] = {}
    level: list[tuple[Edge, Step | None]] = [(edge, None) for edge in layers.children.get(ROOT, ())]
    deeper = [start for start in level if start[0].kind == "build"]
    level = [start for start in level if start[0].kind != "build"]
    while level or deeper:
        if not level:
            level, deeper = deeper, []
        following: list[tuple[Edge, Step | None]] = []
        for edge, before in level:
            labels = edge.labels if before is None else edge.labels & before.labels
            if not labels:
                continue
            state = (edge.child, edge.environment.place)
            fresh = labels - seen.get(state, frozenset())
            step = Step(edge=edge, labels=fresh or labels, before=before)
            yield step
            if not fresh:
                continue
            seen[state] = seen.get(state, frozenset()) | fresh
            for other in below(layers, edge):
                (deeper if other.kind == "build" else following).append((other, step))
        level = following


def chain(step: Step) -> tuple[Edge, ...]:
    """Return the edges of a chain, from the project down."""
    edges: list[Edge] = []
    at: Step | None = step
    while at is not None:
        edges.append(at.edge)
        at = at.before
    return tuple(reversed(edges))
