"""The one small problem that is asked many times: (requirements, target) to pins."""

from datetime import datetime
from typing import Literal

from msgspec import Struct, field
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.distribution import Buildable, Installable
from deep_lock.models.requirement import Requirement
from deep_lock.targets.target import Target

ALL = ":all:"
UNKNOWN_VERSION = Version("0")
"""Of a source tree whose version nobody could tell."""

Prereleases = Literal["if-necessary", "allow", "disallow"]
ResolutionMode = Literal["highest", "lowest", "lowest-direct"]
BuildScope = Literal["needed", "all", "none"]


class Selection(Struct, frozen=True, kw_only=True):
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


class Candidate(Struct, frozen=True, kw_only=True):
    """One release on one target, with the file that the target would take (resolvelib's word)."""

    name: NormalizedName
    version: Version
    distribution: Installable


class Purpose(Struct, frozen=True, kw_only=True):
    """What a problem is for: the runtime closure, or the build of a release."""

    kind: Literal["runtime", "build"]
    name: str = ""
    version: str = ""

    def __str__(self) -> str:
        return "runtime" if self.kind == "runtime" else f"build of {self.name} {self.version}".rstrip()


RUNTIME = Purpose(kind="runtime")


class FixedPins(Struct, frozen=True, kw_only=True):
    """A pin that another tool's lock decided, as a requirement on exactly this: ``==`` its version, or a URL."""

    requirement: Requirement
    version: Version | None
    """None of a direct reference, where the lock does not say it."""
    direct: bool = False
    """Whether the project itself asks for it, as far as that lock tells."""


class Problem(Struct, frozen=True, kw_only=True):
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
    given: tuple[FixedPins, ...] | None = None
    """The answer, where another tool's lock decided it: these pins, and no others."""


class Pin(Struct, frozen=True, kw_only=True):
    """One decision: this release, by this file, on the problem's target."""

    name: NormalizedName
    version: Version
    distribution: Installable
    extras: frozenset[NormalizedName] = frozenset()
    """The extras of it that somebody asked for."""


class Edge(Struct, frozen=True, kw_only=True):
    """Who asked for what: ``parent`` None is the problem itself."""

    parent: NormalizedName | None
    parent_extra: NormalizedName | None
    child: NormalizedName
    requirement: Requirement


class BuildRequest(Struct, frozen=True, kw_only=True):
    """What only a build backend can answer: the metadata of this source on this target."""

    name: NormalizedName
    version: Version
    """UNKNOWN_VERSION where the backend is to tell it, too: of a tree whose version is dynamic."""
    source: Buildable
    target: Target


class Resolved(Struct, frozen=True, kw_only=True):
    """Every requirement of every pin is met by exactly one pin. Pins and edges are sorted."""

    pins: tuple[Pin, ...]
    edges: tuple[Edge, ...]


class Blocked(Struct, frozen=True, kw_only=True):
    """The resolver stops: it lacks this. Answer, remember, and ask the same problem again."""

    request: BuildRequest


class Impossible(Struct, frozen=True, kw_only=True):
    """No answer. ``explanation`` names the requirements that conflict, in plain sentences."""

    explanation: str


Outcome = Resolved | Blocked | Impossible
