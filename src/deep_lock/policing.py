"""Opens a lock and a policy, and holds the one against the other.

Law: nothing is resolved, and no index is asked.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from deep_lock.display import show
from deep_lock.errors import ConfigError, PolicyBroken, UsageError
from deep_lock.events import Reporter
from deep_lock.flags import PolicyFlags
from deep_lock.inputs.policy import read_policy_file
from deep_lock.lockfile.policy import judge
from deep_lock.model.lock import Lock
from deep_lock.model.policy import Policy
from deep_lock.model.review import Finding
from deep_lock.opening import read_text
from deep_lock.reading import read_lock, read_settings

MAX_TOLD = 25


def police(flags: PolicyFlags, reporter: Reporter) -> tuple[Finding, ...]:
    """Return what the policy finds in the lock, errors first. Raises UserError."""
    lock = _lock(flags.lock, reporter)
    old = _lock(flags.against, reporter) if flags.against is not None else None
    return judge(lock, _policy(flags), now=flags.now, old=old)


def hold(lock: Lock, policy: Policy, *, now: datetime) -> None:
    """Raise PolicyBroken, with every error that the policy finds in the lock."""
    errors = [finding for finding in judge(lock, policy, now=now) if finding.severity == "error"]
    if errors:
        told = [*map(line, errors[:MAX_TOLD]), *([f"and {len(errors) - MAX_TOLD} more"] if errors[MAX_TOLD:] else [])]
        raise PolicyBroken(
            "the lock breaks the policy:\n" + "\n".join(f"  {text}" for text in told),
            hint=" ".join(_once(finding.hint for finding in errors)) or "deep-lock policy tells more",
        )


def line(finding: Finding) -> str:
    """Return a finding in one line, fit to be shown."""
    where = f" [{', '.join(finding.targets)}]" if finding.targets else ""
    chain = f" ({' > '.join(finding.chain)})" if len(finding.chain) > 1 else ""
    return show(f"{finding.code}: {finding.subject}: {finding.message}{where}{chain}", limit=1000)


def _once(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _lock(path: Path, reporter: Reporter) -> Lock:
    lock = read_lock(path, reporter)
    if lock is None:
        raise UsageError(f"{path}: there is no lock", hint="make one: deep-lock lock")
    return lock


def _policy(flags: PolicyFlags) -> Policy:
    if flags.policy is not None:
        return read_policy_file(read_text(flags.policy, ConfigError), flags.policy.name)
    return read_settings(flags.lock.parent).policy or Policy()
