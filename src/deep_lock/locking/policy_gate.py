"""The policy of the configuration, checked before a lock counts as up to date."""

from pathlib import Path

from deep_lock.analysis.policy import evaluate
from deep_lock.config.options import RunContext
from deep_lock.errors import PolicyBroken
from deep_lock.locking.policies import cached_policy, complete_policy
from deep_lock.models.lock import Lock
from deep_lock.models.policy import Policy
from deep_lock.reports.findings import finding_line

MAX_SHOWN = 25


def check_policy(lock: Lock, policy: Policy, name: str, *, folder: Path, context: RunContext) -> None:
    """Raise PolicyBroken with every error that the policy finds in the lock; ``name`` is its name in the message.

    ``folder`` is that of the policy. No request is made: a policy of a URL must be in the cache, or NotCached is raised.
    """
    policy = complete_policy(policy, folder, cached_policy(context))
    errors = [
        finding_line(finding) for finding in evaluate(lock, policy, now=context.now) if finding.severity == "error"
    ]
    if errors:
        more = [f"and {len(errors) - MAX_SHOWN} more"] if len(errors) > MAX_SHOWN else []
        raise PolicyBroken(
            f"{name} breaks the policy:\n" + "\n".join(f"  {line}" for line in [*errors[:MAX_SHOWN], *more]),
            hint="deep-lock policy shows all findings",
        )
