"""One module for the work of each command."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "diff",
    "edit",
    "export",
    "fetch",
    "git",
    "merge",
    "outdated",
    "policy",
    "report",
    "verify",
    "wheelhouse",
    "why",
]

load_at_first_use(__name__, "policy")

load_at_first_use(
    __name__,
    "diff",
    "edit",
    "export",
    "fetch",
    "git",
    "merge",
    "outdated",
    "report",
    "verify",
    "wheelhouse",
    "why",
    in_load_all=False,
)
