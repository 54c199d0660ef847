"""Records that all packages share. No I/O."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "advisory",
    "build_system",
    "changes",
    "conflicts",
    "contents",
    "direct_url",
    "distribution",
    "foreign_lock",
    "installed",
    "licenses",
    "lock",
    "metadata",
    "policy",
    "provenance",
    "receipt",
    "requirement",
    "resolution",
    "vetting",
    "workspace",
]

load_at_first_use(__name__, "advisory", "contents", "licenses", "vetting", in_load_all=False)
