"""Staleness: compared by meaning, and the sentences name what changed."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from deep_lock.errors import RequirementInvalid
from deep_lock.lockfile.staleness import stale_reasons
from deep_lock.models.lock import Lock, LockedInputs
from tests.support.lock_strategies import LINUX, WINDOWS, locked_target, package, small_lock

EXCLUDE = datetime(2026, 11, 20, tzinfo=UTC)
INPUTS = LockedInputs(
    sources=("pyproject.toml",),
    requirements=("a>=1,<2", "b[x,y]; python_version < '4'"),
    extras=(("cli", ("click",)),),
    dependency_groups=(("test", ("pytest",)),),
    constraints=("c<3",),
    overrides=("d==1",),
    build_constraints=("setuptools<81",),
    extra_build_requires=(("tool", ("cython<4,>=3",)),),
    config_settings=(("tool", (("--opt", ("-b", "-a")), ("mode", "fast"))),),
)
OLD = replace(
    small_lock(replace(package("a"), direct=True), replace(package("b"), direct=True)),
    inputs=INPUTS,
    requires_python=">=3.12,<3.14",
    extras=("cli",),
    dependency_groups=("test",),
    options=(("exclude-newer", EXCLUDE), ("no-binary", ("x", "y")), ("resolution", "highest")),
)


def _head(**changes: Any) -> Lock:
    """Return the head of the lock that would be made now."""
    return replace(OLD, packages=(), builds=(), **changes)


def _reasons(new: Lock, old: Lock = OLD) -> tuple[str, ...]:
    return stale_reasons(old, new, (LINUX,))


SAME = [
    _head(),
    _head(inputs=replace(INPUTS, requirements=('b [y , x] ;python_version<"4"', "A <2, >=1"))),
    _head(inputs=replace(INPUTS, requirements=(*INPUTS.requirements, *INPUTS.requirements))),
    _head(inputs=replace(INPUTS, extra_build_requires=(("tool", ("Cython >=3, <4",)), ("idle", ())))),
    _head(inputs=replace(INPUTS, config_settings=(("tool", (("mode", "fast"), ("--opt", ("-b", "-a")))),))),
    _head(requires_python="<3.14, >=3.12"),
    _head(options=tuple(reversed(OLD.options))),
    _head(options=(("no-binary", ("y", "x")), *(pair for pair in OLD.options if pair[0] != "no-binary"))),
    _head(
        options=(("exclude-newer", EXCLUDE.astimezone(timezone(timedelta(hours=-5)))), *OLD.options[1:]),
    ),
]


@pytest.mark.parametrize("new", SAME)
def test_the_same_meaning_is_not_stale(new: Lock) -> None:
    assert _reasons(new) == ()


CHANGED = [
    (
        _head(inputs=replace(INPUTS, requirements=(*INPUTS.requirements, "httpx>=0.28"))),
        ("pyproject.toml now requires 'httpx>=0.28'",),
    ),
    (_head(inputs=replace(INPUTS, requirements=INPUTS.requirements[:1])), ("pyproject.toml no longer requires 'b[x,y]; python_version < \"4\"'",)),
    (
        _head(inputs=replace(INPUTS, requirements=("a>=1.5", INPUTS.requirements[1]))),
        ("pyproject.toml now requires 'a>=1.5' instead of 'a<2,>=1'",),
    ),
    (
        _head(inputs=replace(INPUTS, sources=("a.in", "b.in"), requirements=(*INPUTS.requirements, "n"))),
        (
            "the lock was made from pyproject.toml, but would now be made from a.in, b.in",
            "the project now requires 'n'",
        ),
    ),
    (_head(inputs=replace(INPUTS, extras=(("cli", ("click>=8",)),))), ("extra 'cli' now requires 'click>=8' instead of 'click'",)),
    (_head(inputs=replace(INPUTS, extras=()), extras=()), ("extra 'cli' was removed",)),
    (_head(inputs=replace(INPUTS, dependency_groups=(*INPUTS.dependency_groups, ("docs", ("s",)))), dependency_groups=("docs", "test")), ("dependency group 'docs' was added",)),
    (_head(default_groups=("test",)), ("default group 'test' was added",)),
    (_head(inputs=replace(INPUTS, constraints=())), ("the constraint 'c<3' was removed",)),
    (_head(inputs=replace(INPUTS, constraints=("c<4",))), ("the constraint 'c<3' is now 'c<4'",)),
    (_head(inputs=replace(INPUTS, overrides=("d==1", "e==1"))), ("the override 'e==1' was added",)),
    (_head(inputs=replace(INPUTS, build_constraints=("setuptools<82",))), ("the build constraint 'setuptools<81' is now 'setuptools<82'",)),
    (_head(inputs=replace(INPUTS, extra_build_requires=())), ("extra-build-requires of 'tool' no longer requires 'cython<4,>=3'",)),
    (
        _head(inputs=replace(INPUTS, extra_build_requires=(("old", ("wheel",)), ("tool", ("cython",))))),
        (
            "extra-build-requires of 'old' now requires 'wheel'",
            "extra-build-requires of 'tool' now requires 'cython' instead of 'cython<4,>=3'",
        ),
    ),
    (
        _head(inputs=replace(INPUTS, config_settings=(("old", (("k", ""),)), ("tool", (("--opt", ("-a", "-b")), ("mode", ("fast",))))))),
        (
            "config-settings of 'old': 'k' is now set to \"\"",
            "config-settings of 'tool': '--opt' changed from [\"-b\", \"-a\"] to [\"-a\", \"-b\"]",
            "config-settings of 'tool': 'mode' changed from \"fast\" to [\"fast\"]",
        ),
    ),
    (
        _head(inputs=replace(INPUTS, config_settings=(("tool", (("mode", "fast"),)),))),
        ("config-settings of 'tool': '--opt' is no longer set; it was [\"-b\", \"-a\"]",),
    ),
    (_head(inputs=replace(INPUTS, build_requires=("hatchling",))), ("the project is now built, but its build is not locked",)),
    (_head(requires_python=None), ("requires-python changed from >=3.12,<3.14 to nothing",)),
    (_head(options=(*OLD.options[:2], ("resolution", "lowest"))), ('option resolution changed from "highest" to "lowest"',)),
    (_head(options=OLD.options[1:]), ("option exclude-newer is no longer set; it was 2026-11-20T00:00:00Z",)),
    (_head(options=(*OLD.options, ("only-binary", ("z",)))), ('option only-binary is now set to ["z"]',)),
    (_head(indexes=(("default", "https://other.example/simple/"),)), ("index 'default' changed from https://index.example/simple/ to https://other.example/simple/",)),
    (_head(indexes=(*OLD.indexes, ("own", "https://own.example/simple/"))), ("index 'own' was added",)),
    (_head(targets=(*OLD.targets, locked_target(WINDOWS))), ("target 'cp313-x86_64-windows' was added",)),
    (
        _head(targets=(*OLD.targets, locked_target(WINDOWS), locked_target(replace(WINDOWS, label="cp313-arm64-windows")))),
        ("targets were added: 2 of 3: all but cp313-x86_64-manylinux_2_28",),
    ),
    (_head(targets=()), ("target 'cp313-x86_64-manylinux_2_28' was removed",)),
    (
        _head(targets=(replace(OLD.targets[0], marker="os_name == 'posix'"),)),
        (
            ("target 'cp313-x86_64-manylinux_2_28' changed from Python 3.13 on x86_64-manylinux_2_28 where "
            "python_version == '3.13' and sys_platform == 'linux' to Python 3.13 on x86_64-manylinux_2_28 where "
            "os_name == 'posix'"),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("new", "reasons"), CHANGED)
def test_a_change_is_named(new: Lock, reasons: tuple[str, ...]) -> None:
    assert _reasons(new) == reasons


def test_a_project_that_is_no_longer_built_is_named() -> None:
    old = replace(OLD, inputs=replace(INPUTS, build_requires=()))
    assert "the project is no longer built, but its build is locked" in _reasons(_head(), old)


def test_the_projects_own_build_requirements_are_compared() -> None:
    old = replace(OLD, inputs=replace(INPUTS, build_requires=("hatchling",)))
    reasons = _reasons(_head(inputs=replace(INPUTS, build_requires=("hatchling>=1",))), old)
    assert reasons[0] == "the project's [build-system] now requires 'hatchling>=1' instead of 'hatchling'"


def test_a_lock_that_contradicts_itself_is_stale() -> None:
    old = replace(OLD, packages=OLD.packages[:1])
    story = f'the project requires b[x,y]; python_version < "4", but no package on {LINUX.label} satisfies it'
    assert _reasons(_head(), old) == (f"the lock contradicts itself: {story}",)


def test_a_source_name_with_braces_is_only_a_name() -> None:
    inputs = replace(INPUTS, sources=("{old}.in",), requirements=(*INPUTS.requirements, "n"))
    assert "{old}.in now requires 'n'" in _reasons(_head(inputs=inputs))


def test_a_wrong_new_requirement_is_refused() -> None:
    with pytest.raises(RequirementInvalid):
        _reasons(_head(inputs=replace(INPUTS, requirements=("a b",))))
