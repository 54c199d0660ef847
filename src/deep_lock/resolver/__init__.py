"""One resolution: requirements and a target to pins, through the Catalog protocol."""

from deep_lock.lazy import load_at_first_use

__all__ = ["candidates", "catalog", "dependencies", "fixed_pins", "resolver"]

load_at_first_use(__name__, "explain", "fixed_pins", "search")
