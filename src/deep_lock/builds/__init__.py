"""Build hooks of source distributions (PEP 517, PEP 660): their environments, their sandbox, and what they return."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "backend_answers",
    "context",
    "environment",
    "hooks",
    "host",
    "interpreters",
    "sandbox",
    "temp_dirs",
    "unpack",
]

load_at_first_use(__name__, "environment", "hooks", "interpreters", "temp_dirs", "unpack")
