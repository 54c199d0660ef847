"""The one reader of ``[build-system]``: what it takes, and what it refuses."""

from typing import Any

import pytest

from deep_lock.errors import LimitExceeded, ProjectInvalid
from deep_lock.lockfile.fields import inner_path_fault, object_fault
from deep_lock.models.build_system import LEGACY_BACKEND, BuildSystem
from deep_lock.parsing.build_system import read_build_system
from deep_lock.parsing.faults import Faults


def read(table: Any) -> BuildSystem | None:
    faults = Faults("pyproject.toml", ProjectInvalid)
    found = read_build_system(table, faults)
    faults.raise_any()
    return found


def test_what_is_written_is_kept() -> None:
    requires = ["B", "a", "B", "a[x]>=1 ; python_version > '3'"]
    found = read({"requires": requires, "build-backend": "a.b:c.d", "backend-path": [".", "./x/y", "a..b"]})
    assert found == BuildSystem(requires=tuple(requires), backend="a.b:c.d", backend_path=(".", "./x/y", "a..b"))
    assert read({"requires": []}) == BuildSystem(requires=(), backend=LEGACY_BACKEND)


def test_the_one_string_of_flit_core_is_a_list_of_one_path() -> None:
    found = read({"requires": [], "backend-path": "."})
    assert found is not None
    assert found.backend_path == (".",)


PATHS = [
    "..",
    "a/../..",
    "a/../b",
    "./..",
    "/a",
    "~",
    "~/a",
    "a\\b",
    "\\a",
    "C:",
    "C:/x",
    "a:b",
    "",
    "a\nb",
    "a\0",
    "\u202ea",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_backend_path_stays_inside(path: str) -> None:
    with pytest.raises(ProjectInvalid, match=r"build-system.backend-path contains .* inside the source tree"):
        read({"requires": [], "backend-path": ["ok", path]})


@pytest.mark.parametrize("path", [".", "./x/y", "a..b", "..a", "a/.b", "ü", "a b"])
def test_each_path_that_is_taken_may_stand_in_a_lock(path: str) -> None:
    found = read({"requires": [], "backend-path": [path]})
    assert found is not None
    assert inner_path_fault(path) == ""
    assert object_fault(found.backend) == ""


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (1, "build-system must be a table, not a number"),
        ({}, "has no requires"),
        ({"requires": "a"}, "requires must be a list of strings, not a string"),
        ({"requires": [1]}, "requires must be a list of strings, not a list with a number in it"),
        ({"requires": [], "backend-path": "src"}, "backend-path must be a list of strings, not a string"),
        ({"requires": [], "backend-path": [1]}, "backend-path must be a list of strings"),
        *(
            ({"requires": [], "build-backend": backend}, "build-backend must be")
            for backend in (1, "", "a b", "a:b:c", "a.", ".a", "a:", "1a", "a\n", "é")
        ),
    ],
)
def test_faults(table: Any, says: str) -> None:
    with pytest.raises(ProjectInvalid, match=says):
        read(table)


def test_the_number_of_requirements_is_limited() -> None:
    with pytest.raises(LimitExceeded):
        read({"requires": ["a"] * 2001})
