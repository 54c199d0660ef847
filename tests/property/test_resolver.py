"""Properties of the resolver, on small random worlds, judged by brute force."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.models.resolution import Impossible, Problem, Resolved
from deep_lock.resolver import search, straight
from deep_lock.resolver.resolver import resolve
from tests.support.brute_force import answers, closed
from tests.support.worlds import World, WorldSources, target, wishes

NAMES = ["a", "b", "c", "d"]
VERSIONS = ["1.0", "2.0", "3.0"]


@st.composite
def requirement(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    extra = draw(st.sampled_from(["", "", "", "[x]"]))
    operator = draw(st.sampled_from(["", "", ">=", "<", "==", "!="]))
    version = draw(st.sampled_from(VERSIONS)) if operator else ""
    return f"{name}{extra}{operator}{version}"


@st.composite
def release(draw: st.DrawFn) -> dict[str, Any]:
    plain = draw(st.lists(requirement(), max_size=2))
    extra = draw(st.lists(requirement(), max_size=1))
    uploaded = draw(st.sampled_from([None, "2018-01-01T00:00:00Z", "2022-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]))
    return {"requires": [*plain, *(f"{text}; extra == 'x'" for text in extra)], "uploaded": uploaded}


def without_self(world: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Drop what a release requires of itself: only its extras may, and that is tested elsewhere."""
    for name, releases in world.items():
        for own in releases.values():
            own["requires"] = [text for text in own["requires"] if not text.startswith(name)]
    return world


worlds = st.fixed_dictionaries(
    {name: st.dictionaries(st.sampled_from(VERSIONS), release(), max_size=3) for name in NAMES}
).map(without_self)
roots = st.lists(requirement(), min_size=1, max_size=3)


SKIPPED: dict[str, Any] = {
    "a": {},
    "b": {"1.0": {"requires": []}, "2.0": {"requires": ["c>=2.0"]}},
    "c": {"1.0": {"requires": ["d"]}, "2.0": {"requires": ["d<1.0"]}},
    "d": {"1.0": {"requires": []}, "2.0": {"requires": ["b>=2.0"]}},
}
"""resolvelib 1.2.1 backtracks past its only answer, c 1.0 with d 1.0."""


@settings(max_examples=300)
@given(world=worlds, required=roots)
@example(world=SKIPPED, required=["c"])
def test_finds_an_answer_exactly_where_there_is_one(world: dict[str, Any], required: list[str]) -> None:
    judge(world, required)


@settings(max_examples=300)
@given(world=worlds, required=roots)
@example(world=SKIPPED, required=["c"])
def test_probes_find_an_answer_exactly_where_there_is_one(world: dict[str, Any], required: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "MAX_CONFLICTS_BEFORE_PROBES", 0)
        patch.setattr(search, "PROBE_CONFLICTS", 1)
        judge(world, required)


def judge(world: dict[str, Any], required: list[str]) -> None:
    """Resolve, and compare with all answers that brute force finds."""
    outcome = resolve(Problem(requirements=wishes(*required), target=target()), WorldSources(world=world))
    possible = list(answers(world, required))
    if isinstance(outcome, Impossible):
        assert not possible
        assert outcome.explanation
        return
    assert isinstance(outcome, Resolved)
    found: dict[str, Version] = {pin.name: pin.version for pin in outcome.pins}
    assert closed(world, required, found)
    assert found in possible


@settings(max_examples=100)
@given(world=worlds, required=roots)
def test_the_order_of_requirements_does_not_decide_whether_there_is_an_answer(
    world: dict[str, Any], required: list[str]
) -> None:
    forth = resolve(Problem(requirements=wishes(*required), target=target()), WorldSources(world=world))
    back = resolve(Problem(requirements=wishes(*reversed(required)), target=target()), WorldSources(world=world))
    assert type(forth) is type(back)


@settings(max_examples=100)
@given(world=worlds, required=roots)
def test_an_answer_as_preference_gives_the_answer(world: dict[str, Any], required: list[str]) -> None:
    sources = WorldSources(world=world)
    first = resolve(Problem(requirements=wishes(*required), target=target()), sources)
    if not isinstance(first, Resolved):
        return
    kept = tuple((pin.name, (pin.version,)) for pin in first.pins)
    again = resolve(Problem(requirements=wishes(*required), target=target(), preferences=kept), sources)
    assert again == first


@settings(max_examples=100)
@given(world=worlds, required=roots)
def test_a_newer_release_that_is_not_needed_changes_nothing(world: dict[str, Any], required: list[str]) -> None:
    before = resolve(Problem(requirements=wishes(*required), target=target()), WorldSources(world=world))
    more = {**world, "unneeded": {"9.0": {"requires": ["a==99"]}}}
    after = resolve(Problem(requirements=wishes(*required), target=target()), WorldSources(world=more))
    assert after == before


def random_world(random: Random, names: Sequence[str] = NAMES) -> dict[str, dict[str, dict[str, Any]]]:
    """Return a world in which upper and lower bounds often conflict, and releases are days to years apart."""
    world: dict[str, dict[str, dict[str, Any]]] = {}
    for name in names:
        uploaded, world[name] = datetime(2020, 1, 1, tzinfo=UTC), {}
        for version in range(1, random.randint(2, 7)):
            uploaded += timedelta(days=random.choice([10, 30, 100, 400]))
            required = []
            for _ in range(random.choice([0, 1, 1, 2])):
                other, operator = (
                    random.choice([own for own in names if own != name]),
                    random.choice(["", "<", ">=", "<"]),
                )
                required.append(f"{other}{operator}{random.randint(2, 6) if operator else ''}")
            world[name][str(version)] = {"requires": required, "uploaded": uploaded.isoformat()}
    return world


def test_a_search_that_never_goes_back_has_the_pins_of_resolvelib() -> None:
    ended: list[bool] = []
    decide = straight.decide

    def counted(*arguments: Any) -> Any:
        found = decide(*arguments)
        ended.append(found is not None)
        return found

    names = [f"p{number}" for number in range(12)]
    for seed in range(400):
        random = Random(seed)  # noqa: S311 - a repeatable world, no secret
        world, required = random_world(random, names), random.sample(names, random.choice([2, 3, 5]))
        problem = Problem(requirements=wishes(*required), target=target())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(straight, "decide", counted)
            outcome = resolve(problem, WorldSources(world=world))
            patch.setattr(straight, "decide", lambda *_: None)
            expected = resolve(problem, WorldSources(world=world))
        assert outcome == expected, (seed, world, required)
    assert ended.count(True) > 50
    assert ended.count(False) > 50


def months_back(world: World, name: str, version: Version) -> int:
    better = [own for own in world[name] if Version(own) >= version]
    times = [datetime.fromisoformat(world[name][own]["uploaded"]) for own in better]
    return (max(times) - min(times)).days // 30


def test_what_is_required_directly_stays_nearly_as_new_as_brute_force_finds() -> None:
    own = best = 0
    for seed in range(150):
        random = Random(seed)  # noqa: S311 - a repeatable world, no secret
        world, required = random_world(random), random.sample(NAMES, random.choice([2, 3]))
        outcome = resolve(Problem(requirements=wishes(*required), target=target()), WorldSources(world=world))
        possible = list(answers(world, required))
        assert isinstance(outcome, Resolved) == bool(possible)
        if isinstance(outcome, Resolved):
            found = {pin.name: pin.version for pin in outcome.pins}
            own += sum(months_back(world, name, found[canonicalize_name(name)]) for name in required)
            best += min(sum(months_back(world, name, answer[name]) for name in required) for answer in possible)
    assert best <= own <= 1.2 * best


def test_the_oracle_can_say_no() -> None:
    world: World = {"a": {"1.0": {"requires": ["b>=2"]}}, "b": {"1.0": {}}}
    assert list(answers(world, ["a"])) == []
    assert not closed(world, ["a"], {"a": Version("1.0")})
