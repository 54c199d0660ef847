"""Targets: a Python version and a platform, their tags and their markers."""

from deep_lock.lazy import load_at_first_use

__all__ = ["factory", "marker_negation", "markers", "open_markers", "platforms", "target"]

load_at_first_use(__name__, "factory")
