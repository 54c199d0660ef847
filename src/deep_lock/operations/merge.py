"""The work of `git-merge`, which git calls where two branches changed a lock: merges the tables, and locks again what both changed.

Invariant: the result is a lock that is right and fits its inputs, or a conflict is reported.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis.merge import Merged, merge
from deep_lock.analysis.merge_check import wrong_selections
from deep_lock.config.options import InputOptions, LockOptions, NetworkOptions, RunContext, UpgradeOptions
from deep_lock.errors import ActionNeeded, DeepLockError, HashMismatch, LockInvalid
from deep_lock.events import Reporter
from deep_lock.files import sweep, temporary_file
from deep_lock.lockfile.index import is_gate
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.rewrite import checked_text, require_same_bytes
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.lockfile.writer import to_text
from deep_lock.locking.indexes import with_lock_indexes
from deep_lock.locking.lock import lock
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.lock import REVISION, Lock
from deep_lock.project.files import MAX_LOCK_BYTES, read_text

AGAIN = "merge the project's own files first, then run deep-lock lock"


class Sides(Struct, frozen=True, kw_only=True):
    """The three files that git passes, and the path of the lock in the work tree."""

    base: Path
    ours: Path
    theirs: Path
    path: Path


def merged_text(sides: Sides, surroundings: RunContext, reporter: Reporter) -> str:
    """Return the merged lock. Raises ActionNeeded on a conflict, LockInvalid, and what locking raises."""
    for folder in {sides.ours.resolve().parent, sides.path.resolve().parent}:
        sweep(folder)
    base, ours, theirs = (_read(path, sides.path.name, reporter) for path in (sides.base, sides.ours, sides.theirs))
    revision = max(base.revision, ours.revision, theirs.revision)
    if revision > REVISION:
        raise ActionNeeded(
            f"{sides.path.name} was written by a later deep-lock (revision {revision}, this one knows {REVISION}): "
            "its unknown keys cannot be merged",
            hint="upgrade deep-lock",
        )
    merged = merge(base, ours, theirs)
    if merged.settings:
        raise ActionNeeded(f"both branches changed {', '.join(merged.settings)} in {sides.path.name}", hint=AGAIN)
    if merged.both:
        text = _locked_again(merged, sides, surroundings, reporter)
        _require_same_bytes((base, ours, theirs), from_text(text, sides.path.name))
        return text
    _require_same_bytes((base, ours, theirs), merged.lock)
    targets = chosen_targets(merged.lock, (), sides.path.name)
    faults = (*broken_invariants(merged.lock, targets), *wrong_selections(merged.lock, ours, theirs, targets))
    if faults:
        raise ActionNeeded(f"the two locks cannot be merged: {faults[0]}", hint=AGAIN)
    return checked_text(merged.lock, targets)


def _require_same_bytes(before: Sequence[Lock], merged: Lock) -> None:
    """Refuse other bytes of a file than one of the sides has: one of them took a file that had changed. Raises HashMismatch."""
    for side in before:
        try:
            require_same_bytes(side, merged)
        except HashMismatch as error:
            raise HashMismatch(
                f"the branches differ: {error.message}", hint=f"take the right lock; {error.hint}"
            ) from None


def _read(path: Path, name: str, reporter: Reporter) -> Lock:
    return from_text(read_text(path, LockInvalid, MAX_LOCK_BYTES), name, reporter)


def _locked_again(merged: Merged, sides: Sides, surroundings: RunContext, reporter: Reporter) -> str:
    """Lock again with the pins of both sides; of what both changed the newer one is the first choice."""
    folder = sides.path.resolve().parent
    config = read_project_config(folder)
    try:
        with temporary_file(folder / sides.path.name) as (path, file):
            file.write(to_text(merged.lock).encode())
            file.flush()
            options = LockOptions(
                inputs=InputOptions(folder=folder, output=path),
                upgrade=UpgradeOptions(packages=_pins(merged)),
                network=with_lock_indexes(NetworkOptions(), config, merged.lock),
                context=surroundings,
            )
            relocked = ordered(lock(options, reporter).lock)
    except HashMismatch:
        raise
    except DeepLockError as error:
        raise ActionNeeded(
            f"both branches changed {', '.join(merged.both)}, and locking again failed: {error.message}",
            hint=AGAIN,
        ) from None
    head = ordered(merged.lock)
    if (relocked.inputs, relocked.options, relocked.targets) != (head.inputs, head.options, head.targets):
        raise ActionNeeded(
            f"both branches changed {', '.join(merged.both)}, and {sides.path.name} does not fit the project"
            " (its files, or options of the command line)",
            hint=AGAIN,
        )
    return checked_text(replace(relocked, indexes=merged.lock.indexes), chosen_targets(relocked, (), sides.path.name))


def _pins(merged: Merged) -> tuple[str, ...]:
    """Return the newer versions of what both sides changed, as -P takes them; at least one, so that it resolves."""
    pins = [
        f"{entry.name}=={entry.version}"
        for entry in merged.lock.packages
        if entry.name in merged.both and entry.version is not None and not is_gate(entry.marker)
    ]
    return tuple(pins) or tuple(merged.both)
