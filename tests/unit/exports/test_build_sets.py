"""The fewest groups: against brute force, and against what must not move them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.exports import build_sets
from deep_lock.exports.build_sets import group

Edges = frozenset[tuple[int, int]]


def quarrels(size: int, edges: Edges) -> list[frozenset[int]]:
    return [
        frozenset(other for pair in edges if member in pair for other in pair if other != member)
        for member in range(size)
    ]


@st.composite
def graphs(draw: st.DrawFn, most: int = 7) -> tuple[int, Edges]:
    size = draw(st.integers(0, most))
    pairs = [(one, other) for other in range(size) for one in range(other)]
    return size, draw(st.frozensets(st.sampled_from(pairs)) if pairs else st.just(frozenset()))


def fits(groups: tuple[int, ...], edges: Edges) -> bool:
    return all(groups[one] != groups[other] for one, other in edges)


def fewest(size: int, edges: Edges) -> int:
    return next(
        count for count in range(size + 1) if any(fits(groups, edges) for groups in product(range(count), repeat=size))
    )


@given(graph=graphs())
def test_groups_are_right_and_as_few_as_brute_force_finds(graph: tuple[int, Edges]) -> None:
    size, edges = graph
    grouped = group(quarrels(size, edges))
    assert fits(grouped.groups, edges)
    assert set(grouped.groups) == set(range(fewest(size, edges)))
    assert grouped.fewest


@given(graph=graphs(), more=graphs(4), data=st.data())
def test_what_does_not_hang_together_with_others_moves_none_of_them(
    graph: tuple[int, Edges], more: tuple[int, Edges], data: st.DataObject
) -> None:
    size, edges = graph
    whole = size + more[0]
    place = sorted(data.draw(st.permutations(range(whole)))[:size])
    rest = [number for number in range(whole) if number not in place]
    both = frozenset((place[one], place[other]) for one, other in edges)
    both |= frozenset((rest[one], rest[other]) for one, other in more[1])
    before = group(quarrels(size, edges)).groups
    after = group(quarrels(whole, both)).groups
    assert tuple(after[number] for number in place) == before


CROWN = (8, frozenset((2 * one, 2 * other + 1) for one in range(4) for other in range(4) if one != other))
"""Two groups would do; who goes into the first place that is free makes four."""


def test_first_fit_is_not_enough_for_a_crown() -> None:
    assert group(quarrels(*CROWN)).groups == (0, 1) * 4


def test_where_the_search_takes_too_long_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_sets, "MOST_STEPS", 3)
    grouped = group(quarrels(*CROWN))
    assert fits(grouped.groups, CROWN[1])
    assert (set(grouped.groups), grouped.fewest) == ({0, 1, 2, 3}, False)
