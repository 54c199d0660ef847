"""Markers of targets: the texts that are written, and the errors."""

from collections.abc import Callable
from itertools import product

import pytest
from packaging.markers import Marker

from deep_lock.errors import TargetsAlike
from deep_lock.targets import markers
from deep_lock.targets.factory import DEFAULT_PLATFORMS, make_target
from deep_lock.targets.markers import (
    BASE,
    MarkerInexact,
    Scope,
    enlarge,
    environment_marker,
    environments,
    label_marker,
    with_scopes,
)
from deep_lock.targets.target import Target

LINUX, ARM, MAC, WINDOWS = DEFAULT_PLATFORMS
X, Y = Scope(kind="extra", name="x"), Scope(kind="extra", name="y")
DEV = Scope(kind="group", name="dev")


def declare(pythons: str, *platforms: str) -> tuple[Target, ...]:
    return tuple(make_target(python, platform, host=None) for python, platform in product(pythons.split(), platforms))


FULL = declare("3.15 3.14 3.13 3.12 3.11", *DEFAULT_PLATFORMS)


def labels(declared: tuple[Target, ...], wanted: Callable[[Target], bool]) -> frozenset[str]:
    return frozenset(target.label for target in declared if wanted(target))


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (lambda _: True, None),
        (lambda t: t.platform == WINDOWS, "sys_platform == 'win32'"),
        (lambda t: t.platform != WINDOWS, "sys_platform != 'win32'"),
        (lambda t: t.platform in {LINUX, ARM}, "sys_platform == 'linux'"),
        (lambda t: t.platform == LINUX, "platform_machine == 'x86_64'"),
        (lambda t: t.platform != ARM, "platform_machine != 'aarch64'"),
        (lambda t: t.python == "3.11", "python_version < '3.12'"),
        (lambda t: t.python != "3.11", "python_version >= '3.12'"),
        (lambda t: t.python == "3.13", "python_version == '3.13'"),
        (lambda t: t.python != "3.13", "python_version != '3.13'"),
        (lambda t: t.python in {"3.12", "3.13"}, "python_version >= '3.12' and python_version < '3.14'"),
        (lambda t: t.python in {"3.11", "3.15"}, "python_version < '3.12' or python_version >= '3.15'"),
        (
            lambda t: t.python == "3.11" and t.platform == WINDOWS,
            "python_version < '3.12' and sys_platform == 'win32'",
        ),
        (
            lambda t: t.python != "3.11" or t.platform != WINDOWS,
            "python_version >= '3.12' or sys_platform != 'win32'",
        ),
        (
            lambda t: t.platform == LINUX and t.python in {"3.12", "3.14"},
            "platform_machine == 'x86_64' and (python_version == '3.12' or python_version == '3.14')",
        ),
        (
            lambda t: t.python == "3.11" and t.platform in {LINUX, MAC},
            "platform_machine != 'aarch64' and python_version < '3.12' and sys_platform != 'win32'",
        ),
    ],
)
def test_labels_of_the_default_targets(wanted: Callable[[Target], bool], text: str | None) -> None:
    assert label_marker(labels(FULL, wanted), FULL) == text


@pytest.mark.parametrize(
    ("pythons", "chosen", "text"),
    [
        # a full version beside its minor version
        ("3.13 3.12 3.12.4 3.11", {"3.12.4"}, "python_full_version == '3.12.4'"),
        ("3.13 3.12 3.12.4 3.11", {"3.12"}, "python_full_version > '3.12.4' and python_version < '3.13'"),
        ("3.13 3.12 3.12.4 3.11", {"3.12", "3.12.4"}, "python_version == '3.12'"),
        ("3.13 3.12 3.12.4 3.11", {"3.11", "3.13"}, "python_version != '3.12'"),
        ("3.13 3.12 3.12.4 3.11", {"3.11", "3.12", "3.13"}, "python_full_version != '3.12.4'"),
        ("3.13 3.12 3.12.4 3.11", {"3.11", "3.12.4"}, "python_full_version <= '3.12.4'"),
        ("3.12.4 3.12.2", {"3.12.2"}, "python_full_version <= '3.12.2'"),
        ("3.12.4 3.12.2", {"3.12.4"}, "python_full_version >= '3.12.4'"),
        ("3.12.4 3.11", {"3.12.4"}, "python_version >= '3.12'"),
        ("3.12 3.12.90", {"3.12"}, "python_full_version < '3.12.90'"),
        # "<" does not hold on the pre-releases of a version
        ("3.15.0 3.15.0rc1 3.14", {"3.15.0rc1", "3.14"}, "python_full_version <= '3.15.0rc1'"),
        ("3.15 3.15.0rc1 3.14", {"3.15"}, "python_full_version > '3.15.0rc1'"),
        ("3.15.0 3.15.0rc1 3.14", {"3.15.0"}, "python_full_version >= '3.15.0'"),
        ("3.9 3.10 3.11", {"3.9"}, "python_version < '3.10'"),
        ("3.11 3.9 3.10", {"3.10"}, "python_version == '3.10'"),
    ],
)
def test_python_borders(pythons: str, chosen: set[str], text: str) -> None:
    declared = declare(pythons, LINUX, WINDOWS)
    assert label_marker(labels(declared, lambda t: t.python in chosen), declared) == text


TWINS = declare("3.13 3.13t 3.12", LINUX, "x86_64-musllinux_1_2", WINDOWS)


def test_targets_that_no_marker_tells_apart() -> None:
    one = frozenset({"cp313-x86_64-windows"})
    assert enlarge(one, TWINS) == one | {"cp313t-x86_64-windows"}
    with pytest.raises(TargetsAlike, match="cp313-x86_64-windows and cp313t-x86_64-windows") as caught:
        label_marker(one, TWINS)
    assert "two files" in caught.value.hint
    assert label_marker(enlarge(one, TWINS), TWINS) == "python_version >= '3.13' and sys_platform == 'win32'"
    linux = frozenset({"cp312-x86_64-manylinux_2_28"})
    assert enlarge(linux, TWINS) == linux | {"cp312-x86_64-musllinux_1_2"}
    with pytest.raises(TargetsAlike):
        with_scopes([(labels(TWINS, lambda _: True), BASE), (linux, X)], TWINS)
    assert label_marker(labels(TWINS, lambda _: True), TWINS) is None


def test_two_levels_of_one_libc_are_alike() -> None:
    declared = declare("3.13", "x86_64-manylinux_2_17", "x86_64-manylinux_2_28")
    with pytest.raises(TargetsAlike):
        label_marker(frozenset({declared[0].label}), declared)


@pytest.mark.parametrize("chosen", [frozenset[str](), frozenset({"cp313-x86_64-solaris"})])
def test_labels_must_be_declared(chosen: frozenset[str]) -> None:
    with pytest.raises(ValueError, match="declared"):
        label_marker(chosen, FULL)


def everywhere(_: Target) -> bool:
    return True


def on_linux(target: Target) -> bool:
    return target.platform in {LINUX, ARM}


def on_old(target: Target) -> bool:
    return target.python == "3.11"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([(everywhere, BASE)], None),
        ([(everywhere, BASE), (everywhere, X), (on_linux, DEV)], None),
        ([(everywhere, X)], "'x' in extras"),
        (
            [(everywhere, DEV), (everywhere, Y), (everywhere, X)],
            "'x' in extras or 'y' in extras or 'dev' in dependency_groups",
        ),
        ([(on_linux, BASE)], "sys_platform == 'linux'"),
        ([(on_linux, X)], "'x' in extras and sys_platform == 'linux'"),
        ([(on_linux, X), (on_linux, DEV)], "('x' in extras or 'dev' in dependency_groups) and sys_platform == 'linux'"),
        # where base has it anyway, the extra may say what is shortest
        ([(on_linux, BASE), (everywhere, X)], "sys_platform == 'linux' or 'x' in extras"),
        ([(on_linux, BASE), (on_linux, X)], "sys_platform == 'linux'"),
        ([(on_linux, BASE), (on_old, X)], "sys_platform == 'linux' or 'x' in extras and python_version < '3.12'"),
        (
            [(lambda t: on_linux(t) and not on_old(t), X)],
            "'x' in extras and python_version >= '3.12' and sys_platform == 'linux'",
        ),
        (
            [(lambda t: on_linux(t) or on_old(t), X)],
            "'x' in extras and (python_version < '3.12' or sys_platform == 'linux')",
        ),
        (
            [(on_linux, X), (on_old, DEV)],
            "'x' in extras and sys_platform == 'linux' or 'dev' in dependency_groups and python_version < '3.12'",
        ),
        # one scope in two parts
        ([(on_linux, X), (lambda t: not on_linux(t), X)], "'x' in extras"),
    ],
)
def test_scopes(parts: list[tuple[Callable[[Target], bool], Scope]], text: str | None) -> None:
    asked = [(labels(FULL, wanted), scope) for wanted, scope in parts]
    assert with_scopes(asked, FULL) == text
    assert with_scopes(asked[::-1], FULL) == text


def test_environment_markers_name_a_target() -> None:
    assert environment_marker(FULL[0], FULL) == (
        "platform_machine == 'x86_64' and python_version == '3.15' and sys_platform == 'linux'"
    )
    two = declare("3.13", LINUX, WINDOWS)
    assert [environment_marker(target, two) for target in two] == [
        "platform_machine == 'x86_64' and sys_platform == 'linux'",
        "platform_machine == 'AMD64' and sys_platform == 'win32'",
    ]
    beside = declare("3.12 3.12.4 3.11", MAC)
    assert [environment_marker(target, beside) for target in beside] == [
        (
            "platform_machine == 'arm64' and python_full_version != '3.12.4'"
            " and python_version == '3.12' and sys_platform == 'darwin'"
        ),
        "platform_machine == 'arm64' and python_full_version == '3.12.4' and sys_platform == 'darwin'",
        "platform_machine == 'arm64' and python_version == '3.11' and sys_platform == 'darwin'",
    ]


WINDOWS_TEXT = "platform_machine == 'AMD64' and {}sys_platform == 'win32'"


@pytest.mark.parametrize(
    ("pythons", "requires_python", "clauses"),
    [
        ("3.13", ">=3.13,<3.14", [""]),
        ("3.13", ">=3.13", ["python_version == '3.13' and "]),
        ("3.13", None, ["python_version == '3.13' and "]),
        ("3.15 3.14 3.13", ">=3.13", ["python_version <= '3.15' and "]),
        ("3.15 3.14 3.13", ">=3.13,<3.16", [""]),
        ("3.15 3.14 3.13", ">=3.9,<3.16", ["python_version >= '3.13' and "]),
        ("3.15 3.14 3.13", "<4", ["python_version >= '3.13' and python_version <= '3.15' and "]),
        ("3.15 3.14 3.13", "not a specifier", ["python_version >= '3.13' and python_version <= '3.15' and "]),
        # 3.12 is not declared, so the lock is not for it
        (
            "3.14 3.13 3.11",
            ">=3.11",
            ["python_version == '3.11' and ", "python_version >= '3.13' and python_version <= '3.14' and "],
        ),
        ("3.13 3.11", ">=3.11,!=3.12.*,<3.14", [""]),
        ("3.12.4", ">=3.12", ["python_full_version == '3.12.4' and "]),
        ("3.12 3.12.4", ">=3.12,<3.13", [""]),
        ("3.13 3.13t", ">=3.13,<3.14", [""]),
    ],
)
def test_environments(pythons: str, requires_python: str | None, clauses: list[str]) -> None:
    declared = declare(pythons, WINDOWS)
    # comparisons stand by the name of the variable
    assert environments(declared, requires_python) == tuple(WINDOWS_TEXT.format(clause) for clause in clauses)


def test_environments_are_one_for_each_platform() -> None:
    assert environments(FULL, ">=3.11,<3.16") == (
        "platform_machine == 'x86_64' and sys_platform == 'linux'",
        "platform_machine == 'aarch64' and sys_platform == 'linux'",
        "platform_machine == 'arm64' and sys_platform == 'darwin'",
        "platform_machine == 'AMD64' and sys_platform == 'win32'",
    )
    uneven = (*declare("3.13", LINUX, WINDOWS), *declare("3.12", LINUX))
    assert environments(uneven, ">=3.12,<3.14") == (
        "platform_machine == 'x86_64' and sys_platform == 'linux'",
        "platform_machine == 'AMD64' and python_version == '3.13' and sys_platform == 'win32'",
    )


def test_environments_turn_others_away() -> None:
    texts = [Marker(text) for text in environments(FULL)]
    others = declare("3.10 3.16", *DEFAULT_PLATFORMS)
    others += declare("3.13", "x86_64-macos_14", "arm64-windows", "i686-manylinux_2_28")
    for target in others:
        assert not any(text.evaluate(dict(target.environment)) for text in texts), target.label


@pytest.mark.parametrize("wrong", ["sys_platform != 'win32'", "sys_platform ==", "platform_machine == 'riscv64'"])
def test_what_is_written_is_evaluated_before_it_leaves(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = declare("3.11 3.9", WINDOWS, MAC)
    monkeypatch.setattr(markers, "write", lambda _: (wrong,))
    with pytest.raises(MarkerInexact):
        label_marker(labels(declared, lambda t: t.platform == WINDOWS), declared)
    monkeypatch.setattr(markers, "conjunction", lambda _: wrong)
    with pytest.raises(MarkerInexact):
        environment_marker(declared[0], declared)
    with pytest.raises(MarkerInexact):
        environments(declared)


def test_a_cover_says_nothing_twice() -> None:
    declared = declare("3.14 3.13 3.12 3.11", *DEFAULT_PLATFORMS)
    # the greedy choice begins with 3.12, which the terms that follow make needless
    absent = {("3.11", MAC), ("3.13", ARM), ("3.14", WINDOWS)}
    wanted = labels(declared, lambda t: (t.python, t.platform) not in absent)
    assert label_marker(wanted, declared) == (
        "platform_machine == 'x86_64' or python_version != '3.13' and sys_platform == 'linux'"
        " or python_version < '3.14' and sys_platform == 'win32'"
        " or python_version >= '3.12' and sys_platform == 'darwin'"
    )
