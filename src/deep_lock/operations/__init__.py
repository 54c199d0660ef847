"""One module for the work of each command."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "accept",
    "audit",
    "diff",
    "edit",
    "export",
    "fetch",
    "git",
    "init",
    "merge",
    "outdated",
    "policy",
    "raise_bounds",
    "report",
    "save_import",
    "verify",
    "verify_installed",
    "wheel_contents",
    "wheelhouse",
    "why",
]

load_at_first_use(
    __name__,
    "accept",
    "advisory_sources",
    "audit",
    "diff",
    "edit",
    "export",
    "fetch",
    "git",
    "init",
    "merge",
    "outdated",
    "policy",
    "raise_bounds",
    "report",
    "save_import",
    "verify",
    "verify_installed",
    "wheelhouse",
    "why",
    in_load_all=False,
)
