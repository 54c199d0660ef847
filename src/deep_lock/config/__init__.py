"""Settings: the options of one run, and `[tool.deep-lock]`."""

from deep_lock.lazy import load_at_first_use

__all__ = ["audit", "config", "declared_indexes", "exclude_newer", "options", "policy"]

load_at_first_use(__name__, "audit", in_load_all=False)
