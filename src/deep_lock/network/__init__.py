"""HTTP and git: all bytes that come from other machines."""

from deep_lock.lazy import load_at_first_use

__all__ = ["client", "git", "public_index", "urls"]

load_at_first_use(__name__, "client", "git", "public_index")
