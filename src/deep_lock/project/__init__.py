"""Input files of the user: project files, requirements files, scripts."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "bounds",
    "checkout",
    "dependency_groups",
    "discovery",
    "edit",
    "extra_markers",
    "files",
    "folder_config",
    "local_trees",
    "poetry",
    "project",
    "pyproject",
    "requirement_lists",
    "requirements_txt",
    "script",
    "setuptools",
    "vetting_files",
    "vetting_imports",
    "workspace",
]

load_at_first_use(__name__, "extra_markers", "poetry", "requirements_txt", "script", "setuptools")
load_at_first_use(
    __name__, "discovery", "edit", "requirement_lists", "vetting_files", "vetting_imports", in_load_all=False
)
