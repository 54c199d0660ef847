"""Many repositories: what must run, the workers that run it, the journal of their results, and what is delivered."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "answers",
    "delivery",
    "engine",
    "journal",
    "plan",
    "query",
    "questions",
    "records",
    "remote_builds",
    "repositories",
    "run",
    "view",
    "vulnerable",
    "worker",
]

load_at_first_use(
    __name__,
    "answers",
    "cluster",
    "delivery",
    "engine",
    "journal",
    "metrics",
    "page",
    "plan",
    "query",
    "remote_builds",
    "repositories",
    "run",
    "update",
    "view",
    "vulnerable",
    "worker",
    in_load_all=False,
)
