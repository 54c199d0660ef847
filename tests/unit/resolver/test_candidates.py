"""Which file of a release is taken, and the reason of each refusal: tables."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from deep_lock.models.resolution import ALL, Selection
from deep_lock.resolver.candidates import choose, fitting_wheels, refusals, sdists_allowed, sdists_first, wheels_allowed
from tests.support.worlds import release_files, target

LINUX = target()
JUNE = datetime(2024, 6, 1, tzinfo=UTC)
A = canonicalize_name("a")
ABI = "cp312-abi3-manylinux_2_28_x86_64"
EXACT = "cp312-cp312-manylinux_2_28_x86_64"
BOTH = frozenset({"a"})
EVERY = frozenset({ALL})


@pytest.mark.parametrize(
    ("release", "selection", "taken"),
    [
        ({}, Selection(), "a-1.0-py3-none-any.whl"),
        ({"wheel": False}, Selection(), "a-1.0.tar.gz"),
        ({"wheel": [ABI, EXACT]}, Selection(), f"a-1.0-{EXACT}.whl"),
        ({"wheel": [EXACT, "py3-none-any"]}, Selection(), "a-1.0-py3-none-any.whl"),  # worlds rank this tag first
        ({"wheel": ["cp312-cp312-win_amd64"]}, Selection(), "a-1.0.tar.gz"),
        ({"wheel": ["cp312-cp312-win_amd64"], "sdist": False}, Selection(), None),
        ({}, Selection(no_binary=BOTH), "a-1.0.tar.gz"),
        ({}, Selection(no_binary=EVERY), "a-1.0.tar.gz"),
        ({}, Selection(no_binary=EVERY, only_binary=BOTH), "a-1.0-py3-none-any.whl"),
        ({"sdist": False}, Selection(no_binary=BOTH), None),
        ({"wheel": False}, Selection(only_binary=EVERY), None),
        ({"wheel": False}, Selection(only_binary=EVERY, no_binary=BOTH), "a-1.0.tar.gz"),
        ({}, Selection(build_scope="all"), "a-1.0.tar.gz"),
        ({}, Selection(build_scope="all", allow_wheel=BOTH), "a-1.0-py3-none-any.whl"),
        ({"sdist": False}, Selection(build_scope="all"), "a-1.0-py3-none-any.whl"),
        ({"requires_python": ">=3.12"}, Selection(), "a-1.0-py3-none-any.whl"),
        ({"requires_python": "<3.12"}, Selection(), None),
        ({"requires_python": "no version"}, Selection(), None),
        ({"yanked": ""}, Selection(), None),
        ({"uploaded": "2024-05-31T23:59:59Z"}, Selection(exclude_newer=JUNE), "a-1.0-py3-none-any.whl"),
        ({"uploaded": "2024-06-01T00:00:00Z"}, Selection(exclude_newer=JUNE), None),
        ({}, Selection(exclude_newer=JUNE), None),
        ({}, Selection(exclude_newer=JUNE, exclude_newer_package=((A, None),)), "a-1.0-py3-none-any.whl"),
        ({"uploaded": "2024-05-01T00:00:00Z"}, Selection(exclude_newer_package=((A, JUNE),)), "a-1.0-py3-none-any.whl"),
        ({"uploaded": "2024-07-01T00:00:00Z"}, Selection(exclude_newer_package=((A, JUNE),)), None),
    ],
)
def test_the_file_that_is_taken(release: dict[str, Any], selection: Selection, taken: str | None) -> None:
    files = release_files("a", "1.0", release)
    for order in (files, files[::-1]):
        found = choose(order, LINUX, selection)
        assert (found.filename if found else None) == taken


@pytest.mark.parametrize(
    ("release", "selection", "reasons"),
    [
        ({}, Selection(), []),
        ({"yanked": "bad"}, Selection(), ["yanked: bad", "yanked: bad"]),
        ({"yanked": "", "sdist": False}, Selection(), ["yanked"]),
        (
            {"requires_python": ">=3.13", "sdist": False},
            Selection(),
            ["needs Python >=3.13, and cp312-linux has 3.12.9"],
        ),
        (
            {"wheel": ["cp312-cp312-win_amd64"]},
            Selection(),
            ["its tags cp312-cp312-win_amd64 do not fit cp312-linux"],
        ),
        ({"wheel": False}, Selection(only_binary=BOTH), ["an sdist, and only-binary is set"]),
        ({"sdist": False}, Selection(no_binary=BOTH), ["a wheel, and no-binary is set"]),
        (
            {"sdist": False},
            Selection(exclude_newer=JUNE),
            ["the index states no upload time, and exclude-newer is set"],
        ),
        (
            {"sdist": False, "uploaded": "2024-07-01T12:00:00Z"},
            Selection(exclude_newer=JUNE),
            ["uploaded 2024-07-01T12:00:00Z, after exclude-newer"],
        ),
    ],
)
def test_each_refusal_has_its_reason(release: dict[str, Any], selection: Selection, reasons: list[str]) -> None:
    found = refusals(release_files("a", "1.0", release), LINUX, selection)
    assert [line.partition(": ")[2] for line in found] == reasons
    assert all(line.startswith("a-1.0") for line in found)


def test_many_files_that_are_too_new_are_one_line() -> None:
    files = [
        replace(file, upload_time=datetime(2024, 7, 1, 12, minute, tzinfo=UTC))
        for minute, file in enumerate(release_files("a", "1.0", {"wheel": [f"cp3{own}-none-any" for own in range(6)]}))
    ]
    (line,) = refusals(files[::-1], LINUX, Selection(exclude_newer=JUNE))
    assert line == f"{files[-1].filename} and 6 more files: uploaded 2024-07-01T12:00:00Z or later, after exclude-newer"


def test_a_yanked_file_is_taken_where_that_is_allowed() -> None:
    files = release_files("a", "1.0", {"yanked": "bad", "sdist": False})
    assert choose(files, LINUX, Selection(), yanked_ok=True) == files[0]
    assert refusals(files, LINUX, Selection(), yanked_ok=True) == []
    assert fitting_wheels(files, LINUX, Selection()) == ()
    assert fitting_wheels(files, LINUX, Selection(), yanked_ok=True) == files


def test_every_fitting_wheel_is_kept_for_installers() -> None:
    files = release_files("a", "1.0", {"wheel": [ABI, EXACT, "cp312-cp312-win_amd64"]})
    assert [wheel.tags for wheel in fitting_wheels(files, LINUX, Selection())] == [ABI, EXACT]


@pytest.mark.parametrize(
    ("selection", "wheels", "sdists", "first"),
    [
        (Selection(), True, True, False),
        (Selection(no_binary=EVERY), False, True, False),
        (Selection(only_binary=EVERY), True, False, False),
        (Selection(only_binary=BOTH, no_binary=BOTH), True, True, False),
        (Selection(build_scope="all"), True, True, True),
        (Selection(build_scope="all", allow_wheel=BOTH), True, True, False),
    ],
)
def test_what_the_rules_allow(selection: Selection, *, wheels: bool, sdists: bool, first: bool) -> None:
    assert (wheels_allowed(A, selection), sdists_allowed(A, selection), sdists_first(A, selection)) == (
        wheels,
        sdists,
        first,
    )
