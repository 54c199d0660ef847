"""The sandbox that build hooks run in."""

from deep_lock.lazy import load_at_first_use

__all__ = ["run", "sandbox"]

load_at_first_use(__name__, "sandbox", in_load_all=False)
