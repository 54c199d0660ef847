"""The dependency graph of a lock: by brute force, target by target, and by hand."""

from collections import Counter
from collections.abc import Iterable
from functools import reduce
from itertools import pairwise
from operator import and_
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deep_lock.analysis.graph import (
    ROOT,
    Edge,
    Explanations,
    Graph,
    Path,
    open_graph,
    package_paths,
    path_words,
    position_paths,
    shortest_paths,
)
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.selection import InstallSelection, every_name, full_selections
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import BUILD_MARKER, EnvironmentMember, Lock, LockedBuild, LockedPackage, LockedReference
from deep_lock.targets.target import Target
from tests.support.brute_graph import BruteEdge, brute_graph
from tests.support.lock_strategies import (
    LINUX,
    TARGETS,
    closed_locks,
    locked_target,
    package,
    sdist,
    small_lock,
    targets_of,
)

LOCKS = FilePath(__file__).parents[3] / "fixtures" / "locks"


def _lock(name: str) -> Lock:
    return from_text((LOCKS / name).read_text(encoding="utf-8"), name)


def _open(lock: Lock, targets: tuple[Target, ...], chosen: InstallSelection | None = None) -> Graph:
    lock_index = index_lock(lock)
    return open_graph(lock_index, targets, full_selections(lock_index.lock) if chosen is None else [chosen])


def _brute_edge(graph: Graph, edge: Edge) -> BruteEdge:
    records = {id(build): place for place, build in enumerate(graph.lock_index.lock.builds)}
    record = edge.environment.record
    place = records[id(record)] if record is not None else None
    return (None if edge.parent.subject == ROOT else edge.parent.subject, edge.child.subject, edge.kind, place)


def _agrees(lock: Lock, targets: tuple[Target, ...], chosen: InstallSelection) -> None:
    """Compare the graph to what brute force finds on each target."""
    graph = _open(lock, targets, chosen)
    found = {target.label: brute_graph(lock, target, chosen.extras, chosen.groups) for target in targets}
    edges = Counter(
        (_brute_edge(graph, edge), label) for edge in graph.edges for label in graph.labels_of(edge.targets)
    )
    assert set(edges) == {(edge, label) for label, own in found.items() for edge in own.edges}
    assert set(edges.values()) <= {1}, "no edge is there twice"
    levels = {key: min(own.levels[key] for own in found.values() if key in own.levels) for key in graph.nodes}
    assert {key: node.level for key, node in graph.nodes.items()} == levels
    assert set(graph.nodes) == {key for own in found.values() for key in own.levels}
    for key, node in graph.nodes.items():
        assert set(graph.labels_of(node.runtime)) == {label for label, own in found.items() if key in own.runtime}
        assert set(graph.labels_of(node.used)) == {label for label, own in found.items() if key in own.used}
        assert set(graph.labels_of(node.built)) == {label for label, own in found.items() if key in own.built}
    builds = [environment for environment in graph.environments if environment.record is not None]
    places = {id(build): place for place, build in enumerate(lock.builds)}
    assert {places[id(made.record)]: (made.level, set(graph.labels_of(made.targets))) for made in builds} == {
        place: (
            min(own.records[place] for own in found.values() if place in own.records),
            {label for label, own in found.items() if place in own.records},
        )
        for place in {place for own in found.values() for place in own.records}
    }
    _is_connected(graph)
    _paths_are_shortest(graph, [own.costs() for own in found.values()])


def _is_connected(graph: Graph) -> None:
    """Every edge has a path from the project that holds on one target from end to end; up and down are one relation."""
    paths = shortest_paths(graph)
    assert set(graph.edges) <= set(paths)
    assert set(package_paths(position_paths(graph))) == set(graph.nodes)
    for edge, path in paths.items():
        edges = path.edges
        assert edges[0].parent == graph.root
        assert edges[-1] is edge
        assert all(two.parent == one.child and two in graph.below[one.child] for one, two in pairwise(edges))
        targets = reduce(and_, (own.targets for own in edges))
        assert path.targets
        assert path.targets & ~targets == 0
    above = [edge for edges in graph.above.values() for edge in edges]
    assert Counter(above) == Counter(edge for edges in graph.below.values() for edge in edges)
    for edge in above:
        assert edge in graph.above[edge.child]
        assert edge in graph.below[edge.parent]


def _paths_are_shortest(graph: Graph, costs: list[dict[BruteEdge, tuple[int, int]]]) -> None:
    paths = shortest_paths(graph)
    every = [(path.builds, path.length) for path in paths.values()]
    assert every == sorted(every)
    for edge in graph.edges:
        path = paths[edge]
        own = _brute_edge(graph, edge)
        assert (path.builds, path.length) == min(found[own] for found in costs if own in found)
        assert path.builds == sum(step.kind == "built" for step in path.edges)
        assert path.length == sum(step.kind != "built" for step in path.edges)
    for key, path in package_paths(position_paths(graph)).items():
        assert (path.builds, path.length) == min(
            cost for found in costs for edge, cost in found.items() if edge[1] == key
        )
        assert path.builds == graph.nodes[key].level


@pytest.mark.parametrize("name", ["closed.lock", "example.lock", "small.lock", "newer-revision.lock"])
@pytest.mark.parametrize("chosen", [None, InstallSelection()], ids=["all", "bare"])
def test_the_graph_of_a_lock_is_what_brute_force_finds(name: str, chosen: InstallSelection | None) -> None:
    lock = _lock(name)
    wanted = every_name(lock) if chosen is None else chosen
    for labels in [(), *((target.name,) for target in lock.targets)]:
        _agrees(lock, chosen_targets(lock, labels, name), wanted)


@given(lock=closed_locks(), data=st.data())
def test_no_edge_is_lost_and_levels_are_the_lowest(lock: Lock, data: st.DataObject) -> None:
    targets = targets_of(lock)
    some = tuple(data.draw(st.lists(st.sampled_from(targets), min_size=1, unique=True)))
    if data.draw(st.booleans()):
        # nothing is known of what the project, and what builds, ask for
        lock = replace(
            lock,
            packages=tuple(replace(entry, direct=False) for entry in lock.packages),
            builds=tuple(replace(build, requires=(), requires_dynamic=None) for build in lock.builds),
        )
    _agrees(lock, some, InstallSelection())


def _built(name: str, *names: str, needs: dict[str, tuple[str, ...]] | None = None, **more: object) -> LockedBuild:
    asked = [each for each in names if not any(each in own for own in (needs or {}).values())]
    record = LockedBuild(
        name=name,
        version="1.0",
        needed="always",
        backend="b",
        requires=tuple(asked),
        requires_from="pyproject",
        requires_dynamic=(),
        evidence="static",
        packages=tuple(
            EnvironmentMember(name=each, version="1.0", dependencies=(needs or {}).get(each, ())) for each in names
        ),
    )
    return replace(record, **more)


def _tool(name: str) -> LockedPackage:
    return replace(package(name), marker=BUILD_MARKER, build_only=True, sdist=sdist(name, "1.0"), wheels=())


def _direct(name: str, *needs: str) -> LockedPackage:
    return replace(package(name, "1.0", *needs), direct=True)


def _levels(graph: Graph) -> dict[str, int]:
    return {key[0]: node.level for key, node in graph.nodes.items()}


def _words(edges: Iterable[Edge]) -> list[str]:
    return [
        f"{edge.parent.subject[0] or '.'} {edge.kind} {edge.child.subject[0]}" for edge in edges if edge.kind != "built"
    ]


def _path_to(graph: Graph, name: str) -> Path:
    return package_paths(position_paths(graph))[name, "1.0", ""]


def test_each_build_is_a_level() -> None:
    lock = small_lock(
        _direct("a", "b"),
        package("b"),
        *map(_tool, "xyz"),
        builds=(_built("b", "x"), _built("x", "y", "z", needs={"y": ("z",)}), _built("z", "b")),
    )
    graph = _open(lock, (LINUX,))
    assert _levels(graph) == {"a": 0, "b": 0, "x": 1, "y": 2, "z": 2}
    assert [environment.level for environment in graph.environments] == [0, 1, 2, 3]
    assert _words(graph.edges) == [
        ". runtime a", "a runtime b", "b build x", "x build y", "y inside z", "z build b",
    ]  # fmt: skip
    path = _path_to(graph, "z")
    assert _words(path.edges) == [". runtime a", "a runtime b", "b build x", "x build y", "y inside z"]
    assert path_words(graph, path) == ("a 1.0", "build of b 1.0", "build of x 1.0", "y 1.0", "z 1.0")
    (to_build,) = graph.below[path.edge.child]
    assert (to_build.kind, to_build.child.environment.subject[0]) == ("built", "z")
    (cycle,) = graph.below[to_build.child]
    assert _words([cycle]) == ["z build b"]
    assert [edge.child.subject[0] for edge in graph.below[cycle.child]] == ["b"]
    explain = Explanations(graph.lock_index)
    assert explain.build(lock.builds[2]) == ("a 1.0", "build of b 1.0", "build of x 1.0", "y 1.0", "build of z 1.0")
    assert explain.member("b", [lock.builds[2]])[-2:] == ("build of z 1.0", "b 1.0")
    assert explain.package(("ghost", "1.0", "")) == ()


def test_what_only_an_extra_runs_is_a_build_tool_without_it() -> None:
    tool = replace(package("x"), marker="'e' in extras", direct=True, also_build=True)
    lock = replace(small_lock(_direct("a"), tool, builds=(_built("a", "x"),)), extras=("e",))
    lock_index = index_lock(lock)
    assert _levels(open_graph(lock_index, (LINUX,), full_selections(lock_index.lock))) == {"a": 0, "x": 0}
    without = open_graph(lock_index, (LINUX,), [InstallSelection()])
    assert _levels(without) == {"a": 0, "x": 1}
    assert _words(without.edges) == [". runtime a", "a build x"]


def test_a_dependency_holds_in_its_own_environment_only() -> None:
    """Here x needs y in the build of a, not in that of b: no path leads from b to y."""
    lock = small_lock(
        _direct("a"),
        _direct("b"),
        *map(_tool, "xy"),
        builds=(_built("a", "x", "y", needs={"x": ("y",)}), _built("b", "x")),
    )
    graph = _open(lock, (LINUX,))
    (inside,) = [edge for edge in graph.edges if edge.kind == "inside"]
    assert _words(graph.above[inside.parent]) == ["a build x"]
    other = next(edge for edge in graph.edges if edge.parent.subject[0] == "b")
    assert other.child not in graph.below


def test_both_stages_are_shown_and_the_first_is_marked() -> None:
    older = EnvironmentMember(name="y", version="1.0")
    declared = (EnvironmentMember(name="x", version="1.0"), older)
    lock = small_lock(
        _direct("a"), *map(_tool, "xyz"), builds=(_built("a", "x", declared_packages=declared), _built("y", "z"))
    )
    edges = _open(lock, (LINUX,)).edges
    assert [(edge.child.subject[0], edge.declared_only) for edge in edges if edge.kind == "build"] == [
        ("x", False), ("y", True), ("z", False),
    ]  # fmt: skip


def test_an_edge_has_what_requires_it_and_where() -> None:
    lock = small_lock(_direct("a"), *map(_tool, "xy"), builds=(_built("a", "x", "y"),))
    lock = replace(
        lock,
        targets=tuple(map(locked_target, TARGETS)),
        inputs=replace(lock.inputs, requirements=("a>0", "a<9; sys_platform == 'linux'", "a==3; os_name == 'java'")),
        builds=(
            replace(
                lock.builds[0], requires=("X>=1", "x<9; sys_platform == 'win32'"), requires_user=("y; os_name == 'nt'",)
            ),
        ),
    )
    graph = _open(lock, TARGETS)
    everywhere = graph.environments[0].targets
    assert [(edge.child.subject[0], edge.requirements, edge.targets) for edge in graph.edges] == [
        ("a", ("a>0", "a<9; sys_platform == 'linux'"), everywhere),
        ("x", ("X>=1", "x<9; sys_platform == 'win32'"), everywhere),
        # elsewhere nothing requires it, and it is installed: an edge all the same
        ("y", ("y; os_name == 'nt'",), everywhere),
    ]


def test_references_choose_among_versions() -> None:
    one, two = (
        replace(package("n", version), marker=f"sys_platform == '{system}'")
        for version, system in (("1", "linux"), ("2", "win32"))
    )
    both = tuple(LockedReference(name="n", version=version) for version in "12")
    lock = replace(
        small_lock(replace(_direct("a"), dependencies=both), one, two), targets=tuple(map(locked_target, TARGETS[:2]))
    )
    graph = _open(lock, TARGETS[:2])
    assert [(edge.child.subject[1], graph.labels_of(edge.targets)) for edge in graph.edges if edge.child.subject[0] == "n"] == [
        ("1", (TARGETS[0].label,)), ("2", (TARGETS[1].label,)),
    ]  # fmt: skip


def test_the_lowest_level_is_that_of_any_target() -> None:
    tool = replace(package("x"), marker="sys_platform == 'win32'", direct=True, also_build=True)
    lock = small_lock(
        _direct("a"), tool, _tool("y"), builds=(_built("a", "x"), _built("x", "y", targets=(LINUX.label,)))
    )
    lock = replace(lock, targets=tuple(map(locked_target, TARGETS[:2])))
    assert _levels(_open(lock, TARGETS[:2])) == {"a": 0, "x": 0, "y": 2}
    assert _levels(_open(lock, (LINUX,))) == {"a": 0, "x": 1, "y": 2}
    assert _levels(_open(lock, TARGETS[1:2])) == {"a": 0, "x": 0}
    _agrees(lock, TARGETS[:2], InstallSelection())


def test_no_path_changes_its_target_on_the_way() -> None:
    """The first way to m is through a, which is on another target than c."""
    systems = {"a": "linux", "b": "win32", "c": "win32"}
    a, b, c = (
        replace(package(name, "1.0", *needs), marker=f"sys_platform == '{systems[name]}'", direct=name != "c")
        for name, needs in (("a", "m"), ("b", "m"), ("c", ""))
    )
    lock = small_lock(a, b, c, package("m", "1.0", "n"), package("n", "1.0", "c"))
    lock = replace(lock, targets=tuple(map(locked_target, TARGETS[:2])))
    graph = _open(lock, TARGETS[:2])
    assert _words(_path_to(graph, "c").edges) == [
        ". runtime b", "b runtime m", "m runtime n", "n runtime c",
    ]  # fmt: skip
    _agrees(lock, TARGETS[:2], InstallSelection())


def test_cycles_that_nothing_requires_come_from_the_project() -> None:
    graph = _open(small_lock(package("a", "1.0", "b"), package("b", "1.0", "a"), package("c", "1.0", "c")), (LINUX,))
    assert _words(graph.below[graph.root]) == [". runtime a", ". runtime c"]


def test_a_member_that_has_no_entry_is_left_out() -> None:
    graph = _open(small_lock(_direct("a"), builds=(_built("a", "ghost"), _built("nobody", "a"))), (LINUX,))
    assert _levels(graph) == {"a": 0}
    assert _words(graph.edges) == [". runtime a"]


def test_depth_has_no_limit() -> None:
    names = [f"t{place}" for place in range(3000)]
    builds = tuple(_built(one, two) for one, two in pairwise(names))
    lock = small_lock(_direct(names[0]), *map(_tool, names[1:]), builds=builds)
    graph = _open(lock, (LINUX,))
    assert graph.nodes[names[-1], "1.0", ""].level == 2999
    assert _path_to(graph, names[-1]).length == 3000
