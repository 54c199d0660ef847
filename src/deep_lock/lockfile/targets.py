"""The full targets of a lock, which has their names only."""

from collections.abc import Collection, Sequence

from deep_lock.errors import LockInvalid, UsageError
from deep_lock.models.lock import Lock, LockedTarget
from deep_lock.suggestions import choices_hint, did_you_mean
from deep_lock.targets.factory import HOST, make_target, read_host, runs_on
from deep_lock.targets.open_markers import limited
from deep_lock.targets.short_form import short_form
from deep_lock.targets.target import Target

MAX_LISTED = 6
"""Targets that a message names one by one."""


def made_target(locked: LockedTarget, source: str) -> Target:
    """Return a full target of a lock. Raises LockInvalid if its name is another target's, UsageError if it is unknown."""
    target = make_target(locked.python, locked.platform, host=None)
    if target.label != locked.name:
        raise LockInvalid(f"{source}: target {locked.name} is {target.label} by its python and platform")
    return target


def chosen_targets(lock: Lock, labels: Collection[str], source: str) -> tuple[Target, ...]:
    """Return the full targets of a lock with these labels, in its order; without a label all of them.

    "host" is the target that the running interpreter on this machine is. Raises UsageError on a label that the lock does not
    have, and as `made_target`.
    """
    known = [target.name for target in lock.targets]
    for label in labels:
        if label not in (*known, HOST):
            raise UsageError(f"{source} has no target {label}", hint=_targets_hint(label, known))
    every = limited(tuple(made_target(target, source) for target in lock.targets), lock.requires_python)
    wanted = {*labels, host_target_of(every, source).label} if HOST in labels else labels
    return tuple(target for target in every if not labels or target.label in wanted)


def _targets_hint(label: str, known: Sequence[str]) -> str:
    if len(known) <= MAX_LISTED:
        return choices_hint(label, known)
    question = did_you_mean(label, [*known, HOST])
    return f"{question} it has {short_form(known, known)}, as {known[0]}".lstrip()


def host_target_of(targets: Sequence[Target], source: str) -> Target:
    """Return the one target that the running interpreter is. Raises UsageError where there is none, or more than one."""
    host = read_host()
    found = [target for target in targets if runs_on(host, target)]
    if len(found) == 1:
        return found[0]
    if found:
        labels = ", ".join(target.label for target in found)
        raise UsageError(f"several targets of {source} run on this machine: {labels}", hint="name one: --target LABEL")
    every = [target.label for target in targets]
    known = short_form(every, every) if every else "none"
    raise UsageError(
        f"no target of {source} is that of this machine: Python {host.python_full_version} on {host.platform or 'it'}",
        hint=f"lock for this machine too, or name a target: it has {known}",
    )
