"""Wheel tags of targets: equal to packaging's, equal to the frozen lists, and what they make of wheels."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import compatible_tags, cpython_tags, platform_tags, sys_tags

from deep_lock.targets.factory import host_target, make_target, read_host
from deep_lock.targets.platforms import name_platform, parse_platform
from deep_lock.targets.target import Target, rank

FIXTURES = Path(__file__).parents[3] / "fixtures" / "targets"
FROZEN = sorted(path.stem for path in FIXTURES.glob("*.txt"))
WHEELS: dict[str, Any] = json.loads((FIXTURES / "wheels.json").read_text(encoding="utf-8"))

PLATFORMS = [
    "x86_64-manylinux_2_5",
    "x86_64-manylinux_2_39",
    "i686-manylinux_2_17",
    "aarch64-manylinux_2_28",
    "armv7l-manylinux_2_31",
    "ppc64le-manylinux_2_17",
    "s390x-manylinux_2_34",
    "riscv64-manylinux_2_39",
    "x86_64-musllinux_1_2",
    "aarch64-musllinux_1_0",
    "arm64-macos_11",
    "arm64-macos_26",
    "x86_64-macos_10_9",
    "x86_64-macos_14",
    "x86_64-windows",
    "arm64-windows",
    "x86-windows",
]


def labelled(label: str) -> Target:
    python, platform = label.split("-", 1)
    return make_target(f"3.{python.removeprefix('cp3')}", platform, host=None)


@pytest.mark.parametrize("label", FROZEN)
def test_frozen_lists(label: str) -> None:
    target = labelled(label)
    assert target.label == label
    assert list(target.tags) == (FIXTURES / f"{label}.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["3.8", "3.12", "3.13t", "3.15", "3.15t"])
def test_the_order_is_that_of_packaging(python: str, platform: str) -> None:
    target = make_target(python, platform, host=None)
    minor = int(python.removesuffix("t").split(".")[1])
    interpreter, platforms = f"cp3{minor}", parse_platform(platform).tags
    abi = f"{interpreter}{'t' if python.endswith('t') else ''}"
    expected = [
        *cpython_tags((3, minor), [abi], platforms),
        *compatible_tags((3, minor), interpreter, platforms),
    ]
    assert list(target.tags) == list(map(str, expected))
    assert len(set(target.tags)) == len(target.tags)
    assert [target.ranks[tag] for tag in target.tags] == list(range(len(target.tags)))


def test_the_running_interpreter_has_the_tags_that_packaging_says() -> None:
    host = read_host()
    if host.implementation != "cpython" or not host.platform:
        pytest.skip("this interpreter is no possible target")
    assert parse_platform(host.platform).tags == tuple(platform_tags())
    assert host_target(host).tags == tuple(map(str, sys_tags()))


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (["linux_x86_64", "manylinux_2_36_x86_64", "manylinux_2_35_x86_64"], "x86_64-manylinux_2_36"),
        (["linux_armv7l", "manylinux_2_31_armv7l"], "armv7l-manylinux_2_31"),
        (["linux_aarch64", "musllinux_1_2_aarch64", "musllinux_1_1_aarch64"], "aarch64-musllinux_1_2"),
        (["macosx_14_0_arm64", "macosx_14_0_universal2"], "arm64-macos_14"),
        (["macosx_10_15_x86_64", "macosx_10_15_intel"], "x86_64-macos_10_15"),
        (["win_amd64"], "x86_64-windows"),
        (["win32"], "x86-windows"),
        (["win_arm64"], "arm64-windows"),
        (["linux_x86_64"], ""),
        (["linux_loongarch64", "manylinux_2_40_loongarch64"], ""),
        (["freebsd_14_0_release_amd64"], ""),
        (["ios_17_0_arm64_iphoneos"], ""),
        ([], ""),
    ],
)
def test_machines_are_named_by_their_tags(tags: Iterable[str], name: str) -> None:
    assert name_platform(tags) == name


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_names_itself(platform: str) -> None:
    assert name_platform(parse_platform(platform).tags) == platform


@pytest.mark.parametrize("tags", WHEELS["fits"])
def test_which_targets_take_a_wheel(tags: str) -> None:
    assert [label for label in FROZEN if rank(tags, labelled(label)) is not None] == sorted(WHEELS["fits"][tags])


@pytest.mark.parametrize("case", WHEELS["best"], ids=lambda case: str(case["best"]))
def test_which_wheel_a_target_takes(case: dict[str, Any]) -> None:
    target = labelled(case["target"])
    ranks = {tags: place for tags in case["of"] if (place := rank(tags, target)) is not None}
    assert min(ranks, key=ranks.__getitem__) == case["best"]
