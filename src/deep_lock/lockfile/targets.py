"""The full targets of a lock, which has their names only."""

from collections.abc import Collection

from deep_lock.errors import LockInvalid, UsageError
from deep_lock.models.lock import Lock, LockedTarget
from deep_lock.targets.factory import make_target
from deep_lock.targets.open_markers import limited
from deep_lock.targets.target import Target


def made_target(locked: LockedTarget, source: str) -> Target:
    """Return a full target of a lock. Raises LockInvalid if its name is another target's, UsageError if it is unknown."""
    target = make_target(locked.python, locked.platform, host=None)
    if target.label != locked.name:
        raise LockInvalid(f"{source}: target {locked.name} is {target.label} by its python and platform")
    return target


def chosen_targets(lock: Lock, labels: Collection[str], source: str) -> tuple[Target, ...]:
    """Return the full targets of a lock with these labels, in its order; without a label all of them.

    Raises UsageError on a label that the lock does not have, and as `made_target`.
    """
    known = [target.name for target in lock.targets]
    for label in labels:
        if label not in known:
            raise UsageError(f"{source} has no target {label}", hint=f"it has: {', '.join(known) or 'none'}")
    targets = limited(tuple(made_target(target, source) for target in lock.targets), lock.requires_python)
    return tuple(target for target in targets if not labels or target.label in labels)
