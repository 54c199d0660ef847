"""A lock as a graph in layers: the run time, what builds it, what builds that, on chosen targets, extras and groups.

Law: every entry that is installed or built with there is a node and hangs on the project by at least one chain of edges; an
edge says in which environment it holds, on which targets, and nothing is walked twice for a target.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from deep_lock.lockfile.index import Key, LockIndex, called, covers, is_gate, key_of, meant, members, parsed, record_key
from deep_lock.lockfile.selection import Selection, full_selection, installed_packages
from deep_lock.models.lock import EnvironmentMember, LockedBuild, LockedInputs, LockedPackage
from deep_lock.models.requirement import Requirement
from deep_lock.targets.target import Target, UnevaluableMarker, holds

EdgeKind = Literal["runtime", "build", "inside"]
Texts = Sequence[tuple[str, int]]
"""Requirements as they were written, each with the targets on which its marker holds, as bits."""


class Masks(Struct, frozen=True, kw_only=True):
    """Sets of targets as bits, the first target lowest: they are cut and joined for each edge."""

    targets: tuple[Target, ...]
    known: dict[int, frozenset[str]] = field(default_factory=dict)
    """Filled as they are asked for: equal sets of labels are one object."""

    @property
    def everywhere(self) -> int:
        return (1 << len(self.targets)) - 1

    def where(self, true: Callable[[Target], bool]) -> int:
        """Return the targets of which something is true."""
        return sum(1 << place for place, target in enumerate(self.targets) if true(target))

    def bits(self, labels: frozenset[str]) -> int:
        """Return the set of these labels."""
        return self.where(lambda target: target.label in labels)

    def labels(self, bits: int) -> frozenset[str]:
        """Return the labels of a set."""
        found = self.known.get(bits)
        if found is None:
            found = frozenset(target.label for place, target in enumerate(self.targets) if bits >> place & 1)
            self.known[bits] = found
        return found


class DrawnEdge(Struct, frozen=True, kw_only=True):
    """An edge of one environment, with sets of targets as bits."""

    parent: Key | None
    """None is the top: the project, or what is built."""
    child: Key
    kind: EdgeKind
    bits: int
    requirements: tuple[str, ...] = ()
    declared_only: bool = False


def runtime_edges(
    register: LockIndex, masks: Masks, chosen: Selection, runtime: Mapping[Key, int]
) -> Iterator[DrawnEdge]:
    """Yield what the project asks for, then the dependencies, in the lock's order."""
    needs: dict[Key, dict[Key, int]] = {}
    for key, bits in runtime.items():
        for reference in register.entries[key].dependencies:
            for child in map(key_of, meant(reference, register)):
                if both := bits & runtime.get(child, 0):
                    needs.setdefault(key, {})[child] = both
    direct = {key: bits for key, bits in runtime.items() if register.entries[key].direct}
    texts = _texts(_asked_by_project(register.lock.inputs, chosen), masks)
    top = _hung(runtime, needs, direct)
    for key in runtime:
        if key in top:
            asked = tuple(text for text, where in texts.get(key[0], ()) if where & top[key])
            yield DrawnEdge(parent=None, child=key, kind="runtime", bits=top[key], requirements=asked)
    for key in runtime:
        for child, bits in needs.get(key, {}).items():
            yield DrawnEdge(parent=key, child=child, kind="runtime", bits=bits)


def _asked_by_project(inputs: LockedInputs, chosen: Selection) -> Iterator[str]:
    yield from inputs.requirements
    for names, tables in ((chosen.extras, inputs.extras), (chosen.groups, inputs.dependency_groups)):
        for name, texts in tables:
            if name in names:
                yield from texts


def build_edges(register: LockIndex, masks: Masks, build: LockedBuild, bits: int) -> Iterator[DrawnEdge]:
    """Yield what a build asks for, then the dependencies inside its environment: of the final stage, then of the declared."""
    texts = _texts((*build.requires, *build.requires_user, *(build.requires_dynamic or ())), masks)
    seen: set[tuple[Key | None, Key]] = set()
    for stage, packages in enumerate((build.packages, build.declared_packages or ())):
        for edge in _stage_edges(register, packages, texts, bits):
            if (edge.parent, edge.child) not in seen:
                seen.add((edge.parent, edge.child))
                yield edge if stage == 0 else _declared(edge)


def _declared(edge: DrawnEdge) -> DrawnEdge:
    return DrawnEdge(
        parent=edge.parent,
        child=edge.child,
        kind=edge.kind,
        bits=edge.bits,
        requirements=edge.requirements,
        declared_only=True,
    )


def _stage_edges(
    register: LockIndex, members: Sequence[EnvironmentMember], texts: Mapping[str, Texts], bits: int
) -> Iterator[DrawnEdge]:
    inside = {member.name: key_of(member) for member in members if key_of(member) in register.entries}
    needs = {
        inside[member.name]: {inside[name]: bits for name in member.dependencies if name in inside}
        for member in members
        if member.name in inside
    }
    asked: dict[Key, int] = {}
    for name, key in inside.items():
        for _, where in texts.get(name, ()):
            if where & bits:
                asked[key] = asked.get(key, 0) | where & bits
    top = _hung(dict.fromkeys(inside.values(), bits), needs, asked)
    for name, key in inside.items():
        if key in top:
            own = tuple(text for text, where in texts.get(name, ()) if where & bits)
            yield DrawnEdge(parent=None, child=key, kind="build", bits=top[key], requirements=own)
    for parent, children in needs.items():
        for child, both in children.items():
            yield DrawnEdge(parent=parent, child=child, kind="inside", bits=both)


def _texts(texts: Iterable[str], masks: Masks) -> dict[str, Texts]:
    """Return the requirements by name, each with where its marker holds; what holds on no target is left out."""
    found: dict[str, list[tuple[str, int]]] = {}
    for text in dict.fromkeys(texts):
        for requirement in parsed((text,)):
            if where := _where(requirement, masks):
                found.setdefault(requirement.name, []).append((text, where))
    return dict(found)


def _where(requirement: Requirement, masks: Masks) -> int:
    if requirement.marker is None:
        return masks.everywhere
    try:
        return masks.where(lambda target: holds(requirement.marker, target))
    except UnevaluableMarker:
        # the resolver leaves such a requirement out, and has said so
        return 0


def _hung(nodes: Mapping[Key, int], needs: Mapping[Key, Mapping[Key, int]], asked: Mapping[Key, int]) -> dict[Key, int]:
    """Return what hangs on the top: what is asked for; then what nothing needs; then the first of each circle left."""
    needed: dict[Key, int] = {}
    for parent, children in needs.items():
        for child, bits in children.items():
            needed[child] = needed.get(child, 0) | (bits if child != parent else 0)
    top = dict(asked)
    reached: dict[Key, int] = {}
    _flood(asked.items(), needs, reached)
    for wanted in (needed, {}):
        for key, bits in nodes.items():
            if loose := bits & ~reached.get(key, 0) & ~wanted.get(key, 0):
                top[key] = top.get(key, 0) | loose
                _flood([(key, loose)], needs, reached)
    return top


def _flood(starts: Iterable[tuple[Key, int]], needs: Mapping[Key, Mapping[Key, int]], reached: dict[Key, int]) -> None:
    waiting = list(starts)
    while waiting:
        key, bits = waiting.pop()
        if fresh := bits & ~reached.get(key, 0):
            reached[key] = reached.get(key, 0) | fresh
            waiting += [(child, fresh & both) for child, both in needs.get(key, {}).items() if fresh & both]


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

    register: LockIndex
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


def open_layers(register: LockIndex, targets: Sequence[Target], chosen: Selection) -> Layers:
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


def _installed(register: LockIndex, targets: Sequence[Target], chosen: Selection) -> dict[Key, int]:
    """Return the run time, with the targets as bits, in the lock's order."""
    found: dict[Key, int] = {}
    for place, target in enumerate(targets):
        for entry in installed_packages(register, target, chosen):
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


def _reach(register: LockIndex, masks: Masks, runtime: Mapping[Key, int]) -> _Reach:
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


def _enter(register: LockIndex, build: LockedBuild, bits: int, found: _Reach, following: dict[Key, int]) -> None:
    for member in members(build):
        key = key_of(member)
        if key in register.entries:
            found.used[key] = found.used.get(key, 0) | bits
            if fresh := bits & ~found.seen.get(key, 0):
                found.seen[key] = found.seen.get(key, 0) | fresh
                following[key] = following.get(key, 0) | fresh


def _records(register: LockIndex, masks: Masks) -> dict[Key, list[tuple[int, LockedBuild, int]]]:
    """Return the records by what is built, each with its place in the lock and the targets that it covers."""
    found: dict[Key, list[tuple[int, LockedBuild, int]]] = {}
    for place, build in enumerate(register.lock.builds):
        covered = masks.bits(frozenset(build.targets)) if build.targets else masks.everywhere
        found.setdefault(_subject(build), []).append((place, build, covered))
    return found


def _subject(build: LockedBuild) -> Key:
    return ROOT if build.needed == "project" else (build.name, build.version or "", build.source or "")


def _environments(register: LockIndex, masks: Masks, reach: _Reach) -> tuple[Environment, ...]:
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
    register: LockIndex,
    masks: Masks,
    chosen: Selection,
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


NodeKind = Literal["entry", "build", "member"]


class PositionNode(Struct, frozen=True, kw_only=True):
    """A place on a chain: an entry at run time, a build, or a member of the environment of a build."""

    kind: NodeKind
    key: Key
    """Of the entry, of what is built, of the member's entry."""
    build: int = -1
    """The place of the record in the lock: of a build, and of the build that a member belongs to."""


class Places(Struct, frozen=True, kw_only=True, eq=False):
    """The places of a lock, on one target or on any."""

    register: LockIndex
    installed: Mapping[Key, LockedPackage]
    """What the run time holds."""
    own_builds: tuple[int, ...]
    """The records of the project itself, by their place in the lock."""
    builds: Mapping[Key, tuple[int, ...]]
    """The records of entries, by their place in the lock."""


def open_places(register: LockIndex, *, target: Target | None = None, builds: bool = True) -> Places:
    """Return the places of a lock that are there on a target, with every extra and group; None: on any.

    Without ``builds`` only the run time.
    """
    lock = register.lock
    if target is None:
        runtime = [entry for entry in lock.packages if not is_gate(entry.marker)]
    else:
        runtime = installed_packages(register, target, full_selection(register))
    own: list[int] = []
    records: dict[Key, list[int]] = {}
    for place, build in enumerate(lock.builds if builds else ()):
        if target is None or covers(build, target.label):
            (own if build.needed == "project" else records.setdefault(record_key(build), [])).append(place)
    return Places(
        register=register,
        installed={key_of(entry): entry for entry in runtime},
        own_builds=tuple(own),
        builds={key: tuple(found) for key, found in records.items()},
    )


def roots(places: Places) -> Iterator[PositionNode]:
    """Yield what the project asks for itself, then its own builds."""
    needed = {reference.name for entry in places.installed.values() for reference in entry.dependencies}
    direct = any(entry.direct for entry in places.installed.values())
    # of a lock that was made from another tool's pins, not every edge is known
    loose = places.register.lock.inputs.pinned or not direct
    for key, entry in places.installed.items():
        if entry.direct or (loose and entry.name not in needed):
            yield PositionNode(kind="entry", key=key)
    yield from _builds(places, places.own_builds)


def positions_below(places: Places, node: PositionNode) -> Iterator[PositionNode]:
    """Yield the places that a place brings in itself."""
    if node.kind == "build":
        yield from _asked(places.register.lock.builds[node.build], node.build)
        return
    yield from _children(places, node.key) if node.kind == "entry" else _inside(places, node)
    yield from _builds(places, places.builds.get(node.key, ()))


def _builds(places: Places, records: Iterable[int]) -> Iterator[PositionNode]:
    for place in records:
        yield PositionNode(kind="build", key=record_key(places.register.lock.builds[place]), build=place)


def _children(places: Places, key: Key) -> Iterator[PositionNode]:
    entry = places.installed.get(key)
    for reference in entry.dependencies if entry is not None else ():
        for child in meant(reference, places.register):
            if key_of(child) in places.installed:
                yield PositionNode(kind="entry", key=key_of(child))


def _inside(places: Places, node: PositionNode) -> Iterator[PositionNode]:
    """Yield the members that a member depends on in its own environment."""
    inside = {member.name: member for member in _members(places.register.lock.builds[node.build])}
    own = inside.get(node.key[0])
    for name in own.dependencies if own is not None else ():
        if name in inside:
            yield PositionNode(kind="member", key=key_of(inside[name]), build=node.build)


def _asked(build: LockedBuild, place: int) -> Iterator[PositionNode]:
    """Yield the members that the build itself asks for, and those that nothing in it is known to need."""
    texts = (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
    names = {requirement.name for requirement in parsed(texts)}
    inside = _members(build)
    needed = {name for member in inside for name in member.dependencies}
    for member in inside:
        if member.name in names or member.name not in needed:
            yield PositionNode(kind="member", key=key_of(member), build=place)


def _members(build: LockedBuild) -> tuple[EnvironmentMember, ...]:
    """Return the members of both stages, each release once; what the final stage says of one counts."""
    known = {key_of(member): member for member in (*(build.declared_packages or ()), *build.packages)}
    return tuple(known[key] for key in sorted(known))


Chain = tuple[PositionNode, ...]


class Chains(Struct, frozen=True, kw_only=True):
    """Every place of a lock, with the one before it on a shortest way from the project."""

    register: LockIndex
    before: Mapping[PositionNode, PositionNode | None]
    """In the order in which they are reached. None: the project itself stands before it."""
    parents: Mapping[PositionNode, tuple[PositionNode | None, ...]]
    """All places before each one, the nearest first."""
    nearest: Mapping[Key, PositionNode]
    """The place of each entry that is nearest to the project."""

    def level(self, key: Key) -> int | None:
        """Return how many builds stand above an entry: 0 at run time; None where nothing brings it in."""
        node = self.nearest.get(key)
        return sum(step.kind == "build" for step in self.to(node)) if node is not None else None

    def to(self, node: PositionNode) -> Chain:
        """Return the way from the project to a place, the place included."""
        steps = [node]
        while (above := self.before[steps[-1]]) is not None:
            steps.append(above)
        return tuple(reversed(steps))

    def chain(self, key: Key) -> tuple[str, ...]:
        """Return the shortest way to an entry, in words; empty where nothing brings it in."""
        node = self.nearest.get(key)
        return words(self.register, self.to(node)) if node is not None else ()


def words(register: LockIndex, chain: Chain) -> tuple[str, ...]:
    """Return a chain in words: "NAME VERSION", and "build of NAME VERSION" in the place of what is built."""
    found: list[str] = []
    for place, node in enumerate(chain):
        following = chain[place + 1] if place + 1 < len(chain) else None
        if following is not None and following.kind == "build":
            continue
        if node.kind == "build":
            found.append(f"build of {called(register.lock.builds[node.build])}")
        else:
            entry = register.entries.get(node.key)
            found.append(called(entry) if entry is not None else " ".join(node.key[:2]))
    return tuple(found)


def find_chains(register: LockIndex) -> Chains:
    """Walk a lock from the project down, breadth first, by whatever edges it has. Linear in the edges."""
    places = open_places(register)
    before: dict[PositionNode, PositionNode | None] = {}
    parents: dict[PositionNode, list[PositionNode | None]] = {}
    nearest: dict[Key, PositionNode] = {}
    level: deque[tuple[PositionNode, PositionNode | None]] = deque((root, None) for root in roots(places))
    deeper: deque[tuple[PositionNode, PositionNode | None]] = deque(item for item in level if item[0].kind == "build")
    level = deque(item for item in level if item[0].kind != "build")
    while level or deeper:
        if not level:
            level, deeper = deeper, deque()
        node, above = level.popleft()
        parents.setdefault(node, []).append(above)
        if node in before:
            continue
        before[node] = above
        if node.kind != "build":
            nearest.setdefault(node.key, node)
        for child in positions_below(places, node):
            (deeper if child.kind == "build" else level).append((child, node))
    every = {node: tuple(dict.fromkeys(above)) for node, above in parents.items()}
    return Chains(register=register, before=before, parents=every, nearest=nearest)


def path_words(layers: Layers, edges: Iterable[Edge]) -> tuple[str, ...]:
    """Return a chain in words: "NAME VERSION" for each step; what is built gives way to "build of NAME VERSION"."""
    found: list[str] = []
    for edge in edges:
        if edge.kind == "build" and edge.environment.record is not None:
            found[-1:] = [f"build of {called(edge.environment.record)}"]
        found.append(called(layers.nodes[edge.child].entry))
    return tuple(found)
