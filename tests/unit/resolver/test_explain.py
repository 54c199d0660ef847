"""The explanation of an impossible resolution, word for word."""

from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.models.requirement import Origin
from deep_lock.models.resolution import Impossible, Problem, Purpose, Resolved, Selection
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.resolver.resolver import resolve
from tests.support.worlds import WorldSources, target, wishes

HEAD = "no set of versions fits the runtime on cp312-linux:"
YANKED = {"yanked": "a hole", "sdist": False}
SEVEN: dict[str, Any] = {f"{number}.0": {} for number in range(1, 8)}


def explanation(world: dict[str, Any], problem: Problem) -> list[str]:
    outcome = resolve(problem, WorldSources(world=world))
    assert isinstance(outcome, Impossible)
    return outcome.explanation.split("\n")


@pytest.mark.parametrize(
    ("world", "requirements", "lines"),
    [
        (
            {},
            ["a"],
            [
                "the project requires a (any version)",
                "no configured index has a; if it was published a moment ago, use --refresh",
            ],
        ),
        (
            {"a": {"1.0": {}}},
            ["a>=2"],
            ["the project requires a>=2", "no version of a satisfies it; available: 1.0"],
        ),
        (
            {"a": SEVEN},
            ["a>=9"],
            [
                "the project requires a>=9",
                "no version of a satisfies it; available: 7.0, 6.0, 5.0, 4.0, 3.0 and 2 older",
            ],
        ),
        (
            {"a": {"1.0": YANKED}},
            ["a"],
            ["the project requires a (any version)", "a-1.0-py3-none-any.whl: yanked: a hole"],
        ),
        (
            {"a": {"1.0": {"requires": ["c<2"]}}, "b": {"1.0": {"requires": ["c>=2"]}}, "c": {"1.0": {}, "2.0": {}}},
            ["a", "b"],
            [
                "a 1.0 requires c<2",
                "b 1.0 requires c>=2",
                "no version of c satisfies all of them; available: 2.0, 1.0",
            ],
        ),
        (
            {"a": {"1.0": {"requires": ["b @ https://files.example/b.whl"]}}},
            ["a"],
            [
                "the project requires a (any version)",
                (
                    "a 1.0 cannot be used: it requires a direct URL, which a lock from indexes cannot contain: "
                    "b @ https://files.example/b.whl"
                ),
            ],
        ),
    ],
)
def test_the_explanation(world: dict[str, Any], requirements: list[str], lines: list[str]) -> None:
    assert explanation(world, Problem(requirements=wishes(*requirements), target=target())) == [
        HEAD,
        *(f"  {line}" for line in lines),
    ]


def test_a_requirement_has_its_origin() -> None:
    required = parse_requirement("a>=2", Origin(source="pyproject.toml", place="project.dependencies", line=4))
    problem = Problem(requirements=(required,), target=target())
    assert explanation({"a": {"1.0": {}}}, problem)[1] == "  pyproject.toml:4 [project.dependencies] requires a>=2"


def test_a_constraint_takes_part_in_the_explanation() -> None:
    limit = parse_requirement("a<2", Origin(source="limits.txt", line=1))
    problem = Problem(requirements=wishes("a>=2"), target=target(), constraints=(limit,))
    assert explanation({"a": {"1.0": {}, "2.0": {}}}, problem)[2:] == [
        "  limits.txt:1 allows only a<2",
        "  no version of a satisfies all of them; available: 2.0, 1.0",
    ]


def test_a_build_is_called_by_what_is_built() -> None:
    problem = Problem(
        requirements=wishes("a"), target=target(), purpose=Purpose(kind="build", name="tool", version="1.0")
    )
    assert explanation({}, problem) == [
        "no set of versions fits the build of tool 1.0 on cp312-linux:",
        "  the build of tool 1.0 requires a (any version)",
        "  no configured index has a; if it was published a moment ago, use --refresh",
    ]


def test_a_build_cycle_is_named() -> None:
    excluded = frozenset({(canonicalize_name("a"), Version("1.0"))})
    problem = Problem(requirements=wishes("a"), target=target(), excluded=excluded)
    assert explanation({"a": {"1.0": {}}}, problem)[2] == (
        "  a 1.0 is being built already: it cannot be needed to build itself (a build cycle)"
    )


def test_a_prerelease_that_is_not_allowed_is_named() -> None:
    problem = Problem(requirements=wishes("a"), target=target(), selection=Selection(prereleases="disallow"))
    assert explanation({"a": {"1.0rc1": {}}}, problem)[2] == (
        "  a 1.0rc1 is a pre-release, and pre-releases are not allowed"
    )


def test_a_long_explanation_is_cut() -> None:
    world = {"a": {f"{number}.0": YANKED for number in range(1, 9)}}
    lines = explanation(world, Problem(requirements=wishes("a"), target=target()))
    assert len(lines) == 2 + 5 + 1
    assert lines[-1] == "  ... and 3 more versions of a"


PRE: dict[str, Any] = {"1.0": {}, "2.0rc1": {}, "2.0.dev1": {}}


@pytest.mark.parametrize(
    ("versions", "requirement", "mode", "taken"),
    [
        (PRE, "a", "if-necessary", "1.0"),
        (PRE, "a", "allow", "2.0rc1"),
        (PRE, "a", "disallow", "1.0"),
        (PRE, "a>=2.0.dev0", "if-necessary", "2.0rc1"),
        (PRE, "a>=1.0.dev0", "if-necessary", "1.0"),
        (PRE, "a>1.0", "if-necessary", "2.0rc1"),
        (PRE, "a==2.0.dev1", "if-necessary", "2.0.dev1"),
        ({"1.0": {}, "1.0+local": {}}, "a==1.0", "if-necessary", "1.0+local"),
        ({"1.0.post1": {}, "1.0": {}}, "a", "if-necessary", "1.0.post1"),
        ({"1!0.1": {}, "9.0": {}}, "a", "if-necessary", "1!0.1"),
        ({"1.0": {"yanked": ""}, "0.9": {}}, "a", "if-necessary", "0.9"),
        ({"1.0": {"yanked": ""}, "0.9": {}}, "a==1.0", "if-necessary", "1.0"),
        ({"1.0": {"yanked": ""}, "0.9": {}}, "a===1.0", "if-necessary", "1.0"),
        ({"1.0": {"yanked": ""}, "0.9": {}}, "a>=0.9", "if-necessary", "0.9"),
    ],
)
def test_the_version_that_is_taken(versions: dict[str, Any], requirement: str, mode: Any, taken: str) -> None:
    problem = Problem(requirements=wishes(requirement), target=target(), selection=Selection(prereleases=mode))
    outcome = resolve(problem, WorldSources(world={"a": versions}))
    assert isinstance(outcome, Resolved)
    assert [str(pin.version) for pin in outcome.pins] == [taken]
