"""`deep-lock diff`: what differs between two locks. tests/unit/reports/test_diff.py has the output of whole comparisons."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from deep_lock.analysis.diff import changes
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import BUILD_MARKER, EnvironmentMember, Lock, LockedBuild, LockedVcs, source_text
from tests.support.lock_strategies import closed_locks, package, small_lock

CLOSED = Path(__file__).parents[3] / "fixtures" / "locks" / "closed.lock"


def _lock() -> Lock:
    return from_text(CLOSED.read_text(encoding="utf-8"), "closed.lock")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_a_lock_does_not_differ_from_itself(lock: Lock) -> None:
    assert changes(lock, lock) == ()


def test_locks_that_are_not_equal_differ() -> None:
    """Also where nothing that has a name of its own differs."""
    lock = _lock()
    entry = next(entry for entry in lock.packages if entry.wheels)
    larger = replace(entry, wheels=(replace(entry.wheels[0], size=1), *entry.wheels[1:]))
    other = replace(lock, packages=tuple(larger if own is entry else own for own in lock.packages))
    assert [change.code for change in changes(lock, other)] == ["details-changed"]
    assert changes(lock, replace(other, targets=())) == (), "another tool's lock has no such details"


def test_a_build_record_of_the_project_that_is_gone_is_told() -> None:
    lock = _lock()
    own = next(build for build in lock.builds if build.needed == "project")
    both = replace(lock, builds=(*lock.builds, replace(own, hook="editable")))
    (change,) = changes(both, lock)
    assert change.code == "build-gone"
    assert "editable build" in change.message


def _git_lock(commit: str) -> Lock:
    source = LockedVcs(url="https://code.example/lib.git", commit_id=commit)
    lib = replace(package("lib", "1.0"), direct=True, index=None, wheels=(), source=source, build="lib @ x")
    build = LockedBuild(
        name="lib",
        version="1.0",
        source=source_text(source),
        needed="direct",
        backend="maker",
        requires=("maker",),
        requires_from="pyproject",
        requires_dynamic=(),
        evidence="static",
        packages=(EnvironmentMember(name="maker", version="1.0"),),
    )
    maker = replace(package("maker", "1.0"), marker=BUILD_MARKER, build_only=True)
    return small_lock(lib, maker, builds=(build,))


def test_another_commit_of_what_is_built_runs_other_code() -> None:
    """It is one fact: it is not reported as another source too."""
    (change,) = changes(_git_lock("a" * 40), _git_lock("b" * 40))
    assert change.code == "built-release-changed"
    assert change.now == f"git+https://code.example/lib.git@{'b' * 40}"


def test_versions_that_change_places_between_targets_are_other_versions_in_builds() -> None:
    """Both targets together use the same two versions as before."""
    lock = _lock()
    labels = sorted(target.name for target in lock.targets)[:2]
    record = next(build for build in lock.builds if build.packages and build.hook is None)
    member = record.packages[0]

    def with_versions(one: str, other: str) -> Lock:
        split = tuple(
            replace(record, targets=(label,), packages=(replace(member, version=version),))
            for label, version in zip(labels, (one, other), strict=True)
        )
        return replace(lock, builds=tuple(own for own in lock.builds if own.name != record.name) + split)

    found = changes(with_versions("1.0", "2.0"), with_versions("2.0", "1.0"))
    assert "build-tool-changed" in {change.code for change in found if change.name == member.name}
