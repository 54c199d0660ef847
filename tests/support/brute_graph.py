"""What brings in what on one target, found from a lock's tables by sets alone: no walk, no bits, nothing of `analysis.graph`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deep_lock.models.lock import EnvironmentMember, Lock, LockedBuild, LockedPackage, source_text
from deep_lock.targets.target import Target

Key = tuple[str, str, str]
BruteEdge = tuple[Key | None, Key, str, int | None]
"""(parent, child, kind, place of the record): None as the parent is the project."""
PROJECT: None = None


def key(subject: LockedPackage | EnvironmentMember) -> Key:
    """Return the key of a package."""
    source = source_text(subject.source) if isinstance(subject, LockedPackage) else ""
    return subject.name, subject.version or "", source


@dataclass(kw_only=True)
class BruteGraph:
    """One target."""

    runtime: set[Key] = field(default_factory=set)
    used: set[Key] = field(default_factory=set)
    built: set[Key] = field(default_factory=set)
    levels: dict[Key, int] = field(default_factory=dict)
    records: dict[int, int] = field(default_factory=dict)
    """Level by place."""
    edges: set[BruteEdge] = field(default_factory=set)

    def costs(self) -> dict[BruteEdge, tuple[int, int]]:
        """Return (builds, packages) of a shortest path that ends with each edge, by relaxing until nothing changes."""
        costs: dict[BruteEdge, tuple[int, int]] = {}
        changed = True
        while changed:
            changed = False
            for edge in self.edges:
                before = [
                    costs[other]
                    for other in costs
                    if other[1] == edge[0] and (edge[2] == "build" or other[3] == edge[3])
                ]
                if edge[0] is PROJECT:
                    before = [(0, 0)]
                if before:
                    builds, packages = min(before)
                    cost = builds + (edge[2] == "build"), packages + 1
                    if cost < costs.get(edge, (len(self.edges) + 1, 0)):
                        costs[edge] = cost
                        changed = True
        return costs


def brute_graph(lock: Lock, target: Target, extras: Iterable[str], groups: Iterable[str]) -> BruteGraph:
    """Return all of it for one target."""
    chosen = {"extras": frozenset(extras), "dependency_groups": frozenset(groups)}
    graph = BruteGraph()
    entries = {key(entry): entry for entry in lock.packages}
    for own, entry in entries.items():
        if entry.marker is None or Marker(entry.marker).evaluate({**target.environment, **chosen}, context="lock_file"):
            graph.runtime.add(own)
    graph.levels = dict.fromkeys(graph.runtime, 0)
    here = {
        place: build for place, build in enumerate(lock.builds) if not build.targets or target.label in build.targets
    }
    # Bellman and Ford: relax until nothing moves
    for _ in range(len(here) + 1):
        for place, build in here.items():
            level = 0 if build.needed == "project" else graph.levels.get(_subject(build))
            if level is not None:
                graph.records[place] = level + 1
                for member in _members(build, entries):
                    graph.levels[key(member)] = min(graph.levels.get(key(member), level + 1), level + 1)
    graph.edges |= _runtime_edges(graph.runtime, entries)
    for place in graph.records:
        build = here[place]
        graph.used |= {key(member) for member in _members(build, entries)}
        if build.needed != "project":
            graph.built.add(_subject(build))
        for stage in (build.packages, build.declared_packages or ()):
            graph.edges |= _build_edges(place, build, [each for each in stage if key(each) in entries], target)
    return graph


def _subject(build: LockedBuild) -> Key:
    return build.name, build.version or "", build.source or ""


def _members(build: LockedBuild, entries: Mapping[Key, object]) -> list[EnvironmentMember]:
    return [member for member in (*build.packages, *(build.declared_packages or ())) if key(member) in entries]


def _runtime_edges(runtime: set[Key], entries: Mapping[Key, LockedPackage]) -> set[BruteEdge]:
    edges: set[BruteEdge] = set()
    for own in runtime:
        for reference in entries[own].dependencies:
            wanted = (reference.version, source_text(reference.source))
            for other in runtime:
                fits = wanted == (None, "") or (other[1] or None, other[2]) == wanted
                if other[0] == reference.name and fits:
                    edges.add((own, other, "runtime", None))
    direct = {own for own in runtime if entries[own].direct}
    return edges | {(PROJECT, own, "runtime", None) for own in _tops(sorted(runtime), direct, edges)}


def _build_edges(place: int, build: LockedBuild, stage: list[EnvironmentMember], target: Target) -> set[BruteEdge]:
    names = {member.name: key(member) for member in stage}
    edges: set[BruteEdge] = {
        (key(member), names[name], "inside", place) for member in stage for name in member.dependencies if name in names
    }
    wanted = set()
    for text in (*build.requires, *build.requires_user, *(build.requires_dynamic or ())):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({**target.environment, "extra": ""}):
            wanted.add(str(canonicalize_name(requirement.name)))
    required = {own for name, own in names.items() if name in wanted}
    parent = PROJECT if build.needed == "project" else _subject(build)
    tops = _tops([key(member) for member in stage], required, edges)
    return edges | {(parent, own, "build", place) for own in tops}


def _tops(nodes: list[Key], required: set[Key], edges: set[BruteEdge]) -> set[Key]:
    """What is required, what nothing needs, and one of each cycle that is still loose."""
    needed = {child for parent, child, _, _ in edges if parent != child}
    tops = required | {own for own in nodes if own not in needed}
    while loose := [own for own in nodes if own not in _connected(tops, edges)]:
        tops.add(loose[0])
    return tops


def _connected(tops: set[Key], edges: set[BruteEdge]) -> set[Key]:
    found = set(tops)
    while more := {child for parent, child, _, _ in edges if parent in found} - found:
        found |= more
    return found
