"""Source distributions, read without running them."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "archive_tree",
    "backends",
    "decompress",
    "facts",
    "member_rules",
    "missing_modules",
    "project_tree",
    "pyproject",
    "setup_imports",
    "source_tree",
    "tar_members",
    "zip_members",
]

load_at_first_use(
    __name__,
    "facts",
    "missing_modules",
    "poetry",
    "project_tree",
    "pyproject",
    "setup_cfg",
    "setup_imports",
    "setup_py",
    "source_tree",
)
load_at_first_use(__name__, "archive_tree", in_load_all=False)
