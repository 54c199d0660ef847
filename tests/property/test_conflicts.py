"""Each allowed selection of a lock with conflicts is an answer of its own: `packaging` selects, brute force judges."""

import tomllib
from collections.abc import Mapping, Sequence
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.requirements import Requirement
from packaging.tags import Tag

from deep_lock.closure.closure import close
from deep_lock.closure.model import Plan
from deep_lock.errors import Unsatisfiable
from deep_lock.events import silent
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.writer import to_text
from deep_lock.locking.assemble import AssemblyInput, packages
from deep_lock.models.conflicts import Conflict, broken_conflict, choices
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget
from deep_lock.models.resolution import Problem
from deep_lock.targets.markers import BASE, Scope, environment_marker, environments
from deep_lock.targets.target import Target
from tests.support.worlds import INDEX, WorldSources, target, wishes

NAMES = ["a", "b", "c"]
VERSIONS = ["1.0", "2.0"]
TARGETS = (target("3.12"), target("3.12", "windows"))
SCOPES = [Scope(kind="extra", name=name) for name in ("x", "y", "z")] + [Scope(kind="group", name="g")]
World = dict[str, dict[str, dict[str, Any]]]


OPERATORS = ["", "", "==1.0", "==2.0", ">=2.0", "<2.0"]
MARKERS = ["", "", "", "; sys_platform == 'linux'"]


def requirements(names: Sequence[str], operators: Sequence[str] = OPERATORS) -> st.SearchStrategy[str]:
    parts = (st.sampled_from(own) for own in (names, operators, MARKERS))
    return st.builds("{}{}{}".format, *parts)


def releases(name: str) -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    others = [other for other in NAMES if other != name]
    release = st.fixed_dictionaries({"requires": st.lists(requirements(others), max_size=2)})
    return st.fixed_dictionaries(dict.fromkeys(VERSIONS, release))


worlds = st.fixed_dictionaries({name: releases(name) for name in NAMES})
bases = st.lists(requirements(NAMES, ["", "", ">=1.0"]), max_size=2)
parts = st.fixed_dictionaries(
    {scope: st.lists(requirements(NAMES, OPERATORS[1:]), min_size=1, max_size=2) for scope in SCOPES}
)
conflict_sets = st.lists(
    st.lists(st.sampled_from(SCOPES), min_size=2, max_size=3, unique=True).map(sorted).map(tuple),
    min_size=1,
    max_size=2,
    unique=True,
)


def is_closed(world: World, roots: Sequence[str], answer: Mapping[str, str], own: Target) -> bool:
    """Whether every requirement that is reached on a target is met, and nothing else is there."""
    waiting, reached = list(roots), set[str]()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.marker is not None and not requirement.marker.evaluate(dict(own.environment)):
            continue
        name = requirement.name
        if name not in answer or not requirement.specifier.contains(answer[name]):
            return False
        if name not in reached:
            reached.add(name)
            waiting += world[name][answer[name]]["requires"]
    return reached == set(answer)


def has_answer(world: World, roots: Sequence[str], own: Target) -> bool:
    """Whether any set of releases is an answer on a target."""
    every = product(*([None, *VERSIONS] for _ in NAMES))
    found = ({name: version for name, version in zip(NAMES, own, strict=True) if version} for own in every)
    return any(is_closed(world, roots, answer, own) for answer in found)


def lock_of(
    world: World, base: Sequence[str], own: Mapping[Scope, Sequence[str]], conflicts: tuple[Conflict, ...]
) -> Lock:
    allowed = choices(conflicts, SCOPES)
    in_conflicts = frozenset[Scope]().union(*allowed)
    scopes = ((BASE, wishes(*base)), *((scope, wishes(*texts)) for scope, texts in own.items()))
    problems = tuple(
        Problem(
            requirements=tuple(
                chain.from_iterable(texts for scope, texts in scopes if scope not in in_conflicts or scope in choice)
            ),
            target=each,
            choice=choice,
        )
        for each in TARGETS
        for choice in allowed
    )
    sources = WorldSources(world=world)
    closure = close(Plan(runtime=problems), sources, silent)
    assembly = AssemblyInput(
        closure=closure,
        problems=problems,
        parts=dict.fromkeys(allowed, scopes),
        files=sources,
        selection=problems[0].selection,
        folder=Path("/project"),
    )
    return Lock(
        environments=environments(TARGETS, None),
        extras=tuple(scope.name for scope in SCOPES if scope.kind == "extra"),
        dependency_groups=("g",),
        inputs=LockedInputs(
            requirements=tuple(base),
            extras=tuple((scope.name, tuple(texts)) for scope, texts in own.items() if scope.kind == "extra"),
            dependency_groups=tuple(
                (scope.name, tuple(texts)) for scope, texts in own.items() if scope.kind == "group"
            ),
            conflicts=conflicts,
        ),
        options=(("build-scope", "needed"),),
        indexes=(("default", INDEX),),
        targets=tuple(
            LockedTarget(
                name=each.label,
                marker=environment_marker(each, TARGETS),
                python=each.python,
                platform=each.platform,
            )
            for each in TARGETS
        ),
        packages=packages(assembly),
    )


@settings(max_examples=150, deadline=None)
@given(world=worlds, base=bases, own=parts, conflicts=conflict_sets.map(sorted).map(tuple))
def test_each_allowed_selection_is_an_answer(
    world: World, base: list[str], own: dict[Scope, list[str]], conflicts: tuple[Conflict, ...]
) -> None:
    try:
        lock = lock_of(world, base, own, conflicts)
    except Unsatisfiable:
        event("impossible")
        in_conflicts = {scope for conflict in conflicts for scope in conflict}
        roots_of = (
            [*base, *(text for scope in own if scope in choice or scope not in in_conflicts for text in own[scope])]
            for choice in choices(conflicts, SCOPES)
        )
        assert any(not has_answer(world, roots, each) for roots in roots_of for each in TARGETS)
        return
    text = to_text(lock)
    assert broken_invariants(from_text(text, "deep.lock"), TARGETS) == ()
    parsed = Pylock.from_dict(tomllib.loads(text))
    subsets = chain.from_iterable(combinations(SCOPES, count) for count in range(len(SCOPES) + 1))
    for chosen in (set(subset) for subset in subsets):
        if broken_conflict(conflicts, chosen) is not None:
            continue
        roots = [*base, *(text for scope in chosen for text in own[scope])]
        for each in TARGETS:
            found = parsed.select(
                environment=dict(each.environment),  # type: ignore[arg-type]  # a mapping of the same keys
                tags=[Tag(*tag.split("-")) for tag in each.tags],
                extras=[scope.name for scope in chosen if scope.kind == "extra"],
                dependency_groups=[scope.name for scope in chosen if scope.kind == "group"],
            )
            pairs = [(str(package.name), str(package.version)) for package, _ in found]
            assert len(pairs) == len(dict(pairs))
            assert is_closed(world, roots, dict(pairs), each), (sorted(chosen), each.label, pairs)
