"""`deep-lock diff`: what differs between two locks. tests/unit/reports/test_diff.py has the output of whole comparisons."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from deep_lock.analysis.diff import changes
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import Lock
from tests.support.lock_strategies import closed_locks

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
