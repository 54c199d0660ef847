"""Records that all packages share. No I/O."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "advisory",
    "build_system",
    "changes",
    "conflicts",
    "direct_url",
    "distribution",
    "downloading_packages",
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
    "workspace",
]

load_at_first_use(__name__, "advisory", "licenses", in_load_all=False)
