"""A project as its own files describe it: what it needs, and how it is built."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from packaging.utils import NormalizedName

from deep_lock.events import Warned
from deep_lock.model.build_system import BuildSystem
from deep_lock.model.requirement import Requirement

Named = tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]
"""Lists of requirements under names: extras, dependency groups."""


class Project(Struct, frozen=True, kw_only=True):
    """One project, read from one file (and from files that this one names).

    Every requirement knows where it was written. None of them names the project itself: what it asks of its own extras
    stands in their place, under the markers on the way.
    """

    source: str
    """The file's name, for messages."""
    name: NormalizedName | None = None
    """None for a file that only has dependency groups, and for a script."""
    version: str | None = None
    """None where only the build backend knows it."""
    requires_python: str | None = None
    """A valid specifier set, as written."""
    dependencies: tuple[Requirement, ...] = ()
    extras: Named = ()
    groups: Named = ()
    """PEP 735, with includes expanded in place."""
    broken_groups: tuple[tuple[NormalizedName, str], ...] = ()
    """Groups that cannot be read, with the reason: a fault only for who selects one (PEP 735)."""
    unknown: frozenset[str] = frozenset()
    """Which of "dependencies" and "optional-dependencies" are dynamic, and known to the build backend only (PEP 621)."""
    build_system: BuildSystem | None = None
    """None for a virtual project: nothing is built."""
    build_requires: tuple[Requirement, ...] = ()
    """``build_system.requires`` with their origins."""
    prerelease_names: frozenset[NormalizedName] = frozenset()
    """Names for which the file allows pre-releases (Poetry's allow-prereleases)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The raw ``[tool.deep-lock]`` table."""
    notes: tuple[Warned, ...] = ()
    """What is no fault, and yet worth telling."""
