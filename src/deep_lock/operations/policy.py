"""Opens a lock and a policy, and holds the one against the other.

Law: nothing is resolved, and no index is asked.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from deep_lock.analysis.policy import judge
from deep_lock.analysis.positions import lines_of
from deep_lock.config.options import PolicyOptions
from deep_lock.config.policy import read_policy_file
from deep_lock.errors import ConfigError, LockInvalid
from deep_lock.events import Reporter
from deep_lock.locking.read_inputs import parse_lock, read_settings
from deep_lock.models.changes import Finding
from deep_lock.models.lock import Lock
from deep_lock.models.policy import Policy
from deep_lock.project.files import MAX_LOCK_BYTES, missing_lock, read_text


class Judged(Struct, frozen=True, kw_only=True):
    """What a policy finds in a lock."""

    findings: tuple[Finding, ...]
    """Errors first."""
    lines: Mapping[str, int]
    """The line of each entry's name in the lock, from 1."""


def police(flags: PolicyOptions, reporter: Reporter) -> Judged:
    """Hold a lock against a policy, and against the lock of before where it is named. Raises UserError."""
    policy = _policy(flags)
    lock, text = _lock(flags.lock, reporter)
    old = _lock(flags.against, reporter)[0] if flags.against is not None else None
    return Judged(findings=judge(lock, policy, now=flags.now, old=old), lines=lines_of(text))


def _lock(path: Path, reporter: Reporter) -> tuple[Lock, str]:
    try:
        text = read_text(path, LockInvalid, MAX_LOCK_BYTES)
    except FileNotFoundError:
        raise missing_lock(path) from None
    return parse_lock(text, path.name, reporter), text


def _policy(flags: PolicyOptions) -> Policy:
    if flags.policy is not None:
        return read_policy_file(read_text(flags.policy, ConfigError), flags.policy.name)
    return read_settings(flags.lock.parent).policy or Policy()
