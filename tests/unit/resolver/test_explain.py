"""The story of an impossible resolution, word for word."""

from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.models.requirement import Origin, parse_requirement
from deep_lock.models.resolution import Impossible, Problem, Purpose, Resolved, Selection
from deep_lock.resolver.resolver import resolve
from tests.support.worlds import WorldSources, target, wishes

HEAD = "no set of releases fits the runtime on cp312-linux:"
YANKED = {"yanked": "a hole", "sdist": False}
SEVEN: dict[str, Any] = {f"{number}.0": {} for number in range(1, 8)}


def story(world: dict[str, Any], problem: Problem) -> list[str]:
    outcome = resolve(problem, WorldSources(world=world))
    assert isinstance(outcome, Impossible)
    return outcome.explanation.split("\n")


@pytest.mark.parametrize(
    ("world", "asked", "told"),
    [
        (
            {},
            ["a"],
            [
                "the project asks for a (any version)",
                "no configured index knows a; if it was published a moment ago, use --refresh",
            ],
        ),
        (
            {"a": {"1.0": {}}},
            ["a>=2"],
            ["the project asks for a>=2", "no version of a satisfies it; there are 1.0"],
        ),
        (
            {"a": SEVEN},
            ["a>=9"],
            [
                "the project asks for a>=9",
                "no version of a satisfies it; there are 7.0, 6.0, 5.0, 4.0, 3.0 and 2 older",
            ],
        ),
        (
            {"a": {"1.0": YANKED}},
            ["a"],
            ["the project asks for a (any version)", "a-1.0-py3-none-any.whl: yanked: a hole"],
        ),
        (
            {"a": {"1.0": {"requires": ["c<2"]}}, "b": {"1.0": {"requires": ["c>=2"]}}, "c": {"1.0": {}, "2.0": {}}},
            ["a", "b"],
            [
                "a 1.0 asks for c<2",
                "b 1.0 asks for c>=2",
                "no version of c satisfies all of them; there are 2.0, 1.0",
            ],
        ),
        (
            {"a": {"1.0": {"requires": ["b @ https://files.example/b.whl"]}}},
            ["a"],
            [
                (
                    "a 1.0 cannot be used: it asks for a direct URL, which a lock from indexes cannot hold: "
                    "b @ https://files.example/b.whl"
                )
            ],
        ),
    ],
)
def test_the_story(world: dict[str, Any], asked: list[str], told: list[str]) -> None:
    assert story(world, Problem(requirements=wishes(*asked), target=target())) == [
        HEAD,
        *(f"  {line}" for line in told),
    ]


def test_who_asks_has_a_place() -> None:
    asked = parse_requirement("a>=2", Origin(source="pyproject.toml", place="project.dependencies", line=4))
    problem = Problem(requirements=(asked,), target=target())
    assert story({"a": {"1.0": {}}}, problem)[1] == "  pyproject.toml:4 [project.dependencies] asks for a>=2"


def test_a_constraint_takes_part_in_the_story() -> None:
    limit = parse_requirement("a<2", Origin(source="limits.txt", line=1))
    problem = Problem(requirements=wishes("a>=2"), target=target(), constraints=(limit,))
    assert story({"a": {"1.0": {}, "2.0": {}}}, problem)[2:] == [
        "  limits.txt:1 allows only a<2",
        "  no version of a satisfies all of them; there are 2.0, 1.0",
    ]


def test_a_build_is_called_by_what_is_built() -> None:
    problem = Problem(
        requirements=wishes("a"), target=target(), purpose=Purpose(kind="build", name="tool", version="1.0")
    )
    assert story({}, problem) == [
        "no set of releases fits the build of tool 1.0 on cp312-linux:",
        "  the build of tool 1.0 asks for a (any version)",
        "  no configured index knows a; if it was published a moment ago, use --refresh",
    ]


def test_what_is_on_the_chain_of_builds_is_said() -> None:
    excluded = frozenset({(canonicalize_name("a"), Version("1.0"))})
    problem = Problem(requirements=wishes("a"), target=target(), excluded=excluded)
    assert story({"a": {"1.0": {}}}, problem)[2] == (
        "  a 1.0 is being built already: it cannot be needed to build itself"
    )


def test_a_prerelease_that_is_not_allowed_is_said() -> None:
    problem = Problem(requirements=wishes("a"), target=target(), selection=Selection(prereleases="disallow"))
    assert story({"a": {"1.0rc1": {}}}, problem)[2] == ("  a 1.0rc1 is a pre-release, and pre-releases are not allowed")


def test_a_long_story_is_cut() -> None:
    world = {"a": {f"{number}.0": YANKED for number in range(1, 9)}}
    told = story(world, Problem(requirements=wishes("a"), target=target()))
    assert len(told) == 2 + 5 + 1
    assert told[-1] == "  ... and 3 more versions of a"


PRE: dict[str, Any] = {"1.0": {}, "2.0rc1": {}, "2.0.dev1": {}}


@pytest.mark.parametrize(
    ("versions", "asked", "mode", "taken"),
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
def test_the_version_that_is_taken(versions: dict[str, Any], asked: str, mode: Any, taken: str) -> None:
    problem = Problem(requirements=wishes(asked), target=target(), selection=Selection(prereleases=mode))
    outcome = resolve(problem, WorldSources(world={"a": versions}))
    assert isinstance(outcome, Resolved)
    assert [str(pin.version) for pin in outcome.pins] == [taken]
