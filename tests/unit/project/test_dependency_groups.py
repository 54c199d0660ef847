"""Dependency groups against packaging's own resolver (PEP 735)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.dependency_groups import DependencyGroupResolver

from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.toml import Lines
from deep_lock.project.dependency_groups import expand_groups, included_groups, read_groups

NO_LINES = Lines(strings={}, keys={})

names = st.sampled_from(["a", "B", "c_d", "c-D", "e"])
items = st.one_of(
    st.sampled_from(["x>1", "y; os_name == 'nt'", "not good!", "z"]),
    st.builds(lambda name: {"include-group": name}, names),
    st.sampled_from([{}, {"other": "a"}, {"include-group": "a", "more": "b"}, {"include-group": 5}, 7]),
)
weighted = st.one_of(items, st.sampled_from(["x>1", "z"]), st.builds(lambda name: {"include-group": name}, names))
tables = st.dictionaries(names, st.lists(weighted, max_size=3), max_size=5)


def theirs(table: dict[str, Any], group: str) -> list[str] | None:
    try:
        return [f"{one.name}{one.specifier}" for one in DependencyGroupResolver(table).resolve(group)]
    except ExceptionGroup:  # packaging collects what is wrong
        return None


@given(tables)
def test_same_answer_as_packaging(table: dict[str, Any]) -> None:
    faults = Faults("pyproject.toml", ProjectInvalid)
    raw = read_groups(table, NO_LINES, faults)
    normal = [name.lower().replace("_", "-") for name in table]
    if len(set(normal)) < len(normal):
        with pytest.raises(ProjectInvalid):
            faults.raise_any()
        return
    faults.raise_any()
    whole, broken = expand_groups(raw)
    ours = {str(name): [f"{one.name}{one.specifier}" for one in asked] for name, asked in whole}
    assert {**ours, **{str(name): None for name, _ in broken}} == {name: theirs(table, name) for name in normal}


def test_no_deduplication() -> None:
    table = {"a": ["x", {"include-group": "b"}, {"include-group": "b"}, "x"], "b": ["y"]}
    whole, _ = expand_groups(read_groups(table, NO_LINES, Faults("p", ProjectInvalid)))
    assert [str(one) for one in whole[0][1]] == ["x", "y", "y", "x"]


def test_includes_that_double_at_each_step_are_stopped() -> None:
    table = {f"g{n}": [{"include-group": f"g{n + 1}"}] * 2 for n in range(30)} | {"g30": []}
    with pytest.raises(LimitExceeded):
        expand_groups(read_groups(table, NO_LINES, Faults("p", ProjectInvalid)))


def test_a_chain_of_a_thousand_includes_is_no_recursion() -> None:
    table: dict[str, Any] = {f"g{n}": [{"include-group": f"g{n + 1}"}] for n in range(1000)} | {"g1000": ["x"]}
    whole, broken = expand_groups(read_groups(table, NO_LINES, Faults("p", ProjectInvalid)))
    assert not broken
    assert all([str(one) for one in asked] == ["x"] for _, asked in whole)


def test_included_groups_are_known_at_any_depth() -> None:
    table = {
        "all": ["x", {"include-group": "dev"}],
        "dev": [{"include-group": "lint"}, {"include-group": "test"}],
        "lint": ["y"],
        "test": ["z"],
        "cycle": [{"include-group": "cycle"}],
        "lost": [{"include-group": "nowhere"}],
    }
    assert dict(included_groups(read_groups(table, NO_LINES, Faults("p", ProjectInvalid)))) == {
        "all": ("dev", "lint", "test"),
        "cycle": ("cycle",),
        "dev": ("lint", "test"),
        "lost": ("nowhere",),
    }
