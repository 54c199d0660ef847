"""The stack of problems: depth, stages, cycles, and what is opened; on worlds as data."""

from typing import Any

import pytest
from packaging.version import Version

from deep_lock.closure.closure import MAX_DEPTH, close
from deep_lock.closure.model import Closure, Plan, Subject
from deep_lock.errors import BuildCycle, LimitExceeded, Unsatisfiable
from deep_lock.events import Warned, silent
from deep_lock.models.build_system import BuildSystem, HookAnswer, SdistFacts
from deep_lock.models.resolution import Problem, Resolved, Selection
from deep_lock.targets.target import Target
from tests.support.worlds import WorldSources, target, wishes

SOURCE = {"wheel": False, "backend": "b", "hook": []}


def source(*build: str, **more: Any) -> dict[str, Any]:
    return {**SOURCE, "build": list(build), **more}


def plan(*asked: str, **more: Any) -> Plan:
    targets = more.pop("targets", (target(),))
    selection = more.pop("selection", Selection())
    problems = tuple(Problem(requirements=wishes(*asked), target=own, selection=selection) for own in targets)
    return Plan(runtime=problems, **more)


def closed(world: dict[str, Any], *asked: str, **more: Any) -> Closure:
    return close(plan(*asked, **more), WorldSources(world=world), silent)


def environments(closure: Closure) -> dict[str, list[str]]:
    return {built.subject.name: [f"{pin.name} {pin.version}" for pin in built.final.pins] for built in closure.builds}


def test_a_chain_is_followed_to_its_end() -> None:
    depth = 60
    world: dict[str, Any] = {f"n{level}": {"1.0": source(f"n{level + 1}")} for level in range(depth)} | {
        f"n{depth}": {"1.0": {}}
    }
    assert len(closed(world, "n0").builds) == depth


def test_a_chain_without_end_is_refused() -> None:
    world: dict[str, Any] = {f"n{level}": {"1.0": source(f"n{level + 1}")} for level in range(MAX_DEPTH + 2)}
    with pytest.raises(LimitExceeded, match="nested more than 200 levels deep"):
        closed(world, "n0")


def test_only_what_is_built_is_opened() -> None:
    world: dict[str, Any] = {"a": {"1.0": {"requires": ["b"]}}, "b": {"1.0": source("t")}, "t": {"1.0": {}}}
    sources = WorldSources(world=world)
    close(plan("a"), sources, silent)
    assert set(sources.opened) == {"b-1.0.tar.gz"}


def test_nothing_is_opened_in_scope_none() -> None:
    sources = WorldSources(world={"b": {"1.0": source("t")}})
    closure = close(plan("b", selection=Selection(build_scope="none")), sources, silent)
    assert (closure.builds, sources.opened) == ((), [])


def test_alike_environments_are_solved_once() -> None:
    def cost(*builds: str) -> int:
        world: dict[str, Any] = {f"n{number}": {"1.0": source(text)} for number, text in enumerate(builds)}
        sources = WorldSources(world={**world, "t": {"1.0": {}}})
        close(plan(*world), sources, silent)
        return sources.asked

    assert cost("t>=1", "t>=1", "t>=1") < cost("t>=1", "t>=1", "t>=0")


@pytest.mark.parametrize(
    ("world", "chain"),
    [
        ({"a": {"1.0": source("a")}}, "runtime -> build of a 1.0 -> build of a 1.0"),
        (
            {"a": {"1.0": source("b")}, "b": {"1.0": source("a")}},
            "runtime -> build of a 1.0 -> build of b 1.0 -> build of a 1.0",
        ),
        (
            {"a": {"1.0": source("t")}, "t": {"1.0": {"requires": ["a"]}}},
            "runtime -> build of a 1.0 -> build of a 1.0",
        ),
        (
            {"a": {"1.0": source("t", hook=["a"])}, "t": {"1.0": {}}},
            "runtime -> build of a 1.0 -> build of a 1.0",
        ),
        (
            {"a": {"1.0": source("b")}, "b": {"1.0": source("c")}, "c": {"1.0": source("b")}},
            "runtime -> build of a 1.0 -> build of b 1.0 -> build of c 1.0 -> build of b 1.0",
        ),
    ],
)
def test_a_cycle_is_told_whole(world: dict[str, Any], chain: str) -> None:
    with pytest.raises(BuildCycle) as caught:
        closed(world, "a")
    assert caught.value.message == (
        "a build cycle, and no other version avoids it, on cp312-linux:\n"
        f"  {chain}, which is already being built: a build cycle"
    )
    assert "--only-binary" in caught.value.hint


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        ({"a": {"2.0": source("a"), "1.0": {}}}, {"a": ["a 1.0"]}),
        ({"a": {"2.0": source("b")}, "b": {"2.0": source("a"), "1.0": {}}}, {"a": ["b 1.0"]}),
        (
            {"a": {"1.0": source("b")}, "b": {"1.0": source("c")}, "c": {"2.0": source("a"), "1.0": {}}},
            {"a": ["b 1.0"], "b": ["c 1.0"]},
        ),
        ({"a": {"2.0": source("b"), "1.0": {}}, "b": {"1.0": source("a>=2")}}, {}),
    ],
)
def test_a_cycle_is_broken_by_another_version(world: dict[str, Any], expected: dict[str, list[str]]) -> None:
    assert environments(closed(world, "a")) == expected


def test_what_was_given_up_leaves_no_record() -> None:
    world: dict[str, Any] = {
        "a": {"1.0": source("b", "c")},
        "b": {"1.0": {}},
        "c": {"2.0": source("a", "d"), "1.0": {}},
        "d": {"1.0": source()},
    }
    assert environments(closed(world, "a")) == {"a": ["b 1.0", "c 1.0"]}


def test_what_only_the_first_stage_needs_is_built_too() -> None:
    world: dict[str, Any] = {
        "a": {"1.0": source("t", hook=["t<2"])},
        "t": {"2.0": source("u"), "1.0": {}},
        "u": {"1.0": {}},
    }
    assert environments(closed(world, "a")) == {"a": ["t 1.0"], "t": ["u 1.0"]}


def test_an_impossible_environment_names_its_chain() -> None:
    world: dict[str, Any] = {"a": {"1.0": source("b")}, "b": {"1.0": source("nowhere")}}
    with pytest.raises(Unsatisfiable) as caught:
        closed(world, "a")
    assert caught.value.message.split("\n") == [
        "no set of versions fits the build of b 1.0 on cp312-linux:",
        "  b 1.0 [build-system.requires] requires nowhere (any version)",
        "  no configured index has nowhere; if it was published a moment ago, use --refresh",
        "  needed by: runtime -> build of a 1.0 -> build of b 1.0",
    ]


def test_build_constraints_hold_in_environments_only() -> None:
    world: dict[str, Any] = {"a": {"1.0": source("t")}, "t": {"1.0": {}, "2.0": {}}}
    closure = closed(world, "a", "t", build_constraints=wishes("t<2"))
    assert [str(pin.version) for pin in closure.runtime[0][1].pins] == ["1.0", "2.0"]
    assert environments(closure) == {"a": ["t 1.0"]}


class Moody(WorldSources):
    """A backend that asks for another tool each time."""

    calls = 0

    def proven(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer:
        del subject, environment, target
        self.calls += 1
        return HookAnswer(requires=(f"t=={2 - self.calls % 2}.0",), evidence="observed")


def test_a_backend_that_never_agrees_with_itself_is_given_up() -> None:
    world: dict[str, Any] = {"a": {"1.0": source("t")}, "t": {"1.0": {}, "2.0": {}}}
    with pytest.raises(Unsatisfiable, match="returns other requirements at each call"):
        close(plan("a"), Moody(world=world), silent)


def test_the_project_itself_is_built() -> None:
    facts = SdistFacts(build_system=BuildSystem(requires=("t", "s"), backend="b"), metadata=None, declared_hook=("u",))
    project = Subject(name=wishes("app")[0].name, version=None, source=None, facts=facts)
    world: dict[str, Any] = {"a": {"1.0": {}}, "t": {"1.0": {}}, "s": {"1.0": source("t")}, "u": {"1.0": {}}}
    assert environments(closed(world, "a", project=project)) == {"app": ["s 1.0", "t 1.0", "u 1.0"], "s": ["t 1.0"]}


APP = BuildSystem(requires=("t",), backend="b")


@pytest.mark.parametrize(
    ("wheel", "editable", "expected"),
    [
        ((), (), [("wheel", ["t 1.0"])]),
        (("u<2",), (), [("wheel", ["t 1.0", "u 1.0"])]),
        ((), ("u",), [("wheel", ["t 1.0"]), ("editable", ["t 1.0", "u 2.0"])]),
        (("u<2",), ("s",), [("wheel", ["t 1.0", "u 1.0"]), ("editable", ["s 1.0", "t 1.0", "u 1.0"])]),
        (("u <2",), ("U<2",), [("wheel", ["t 1.0", "u 1.0"])]),
    ],
)
def test_an_editable_build_has_a_closure_where_its_hook_asks_for_something_else(
    wheel: tuple[str, ...], editable: tuple[str, ...], expected: list[tuple[str, list[str]]]
) -> None:
    world: dict[str, Any] = {"a": {"1.0": {}}, "t": {"1.0": {}}, "u": {"1.0": {}, "2.0": {}}, "s": {"1.0": source("t")}}
    facts = SdistFacts(build_system=APP, metadata=None, declared_hook=wheel)
    project = Subject(name=wishes("app")[0].name, version="1", source=None, facts=facts)
    sources = WorldSources(world=world, editable=editable)
    closure = close(plan("a", project=project), sources, silent)
    found = [
        (built.subject.hook, sorted(f"{pin.name} {pin.version}" for pin in built.final.pins))
        for built in closure.builds
        if built.subject.sdist is None
    ]
    assert sorted(found, reverse=True) == expected
    assert closure.editable_unknown == ()
    assert ("s" in environments(closure)) == ("s" in editable), "what an editable build is built with is built too"


@pytest.mark.parametrize(
    ("editable", "reason"), [(None, "nobody read it"), (("nowhere",), "nowhere"), (("t>=2",), "t>=2")]
)
def test_a_lock_does_not_fail_for_an_editable_build(editable: tuple[str, ...] | None, reason: str) -> None:
    facts = SdistFacts(build_system=APP, metadata=None, declared_hook=())
    project = Subject(name=wishes("app")[0].name, version="1", source=None, facts=facts)
    sources = WorldSources(world={"a": {"1.0": {}}, "t": {"1.0": {}}}, editable=editable)
    closure = close(plan("a", project=project, targets=(target(), target("3.11"))), sources, silent)
    assert [built.subject.hook for built in closure.builds] == ["wheel", "wheel"]
    assert reason in "".join(closure.editable_unknown)


def test_what_the_user_adds_is_added_to_every_sdist_of_the_name_and_not_to_the_project() -> None:
    facts = SdistFacts(build_system=BuildSystem(requires=("s",), backend="b"), metadata=None, declared_hook=())
    app = Subject(name=wishes("app")[0].name, version=None, source=None, facts=facts)
    world: dict[str, Any] = {
        "a": {"1.0": source("s==1.0", "t")},
        "s": {"1.0": source("t"), "2.0": source("t")},
        **{name: {"1.0": {}} for name in "tu"},
    }
    added = {requirement.name: wishes("u") for requirement in wishes("s", "app", "t", "never")}
    sources = WorldSources(world=world, added=added)
    found = close(plan("a", project=app, share=False), sources, silent)
    by_release = {
        f"{own.subject.name} {own.subject.version}": sorted(pin.name for pin in own.final.pins) for own in found.builds
    }
    assert by_release == {"a 1.0": ["s", "t"], "app None": ["s"], "s 1.0": ["t", "u"], "s 2.0": ["t", "u"]}


def test_metadata_that_only_a_backend_knows_is_assumed_once() -> None:
    world: dict[str, Any] = {"a": {"1.0": source(dynamic=True, requires=["b"])}}
    sources = WorldSources(world=world)
    heard: list[object] = []
    closure = close(plan("a"), sources, lambda event: heard.append(event) if isinstance(event, Warned) else None)
    assert [pin.name for pin in closure.runtime[0][1].pins] == ["a"]
    assert list(sources.assumed) == [("a", Version("1.0"))]
