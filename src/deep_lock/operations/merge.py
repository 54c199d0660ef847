"""What git calls where two branches changed a lock: merges the tables, and locks again what both changed.

Law: the result is a lock that keeps its own laws and fits its inputs, or a conflict that a person is told of. Never half of
each.
"""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis.merge import Merged, merge
from deep_lock.config.options import InputOptions, LockOptions, NetworkOptions, RunContext, UpgradeOptions
from deep_lock.errors import ActionNeeded, DeepLockError, LockInvalid
from deep_lock.events import Reporter
from deep_lock.files import temporary_beside, write_atomically
from deep_lock.lockfile.index import is_gate
from deep_lock.lockfile.invariants import check_closed
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.lockfile.writer import ordered, to_text
from deep_lock.locking.indexes import indexes_of
from deep_lock.locking.lock import lock
from deep_lock.locking.read_inputs import read_settings
from deep_lock.models.lock import Lock
from deep_lock.project.files import MAX_LOCK_BYTES, read_text

AGAIN = "merge the project's own files first, then run deep-lock lock"


class Sides(Struct, frozen=True, kw_only=True):
    """The three files that git hands over, and where the result belongs."""

    base: Path
    ours: Path
    theirs: Path
    place: Path
    """The lock in the work tree."""


def merged_text(sides: Sides, surroundings: RunContext, reporter: Reporter) -> str:
    """Return the merged lock. Raises ActionNeeded where a person has to decide, LockInvalid, and what locking raises."""
    merged = merge(*(_read(path, sides.place.name, reporter) for path in (sides.base, sides.ours, sides.theirs)))
    if merged.settings:
        raise ActionNeeded(f"both branches changed {', '.join(merged.settings)} of {sides.place.name}", hint=AGAIN)
    if merged.both:
        return _locked_again(merged, sides, surroundings, reporter)
    unlawful = check_closed(merged.lock, chosen_targets(merged.lock, (), sides.place.name))
    if unlawful:
        raise ActionNeeded(f"the two locks do not go together: {unlawful[0]}", hint=AGAIN)
    return to_text(merged.lock)


def _read(path: Path, name: str, reporter: Reporter) -> Lock:
    return from_text(read_text(path, LockInvalid, MAX_LOCK_BYTES), name, reporter)


def _locked_again(merged: Merged, sides: Sides, surroundings: RunContext, reporter: Reporter) -> str:
    """Resolve once more, with what both sides pinned, and of what both changed the newer one."""
    place = temporary_beside(sides.place.resolve())
    folder = place.parent
    config = read_settings(folder)
    try:
        write_atomically(place, to_text(merged.lock).encode(), durable=False)
        flags = LockOptions(
            inputs=InputOptions(folder=folder, output=place),
            upgrade=UpgradeOptions(packages=_pins(merged)),
            network=indexes_of(merged.lock, NetworkOptions(), configured=bool(config.index or config.no_index)),
            surroundings=surroundings,
        )
        made_lock = ordered(lock(flags, reporter).lock)
    except DeepLockError as error:
        raise ActionNeeded(
            f"both branches changed {', '.join(merged.both)}, and it cannot be locked again: {error.message}",
            hint=AGAIN,
        ) from None
    finally:
        place.unlink(missing_ok=True)
    head = ordered(merged.lock)
    if (made_lock.inputs, made_lock.options, made_lock.targets) != (head.inputs, head.options, head.targets):
        raise ActionNeeded(
            f"{sides.place.name} does not fit the project as it is now (its files, or options that were given by hand)",
            hint=AGAIN,
        )
    return to_text(replace(made_lock, indexes=merged.lock.indexes, unknown=merged.lock.unknown))


def _pins(merged: Merged) -> tuple[str, ...]:
    """Return the releases that stand in for what both sides changed, as -P takes them; at least one, so that it resolves."""
    pins = [
        f"{entry.name}=={entry.version}"
        for entry in merged.lock.packages
        if entry.name in merged.both and entry.version is not None and not is_gate(entry.marker)
    ]
    return tuple(pins) or tuple(merged.both)
