"""Targets made from names: labels, marker environments, hosts, and the Pythons that are locked for by default."""

import sys
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.markers import Marker, default_environment

from deep_lock.errors import ProjectInvalid, UsageError
from deep_lock.targets.factory import (
    CPYTHON,
    DEFAULT_PLATFORMS,
    HostFacts,
    default_pythons,
    host_target,
    make_target,
    read_host,
    runs_on,
)
from deep_lock.targets.target import Target, holds, python_fits

TODAY = date(2026, 11, 22)

HOST = HostFacts(
    implementation="cpython",
    python_full_version="3.13.2",
    free_threaded=False,
    platform="x86_64-manylinux_2_36",
    machine="x86_64",
)


@pytest.mark.parametrize(
    ("python", "platform", "label", "full_version"),
    [
        ("3.13", "x86_64-manylinux_2_28", "cp313-x86_64-manylinux_2_28", f"3.13.{CPYTHON[13].newest}"),
        ("3.13t", "x86_64-windows", "cp313t-x86_64-windows", f"3.13.{CPYTHON[13].newest}"),
        ("3.12.4", "arm64-macos_14", "cp312.4-arm64-macos_14", "3.12.4"),
        ("3.14.0t", "arm64-windows", "cp314t.0-arm64-windows", "3.14.0"),
        ("3.15.0rc1", "aarch64-musllinux_1_2", "cp315.0rc1-aarch64-musllinux_1_2", "3.15.0rc1"),
        ("3.8", "x86_64-macos_10_15", "cp38-x86_64-macos_10_15", "3.8.20"),
        # newer than the table: only its first release is certain
        ("3.27", "s390x-manylinux_2_40", "cp327-s390x-manylinux_2_40", "3.27.0"),
    ],
)
def test_labels(python: str, platform: str, label: str, full_version: str) -> None:
    target = make_target(python, platform, host=None)
    assert (target.label, target.python, target.platform) == (label, python, platform)
    assert target.python_full_version == full_version


@pytest.mark.parametrize(
    ("platform", "os_name", "system", "sys_platform", "machine"),
    [
        ("x86_64-manylinux_2_28", "posix", "Linux", "linux", "x86_64"),
        ("i686-manylinux_2_5", "posix", "Linux", "linux", "i686"),
        ("aarch64-musllinux_1_2", "posix", "Linux", "linux", "aarch64"),
        ("arm64-macos_14", "posix", "Darwin", "darwin", "arm64"),
        ("x86_64-macos_13", "posix", "Darwin", "darwin", "x86_64"),
        ("x86_64-windows", "nt", "Windows", "win32", "AMD64"),
        ("arm64-windows", "nt", "Windows", "win32", "ARM64"),
        ("x86-windows", "nt", "Windows", "win32", "x86"),
    ],
)
def test_marker_environment(platform: str, os_name: str, system: str, sys_platform: str, machine: str) -> None:
    environment = make_target("3.12.4", platform, host=None).environment
    assert dict(environment) == {
        "implementation_name": "cpython",
        "implementation_version": "3.12.4",
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": "3.12.4",
        "python_version": "3.12",
        "sys_platform": sys_platform,
    }
    assert environment.keys() == default_environment().keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python_version < '3.12'", {"3.9", "3.11"}),
        ("python_version >= '3.9'", {"3.9", "3.11", "3.13"}),
        ("sys_platform != 'ios'", {"3.9", "3.11", "3.13"}),
        ("platform_machine == 'arm64'", set()),
        ("platform_python_implementation != 'PyPy' and python_full_version > '3.11.2'", {"3.11", "3.13"}),
        # of no one machine: must neither raise nor hold
        ("platform_release >= '20' or 'ARM' in platform_version", set()),
    ],
)
def test_markers_met_in_build_requirements(text: str, expected: set[str]) -> None:
    targets = [make_target(python, "x86_64-manylinux_2_28", host=None) for python in ("3.9", "3.11", "3.13")]
    assert {target.python for target in targets if holds(Marker(text), target)} == expected


@pytest.mark.parametrize(
    ("requires_python", "fitting"),
    [
        (">=3.8,!=3.9.0,!=3.9.1", {"3.9", "3.10", "3.15"}),  # a target of 3.9 is not 3.9.0
        (">=3.9.1", {"3.9", "3.10", "3.15"}),
        ("<3.11", {"3.9", "3.10"}),
        (">=3.10", {"3.10", "3.15"}),
        (">=3.15", {"3.15"}),
        (None, {"3.9", "3.10", "3.15"}),
        (">=3.7.*", set()),
    ],
)
def test_requires_python_of_releases(requires_python: str | None, fitting: set[str]) -> None:
    targets = [make_target(python, "x86_64-windows", host=None) for python in ("3.9", "3.10", "3.15")]
    assert {target.python for target in targets if python_fits(requires_python, target)} == fitting


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("313", "did you mean 3.13?"),
        ("3", "3.15"),
        ("2.7", "known are CPython 3.8"),
        ("3.7", "known are CPython 3.8"),
        ("3.013", "known are"),
        ("3.12t", 'Declare "3.12"'),
        ("3.13.t", "known are"),
        ("3.13\n", "known are"),
        ("3.१३", "known are"),
        ("pypy3.11", "known are"),
        ("3." + "1" * 9999, "known are"),
        ("", "known are"),
    ],
)
def test_unknown_pythons(python: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_target(python, "x86_64-windows", host=None)
    assert words in caught.value.hint
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("platform", "meant"),
    [
        ("x86_64-linux", "x86_64-manylinux_2_28"),
        ("aarch64-manylinux2014", "aarch64-manylinux_2_17"),
        ("aarch64-macos_14", "arm64-macos_14"),
        ("x86_64-window", "x86_64-windows"),
        ("X86_64-Windows", "x86_64-windows"),
        ("i686-windows", "x86-windows"),
        ("aarch64-windows", "arm64-windows"),
        ("x86_64-macos_14_2", "x86_64-macos_14"),
        ("x86_64-manylinux_2_4", "x86_64-manylinux_2_34"),
        ("aarch64-manylinux_2_16", "aarch64-manylinux_2_17"),
        ("x86_64-manylinux_1_28", "x86_64-manylinux_2_28"),
        ("linux", "linux"),
        ("manylinux", "x86_64-manylinux_2_28"),
        ("linux/amd64", "x86_64-manylinux_2_28"),
        ("linux/arm64", "aarch64-manylinux_2_28"),
        ("arm64-linux", "aarch64-manylinux_2_28"),
        ("linux_x86_64", "x86_64-manylinux_2_28"),
        ("manylinux_2_31_aarch64", "aarch64-manylinux_2_31"),
        ("musllinux", "x86_64-musllinux_1_2"),
        ("alpine", "x86_64-musllinux_1_2"),
        ("windows", "windows"),
        ("win64", "x86_64-windows"),
        ("win_amd64", "x86_64-windows"),
        ("win32", "x86-windows"),
        ("amd64-windows", "x86_64-windows"),
        ("macos", "macos"),
        ("darwin", "arm64-macos_14"),
        ("macosx_11_0_arm64", "arm64-macos_11"),
        ("i686-linux", "i686-manylinux_2_28"),
        ("linux32", "i686-manylinux_2_28"),
        ("aarch64-apple-darwin", "arm64-macos_14"),
        ("x86_64-unknown-linux-musl", "x86_64-musllinux_1_2"),
        ("x86_64-manylinux_2", ""),
        ("x86_64-musllinux_2_1", "x86_64-musllinux_1_2"),
        ("arm64-macos_10_15", "arm64-macos_15"),
        ("x86_64-macos_10", ""),
        ("x86_64-macos_10_3", ""),
        ("x86_64-manylinux_2_028", ""),
        ("x86_64-manylinux_2_28\n", ""),
        ("solaris", ""),
        ("", ""),
        ("x" * 100_000, ""),
    ],
)
def test_unknown_platforms(platform: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_target("3.13", platform, host=None)
    assert "manylinux_2_N" in caught.value.hint
    assert f"did you mean {meant}" in caught.value.hint if meant else "x86_64" in caught.value.hint
    assert len(caught.value.message) < 200


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_target_or_a_usage_error(python: str, platform: str) -> None:
    for names in ((python, "x86_64-windows"), ("3.13", platform)):
        with suppress(UsageError):
            assert isinstance(make_target(*names, host=HOST), Target)


@pytest.mark.parametrize(
    ("python", "platform", "faithful"),
    [
        ("3.13", "x86_64-manylinux_2_28", True),
        ("3.13", "x86_64-manylinux_2_36", True),
        ("3.13.9", "x86_64-manylinux_2_28", True),
        ("3.13", "host", True),
        ("3.13", "x86_64-manylinux_2_39", False),
        ("3.13", "x86_64-musllinux_1_2", False),
        ("3.13", "aarch64-manylinux_2_28", False),
        ("3.13", "i686-manylinux_2_28", False),
        ("3.13t", "x86_64-manylinux_2_28", False),
        ("3.12", "x86_64-manylinux_2_28", False),
        ("3.13", "x86_64-windows", False),
        ("3.13", "x86_64-macos_14", False),
    ],
)
def test_whether_the_host_tells_the_truth(python: str, platform: str, *, faithful: bool) -> None:
    assert runs_on(HOST, make_target(python, platform, host=HOST)) is faithful
    assert (
        runs_on(
            replace(HOST, implementation="pypy"),
            make_target(python, platform, host=replace(HOST, implementation="pypy")),
        )
        is False
    )


def test_hosts_of_other_kinds() -> None:
    # a 32-bit Python on a 64-bit kernel: markers say the kernel's machine
    mixed = replace(HOST, platform="i686-manylinux_2_36")
    assert not runs_on(mixed, make_target("3.13", "i686-manylinux_2_28", host=mixed))
    mac = replace(HOST, platform="arm64-macos_15", machine="arm64")
    assert runs_on(mac, make_target("3.13", "arm64-macos_14", host=mac))
    assert not runs_on(mac, make_target("3.13", "arm64-macos_26", host=mac))
    windows = replace(HOST, platform="x86_64-windows", machine="AMD64")
    assert runs_on(windows, make_target("3.13", "x86_64-windows", host=windows))
    free = replace(HOST, free_threaded=True)
    assert runs_on(free, make_target("3.13t", "x86_64-manylinux_2_28", host=free))
    assert host_target(free).label == "cp313t.2-x86_64-manylinux_2_36"


def test_host_target_needs_a_known_host() -> None:
    with pytest.raises(UsageError, match="pypy"):
        host_target(replace(HOST, implementation="pypy"))
    nameless = replace(HOST, platform="")
    with pytest.raises(UsageError, match="platform of this machine"):
        host_target(nameless)
    with pytest.raises(UsageError, match="platform of this machine"):
        make_target("3.13", "host", host=None)
    assert not runs_on(nameless, make_target("3.13", "x86_64-windows", host=nameless))


def test_the_running_interpreter() -> None:
    host = read_host()
    assert host.implementation == sys.implementation.name
    assert host.python_full_version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    if host.implementation != "cpython" or not host.platform:
        pytest.skip("this interpreter is no possible target")
    target = host_target(host)
    here = default_environment()
    full_version = here["python_full_version"].removesuffix("+")
    same = {"platform_release": "", "platform_version": "", "python_full_version": full_version}
    assert dict(target.environment) == {**here, **same}
    assert runs_on(host, target)


@pytest.mark.parametrize(
    ("requires_python", "today", "expected"),
    [
        (None, TODAY, ("3.15", "3.14", "3.13", "3.12", "3.11")),
        ("", TODAY, ("3.15", "3.14", "3.13", "3.12", "3.11")),
        (">=3.9", TODAY, ("3.15", "3.14", "3.13", "3.12", "3.11")),
        (">=3.9", date(2026, 10, 31), ("3.15", "3.14", "3.13", "3.12", "3.11", "3.10")),
        (">=3.14", date(2026, 10, 1), ("3.15", "3.14")),
        (">=3.9", date(2026, 9, 30), ("3.14", "3.13", "3.12", "3.11", "3.10")),
        (">=3.13.2", TODAY, ("3.15", "3.14", "3.13")),
        (">=3.12,<3.14", TODAY, ("3.13", "3.12")),
        (">=3.9,!=3.9.0,!=3.12.*", TODAY, ("3.15", "3.14", "3.13", "3.11")),
        # any micro version will do; the target is then one that requires-python admits
        (">=3.11,<=3.12", TODAY, ("3.12.0", "3.11")),
        ("<3.12.2,>=3.11", TODAY, ("3.12.1", "3.11")),
        ("==3.11.4", TODAY, ("3.11.4",)),
        ("~=3.13.90", TODAY, ("3.13.90",)),
        # past their end of life only
        ("<3.11", TODAY, ("3.10", "3.9", "3.8")),
        ("==3.8.*", TODAY, ("3.8",)),
        (">=3.11", date(2040, 1, 1), ("3.15", "3.14", "3.13", "3.12", "3.11")),
    ],
)
def test_default_pythons(requires_python: str | None, today: date, expected: tuple[str, ...]) -> None:
    found = default_pythons(requires_python, today)
    assert found == expected
    for python in found:
        assert python_fits(requires_python, make_target(python, "x86_64-windows", host=None))


@pytest.mark.parametrize(
    ("requires_python", "newer"), [(">=4", False), ("<3.8", False), ("==2.7.*", False), (">=3.16", True)]
)
def test_no_python_admitted(requires_python: str, *, newer: bool) -> None:
    with pytest.raises(UsageError, match="allows no released CPython") as caught:
        default_pythons(requires_python, TODAY)
    assert caught.value.hint.startswith("correct requires-python")
    assert ("python-versions in [tool.deep-lock]" in caught.value.hint) == newer


@pytest.mark.parametrize("requires_python", ["huh", ">=3.8.*", ">=" + "9" * 5000, "==3." + "1" * 5000, "3.8\n>=3"])
def test_invalid_requires_python(requires_python: str) -> None:
    with pytest.raises(ProjectInvalid, match="requires-python") as caught:
        default_pythons(requires_python, TODAY)
    assert len(caught.value.message) < 300


def test_defaults_are_targets() -> None:
    labels = {
        make_target(python, platform, host=None).label
        for python in default_pythons(None, TODAY)
        for platform in DEFAULT_PLATFORMS
    }
    assert len(labels) == 20
