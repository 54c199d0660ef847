"""The graph of a lock in layers: told by brute force, target by target, and by hand."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deep_lock.analysis.graph import ROOT, Edge, Layers, above, below, chain, nearest, open_layers, ways_in
from deep_lock.lockfile.index import open_register
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.selection import Selection, full_selection
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import BUILD_MARKER, EnvironmentMember, Lock, LockedBuild, LockedPackage, LockedReference
from deep_lock.targets.target import Target
from tests.support.brute_layers import Line, tell
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

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"


def _lock(name: str) -> Lock:
    return from_text((LOCKS / name).read_text(encoding="utf-8"), name)


def _open(lock: Lock, targets: tuple[Target, ...], chosen: Selection | None = None) -> Layers:
    register = open_register(lock)
    return open_layers(register, targets, full_selection(register) if chosen is None else chosen)


def _line(layers: Layers, edge: Edge) -> Line:
    records = {id(build): place for place, build in enumerate(layers.register.lock.builds)}
    record = edge.environment.record
    place = records[id(record)] if record is not None else None
    return (None if edge.parent == ROOT else edge.parent, edge.child, edge.kind, place)


def _agrees(lock: Lock, targets: tuple[Target, ...], chosen: Selection) -> None:
    """Hold the graph to what brute force tells of each target."""
    layers = _open(lock, targets, chosen)
    told = {target.label: tell(lock, target, chosen.extras, chosen.groups) for target in targets}
    lines = Counter((_line(layers, edge), label) for edge in layers.edges for label in edge.labels)
    wanted = {(line, label) for label, own in told.items() for line in own.lines}
    assert set(lines) == wanted
    assert set(lines.values()) <= {1}, "no edge stands twice"
    levels = {key: min(own.levels[key] for own in told.values() if key in own.levels) for key in layers.nodes}
    assert {key: node.level for key, node in layers.nodes.items()} == levels
    assert set(layers.nodes) == {key for own in told.values() for key in own.levels}
    for key, node in layers.nodes.items():
        assert node.runtime == {label for label, own in told.items() if key in own.runtime}
        assert node.used == {label for label, own in told.items() if key in own.used}
        assert node.built == {label for label, own in told.items() if key in own.built}
    builds = [environment for environment in layers.environments if environment.record is not None]
    places = {id(build): place for place, build in enumerate(lock.builds)}
    assert {places[id(made.record)]: (made.level, made.labels) for made in builds} == {
        place: (
            min(own.records[place] for own in told.values() if place in own.records),
            frozenset(label for label, own in told.items() if place in own.records),
        )
        for place in {place for own in told.values() for place in own.records}
    }
    _hangs_together(layers)


def _hangs_together(layers: Layers) -> None:
    """Every entry has a chain from the project that holds on one target from end to end; up and down are one relation."""
    ends = nearest(layers)
    assert set(ends) == set(layers.nodes)
    for key, end in ends.items():
        edges = chain(end)
        assert edges[0].parent == ROOT
        assert edges[-1].child == key
        assert sum(edge.kind == "build" for edge in edges) >= layers.nodes[key].level
        assert frozenset.intersection(*(edge.labels for edge in edges)) >= end.labels > frozenset()
        for one, two in pairwise(edges):
            assert two in below(layers, one)
    ways = ways_in(layers)
    assert Counter(way.edge for way in ways) == Counter(layers.edges), "each edge ends one way"
    first = {way.edge.child: way for way in reversed(ways)}
    assert {key: chain(way) for key, way in first.items()} == {key: chain(end) for key, end in ends.items()}
    for way in ways:
        assert chain(way)[0].parent == ROOT
        assert frozenset.intersection(*(edge.labels for edge in chain(way))) >= way.labels > frozenset()
        assert all(two in below(layers, one) for one, two in pairwise(chain(way)))
    for edge in layers.edges:
        assert all(edge in above(layers, other) for other in below(layers, edge))
        assert all(edge in below(layers, other) for other in above(layers, edge))


@pytest.mark.parametrize("name", ["closed.lock", "example.lock", "small.lock", "newer-revision.lock"])
@pytest.mark.parametrize("chosen", [None, Selection()], ids=["all", "bare"])
def test_the_graph_of_a_lock_is_what_brute_force_tells(name: str, chosen: Selection | None) -> None:
    lock = _lock(name)
    wanted = full_selection(open_register(lock)) if chosen is None else chosen
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
    _agrees(lock, some, Selection())


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


def _levels(layers: Layers) -> dict[str, int]:
    return {key[0]: node.level for key, node in layers.nodes.items()}


def _words(edges: tuple[Edge, ...]) -> list[str]:
    return [f"{edge.parent[0] or '.'} {edge.kind} {edge.child[0]}" for edge in edges]


def test_each_build_is_a_level() -> None:
    lock = small_lock(
        _direct("a", "b"),
        package("b"),
        *map(_tool, "xyz"),
        builds=(_built("b", "x"), _built("x", "y", "z", needs={"y": ("z",)}), _built("z", "b")),
    )
    layers = _open(lock, (LINUX,))
    assert _levels(layers) == {"a": 0, "b": 0, "x": 1, "y": 2, "z": 2}
    assert [environment.level for environment in layers.environments] == [0, 1, 2, 3]
    assert _words(layers.edges) == [
        ". runtime a", "a runtime b", "b build x", "x build y", "y inside z", "z build b",
    ]  # fmt: skip
    end = nearest(layers)["z", "1.0", ""]
    assert _words(chain(end)) == [". runtime a", "a runtime b", "b build x", "x build y", "y inside z"]
    circle = layers.children["z", "1.0", ""][0]
    assert [edge.kind for edge in above(layers, circle)] == ["inside"]
    assert _words(below(layers, circle)) == ["b build x"]


def test_what_only_an_extra_runs_is_a_build_tool_without_it() -> None:
    tool = replace(package("x"), marker="'e' in extras", direct=True, also_build=True)
    lock = replace(small_lock(_direct("a"), tool, builds=(_built("a", "x"),)), extras=("e",))
    register = open_register(lock)
    assert _levels(open_layers(register, (LINUX,), full_selection(register))) == {"a": 0, "x": 0}
    without = open_layers(register, (LINUX,), Selection())
    assert _levels(without) == {"a": 0, "x": 1}
    assert _words(without.edges) == [". runtime a", "a build x"]


def test_a_dependency_holds_in_its_own_environment_only() -> None:
    """Here x needs y in the build of a, not in that of b: no chain leads from b to y."""
    lock = small_lock(
        _direct("a"),
        _direct("b"),
        *map(_tool, "xy"),
        builds=(_built("a", "x", "y", needs={"x": ("y",)}), _built("b", "x")),
    )
    layers = _open(lock, (LINUX,))
    (inside,) = [edge for edge in layers.edges if edge.kind == "inside"]
    assert _words(above(layers, inside)) == ["a build x"]
    other = next(edge for edge in layers.edges if edge.parent[0] == "b")
    assert below(layers, other) == ()


def test_both_stages_are_shown_and_the_first_is_marked() -> None:
    older = EnvironmentMember(name="y", version="1.0")
    declared = (EnvironmentMember(name="x", version="1.0"), older)
    lock = small_lock(
        _direct("a"), *map(_tool, "xyz"), builds=(_built("a", "x", declared_packages=declared), _built("y", "z"))
    )
    edges = _open(lock, (LINUX,)).edges
    assert [(edge.child[0], edge.declared_only) for edge in edges if edge.kind == "build"] == [
        ("x", False), ("y", True), ("z", False),
    ]  # fmt: skip


def test_an_edge_says_what_asks_for_it_and_where() -> None:
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
    layers = _open(lock, TARGETS)
    everywhere = frozenset(target.label for target in TARGETS)
    assert [(edge.child[0], edge.requirements, edge.labels) for edge in layers.edges] == [
        ("a", ("a>0", "a<9; sys_platform == 'linux'"), everywhere),
        ("x", ("X>=1", "x<9; sys_platform == 'win32'"), everywhere),
        # elsewhere nothing asks for it, and it is there: an edge all the same
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
    layers = _open(lock, TARGETS[:2])
    assert [(edge.child[1], edge.labels) for edge in layers.edges if edge.child[0] == "n"] == [
        ("1", frozenset({TARGETS[0].label})), ("2", frozenset({TARGETS[1].label})),
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
    _agrees(lock, TARGETS[:2], Selection())


def test_no_chain_changes_its_target_on_the_way() -> None:
    """The first way to m is through a, which is on another target than c."""
    systems = {"a": "linux", "b": "win32", "c": "win32"}
    a, b, c = (
        replace(package(name, "1.0", *needs), marker=f"sys_platform == '{systems[name]}'", direct=name != "c")
        for name, needs in (("a", "m"), ("b", "m"), ("c", ""))
    )
    lock = small_lock(a, b, c, package("m", "1.0", "n"), package("n", "1.0", "c"))
    lock = replace(lock, targets=tuple(map(locked_target, TARGETS[:2])))
    layers = _open(lock, TARGETS[:2])
    assert _words(chain(nearest(layers)["c", "1.0", ""])) == [
        ". runtime b", "b runtime m", "m runtime n", "n runtime c",
    ]  # fmt: skip
    _agrees(lock, TARGETS[:2], Selection())


def test_circles_that_nothing_asks_for_hang_on_the_project() -> None:
    layers = _open(small_lock(package("a", "1.0", "b"), package("b", "1.0", "a"), package("c", "1.0", "c")), (LINUX,))
    assert _words(layers.children[ROOT]) == [". runtime a", ". runtime c"]


def test_a_member_that_has_no_entry_is_left_out() -> None:
    layers = _open(small_lock(_direct("a"), builds=(_built("a", "ghost"), _built("nobody", "a"))), (LINUX,))
    assert _levels(layers) == {"a": 0}
    assert _words(layers.edges) == [". runtime a"]


def test_depth_has_no_limit() -> None:
    names = [f"t{place}" for place in range(3000)]
    builds = tuple(_built(one, two) for one, two in pairwise(names))
    lock = small_lock(_direct(names[0]), *map(_tool, names[1:]), builds=builds)
    layers = _open(lock, (LINUX,))
    assert layers.nodes[names[-1], "1.0", ""].level == 2999
    assert len(chain(nearest(layers)[names[-1], "1.0", ""])) == 3000
