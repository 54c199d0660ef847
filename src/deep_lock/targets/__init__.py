"""Targets: a Python version and a platform, their tags and their markers."""

from deep_lock.lazy import load_at_first_use

__all__ = ["factory", "marker_negation", "markers", "open_markers", "platforms", "short_form", "target"]

load_at_first_use(__name__, "factory")
