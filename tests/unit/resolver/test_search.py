"""Which of two names goes back where their best releases conflict: small worlds, in every order of the requirements."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.errors import Unsatisfiable
from deep_lock.models.resolution import Impossible, Problem, Resolved, Selection
from deep_lock.resolver import search
from deep_lock.resolver.resolver import resolve
from tests.support.worlds import World, WorldSources, target, wishes


def line(versions: Sequence[str], requires: Sequence[str], *, year: int, each: int = 1) -> dict[str, dict[str, Any]]:
    """Return releases, oldest first, uploaded every few months from a year on, which all require the same."""
    found = {}
    for number, version in enumerate(versions):
        months = number * each
        uploaded = f"{year + months // 12}-{months % 12 + 1:02}-15T00:00:00Z"
        found[version] = {"requires": [*requires], "uploaded": uploaded}
    return found


def numbered(major: int, count: int) -> list[str]:
    return [f"{major}.{number}" for number in range(count)]


def pins(world: World, *requirements: str, problem: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Resolve in every order of the requirements; returns the pins, which must not depend on the order."""
    found: list[dict[str, str]] = []
    for order in permutations(requirements):
        outcome = resolve(
            Problem(requirements=wishes(*order), target=target(), **(problem or {})), WorldSources(world=world)
        )
        assert isinstance(outcome, Resolved), outcome
        found.append({pin.name: str(pin.version) for pin in outcome.pins})
    assert all(one == found[0] for one in found), found
    return found[0]


LIBRARY = {"lib": {**line(["1.0", "1.1"], [], year=2024), **line(["2.0", "2.1"], [], year=2025)}}
OLD_FLOW = line(["1.4.1"], [], year=2022)


def test_one_name_goes_back_a_step_and_not_the_other_for_years() -> None:
    air = {**line(["3.2"], ["lib"], year=2026), **line(["3.3.0", "3.3.1", "3.3.2"], ["lib<2"], year=2026)}
    flow = {**OLD_FLOW, **line(numbered(3, 30), ["lib>=2"], year=2024)}
    found = pins({**LIBRARY, "air": air, "flow": flow}, "air", "flow")
    assert found == {"air": "3.2", "flow": "3.29", "lib": "2.1"}


def test_the_same_where_the_requirement_is_of_a_package_that_is_not_named() -> None:
    air = {version: {"requires": [f"air-core=={version}"]} for version in ("3.2", "3.3.0", "3.3.1", "3.3.2")}
    core = {version: {"requires": ["lib" if version == "3.2" else "lib<2"]} for version in air}
    flow = {**OLD_FLOW, **line(numbered(3, 30), ["lib>=2"], year=2024)}
    found = pins({**LIBRARY, "air": air, "air-core": core, "flow": flow}, "air", "flow")
    assert found == {"air": "3.2", "air-core": "3.2", "flow": "3.29", "lib": "2.1"}


def test_one_release_back_for_years_is_far() -> None:
    air = {**line(["3.2"], ["lib"], year=2026), **line(["3.3"], ["lib<2"], year=2026, each=2)}
    flow = {**OLD_FLOW, **line(["3.8"], ["lib>=2"], year=2026)}
    assert pins({**LIBRARY, "air": air, "flow": flow}, "air", "flow")["flow"] == "3.8"


def test_without_times_the_number_of_releases_decides() -> None:
    air: dict[str, Any] = {"3.2": {"requires": ["lib"]}, "3.3": {"requires": ["lib<2"]}}
    flow: dict[str, Any] = {"1.4": {}, **{version: {"requires": ["lib>=2"]} for version in numbered(3, 3)}}
    lib: dict[str, Any] = {"1.0": {}, "2.0": {}}
    found = pins({"lib": lib, "air": air, "flow": flow}, "air", "flow")
    assert found == {"air": "3.2", "flow": "3.2", "lib": "2.0"}


def test_an_upper_bound_of_the_newest_release_does_not_send_another_name_back_for_years() -> None:
    caller = {**line(["5.0"], ["callee"], year=2026), **line(["5.1"], ["callee<2"], year=2026, each=2)}
    callee = {**line(["1.9"], [], year=2022), **line(numbered(2, 40), [], year=2023)}
    assert pins({"caller": caller, "callee": callee}, "caller", "callee") == {"caller": "5.0", "callee": "2.39"}


def test_nor_does_a_name_go_back_for_years_to_a_release_without_the_upper_bound() -> None:
    caller = {**line(["0.1"], ["callee"], year=2017), **line(numbered(5, 12), ["callee<2.5"], year=2025)}
    callee = {**line(numbered(2, 10), [], year=2025)}
    assert pins({"caller": caller, "callee": callee}, "caller", "callee") == {"caller": "5.11", "callee": "2.4"}


def test_many_releases_of_a_few_days_are_nearer_than_few_of_years() -> None:
    daily = {f"1.{day}": {"uploaded": f"2026-03-{day + 1:02}T00:00:00Z"} for day in range(28)}
    files = {
        **line(["0.4"], ["daily"], year=2020),
        "2026.1": {"requires": ["daily<1.5"], "uploaded": "2026-03-10T00:00:00Z"},
    }
    assert pins({"daily": daily, "files": files}, "daily", "files") == {"daily": "1.4", "files": "2026.1"}


def test_a_new_release_of_an_old_line_is_old() -> None:
    web = {
        **line(["4.2.0"], ["lib"], year=2022),
        **line(numbered(5, 20), ["lib<2"], year=2023, each=2),
        "4.2.1": {"requires": ["lib"], "uploaded": "2026-05-01T00:00:00Z"},
    }
    other = {**line(["1.0"], [], year=2026), **line(["1.1", "1.2", "1.3", "1.4"], ["lib>=2"], year=2026)}
    assert pins({**LIBRARY, "web": web, "other": other}, "web", "other")["web"] == "5.19"


def test_a_name_that_the_project_has_is_newer_than_one_that_it_has_not() -> None:
    world = {
        **LIBRARY,
        "named": {**line(["1.0"], [], year=2025), **line(["2.0"], ["lib<2"], year=2026)},
        "user": line(["1.0"], ["unnamed<5"], year=2025),
        "unnamed": {**line(["4.8"], [], year=2020), **line(["4.9"], ["lib>=2"], year=2026)},
    }
    found = pins(world, "named", "user<9")
    assert found == {"named": "2.0", "user": "1.0", "unnamed": "4.8", "lib": "1.1"}


def test_several_conflicts_are_independent() -> None:
    world: dict[str, Any] = {}
    requirements: list[str] = []
    for letter in "abc":
        world[f"{letter}-lib"] = LIBRARY["lib"]
        old = line(["3.2"], [f"{letter}-lib"], year=2026)
        new = line(["3.3.0", "3.3.1"], [f"{letter}-lib<2"], year=2026)
        world[f"{letter}-air"] = {**old, **new}
        world[f"{letter}-flow"] = {**OLD_FLOW, **line(numbered(3, 12), [f"{letter}-lib>=2"], year=2025)}
        requirements += [f"{letter}-air", f"{letter}-flow"]
    for order in (requirements, requirements[::-1], sorted(requirements, key=lambda text: text[2:])):
        outcome = resolve(Problem(requirements=wishes(*order), target=target()), WorldSources(world=world))
        assert isinstance(outcome, Resolved)
        found = {pin.name: str(pin.version) for pin in outcome.pins}
        assert {name: version for name, version in found.items() if "air" in name or "flow" in name} == {
            name: "3.11" if "flow" in name else "3.2" for name in requirements
        }


def test_three_names_that_conflict() -> None:
    world = {
        **LIBRARY,
        "a": {**line(["1.0"], [], year=2020), **line(numbered(2, 9), ["lib<2"], year=2026)},
        "b": {**line(["1.0"], [], year=2026), **line(["2.0"], ["lib>=2"], year=2026, each=2)},
        "c": {**line(["1.0"], [], year=2026), **line(["2.0"], ["lib>=2.1"], year=2026, each=2)},
    }
    assert pins(world, "a", "b", "c") == {"a": "2.8", "b": "1.0", "c": "1.0", "lib": "1.1"}


def test_releases_that_nothing_can_use_are_passed_over() -> None:
    broken = {**line(["1.0"], [], year=2021), **line(numbered(2, 30), ["missing"], year=2023)}
    assert pins({"broken": broken, "other": line(["1.0", "1.1"], [], year=2026)}, "broken", "other") == {
        "broken": "1.0",
        "other": "1.1",
    }


def test_a_pin_of_the_previous_lock_stays() -> None:
    air = {**line(["3.2"], ["lib"], year=2026), **line(["3.3"], ["lib<2"], year=2026)}
    flow = {**OLD_FLOW, **line(numbered(3, 30), ["lib>=2"], year=2024)}
    kept = ((canonicalize_name("flow"), (Version("1.4.1"),)),)
    found = pins({**LIBRARY, "air": air, "flow": flow}, "air", "flow", problem={"preferences": kept})
    assert found == {"air": "3.3", "flow": "1.4.1", "lib": "1.1"}


def test_constraints_decide_what_the_best_release_is() -> None:
    air = {**line(["3.2"], ["lib"], year=2026), **line(["3.3"], ["lib<2"], year=2026)}
    flow = {**OLD_FLOW, **line(numbered(3, 30), ["lib>=2"], year=2024)}
    limits = {"constraints": wishes("flow<2")}
    found = pins({**LIBRARY, "air": air, "flow": flow}, "air", "flow", problem=limits)
    assert found == {"air": "3.3", "flow": "1.4.1", "lib": "1.1"}


def test_the_lowest_versions_stay_low() -> None:
    air = {**line(["3.0"], ["lib<2"], year=2024), **line(numbered(4, 3), ["lib"], year=2025)}
    flow = {**line(numbered(1, 9), ["lib>=2"], year=2023), **line(["9.0"], [], year=2026)}
    lowest = {"selection": Selection(resolution="lowest")}
    found = pins({**LIBRARY, "air": air, "flow": flow}, "air", "flow", problem=lowest)
    assert found == {"air": "4.0", "flow": "1.0", "lib": "2.0"}


@pytest.mark.parametrize("count", [1, 20])
def test_no_answer_is_no_answer(count: int) -> None:
    air = line(numbered(1, count), ["lib<2"], year=2020)
    flow = line(numbered(1, count), ["lib>=2"], year=2020)
    world = {**LIBRARY, "air": air, "flow": flow}
    outcome = resolve(Problem(requirements=wishes("air", "flow"), target=target()), WorldSources(world=world))
    assert isinstance(outcome, Impossible)
    assert "lib<2" in outcome.explanation
    assert "lib>=2" in outcome.explanation


def test_the_package_without_candidates_is_decided_before_those_that_it_conflicts_with() -> None:
    """Else each combination of the others is tried: 20 * 20 * 20."""
    others = {f"a{number}": line(numbered(1, 20), ["lib"], year=2024) for number in range(3)}
    last = line(numbered(1, 20), ["lib>=2"], year=2024)
    air = {**line(["1.0"], [], year=2026), **line(["1.1"], ["lib<2", *others, "last"], year=2026)}
    world = {**LIBRARY, **others, "last": last, "air": air}
    problem = Problem(requirements=wishes("air"), target=target())
    outcome = resolve(problem, WorldSources(world=world), max_rounds=200)
    assert isinstance(outcome, Resolved)
    assert {pin.name: str(pin.version) for pin in outcome.pins} == {"air": "1.0"}


def test_where_a_search_has_no_end_the_releases_of_a_direct_name_are_tried_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of a and b fits some c, and no c fits both where air is new: 30 * 30 combinations for each of its releases."""
    a = {f"1.{number}": {"requires": [f"c=={number}.1"]} for number in range(30)}
    b = {f"1.{number}": {"requires": [f"c=={number}.2"]} for number in range(30)}
    c: dict[str, dict[str, Any]] = {f"{number}.{minor}": {"requires": []} for number in range(30) for minor in (1, 2)}
    air = {**line(["1.0", "1.1"], ["a"], year=2025), **line(["2.0", "2.1"], ["a", "b"], year=2026)}
    world = {"air": air, "a": a, "b": b, "c": c}
    problem = Problem(requirements=wishes("air"), target=target())
    monkeypatch.setattr(search, "MAX_CONFLICTS_BEFORE_PROBES", 8)
    monkeypatch.setattr(search, "PROBE_CONFLICTS", 4)
    sources = WorldSources(world=world)
    outcome = resolve(problem, sources, max_rounds=60)
    assert isinstance(outcome, Resolved)
    assert {pin.name: str(pin.version) for pin in outcome.pins} == {"air": "1.1", "a": "1.29", "c": "29.1"}


def test_a_candidate_with_the_requirements_of_a_rejected_one_is_skipped() -> None:
    """Nine of ten releases of b require the same of lib as the first one: only one of them is tried."""
    b = line(numbered(1, 90), ["lib>=2"], year=2015)
    b |= line(["0.9"], ["lib"], year=2014)
    world = {**LIBRARY, "air": line(["1.0"], ["lib<2", "b"], year=2026), "b": b}
    rejected: list[str] = []

    class Counting(search._Reporter):
        def rejecting_candidate(self, criterion: Any, candidate: search.ResolverCandidate) -> None:
            super().rejecting_candidate(criterion, candidate)
            rejected.append(f"{candidate.candidate.name} {candidate.candidate.version}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_Reporter", Counting)
        assert pins(world, "air") == {"air": "1.0", "b": "0.9", "lib": "1.1"}
    assert rejected == ["b 1.89"]


def test_a_search_without_an_end_names_what_conflicts_most() -> None:
    others = {f"a{number}": line(numbered(1, 20), ["lib"], year=2024) for number in range(3)}
    last = line(numbered(1, 20), ["lib>=2"], year=2024)
    air = line(["1.1"], ["lib<2", *others, "last"], year=2026)
    problem = Problem(requirements=wishes("air"), target=target())
    with pytest.raises(Unsatisfiable, match=r"after 8 attempts; these packages conflict most often: last, "):
        resolve(problem, WorldSources(world={**LIBRARY, **others, "last": last, "air": air}), max_rounds=8)


def test_only_a_search_that_goes_far_back_has_the_answer() -> None:
    """Each name alone would go back a little, but together only the oldest fit."""
    air = {**line(["1.0"], ["lib<2"], year=2018), **line(numbered(2, 20), ["lib<2", "flow<2"], year=2024)}
    flow = {**line(["1.0"], ["lib<2"], year=2018), **line(numbered(2, 20), ["lib>=2"], year=2024)}
    found = pins({**LIBRARY, "air": air, "flow": flow}, "air", "flow")
    assert found == {"air": "2.19", "flow": "1.0", "lib": "1.1"}


def test_a_package_that_is_not_named_does_not_take_a_name_back_for_years() -> None:
    core = {**line(["3.2"], ["callee"], year=2026), **line(["3.3"], ["callee<2"], year=2026, each=2)}
    callee = {**line(["1.9"], [], year=2022), **line(numbered(2, 40), [], year=2023)}
    world = {"air": line(["3.0"], ["core"], year=2026), "core": core, "callee": callee}
    assert pins(world, "air", "callee") == {"air": "3.0", "core": "3.2", "callee": "2.39"}


def test_nor_does_it_go_back_to_a_release_from_before_its_upper_bound() -> None:
    core = {**line(["0.1"], ["callee"], year=2015), **line(numbered(3, 9), ["callee<2"], year=2025)}
    callee = {**line(["1.9"], [], year=2024), **line(numbered(2, 20), [], year=2025)}
    world = {"air": line(["3.0"], ["core"], year=2026), "core": core, "callee": callee}
    assert pins(world, "air", "callee") == {"air": "3.0", "core": "3.8", "callee": "1.9"}
