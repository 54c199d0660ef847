"""Build hooks of source distributions (PEP 517, PEP 660): their environments, their sandbox, and what they return."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "backend_answers",
    "context",
    "hooks",
    "host",
    "installed",
    "interpreters",
    "sandbox",
    "temp_dirs",
    "unpack",
    "virtual_environment",
    "wheel_receipt",
]

# `host` adds them to load_all where a hook may run
load_at_first_use(
    __name__,
    "hooks",
    "installed",
    "interpreters",
    "temp_dirs",
    "unpack",
    "virtual_environment",
    "wheel_receipt",
    in_load_all=False,
)
