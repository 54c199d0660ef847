"""The project that a misspelt name may mean."""

from collections.abc import Collection

from packaging.utils import canonicalize_name

from deep_lock.analysis.popular_projects import KNOWN_NAMES
from deep_lock.sdist import missing_modules
from deep_lock.suggestions import nearest

CLOSENESS = 0.75
"""Of difflib: "djnago" and "django" have 0.83, "nowhere" and "other" 0.67."""
MAX_LENGTH = 100
"""Of longer names no near one is searched: the time grows with the square of the length."""


def near_name(name: str, known: Collection[str]) -> str:
    """Return a question with the nearest of the known names, as a hint; "" where none is near."""
    near = nearest(name, sorted(known), CLOSENESS) if len(name) <= MAX_LENGTH else ""
    return f"did you mean {near}?" if near else ""


def near_project(name: str, locked: Collection[str]) -> str:
    """Return a question with the project that a name which no index has may mean: of those, or a popular one.

    A name that is one of them is not misspelt. ``locked`` are the names of the project and of its previous lock: they come
    before popular ones.
    """
    if name in locked or name in KNOWN_NAMES:
        return ""
    project = missing_modules.project_of_import(canonicalize_name(name))
    return f"did you mean {project}?" if project else near_name(name, locked) or near_name(name, KNOWN_NAMES)
