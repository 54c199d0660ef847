"""The short form of targets means exactly the set."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock.targets.short_form import short_form, system_of

PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-musllinux_1_2", "arm64-macos_14", "x86_64-windows", "arm64-windows")
PYTHONS = ("cp311", "cp312", "cp313", "cp313t", "cp314", "cp314t", "cp312.4", "cp315.0rc1")
EVERY = tuple(f"{python}-{platform}" for python in PYTHONS for platform in PLATFORMS)
GRID = tuple(f"cp31{minor}-{platform}" for minor in range(2, 6) for platform in PLATFORMS)


def _meant(text: str, every: list[str]) -> set[str]:
    """Read a short form as the grammar in `short_form` has it."""
    if text in every:
        return {text}
    counted = re.fullmatch(r"(\d+) of (\d+): (.*)", text)
    if counted:
        found = _meant(counted[3], every)
        assert (int(counted[1]), int(counted[2])) == (len(found), len(every))
        return found
    if text.startswith("all but "):
        return set(every) - _meant(text.removeprefix("all but "), every)
    return set().union(*(_part(part, every) for part in text.split("; ")))


def _part(text: str, every: list[str]) -> set[str]:
    text, _, named = text.removesuffix(", all platforms").partition(" on ")
    pythons, platforms = (text.split(", "), named.split(", ")) if named else (text.split(", "), [])
    if not named and not text.startswith("cp3"):
        pythons, platforms = [], pythons
    found = {label for label in every if _is_in(label, pythons, platforms)}
    if not named and pythons:  # then each of the Pythons has all platforms of the lock
        known = {label.partition("-")[2] for label in every}
        assert len(found) == len({label.partition("-")[0] for label in found}) * len(known)
    return found


def _is_in(label: str, pythons: list[str], platforms: list[str]) -> bool:
    python, _, platform = label.partition("-")
    fits = not platforms or platform in platforms or system_of(platform) in platforms
    return fits and (not pythons or any(_covers(own, python) for own in pythons))


def _covers(text: str, python: str) -> bool:
    ends = re.fullmatch(r"cp3(\d+)(t?)-cp3(\d+)(t?)", text)
    own = re.fullmatch(r"cp3(\d+)(t?)", python)
    if ends is None:
        return text == python
    return own is not None and own[2] == ends[2] and int(ends[1]) <= int(own[1]) <= int(ends[3])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_short_form_means_exactly_the_set(data: st.DataObject) -> None:
    every = data.draw(st.lists(st.sampled_from(EVERY), min_size=1, unique=True) | st.just(list(GRID)))
    labels = data.draw(st.sets(st.sampled_from(every), min_size=1) | st.just(set(every)))
    assert _meant(short_form(labels, every), every) == labels


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (GRID, "cp312-cp315, all platforms"),
        ([own for own in GRID if "windows" not in own], "12 of 20: all but Windows"),
        ([own for own in GRID if "windows" in own], "8 of 20: Windows"),
        ([own for own in GRID if "cp315" in own], "5 of 20: cp315, all platforms"),
        ([own for own in GRID if "cp315" not in own], "15 of 20: all but cp315"),
        ([own for own in GRID if "cp313" not in own], "15 of 20: all but cp313"),
        (GRID[:1], "cp312-x86_64-manylinux_2_28"),
        (GRID[1:], "19 of 20: all but cp312-x86_64-manylinux_2_28"),
        ([GRID[3], GRID[8]], "2 of 20: cp312-cp313 on x86_64-windows"),
        (["cp39-x86_64-windows"], "cp39-x86_64-windows"),
        ([], "no target"),
    ],
)
def test_examples(labels: list[str], text: str) -> None:
    assert short_form(labels, GRID) == text


def test_a_lock_with_one_platform_names_it() -> None:
    assert short_form(GRID[::5], GRID[::5]) == "cp312-cp315 on x86_64-manylinux_2_28"


def test_a_lock_without_a_system_names_those_that_it_has() -> None:
    linux = [own for own in GRID if "linux" in own]
    assert short_form(linux, linux) == "cp312-cp315 on Linux"


def test_a_python_without_a_platform_of_the_lock_is_apart() -> None:
    every = [own for own in GRID if own != "cp315-x86_64-windows"]
    assert short_form(every, every) == "cp312-cp314, all platforms; cp315 on Linux, macOS, arm64-windows"
