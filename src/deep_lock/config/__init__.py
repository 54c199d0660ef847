"""Settings: the options of one run, and `[tool.deep-lock]`."""

__all__ = ["config", "declared_indexes", "exclude_newer", "options", "policy"]
