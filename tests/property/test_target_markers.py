"""Invariants of markers, on any declared targets: exact on each of them, with any extras and groups."""

from itertools import chain, combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker

from deep_lock.errors import TargetsAlike
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import (
    BASE,
    Part,
    Scope,
    enlarge,
    environment_marker,
    environments,
    label_marker,
    with_scopes,
)
from deep_lock.targets.target import Target

PYTHONS = ("3.8", "3.10", "3.11", "3.12", "3.12.4", "3.12.9", "3.13", "3.13t", "3.15", "3.15.0rc1", "3.16")
PLATFORMS = (
    "x86_64-manylinux_2_28",
    "x86_64-manylinux_2_17",
    "x86_64-musllinux_1_2",
    "aarch64-manylinux_2_28",
    "riscv64-manylinux_2_39",
    "arm64-macos_14",
    "x86_64-macos_14",
    "x86_64-windows",
    "arm64-windows",
)
SCOPES = (
    BASE,
    *(Scope(kind="extra", name=name) for name in ("a", "b-2")),
    *(Scope(kind="group", name=n) for n in "ag"),
)

names = st.tuples(st.sampled_from(PYTHONS), st.sampled_from(PLATFORMS))
matrices = st.lists(names, min_size=1, max_size=16, unique=True)
unhurried = settings(deadline=None)  # each example evaluates hundreds of markers


def declare(matrix: list[tuple[str, str]]) -> tuple[Target, ...]:
    return tuple(make_target(python, platform, host=None) for python, platform in matrix)


def evaluate(text: str | None, target: Target, selected: frozenset[Scope] = frozenset()) -> bool:
    if text is None:
        return True
    extras = frozenset(scope.name for scope in selected if scope.kind == "extra")
    groups = frozenset(scope.name for scope in selected if scope.kind == "group")
    sets = {"extras": extras, "dependency_groups": groups}
    return Marker(text).evaluate({**target.environment, **sets}, context="lock_file")


@unhurried
@given(matrices, st.data())
def test_exact_on_every_declared_target(matrix: list[tuple[str, str]], data: st.DataObject) -> None:
    declared = declare(matrix)
    every = sorted(target.label for target in declared)
    chosen = frozenset(data.draw(st.sets(st.sampled_from(every), min_size=1)))
    larger = enlarge(chosen, declared)
    text = label_marker(larger, declared)
    assert (text is None) == (larger == frozenset(every))
    for target in declared:
        assert evaluate(text, target) == (target.label in larger), (text, target.label)
    if larger != chosen:
        try:
            label_marker(chosen, declared)
        except TargetsAlike:
            return
        raise AssertionError


@unhurried
@given(matrices, st.data())
def test_scopes_mean_what_sets_mean(matrix: list[tuple[str, str]], data: st.DataObject) -> None:
    declared = declare(matrix)
    every = sorted(target.label for target in declared)
    subsets = st.frozensets(st.sampled_from(every), min_size=1)
    drawn = data.draw(st.lists(st.tuples(subsets, st.sampled_from(SCOPES)), min_size=1, max_size=6))
    parts: list[Part] = [(enlarge(chosen, declared), scope) for chosen, scope in drawn]
    text = with_scopes(parts, declared)
    assert with_scopes(list(reversed(parts)), declared) == text
    for selected in chain.from_iterable(combinations(SCOPES[1:], size) for size in range(len(SCOPES))):
        for target in declared:
            wanted = any(target.label in chosen and scope in {BASE, *selected} for chosen, scope in parts)
            assert evaluate(text, target, frozenset(selected)) == wanted, (text, target.label, selected)


@unhurried
@given(matrices, st.sampled_from([None, ">=3.8", ">=3.10,<3.14", ">=3.12,!=3.13.*"]))
def test_every_target_has_its_environment(matrix: list[tuple[str, str]], requires_python: str | None) -> None:
    declared = declare(matrix)
    texts = environments(declared, requires_python)
    assert len(set(texts)) == len(texts)
    for target in declared:
        assert any(evaluate(text, target) for text in texts)
        own = environment_marker(target, declared)
        alike = enlarge([target.label], declared)
        assert [other.label for other in declared if evaluate(own, other)] == [
            other.label for other in declared if other.label in alike
        ]
    platforms = {target.platform.rsplit("_", 2)[0] for target in declared}
    for python in PYTHONS:
        for platform in PLATFORMS:
            other = make_target(python, platform, host=None)
            minors = {target.environment["python_version"] for target in declared}
            foreign = other.environment["python_version"] not in minors
            if requires_python is None and foreign and platform.rsplit("_", 2)[0] in platforms:
                assert not any(evaluate(text, other) for text in texts)
