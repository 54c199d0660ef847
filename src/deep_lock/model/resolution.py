"""The one small problem that is asked many times: (requirements, target) to pins."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.model.distribution import Distribution, SourceDistribution
from deep_lock.model.requirement import Requirement
from deep_lock.model.target import Target

ALL = ":all:"

Prereleases = Literal["if-necessary", "allow", "disallow"]
ResolutionMode = Literal["highest", "lowest", "lowest-direct"]
BuildScope = Literal["needed", "all", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The user's rules for which releases and files may be chosen. One for the whole run."""

    resolution: ResolutionMode = "highest"
    prereleases: Prereleases = "if-necessary"
    prerelease_names: frozenset[str] = frozenset()
    """Projects whose pre-releases are as good as final releases."""
    exclude_newer: datetime | None = None
    exclude_newer_package: tuple[tuple[NormalizedName, datetime | None], ...] = ()
    """Per package: its own limit, or None for no limit."""
    no_binary: frozenset[str] = frozenset()
    """Normalized names, or ALL."""
    only_binary: frozenset[str] = frozenset()
    build_scope: BuildScope = "needed"
    allow_wheel: frozenset[str] = frozenset()
    """Names that may come as wheels although the scope is "all"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One release on one target, with the file that the target would take (resolvelib's word)."""

    name: NormalizedName
    version: Version
    distribution: Distribution


@dataclass(frozen=True, kw_only=True, slots=True)
class Purpose:
    """What a problem is for: the runtime closure, or the build of a release."""

    kind: Literal["runtime", "build"]
    name: str = ""
    version: str = ""

    def __str__(self) -> str:
        return "runtime" if self.kind == "runtime" else f"build of {self.name} {self.version}".rstrip()


RUNTIME = Purpose(kind="runtime")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Requirements to be met together on one target."""

    requirements: tuple[Requirement, ...]
    target: Target
    purpose: Purpose = RUNTIME
    constraints: tuple[Requirement, ...] = ()
    """Narrow a name if it is needed; never bring it in."""
    overrides: tuple[Requirement, ...] = ()
    """Replace every requirement on their name, whoever asks."""
    preferences: tuple[tuple[NormalizedName, tuple[Version, ...]], ...] = ()
    """Versions to try first, best first: earlier pins."""
    excluded: frozenset[tuple[NormalizedName, Version]] = frozenset()
    """Candidates that cannot be used here: on the chain of builds that is under way."""
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One decision: this release, by this file, on the problem's target."""

    name: NormalizedName
    version: Version
    distribution: Distribution
    extras: frozenset[NormalizedName] = frozenset()
    """The extras of it that somebody asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """Who asked for what: ``parent`` None is the problem itself."""

    parent: NormalizedName | None
    parent_extra: NormalizedName | None
    child: NormalizedName
    requirement: Requirement


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """What only a build backend can answer: the metadata of this sdist on this target."""

    name: NormalizedName
    version: Version
    sdist: SourceDistribution
    target: Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One requirement that took part in a collision, with who asked for it ("" is the project)."""

    requirement: Requirement
    parent: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """Every requirement of every pin is met by exactly one pin. Pins and edges are sorted."""

    pins: tuple[Pin, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """The resolver stops: it lacks this. Answer, remember, and ask the same problem again."""

    request: BuildRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Impossible:
    """No answer. ``explanation`` is the story in plain sentences; ``causes`` are the requirements that collide."""

    causes: tuple[Cause, ...]
    explanation: str


Outcome = Resolved | Blocked | Impossible
