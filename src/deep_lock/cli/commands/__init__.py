"""The commands, one module each."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "audit",
    "cache",
    "deepen",
    "diff",
    "doctor",
    "edit",
    "export",
    "fetch",
    "fleet",
    "git",
    "init",
    "lock",
    "outdated",
    "policy",
    "report",
    "show_help",
    "verify",
    "vet",
    "wheelhouse",
    "why",
]

load_at_first_use(__name__, *__all__, in_load_all=False)
