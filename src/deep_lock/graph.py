"""The nouns of the closure: what is to be closed, what is built, and the finished graph of resolutions."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.model.build_system import HookAnswer, SdistFacts
from deep_lock.model.distribution import SourceDistribution
from deep_lock.model.requirement import Requirement
from deep_lock.model.resolution import BuildRequest, Problem, Resolved
from deep_lock.model.target import Target
from deep_lock.resolve.catalog import Catalog

Preferences = Mapping[NormalizedName, tuple[Version, ...]]


class Sources(Catalog, Protocol):
    """The Catalog, and what is known of source distributions."""

    def facts(self, sdist: SourceDistribution) -> SdistFacts:
        """Return what the sdist says of itself. Raises IndexFault or SafetyError."""

    def answer(self, facts: SdistFacts, environment: Resolved, target: Target) -> HookAnswer:
        """Return what the backend, in this environment, asks for on top."""

    def assume(self, request: BuildRequest) -> None:
        """Remember the best guess at metadata that only a backend knows, and warn."""


class Subject(Struct, frozen=True, kw_only=True):
    """What is built: an sdist, or the project itself (``sdist`` None)."""

    name: NormalizedName
    version: str | None
    sdist: SourceDistribution | None
    facts: SdistFacts
    added: tuple[Requirement, ...] = ()
    """What the user says its build needs beyond what it declares."""


class Built(Struct, frozen=True, kw_only=True):
    """One subject on one target: its build environment in both stages, and how the hook's answer is known."""

    subject: Subject
    target: Target
    answer: HookAnswer
    declared: Resolved
    final: Resolved


class Closure(Struct, frozen=True, kw_only=True):
    """The finished graph of resolutions."""

    runtime: tuple[tuple[Target, Resolved], ...]
    builds: tuple[Built, ...]


class Plan(Struct, frozen=True, kw_only=True):
    """What to close: one runtime problem a target, in order, and the project's own build where it has one."""

    runtime: tuple[Problem, ...]
    project: Subject | None = None
    build_constraints: tuple[Requirement, ...] = ()
    extra_build_requires: Mapping[NormalizedName, tuple[Requirement, ...]] = field(default_factory=dict)
    """What the user adds to the declared build requirements of each sdist of a project."""
    share: bool = True
    """Prefer pins already made in build environments, so that one version serves as many as can share it."""
    runtime_hints: Mapping[str, Preferences] = field(default_factory=dict)
    """Earlier pins by target label."""
    build_hints: Mapping[tuple[str, str], Preferences] = field(default_factory=dict)
    """Earlier pins by (target label, name of what is built)."""
    shared: Mapping[str, Preferences] = field(default_factory=dict)
    """By target label, versions that suit the most environments there: found by an earlier pass (sharing.py)."""
