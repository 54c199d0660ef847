"""Questions about locks, answered from the locks alone: what depends on what, what differs, what breaks a policy."""

from deep_lock.lazy import load_at_first_use

__all__ = ["diff", "graph", "merge", "policy", "updates", "verify"]

load_at_first_use(__name__, "policy", "updates")
