"""Each lock of a generated world is closed: `packaging` judges it, not our own code."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.pylock import Pylock
from packaging.tags import Tag

from deep_lock.closure.closure import close
from deep_lock.closure.model import Closure, Plan
from deep_lock.errors import BuildCycle, Unsatisfiable
from deep_lock.events import silent
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.writer import to_text
from deep_lock.locking.assemble import AssemblyInput, builds, packages
from deep_lock.models.build_system import LEGACY_REQUIRES
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget
from deep_lock.models.resolution import BuildScope, Problem, Selection
from deep_lock.targets.markers import BASE, Scope, environment_marker, environments
from deep_lock.targets.target import Target
from tests.support.brute_force import answers
from tests.support.closedness import faults, installed_entries
from tests.support.worlds import INDEX, WorldSources, release_files, target, wishes

NAMES = ["a", "b", "c", "d"]
VERSIONS = ["1.0", "2.0"]
TARGETS = (target("3.12"), target("3.12", "windows"), target("3.11"))
MARKERS = ["", "", "", "; sys_platform == 'linux'", "; python_version < '3.12'", "; extra == 'x'"]
World = dict[str, dict[str, dict[str, Any]]]
SETUPTOOLS: Mapping[str, Mapping[str, Any]] = {"80.9.0": {"sdist": False}, "65.0.0": {"sdist": False}}


@st.composite
def requirement(draw: st.DrawFn, names: Sequence[str]) -> str:
    name = draw(st.sampled_from(names))
    extra = draw(st.sampled_from(["", "", "", "[x]"]))
    operator = draw(st.sampled_from(["", "", "", ">=", "<", "=="]))
    return f"{name}{extra}{operator}{draw(st.sampled_from(VERSIONS)) if operator else ''}"


@st.composite
def release(draw: st.DrawFn, name: str) -> dict[str, Any]:
    others = [other for other in NAMES if other != name]
    asked = draw(st.lists(requirement(others), max_size=2))
    wheel = draw(st.sampled_from([True, False, ["cp312-cp312-win_amd64"], ["cp312-cp312-manylinux_2_28_x86_64"]]))
    own: dict[str, Any] = {"requires": [text + draw(st.sampled_from(MARKERS)) for text in asked], "wheel": wheel}
    if draw(st.booleans()):
        tools = draw(st.lists(requirement([*NAMES, "setuptools"]), max_size=2))
        own["build"] = [text + draw(st.sampled_from(MARKERS[:-1])) for text in tools]
        own["backend"] = "some.backend"
    if draw(st.booleans()):
        own["hook"] = draw(st.lists(requirement([*NAMES, "setuptools"]), max_size=1))
    return own


worlds = st.fixed_dictionaries(
    {name: st.dictionaries(st.sampled_from(VERSIONS), release(name), min_size=1, max_size=2) for name in NAMES}
)


@dataclass(frozen=True, kw_only=True)
class WorldTruth:
    """closedness.Truth of a world: looked up by file name, not by what the closure was told."""

    world: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def _release(self, filename: str) -> Mapping[str, Any]:
        for name, releases in self.world.items():
            for version, own in releases.items():
                if any(file.filename == filename for file in release_files(name, version, own)):
                    return own
        raise LookupError(filename)

    def requires_dist(self, filename: str) -> Sequence[str]:
        return list(self._release(filename).get("requires", ()))

    def build_requires(self, filename: str) -> Sequence[str]:
        return list(self._release(filename).get("build", LEGACY_REQUIRES))


def whole(world: World) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return {**world, "setuptools": SETUPTOOLS}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a project asks for, on which targets, in which scope."""

    base: tuple[str, ...]
    extra: tuple[str, ...] = ()
    targets: tuple[Target, ...] = TARGETS[:1]
    scope: BuildScope = "needed"

    @property
    def problems(self) -> tuple[Problem, ...]:
        selection = Selection(build_scope=self.scope)
        return tuple(
            Problem(requirements=wishes(*self.base, *self.extra), target=own, selection=selection)
            for own in self.targets
        )


def lock_of(asked: Asked, closure: Closure, sources: WorldSources) -> Lock:
    parts = ((BASE, wishes(*asked.base)), (Scope(kind="extra", name="e"), wishes(*asked.extra)))
    assembly = AssemblyInput(
        closure=closure,
        problems=asked.problems,
        parts={frozenset(): parts},
        files=sources,
        selection=asked.problems[0].selection,
        folder=Path("/project"),
    )
    return Lock(
        environments=environments(asked.targets, None),
        extras=("e",),
        inputs=LockedInputs(requirements=asked.base, extras=(("e", asked.extra),)),
        options=(("build-scope", asked.scope),),
        indexes=(("default", INDEX),),
        targets=tuple(
            LockedTarget(
                name=own.label,
                marker=environment_marker(own, asked.targets),
                python=own.python,
                platform=own.platform,
            )
            for own in asked.targets
        ),
        packages=packages(assembly),
        builds=builds(assembly),
    )


def judge(world: World, asked: Asked) -> None:
    sources = WorldSources(world=whole(world))
    try:
        closure = close(Plan(runtime=asked.problems), sources, silent)
    except BuildCycle as cycle:
        event("cycle")
        chain = cycle.message.split("\n")[1].strip().split(" -> ")
        assert len(chain) > 1
        last = chain[-1].removesuffix(", which is already being built: a build cycle")
        assert last in chain[:-1]
        return
    except Unsatisfiable as error:
        event("impossible")
        if "fits the runtime" in error.message and len(asked.targets) == 1 and asked.scope == "needed":
            plain = all(";" not in text for own in world.values() for each in own.values() for text in each["requires"])
            if plain and "being built already" not in error.message:
                assert not list(answers(whole(world), [*asked.base, *asked.extra]))
        return
    event(f"{len(closure.builds)} builds")
    lock = lock_of(asked, closure, sources)
    assert faults(lock, asked.targets, WorldTruth(world=whole(world)), scope=asked.scope) == []
    assert broken_invariants(lock, asked.targets) == ()
    text = to_text(lock)
    assert to_text(from_text(text, "deep.lock")) == text
    parsed = Pylock.from_dict(tomllib.loads(text))
    for own in asked.targets:
        tags = [Tag(*tag.split("-")) for tag in own.tags]
        chosen = parsed.select(environment=dict(own.environment), tags=tags, extras=["e"])  # type: ignore[arg-type]  # a mapping of the same keys
        names = sorted((package.name, str(package.version)) for package, _ in chosen)
        assert names == sorted((entry.name, entry.version) for entry in installed_entries(lock, own))


roots = st.lists(requirement(NAMES), min_size=1, max_size=3).map(tuple)
extras = st.lists(requirement(NAMES), max_size=1).map(tuple)


@settings(max_examples=250)
@given(world=worlds, base=roots, extra=extras)
def test_a_closure_is_closed(world: World, base: tuple[str, ...], extra: tuple[str, ...]) -> None:
    judge(world, Asked(base=base, extra=extra))


@settings(max_examples=120)
@given(world=worlds, base=roots, extra=extras)
def test_a_closure_over_several_targets_is_closed_on_each(
    world: World, base: tuple[str, ...], extra: tuple[str, ...]
) -> None:
    judge(world, Asked(base=base, extra=extra, targets=TARGETS))


@settings(max_examples=120)
@given(world=worlds, base=roots)
def test_a_closure_of_sources_alone_is_closed(world: World, base: tuple[str, ...]) -> None:
    judge(world, Asked(base=base, targets=TARGETS[:2], scope="all"))


@settings(max_examples=100)
@given(world=worlds, base=roots)
def test_a_lock_as_hints_gives_the_lock(world: World, base: tuple[str, ...]) -> None:
    asked = Asked(base=base, targets=TARGETS)
    sources = WorldSources(world=whole(world))
    try:
        first = close(Plan(runtime=asked.problems), sources, silent)
    except (BuildCycle, Unsatisfiable):
        return
    plan = Plan(
        runtime=asked.problems,
        runtime_hints={
            (own.label, frozenset()): {pin.name: (pin.version,) for pin in pins.pins} for own, pins in first.runtime
        },
        build_hints={
            (built.target.label, built.subject.name, built.subject.hook): {
                pin.name: (pin.version,) for pin in built.final.pins
            }
            for built in first.builds
        },
    )
    again = close(plan, WorldSources(world=whole(world)), silent)
    assert again.runtime == first.runtime
    assert [built.final for built in again.builds] == [built.final for built in first.builds]


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (lambda lock: (lock.packages[:-1], lock.builds), "setuptools"),
        (lambda lock: (lock.packages, ()), "no file, and no record of a build"),
    ],
)
def test_the_judge_can_say_no(broken: Any, fault: str) -> None:
    world: World = {"a": {"1.0": {"wheel": False}}}
    asked = Asked(base=("a",))
    sources = WorldSources(world=whole(world))
    lock = lock_of(asked, close(Plan(runtime=asked.problems), sources, silent), sources)
    entries, records = broken(lock)
    try:
        found = faults(replace(lock, packages=entries, builds=records), asked.targets, WorldTruth(world=whole(world)))
    except KeyError as missing:
        found = [str(missing)]
    assert any(fault in each for each in found)
