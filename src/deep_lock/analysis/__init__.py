"""Answers questions about locks from the locks alone: dependencies, differences, findings of a policy."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "advisories",
    "content_changes",
    "content_diff",
    "diff",
    "downloading_packages",
    "graph",
    "installed",
    "merge",
    "merge_check",
    "near_names",
    "policy",
    "policy_rules",
    "updates",
    "verify",
    "vetting",
    "wheel_rules",
]

load_at_first_use(__name__, "near_names", "updates")
load_at_first_use(
    __name__,
    "advisories",
    "content_changes",
    "content_diff",
    "installed",
    "policy",
    "severity",
    "vetting",
    "wheel_rules",
    in_load_all=False,
)
