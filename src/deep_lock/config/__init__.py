"""Settings: the options of one run, and `[tool.deep-lock]`."""

__all__ = ["config", "exclude_newer", "options", "policy"]
