"""The invariants of a lock: a golden lock keeps them, and each edit that breaks one is named."""

import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.lockfile.index import reference_to
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import BUILD_MARKER, EnvironmentMember, Lock, LockedBuild
from tests.support.lock_strategies import LINUX, TARGETS, package, sdist, small_lock, wheel

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
CLOSED = (LOCKS / "closed.lock").read_text("utf-8")
EDITS = tomllib.loads((LOCKS / "broken-invariants.toml").read_text("utf-8"))


def test_the_golden_lock_keeps_every_invariant() -> None:
    assert broken_invariants(from_text(CLOSED, "closed.lock"), TARGETS) == ()


@pytest.mark.parametrize("name", sorted(EDITS))
def test_each_broken_invariant_is_named(name: str) -> None:
    case = EDITS[name]
    assert case["was"] in CLOSED
    lock = from_text(CLOSED.replace(case["was"], case["is"], 1), name)
    targets = TARGETS if case.get("on-targets") else ()
    assert broken_invariants(lock, targets) == tuple(case["faults"])


def test_the_example_of_the_format_lacks_the_records_that_its_notes_name() -> None:
    lock = from_text((LOCKS / "example.lock").read_text("utf-8"), "example.lock")
    assert broken_invariants(lock) == (
        *(
            f"{release} lists an sdist, but has no build record"
            for release in ("cffi 2.1.0", "maturin 1.16.0", "pycparser 2.23", "setuptools 80.9.0", "setuptools 84.2.1")
        ),
        "cryptography 46.0.5 has a build record, but does not name it",
    )


def _with_sdist() -> Lock:
    entry = replace(package("a"), direct=True, sdist=sdist("a", "1.0"))
    return small_lock(entry)


@pytest.mark.parametrize("option", [("files", "all"), ("build-scope", "none")])
def test_an_sdist_needs_no_record_where_builds_are_not_locked(option: tuple[str, str]) -> None:
    assert broken_invariants(_with_sdist()) != ()
    assert broken_invariants(replace(_with_sdist(), options=(option,)), (LINUX,)) == ()


def test_a_runtime_only_lock_may_hold_an_sdist_that_is_built() -> None:
    lock = _with_sdist()
    bare = replace(lock.packages[0], wheels=(), sdist_only=True)
    lock = replace(lock, packages=(bare,), options=(("build-scope", "none"),))
    assert broken_invariants(lock, (LINUX,)) == ()


def test_builds_that_only_need_each_other_reach_nothing() -> None:
    def entry(name: str, source: str) -> LockedBuild:
        return LockedBuild(
            name=name,
            version="1.0",
            sdist=f"sha256:{sdist(name, '1.0').sha256}",
            needed="always",
            backend="b",
            requires_from="pyproject",
            requires_dynamic=(),
            evidence="static",
            packages=(EnvironmentMember(name=source, version="1.0"),),
        )

    packages = tuple(
        replace(
            package(name),
            marker=BUILD_MARKER,
            build_only=True,
            wheels=(),
            sdist=sdist(name, "1.0"),
            sdist_only=True,
            build=f"{name}==1.0",
        )
        for name in ("a", "b")
    )
    assert broken_invariants(small_lock(*packages, builds=(entry("a", "b"), entry("b", "a")))) == (
        "a 1.0 is build-only, but no build uses it",
        "b 1.0 is build-only, but no build uses it",
    )


def test_an_overridden_requirement_is_not_looked_for() -> None:
    lock = small_lock(replace(package("a", "2.0"), direct=True))
    inputs = replace(lock.inputs, requirements=("a<2", "b"), overrides=("a==2.0", "b; sys_platform == 'never'"))
    assert broken_invariants(replace(lock, inputs=inputs), (LINUX,)) == ()
    assert len(broken_invariants(replace(lock, inputs=replace(inputs, overrides=())), (LINUX,))) == 3


def test_a_wheel_that_fits_no_target_is_no_file() -> None:
    entry = replace(package("a"), direct=True, wheels=(wheel("a", "1.0", "cp27-cp27m-win32"),))
    assert broken_invariants(small_lock(entry), (LINUX,)) == (
        "a 1.0 has no file that fits cp313-x86_64-manylinux_2_28",
    )


def test_a_marker_that_cannot_be_evaluated_does_not_hold() -> None:
    entry = replace(package("a"), direct=True, marker="python_version ~= 'x' or os_name == 'never'")
    assert broken_invariants(small_lock(entry), (LINUX,)) == (
        "the project requires a, but no package on cp313-x86_64-manylinux_2_28 satisfies it",
    )


def _of_two_indexes() -> Lock:
    one = replace(
        package("a"), direct=True, by_index=True, marker="sys_platform == 'linux'", index="https://one.example/"
    )
    other = replace(one, marker="sys_platform == 'win32'", index="https://other.example/")
    lock = small_lock(one, other)
    return replace(lock, inputs=replace(lock.inputs, requirements=("a",)))


def test_packages_of_one_version_and_two_indexes_are_marked() -> None:
    lock = _of_two_indexes()
    assert broken_invariants(lock) == ()
    one, other = lock.packages
    assert broken_invariants(replace(lock, packages=(one, replace(other, by_index=False)))) == (
        "a 1.0 is in the lock more than once, but is not marked by-index",
    )
    assert broken_invariants(replace(lock, packages=(replace(one, marker=None),))) == (
        "a 1.0 of https://one.example/ is marked by-index, but no other index has a 1.0 in the lock",
    )


def test_packages_of_one_version_and_two_indexes_are_in_the_order_of_their_indexes() -> None:
    lock = _of_two_indexes()
    parent = replace(package("b"), dependencies=tuple(reference_to(own, by_name=False) for own in lock.packages))
    lock = replace(lock, packages=(*lock.packages, parent))
    parent = replace(parent, dependencies=parent.dependencies[::-1])
    assert ordered(replace(lock, packages=(parent, *lock.packages[1::-1]))) == ordered(lock)
    assert [own.index for own in ordered(lock).packages[:2]] == ["https://one.example/", "https://other.example/"]
