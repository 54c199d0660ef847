"""The policy of the configuration, held against a lock before it counts as up to date."""

from datetime import datetime

from deep_lock.analysis.policy import evaluate
from deep_lock.errors import PolicyBroken
from deep_lock.models.lock import Lock
from deep_lock.models.policy import Policy
from deep_lock.reports.findings import finding_line

MAX_TOLD = 25


def hold(lock: Lock, policy: Policy, name: str, *, now: datetime) -> None:
    """Raise PolicyBroken, with every error that the policy finds in the lock; ``name`` is what the lock is called."""
    errors = [finding for finding in evaluate(lock, policy, now=now) if finding.severity == "error"]
    if errors:
        told = [finding_line(finding) for finding in errors[:MAX_TOLD]]
        if len(errors) > MAX_TOLD:
            told.append(f"and {len(errors) - MAX_TOLD} more")
        raise PolicyBroken(
            f"{name} breaks the policy:\n" + "\n".join(f"  {text}" for text in told),
            hint="deep-lock policy shows all findings",
        )
