"""First fit: no two builds that conflict share a file, and the number of files stays near that of brute force."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from deep_lock.exports.build_sets import BuildSet, build_files
from deep_lock.exports.view import make_view
from deep_lock.models.lock import LockedBuild
from tests.support.lock_strategies import LINUX, small_lock

Edges = frozenset[tuple[int, int]]
VIEW = make_view(small_lock(), "deep.lock", (LINUX,), extras=None, groups=None)


def build_set(number: int, edges: Edges, own: int = 0) -> BuildSet:
    """Return a set that conflicts with those that an edge joins it to, with some pins that no other set has."""
    shared = {(LINUX.label, f"edge-{edge[0]}-{edge[1]}", f"{number}.0") for edge in edges if number in edge}
    build = LockedBuild(
        name=f"own-{number}",
        version="1.0",
        needed="always",
        backend="maker",
        requires_from="pyproject",
        requires_dynamic=(),
        evidence="static",
    )
    pins = shared | {(LINUX.label, f"own-{number}-{place}", "1.0") for place in range(own)}
    return BuildSet(build=build, pins=frozenset(pins), inner=(), direct=True)


def files_of(sets: list[BuildSet]) -> list[list[str]]:
    return [[own.build.name for own in file.sets] for file in build_files(VIEW, sets)]


@st.composite
def graphs(draw: st.DrawFn, most: int = 7) -> tuple[int, Edges]:
    size = draw(st.integers(0, most))
    pairs = [(one, other) for other in range(size) for one in range(other)]
    return size, draw(st.frozensets(st.sampled_from(pairs)) if pairs else st.just(frozenset()))


def fewest(size: int, edges: Edges) -> int:
    return next(
        count
        for count in range(size + 1)
        if any(
            all(groups[one] != groups[other] for one, other in edges) for groups in product(range(count), repeat=size)
        )
    )


@given(graph=graphs(), sizes=st.lists(st.integers(0, 3), min_size=7, max_size=7))
def test_builds_that_conflict_share_no_file_and_the_files_are_few(graph: tuple[int, Edges], sizes: list[int]) -> None:
    size, edges = graph
    sets = [build_set(number, edges, sizes[number]) for number in range(size)]
    files = files_of(sets)
    assert sorted(name for file in files for name in file) == [own.build.name for own in sets]
    assert not any({f"own-{one}", f"own-{other}"} <= set(file) for file in files for one, other in edges)
    most_conflicts = max((sum(number in edge for edge in edges) for number in range(size)), default=0)
    assert fewest(size, edges) <= len(files) <= most_conflicts + 1
    if not edges:
        assert len(files) == min(size, 1)


@given(graph=graphs(), more=st.integers(1, 4))
def test_builds_without_conflicts_move_no_other(graph: tuple[int, Edges], more: int) -> None:
    size, edges = graph
    sets = [build_set(number, edges) for number in range(size)]
    with_more = files_of([*sets, *(build_set(size + number, frozenset(), own=number) for number in range(more))])
    kept = [[name for name in file if int(name.removeprefix("own-")) < size] for file in with_more]
    assert [file for file in kept if file] == files_of(sets)


def test_the_largest_set_comes_first_and_equal_ones_keep_the_order_of_the_lock() -> None:
    path: Edges = frozenset({(0, 1), (1, 2), (2, 3)})
    assert files_of([build_set(number, path) for number in range(4)]) == [["own-1", "own-3"], ["own-0", "own-2"]]
    assert files_of([build_set(0, frozenset({(0, 1)})), build_set(1, frozenset({(0, 1)}), own=1)]) == [
        ["own-1"],
        ["own-0"],
    ]


def test_first_fit_is_not_always_the_fewest() -> None:
    """The crown: two files would do, and where all sets are of one size the order of the lock makes four."""
    crown: Edges = frozenset((2 * one, 2 * other + 1) for one in range(4) for other in range(4) if one != other)
    assert files_of([build_set(number, crown) for number in range(8)]) == [
        [f"own-{number}", f"own-{number + 1}"] for number in (0, 2, 4, 6)
    ]
