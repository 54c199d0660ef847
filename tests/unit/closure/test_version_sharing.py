"""Versions that several build environments can share."""

from typing import Any

from deep_lock.closure.closure import close
from deep_lock.closure.version_sharing import releases, shared_preferences, with_runtime_preferences
from deep_lock.events import silent
from tests.support.worlds import WorldSources, target, wishes
from tests.unit.closure.test_closure import closed, environments, plan, source


def test_sharing_finds_the_version_that_suits_most() -> None:
    world: dict[str, Any] = {
        "a": {"1.0": source("t")},
        "b": {"1.0": source("t<2")},
        "c": {"1.0": source("t<3")},
        "t": {"1.0": {}, "2.0": {}, "3.0": {}},
    }
    closure = closed(world, "a", "b", "c", share=False)
    assert environments(closure) == {"a": ["t 3.0"], "b": ["t 1.0"], "c": ["t 2.0"]}
    found = shared_preferences(closure)
    assert [str(version) for version in found["cp312-linux"][wishes("t")[0].name]] == ["1.0", "2.0", "3.0"]
    again = closed(world, "a", "b", "c", shared=found)
    assert set(map(tuple, environments(again).values())) == {("t 1.0",)}
    assert (releases(closure), releases(again)) == (6, 4)


def test_sharing_leaves_alone_what_really_disagrees() -> None:
    world: dict[str, Any] = {"a": {"1.0": source("t>=2")}, "b": {"1.0": source("t<2")}, "t": {"1.0": {}, "2.0": {}}}
    assert shared_preferences(closed(world, "a", "b", share=False)) == {}


def test_a_runtime_pin_does_not_move_for_a_build() -> None:
    world: dict[str, Any] = {"a": {"1.0": source("t<2")}, "t": {"1.0": {}, "2.0": {}}}
    closure = closed(world, "a", "t")
    assert shared_preferences(closure) == {}


def test_a_runtime_pin_counts_for_its_own_version_only() -> None:
    versions: dict[str, Any] = {"1.0": {}, "2.0": {}, "3.0": {}}
    world: dict[str, Any] = {
        "a": {"1.0": source("t")},
        "b": {"1.0": source("t<3")},
        "c": {"1.0": source("t!=2")},
        "t": versions,
    }
    found = shared_preferences(closed(world, "a", "b", "c", "t<3", share=False))
    assert [str(version) for version in found["cp312-linux"][wishes("t")[0].name]] == ["2.0", "3.0"]


def test_targets_share_the_version_that_one_of_them_must_have() -> None:
    world: dict[str, Any] = {
        "a": {"1.0": {}, "2.0": {"requires": ["b>=2"]}},
        "b": {"1.0": {}, "2.0": {}},
        "c": {"1.0": {}, "2.0": {}},
    }
    first = plan(
        "a", "b>=2; os_name == 'posix'", "b<2; os_name == 'nt'", "c", targets=(target(), target(system="windows"))
    )
    closure = close(first, WorldSources(world=world), silent)
    other = with_runtime_preferences(first, closure)
    assert [{name: list(map(str, versions)) for name, versions in own.preferences} for own in other.runtime] == [
        {"a": ["1.0", "2.0"], "b": ["1.0", "2.0"]}
    ] * 2
    again = close(other, WorldSources(world=world), silent)
    assert [sorted(f"{pin.name} {pin.version}" for pin in resolved.pins) for _, resolved in again.runtime] == [
        ["a 1.0", "b 2.0", "c 2.0"],
        ["a 1.0", "b 1.0", "c 2.0"],
    ]
    assert (releases(closure), releases(again)) == (5, 4)
    assert with_runtime_preferences(plan("a", "b"), closed(world, "a", "b")) == plan("a", "b")
