"""The use case: from a project to its lock."""

from deep_lock.lazy import load_at_first_use

__all__ = ["clients", "indexes", "lock", "policies", "read_inputs", "recorded_inputs", "selected_scopes", "settings"]

load_at_first_use(
    __name__,
    "conditional_indexes",
    "excluding_scopes",
    "file_options",
    "indexes",
    "project_build",
    "resolve",
    "user_hashes",
    "warnings",
)
load_at_first_use(
    __name__, "compared_wheels", "identities", "imported_lock", "policies", "recorded_inputs", in_load_all=False
)
