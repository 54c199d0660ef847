"""One rule for each build backend: the result of its hook, if it can be proven without running the hook."""

from deep_lock.lazy import load_at_first_use

__all__ = ["answer", "rule", "setuptools"]

load_at_first_use(__name__, "answer")
