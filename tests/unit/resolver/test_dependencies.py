"""What a release requires on a target, with and without an extra: tables."""

import pytest
from packaging.utils import canonicalize_name

from deep_lock.models.metadata import Metadata
from deep_lock.resolver.dependencies import BASE, IneligibleError, dependencies
from tests.support.worlds import target

LINUX, WINDOWS = target(), target(system="windows")


def required(line: str, extra: str = "", *, windows: bool = False) -> list[str]:
    metadata = Metadata(name=canonicalize_name("a"), version="1.0", requires_dist=(line,))
    found = dependencies(metadata, WINDOWS if windows else LINUX, canonicalize_name(extra))
    return [requirement.name for requirement in found]


@pytest.mark.parametrize(
    ("line", "base", "with_x", "on_windows"),
    [
        ("b", ["b"], [], ["b"]),
        ("b ; extra == 'x'", [], ["b"], []),
        ("b ; extra == 'X'", [], ["b"], []),
        ('b;extra=="x"', [], ["b"], []),
        ("b ; 'x' == extra", [], ["b"], []),
        ("b ; extra == 'y'", [], [], []),
        ("b ; sys_platform == 'win32'", [], [], ["b"]),
        ("b ; sys_platform == 'win32' and extra == 'x'", [], [], []),
        ("b ; sys_platform == 'linux' and extra == 'x'", [], ["b"], []),
        ("b ; sys_platform == 'linux' or extra == 'x'", ["b"], [], []),
        ("b ; sys_platform == 'win32' or extra == 'x'", [], ["b"], ["b"]),
        ("b ; extra != 'x'", ["b"], [], ["b"]),
        ("b ; extra == 'x' or extra == 'y'", [], ["b"], []),
        ("b ; python_version not in '3.11 3.12'", [], [], []),
        ("b ; extra in 'x y'", ["b"], [], ["b"]),
    ],
)
def test_what_is_required(line: str, base: list[str], with_x: list[str], on_windows: list[str]) -> None:
    assert required(line) == base
    assert required(line, "x") == with_x
    assert required(line, windows=True) == on_windows


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not (a) requirement ==", "is not a valid requirement"),
        ("b @ https://files.example/b.whl", "a direct URL"),
        ("b (((", "is not a valid requirement"),
        ("b ; " + "(" * 60 + "os_name == 'a'" + ")" * 60, "nested too deeply"),
        ("b" * 5000, "at most 4096"),
    ],
)
def test_a_line_that_makes_the_release_unusable(line: str, reason: str) -> None:
    with pytest.raises(IneligibleError, match=reason):
        required(line)


def test_a_bad_line_of_an_extra_that_is_not_required_is_ignored() -> None:
    assert required("not (a) requirement == ; extra == 'x'") == []
    assert required("not (a) requirement == ; extra == 'x'", "y") == []
    with pytest.raises(IneligibleError):
        required("not (a) requirement == ; extra == 'x'", "x")


def test_the_base_is_no_extra() -> None:
    assert BASE == ""
