"""The problem that is solved for each target and each build: (requirements, target) to pins."""

from datetime import datetime
from typing import Literal

from msgspec import Struct, field
from packaging.markers import Marker
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import ConflictCause
from deep_lock.models.conflicts import Choice
from deep_lock.models.distribution import Buildable, Installable
from deep_lock.models.requirement import Requirement
from deep_lock.targets.markers import Scope
from deep_lock.targets.target import Target

ALL = ":all:"
UNKNOWN_VERSION = Version("0")
"""Of a source tree whose version is not known."""

Prereleases = Literal["if-necessary", "allow", "disallow"]
ResolutionMode = Literal["highest", "lowest", "lowest-direct"]
AttestationsMode = Literal["off", "record", "verify"]
"""Whether the publishers that an index attests are recorded (PEP 740), and whether the attestations are verified before."""
BuildScope = Literal["needed", "all", "none"]

Indexes = tuple[tuple[NormalizedName, str], ...]
"""The URL of the only index of a project, sorted; "" where it comes from the indexes of every other project."""


class ConditionalIndex(Struct, frozen=True, kw_only=True):
    """An index that is the only one of a project where its conditions hold (see ConditionalSource)."""

    url: str
    marker: Marker | None
    scope: Scope | None


RequirementScope = tuple[Scope, tuple[Requirement, ...]]
"""One scope of the project with its requirements."""


class Selection(Struct, frozen=True, kw_only=True):
    """The user's rules for the releases and files that may be chosen; the same for the whole run."""

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
    """Names whose wheels may be used although the scope is "all"."""


class Candidate(Struct, frozen=True, kw_only=True):
    """One release on one target, with the file that the target would use (as resolvelib calls it)."""

    name: NormalizedName
    version: Version
    distribution: Installable


class Purpose(Struct, frozen=True, kw_only=True):
    """The purpose of a problem: the runtime packages, or the build of a release."""

    kind: Literal["runtime", "build"]
    name: str = ""
    version: str = ""

    def __str__(self) -> str:
        return "runtime" if self.kind == "runtime" else f"build of {self.name} {self.version}".rstrip()


RUNTIME = Purpose(kind="runtime")


class FixedPins(Struct, frozen=True, kw_only=True):
    """A pin of another tool's lock, as an exact requirement: ``==`` its version, or a URL."""

    requirement: Requirement
    version: Version | None
    """None of a direct reference if the lock does not have it."""
    direct: bool = False
    """Whether the project itself requires it, as far as that lock has it."""


class Problem(Struct, frozen=True, kw_only=True):
    """Requirements to satisfy together on one target."""

    requirements: tuple[Requirement, ...]
    target: Target
    purpose: Purpose = RUNTIME
    choice: Choice = frozenset()
    """Of a runtime problem of a project with conflicts: the conflicting scopes whose requirements are among these."""
    constraints: tuple[Requirement, ...] = ()
    """Restrict a name if it is required; they do not require it."""
    overrides: tuple[Requirement, ...] = ()
    """Replace every requirement on their name."""
    preferences: tuple[tuple[NormalizedName, tuple[Version, ...]], ...] = ()
    """Versions to try first, best first: earlier pins."""
    indexes: Indexes = ()
    """Of the projects whose index depends on the target or the choice. For a `Catalog`."""
    excluded: frozenset[tuple[NormalizedName, Version]] = frozenset()
    """Candidates that cannot be used: they are on the current chain of builds."""
    selection: Selection = field(default_factory=Selection)
    apply_open: bool = False
    """Whether a requirement applies whose marker holds on a part of the target: else its newest micro version decides."""
    fixed_pins: tuple[FixedPins, ...] | None = None
    """The pins of another tool's lock: the only ones that may be chosen."""


class Pin(Struct, frozen=True, kw_only=True):
    """One decision: this release, by this file, on the problem's target."""

    name: NormalizedName
    version: Version
    distribution: Installable
    extras: frozenset[NormalizedName] = frozenset()
    """The extras of it that are required."""


class Edge(Struct, frozen=True, kw_only=True):
    """A requirement of a pin on another: ``parent`` None is the problem itself."""

    parent: NormalizedName | None
    parent_extra: NormalizedName | None
    child: NormalizedName
    requirement: Requirement


class BuildRequest(Struct, frozen=True, kw_only=True):
    """The metadata of a source on a target, which only its build backend knows."""

    name: NormalizedName
    version: Version
    """UNKNOWN_VERSION of a tree whose version is dynamic: the backend has to state it too."""
    source: Buildable
    target: Target


class Resolved(Struct, frozen=True, kw_only=True):
    """Exactly one pin satisfies each requirement of each pin. Pins and edges are sorted."""

    pins: tuple[Pin, ...]
    edges: tuple[Edge, ...]


class Blocked(Struct, frozen=True, kw_only=True):
    """The resolver stops: it needs this answer to solve the problem, which is then resolved again."""

    request: BuildRequest


class Impossible(Struct, frozen=True, kw_only=True):
    """No answer. ``explanation`` names the requirements that conflict, in plain sentences."""

    explanation: str
    is_unsafe: bool = False
    """Whether a release that could be an answer is refused because of its contents."""
    nowhere: tuple[str, ...] = ()
    """Projects of the conflict that no index has."""
    cause: ConflictCause = "release"


Outcome = Resolved | Blocked | Impossible
