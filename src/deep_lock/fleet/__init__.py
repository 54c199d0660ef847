"""Many repositories: what must run, the workers that run it, the journal of their results, and what is delivered."""

from deep_lock.lazy import load_at_first_use

__all__ = ["delivery", "engine", "plan", "records", "repositories", "run", "worker"]

load_at_first_use(__name__, "cluster", "delivery", "engine", "plan", "repositories", "run", "worker", in_load_all=False)
