"""One rule for each build backend: what its hook returns, as far as that can be proven without running it."""

from deep_lock.lazy import load_at_first_use

__all__ = ["answer", "rule", "setuptools"]

load_at_first_use(__name__, "answer")
