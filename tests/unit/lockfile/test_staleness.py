"""Staleness: by meaning, and in words that name what changed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from deep_lock.errors import RequirementInvalid
from deep_lock.lockfile.staleness import Options, stale_reasons
from deep_lock.models.lock import Lock, LockedInputs, LockedTarget
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked for now."""

    inputs: LockedInputs = INPUTS
    options: Options = OLD.options
    indexes: tuple[tuple[str, str], ...] = OLD.indexes
    targets: tuple[LockedTarget, ...] = OLD.targets
    requires_python: str | None = OLD.requires_python
    extras: tuple[str, ...] = OLD.extras
    groups: tuple[str, ...] = OLD.dependency_groups
    default_groups: tuple[str, ...] = ()


def _reasons(asked: Asked, old: Lock = OLD) -> tuple[str, ...]:
    return stale_reasons(
        old,
        inputs=asked.inputs,
        options=asked.options,
        indexes=asked.indexes,
        targets=asked.targets,
        requires_python=asked.requires_python,
        extras=asked.extras,
        groups=asked.groups,
        default_groups=asked.default_groups,
        full_targets=(LINUX,),
    )


SAME = [
    Asked(),
    Asked(inputs=replace(INPUTS, requirements=('b [y , x] ;python_version<"4"', "A <2, >=1"))),
    Asked(inputs=replace(INPUTS, requirements=(*INPUTS.requirements, *INPUTS.requirements))),
    Asked(inputs=replace(INPUTS, extra_build_requires=(("tool", ("Cython >=3, <4",)), ("idle", ())))),
    Asked(inputs=replace(INPUTS, config_settings=(("tool", (("mode", "fast"), ("--opt", ("-b", "-a")))),))),
    Asked(requires_python="<3.14, >=3.12"),
    Asked(options=tuple(reversed(OLD.options))),
    Asked(options=(("no-binary", ("y", "x")), *(pair for pair in OLD.options if pair[0] != "no-binary"))),
    Asked(
        options=(("exclude-newer", EXCLUDE.astimezone(timezone(timedelta(hours=-5)))), *OLD.options[1:]),
    ),
]


@pytest.mark.parametrize("asked", SAME)
def test_the_same_meaning_is_not_stale(asked: Asked) -> None:
    assert _reasons(asked) == ()


CHANGED = [
    (
        Asked(inputs=replace(INPUTS, requirements=(*INPUTS.requirements, "httpx>=0.28"))),
        ("pyproject.toml now asks for 'httpx>=0.28'",),
    ),
    (Asked(inputs=replace(INPUTS, requirements=INPUTS.requirements[:1])), ("pyproject.toml no longer asks for 'b[x,y]; python_version < \"4\"'",)),
    (
        Asked(inputs=replace(INPUTS, requirements=("a>=1.5", INPUTS.requirements[1]))),
        ("pyproject.toml now asks for 'a>=1.5' instead of 'a<2,>=1'",),
    ),
    (
        Asked(inputs=replace(INPUTS, sources=("a.in", "b.in"), requirements=(*INPUTS.requirements, "n"))),
        (
            "the lock was made from pyproject.toml, and would now be made from a.in, b.in",
            "the project now asks for 'n'",
        ),
    ),
    (Asked(inputs=replace(INPUTS, extras=(("cli", ("click>=8",)),))), ("extra 'cli' now asks for 'click>=8' instead of 'click'",)),
    (Asked(inputs=replace(INPUTS, extras=()), extras=()), ("extra 'cli' was removed",)),
    (Asked(inputs=replace(INPUTS, dependency_groups=(*INPUTS.dependency_groups, ("docs", ("s",)))), groups=("docs", "test")), ("dependency group 'docs' was added",)),
    (Asked(default_groups=("test",)), ("default group 'test' was added",)),
    (Asked(inputs=replace(INPUTS, constraints=())), ("the constraint 'c<3' is gone",)),
    (Asked(inputs=replace(INPUTS, constraints=("c<4",))), ("the constraint 'c<3' is now 'c<4'",)),
    (Asked(inputs=replace(INPUTS, overrides=("d==1", "e==1"))), ("there is a new override, 'e==1'",)),
    (Asked(inputs=replace(INPUTS, build_constraints=("setuptools<82",))), ("the build constraint 'setuptools<81' is now 'setuptools<82'",)),
    (Asked(inputs=replace(INPUTS, extra_build_requires=())), ("extra-build-requires of 'tool' no longer asks for 'cython<4,>=3'",)),
    (
        Asked(inputs=replace(INPUTS, extra_build_requires=(("old", ("wheel",)), ("tool", ("cython",))))),
        (
            "extra-build-requires of 'old' now asks for 'wheel'",
            "extra-build-requires of 'tool' now asks for 'cython' instead of 'cython<4,>=3'",
        ),
    ),
    (
        Asked(inputs=replace(INPUTS, config_settings=(("old", (("k", ""),)), ("tool", (("--opt", ("-a", "-b")), ("mode", ("fast",))))))),
        (
            "config-settings of 'old': 'k' is new, with \"\"",
            "config-settings of 'tool': '--opt' changed from [\"-b\", \"-a\"] to [\"-a\", \"-b\"]",
            "config-settings of 'tool': 'mode' changed from \"fast\" to [\"fast\"]",
        ),
    ),
    (
        Asked(inputs=replace(INPUTS, config_settings=(("tool", (("mode", "fast"),)),))),
        ("config-settings of 'tool': '--opt' is no longer set; it was [\"-b\", \"-a\"]",),
    ),
    (Asked(inputs=replace(INPUTS, build_requires=("hatchling",))), ("the project is now built itself, and its build is not locked",)),
    (Asked(requires_python=None), ("requires-python changed from >=3.12,<3.14 to nothing",)),
    (Asked(options=(*OLD.options[:2], ("resolution", "lowest"))), ('option resolution changed from "highest" to "lowest"',)),
    (Asked(options=OLD.options[1:]), ("option exclude-newer is no longer set; it was 2026-11-20T00:00:00Z",)),
    (Asked(options=(*OLD.options, ("only-binary", ("z",)))), ('option only-binary is new, with ["z"]',)),
    (Asked(indexes=(("default", "https://other.example/simple/"),)), ("index 'default' changed from https://index.example/simple/ to https://other.example/simple/",)),
    (Asked(indexes=(*OLD.indexes, ("own", "https://own.example/simple/"))), ("index 'own' was added",)),
    (Asked(targets=(*OLD.targets, locked_target(WINDOWS))), ("target 'cp313-x86_64-windows' was added",)),
    (Asked(targets=()), ("target 'cp313-x86_64-manylinux_2_28' was removed",)),
    (
        Asked(targets=(replace(OLD.targets[0], marker="os_name == 'posix'"),)),
        (
            ("target 'cp313-x86_64-manylinux_2_28' is described otherwise now: Python 3.13 on x86_64-manylinux_2_28 where "
            "python_version == '3.13' and sys_platform == 'linux' became Python 3.13 on x86_64-manylinux_2_28 where "
            "os_name == 'posix'"),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "reasons"), CHANGED)
def test_a_change_is_named(asked: Asked, reasons: tuple[str, ...]) -> None:
    assert _reasons(asked) == reasons


def test_a_project_that_is_no_longer_built_is_told() -> None:
    old = replace(OLD, inputs=replace(INPUTS, build_requires=()))
    assert "the project is no longer built itself, and its build is locked" in _reasons(Asked(), old)


def test_the_projects_own_build_requirements_are_compared() -> None:
    old = replace(OLD, inputs=replace(INPUTS, build_requires=("hatchling",)))
    reasons = _reasons(Asked(inputs=replace(INPUTS, build_requires=("hatchling>=1",))), old)
    assert reasons[0] == "the project's [build-system] now asks for 'hatchling>=1' instead of 'hatchling'"


def test_a_lock_that_contradicts_itself_is_stale() -> None:
    old = replace(OLD, packages=OLD.packages[:1])
    story = f'the project requires b[x,y]; python_version < "4", but no package on {LINUX.label} satisfies it'
    assert _reasons(Asked(), old) == (f"the lock contradicts itself: {story}",)


def test_what_a_newer_revision_says_of_a_target_is_not_compared() -> None:
    old = replace(OLD, targets=(replace(OLD.targets[0], unknown=(("libc", '"glibc"'),)),))
    assert _reasons(Asked(), old) == ()


def test_a_source_name_with_braces_is_only_a_name() -> None:
    inputs = replace(INPUTS, sources=("{old}.in",), requirements=(*INPUTS.requirements, "n"))
    assert "{old}.in now asks for 'n'" in _reasons(Asked(inputs=inputs))


def test_a_wrong_new_requirement_is_refused() -> None:
    with pytest.raises(RequirementInvalid):
        _reasons(Asked(inputs=replace(INPUTS, requirements=("a b",))))
