"""The stack of resolution problems: runtime, builds, builds of builds."""

__all__ = ["closure", "model", "scopes", "version_sharing"]
