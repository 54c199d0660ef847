"""Backends are asked where this machine can, in the environment that was resolved for them, to a fixpoint."""

from typing import Any

import pytest

from deep_lock.closure.closure import close
from deep_lock.closure.model import Built, Plan
from deep_lock.errors import BuildCycle, Unsatisfiable
from deep_lock.events import silent
from deep_lock.models.resolution import Problem, Selection
from deep_lock.targets.target import Target
from tests.support.worlds import WorldSources, target, wishes

LINUX, WINDOWS, OLD = target(), target(system="windows"), target("3.11")
HERE = {LINUX.label: LINUX}
SDIST: dict[str, Any] = {"wheel": False, "backend": "b"}
TOOLS: dict[str, Any] = {"t": {"1.0": {}, "2.0": {}}, "u": {"1.0": {}, "2.0": {}}}


def asked(
    world: dict[str, Any], *targets: Target, runs: dict[str, Target], observe_all: bool = False
) -> tuple[list[Built], WorldSources]:
    sources = WorldSources(world=world, runs=runs, observe_all=observe_all)
    problems = tuple(Problem(requirements=wishes("a"), target=own, selection=Selection()) for own in targets)
    return list(close(Plan(runtime=problems), sources, silent).builds), sources


def members(built: Built) -> list[str]:
    return [f"{pin.name} {pin.version}" for pin in built.final.pins]


def test_a_backend_is_asked_in_its_declared_environment() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t<2"], "asks": ["u<2"]}}, **TOOLS}
    (built,), sources = asked(world, LINUX, runs=HERE)
    assert sources.ran == [("a 1.0", LINUX.label, ("t 1.0",))]
    assert members(built) == ["t 1.0", "u 1.0"]
    assert (built.answer.evidence, built.answer.observed_on) == ("observed", LINUX.label)


def test_an_answer_that_caps_a_declared_release_is_asked_for_again() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "asks": ["t<2"]}}, **TOOLS}
    (built,), sources = asked(world, LINUX, runs=HERE)
    assert [environment for _, _, environment in sources.ran] == [("t 2.0",), ("t 1.0",)]
    assert members(built) == ["t 1.0"]
    assert [str(pin.version) for pin in built.declared.pins] == ["2.0"]


def test_an_answer_that_contradicts_what_is_declared_is_told() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t>=2"], "asks": ["t<2"]}}, **TOOLS}
    with pytest.raises(Unsatisfiable, match=r"(?s)build of a 1.0.*get_requires_for_build_wheel"):
        asked(world, LINUX, runs=HERE)


def test_what_a_rule_proves_is_not_asked() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "hook": [], "asks": ["u"]}}, **TOOLS}
    (built,), sources = asked(world, LINUX, runs=HERE)
    assert (sources.ran, built.answer.evidence) == ([], "static")


def test_what_a_rule_proves_is_asked_where_the_user_wants_it() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "hook": [], "asks": []}}, **TOOLS}
    (built,), sources = asked(world, LINUX, runs=HERE, observe_all=True)
    assert (len(sources.ran), built.answer.evidence) == (1, "observed")


def test_a_backend_that_fails_leaves_what_a_rule_proves() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "hook": ["u"]}}, **TOOLS}
    (built,), _ = asked(world, LINUX, runs=HERE, observe_all=True)
    assert (members(built), built.answer.evidence) == (["t 2.0", "u 2.0"], "static")


def test_a_backend_that_fails_is_assumed() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"]}}, **TOOLS}
    (built,), _ = asked(world, LINUX, runs=HERE)
    assert (built.answer.evidence, built.answer.reason) == ("assumed", "the backend failed")


def test_sdists_in_an_environment_are_closed_before_the_backend_is_asked() -> None:
    deep = {"a": {"1.0": {**SDIST, "build": ["s"], "asks": []}}, "s": {"1.0": {**SDIST, "build": ["t"], "asks": ["u"]}}}
    builds, sources = asked({**deep, **TOOLS}, LINUX, runs=HERE)
    assert [called for called, _, _ in sources.ran] == ["s 1.0", "a 1.0"]
    assert {built.subject.name: members(built) for built in builds} == {"a": ["s 1.0"], "s": ["t 2.0", "u 2.0"]}


def test_metadata_is_asked_for_in_the_final_environment() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "asks": ["u"], "dynamic": True, "requires": ["u<2"]}}, **TOOLS}
    sources = WorldSources(world=world, runs=HERE)
    problem = Problem(requirements=wishes("a"), target=LINUX, selection=Selection())
    closure = close(Plan(runtime=(problem,)), sources, silent)
    assert sources.ran == [("a 1.0", LINUX.label, ("t 2.0",)), ("a 1.0", LINUX.label, ("t 2.0", "u 2.0"))]
    assert [f"{pin.name} {pin.version}" for pin in closure.runtime[0][1].pins] == ["a 1.0", "u 1.0"]
    assert sources.assumed == {}


def test_metadata_of_a_build_requirement_is_asked_for_too() -> None:
    chain = {
        "a": {"1.0": {**SDIST, "build": ["s"], "asks": []}},
        "s": {"1.0": {**SDIST, "build": ["t"], "asks": [], "dynamic": True, "requires": ["u"]}},
    }
    builds, _ = asked({**chain, **TOOLS}, LINUX, runs=HERE)
    assert {built.subject.name: members(built) for built in builds} == {"a": ["s 1.0", "u 2.0"], "s": ["t 2.0"]}


def test_metadata_that_needs_its_own_release_is_a_cycle() -> None:
    world = {
        "a": {"1.0": {**SDIST, "build": ["s"], "asks": []}},
        "s": {"1.0": {**SDIST, "build": ["s"], "dynamic": True}},
    }
    with pytest.raises(BuildCycle, match=r"build of s 1\.0 -> build of s 1\.0, which is already being built"):
        asked(world, LINUX, runs=HERE)


def test_a_foreign_target_takes_the_answer_of_a_target_that_runs_here() -> None:
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "asks": ["u"]}}, **TOOLS}
    builds, sources = asked(world, WINDOWS, LINUX, runs={**HERE, WINDOWS.label: LINUX})
    assert [built.answer.observed_on for built in builds] == [LINUX.label, LINUX.label]
    assert {label for _, label, _ in sources.ran} == {LINUX.label}
    assert [members(built) for built in builds] == [["t 2.0", "u 2.0"]] * 2


def test_an_older_python_that_is_asked_does_not_hold_a_newer_one_back() -> None:
    tools = {"t": {"1.0": {}, "2.0": {"requires_python": ">=3.12"}}}
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "asks": []}}, **tools}
    builds, sources = asked(world, LINUX, runs={LINUX.label: OLD, OLD.label: OLD})
    assert sources.ran == [("a 1.0", OLD.label, ("t 1.0",))]
    assert [members(built) for built in builds] == [["t 2.0"]]


def test_where_the_standing_in_environment_cannot_be_had_the_answer_is_assumed() -> None:
    tools = {"t": {"2.0": {"requires_python": ">=3.12"}}}
    world = {"a": {"1.0": {**SDIST, "build": ["t"], "asks": []}}, **tools}
    (built,), sources = asked(world, LINUX, runs={LINUX.label: OLD, OLD.label: OLD})
    assert (sources.ran, built.answer.evidence) == ([], "assumed")
