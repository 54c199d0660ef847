"""Replacing a lock: the text is read back and compared before it is written."""

import pytest
from msgspec.structs import replace

from deep_lock.errors import LockInvalid, UrlForbidden
from deep_lock.lockfile.rewrite import checked_text
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import LockedPackage
from tests.support.lock_strategies import LINUX, package, small_lock

ENTRY = replace(package("a"), direct=True)


def test_a_valid_lock_is_its_text() -> None:
    lock = small_lock(ENTRY)
    assert checked_text(lock, (LINUX,)) == to_text(lock)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (replace(ENTRY, name="A"), "the new lock: packages[0].name: must be a normalized name, not 'A'"),
        (replace(ENTRY, marker=""), "the new lock is read back as another one"),
        (replace(ENTRY, build_only=True), "the new lock breaks invariants:\n  a 1.0 is marked build-only"),
    ],
)
def test_a_lock_that_is_not_read_back_is_an_internal_error(entry: LockedPackage, fault: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        checked_text(small_lock(entry))
    assert caught.value.message.startswith(f"internal error, please report: {fault}")


def test_what_must_not_be_written_is_no_internal_error() -> None:
    with pytest.raises(UrlForbidden) as caught:
        checked_text(small_lock(replace(ENTRY, index="https://user:secret@index.example/simple/")))
    assert "internal error" not in caught.value.message
