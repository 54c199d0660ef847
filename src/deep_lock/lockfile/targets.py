"""The targets of a lock, in full again: a lock holds their names."""

from collections.abc import Collection

from deep_lock.errors import LockInvalid, UsageError
from deep_lock.models.lock import Lock, LockedTarget
from deep_lock.targets.factory import make_target
from deep_lock.targets.target import Target


def made_target(locked: LockedTarget, source: str) -> Target:
    """Return a target of a lock in full. Raises LockInvalid where its name is another's, UsageError where it is none."""
    target = make_target(locked.python, locked.platform, host=None)
    if target.label != locked.name:
        raise LockInvalid(f"{source}: target {locked.name} is {target.label} by its python and platform")
    return target


def chosen_targets(lock: Lock, labels: Collection[str], source: str) -> tuple[Target, ...]:
    """Return the targets of a lock that have these labels, in full and in its order; no label: all of them.

    Raises UsageError on a label that the lock does not have, and as `made_target`.
    """
    known = [target.name for target in lock.targets]
    for label in labels:
        if label not in known:
            raise UsageError(f"{source} has no target {label}", hint=f"it has: {', '.join(known) or 'none'}")
    return tuple(made_target(target, source) for target in lock.targets if not labels or target.name in labels)
