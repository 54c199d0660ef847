"""The stack of resolution problems: runtime, builds, builds of builds."""

__all__ = ["closure", "model", "version_sharing"]
