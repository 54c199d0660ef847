"""Source distributions, read without running them."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "backends",
    "decompress",
    "facts",
    "member_rules",
    "project_tree",
    "pyproject",
    "source_tree",
    "tar_members",
    "zip_members",
]

load_at_first_use(__name__, "facts", "poetry", "project_tree", "pyproject", "setup_cfg", "setup_py", "source_tree")
