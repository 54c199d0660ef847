"""The records of the closure: what to close, what is built, and the finished graph of resolutions."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import Unsatisfiable
from deep_lock.models.build_system import ConfigSettings, Hook, HookAnswer, SdistFacts
from deep_lock.models.conflicts import Choice
from deep_lock.models.distribution import Buildable, Installable, SourceDistribution, source_of
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import BuildRequest, Indexes, Pin, Problem, Resolved
from deep_lock.resolver.catalog import Catalog
from deep_lock.targets.open_markers import TargetPart
from deep_lock.targets.target import Target

Preferences = Mapping[NormalizedName, tuple[Version, ...]]
"""Versions to try first, by project, best first."""
BuiltKey = tuple[NormalizedName, str | None, Hook]
"""Identifies a build on one target: the name; the version of a release, "@" and the source of a direct reference, or None
for the project itself; and the hook."""


class Subject(Struct, frozen=True, kw_only=True):
    """What is built: an sdist, a direct reference, or the project itself (``source`` None)."""

    name: NormalizedName
    version: str | None
    """None where only the backend knows it: of the project, or of a source tree."""
    source: Buildable | None
    facts: SdistFacts
    added: tuple[Requirement, ...] = ()
    """Build requirements that the user adds to the declared ones."""
    config_settings: ConfigSettings = ()
    """What the user passes to its backend, in every call of a hook."""
    unnamed: bool = False
    """Whether only the backend knows the name, and ``name`` is a placeholder."""
    hook: Hook = "wheel"
    """Only the project itself is ever built as "editable"."""

    @property
    def key(self) -> BuiltKey:
        """The key of its build."""
        return (self.name, None, self.hook) if self.source is None else built_key(self.source, self.version)

    @property
    def sdist(self) -> SourceDistribution | None:
        """The sdist of an index, if it is one."""
        return self.source if isinstance(self.source, SourceDistribution) else None

    def __str__(self) -> str:
        editable = " (editable)" if self.hook == "editable" else ""
        return f"{self.name} {self.version or ''}".rstrip() + editable


def built_key(file: Installable, version: object) -> BuiltKey:
    """Return the key that the build of a file has, if it is built."""
    direct = source_of(file)
    return (file.name, f"@{direct}" if direct else str(version), "wheel")


def key_of_pin(pin: Pin) -> BuiltKey:
    """Return the key that the build of a pin has, if it is built."""
    return built_key(pin.distribution, pin.version)


class Built(Struct, frozen=True, kw_only=True):
    """One subject on one target: its build environment in both stages, and the hook's answer."""

    subject: Subject
    target: Target
    answer: HookAnswer
    declared: Resolved
    """The environment of the declared build requirements, in which the hook is called."""
    final: Resolved
    """The environment with the hook's requirements."""


Builds = Mapping[BuiltKey, Built]
"""Everything that was closed on one target so far: how each sdist in an environment is built."""


class HookElsewhere(Struct, frozen=True, kw_only=True):
    """The hook can only be called on another target, in the build environment there."""

    target: Target
    fallback: HookAnswer
    """The answer unless the hook gives a better one there."""


class Sources(Catalog, Protocol):
    """The Catalog, and everything about builds."""

    def for_problem(self, problem: Problem) -> Catalog:
        """Return the Catalog of a problem: some projects may have another index there."""

    def inspect(self, source: Buildable) -> Subject:
        """Return what is built, with its static facts. Raises IndexFault or SafetyError."""

    def build_requirements(
        self, subject: Subject, environment: Resolved, target: Target, builds: Builds
    ) -> HookAnswer | HookElsewhere:
        """Return what the backend requires beyond the declared requirements, in this environment of those.

        Raises IndexFault or SafetyError.
        """

    def learn_metadata(self, request: BuildRequest, built: Built | None, builds: Builds) -> None:
        """Have the backend make the metadata of a release in its build environment, and remember them.

        They are assumed where the backend fails, or where there is no environment (``built`` None).
        """


class OpenMarker(Struct, frozen=True, kw_only=True):
    """A requirement of the closure whose marker holds on a part of a target only."""

    target: Target
    subject: str
    """What has the requirement: a release, or the place where it is written."""
    requirement: Requirement
    part: TargetPart
    """The part of the target on which it applies."""
    locked: bool
    """Whether it is locked for that part; else the lock is for the part only that the newest micro version is in."""
    applies: bool
    """Whether it applies on the newest micro version."""


class Closure(Struct, frozen=True, kw_only=True):
    """The finished graph of resolutions."""

    runtime: tuple[tuple[Target, Resolved], ...]
    """One for each problem of the plan, in the same order, less those of excluded targets."""
    builds: tuple[Built, ...]
    """The project's own editable build is among them only where its hook requires something else than for a wheel."""
    editable_unknown: tuple[str, ...] = ()
    """Why the project's editable build is not known, where it should be."""
    open_markers: tuple[OpenMarker, ...] = ()
    excluded: Mapping[Target, Unsatisfiable] = field(default_factory=dict)
    """The targets without a solution, and why, if they may be left out, or if files for other targets are the cause."""
    divided: frozenset[Target] = frozenset()
    """The targets with pins for a part of them: their problems were solved with ``apply_open``."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the targets, in their order."""
        return tuple(dict.fromkeys(target.label for target, _ in self.runtime))


class Plan(Struct, frozen=True, kw_only=True):
    """What to close: the runtime problems, and the project's own build where it has one."""

    runtime: tuple[Problem, ...]
    """In the order of the targets; those of one target, one for each choice of a project with conflicts, are together."""
    project: Subject | None = None
    build_constraints: tuple[Requirement, ...] = ()
    observe_all: bool = False
    """Call hooks also where a rule proves the answer. For `Sources`, as are the next two."""
    extra_build_requires: Mapping[NormalizedName, tuple[Requirement, ...]] = field(default_factory=dict)
    """What the user adds to the declared build requirements of each sdist of a project."""
    config_settings: Mapping[NormalizedName, ConfigSettings] = field(default_factory=dict)
    """What the user passes to the backend of each project."""
    share: bool = True
    """Prefer pins already made in build environments, so that one version serves as many as can share it."""
    share_runtime: bool = False
    """Prefer one version for all targets at run time to the newest one for each."""
    runtime_hints: Mapping[tuple[str, Choice], Preferences] = field(default_factory=dict)
    """Pins of the previous lock by target label and choice."""
    build_hints: Mapping[tuple[str, str, Hook], Preferences] = field(default_factory=dict)
    """Pins of the previous lock by (target label, name of what is built, hook)."""
    build_moves: Preferences = field(default_factory=dict)
    """Versions of -P NAME==VERSION for builds that the previous lock does not have."""
    build_indexes: Mapping[str, Indexes] = field(default_factory=dict)
    """By target label, the indexes of the problems of builds."""
    may_leave_out: bool = False
    """Whether a target without a solution is left out: then the others are closed."""
    shared: Mapping[str, Preferences] = field(default_factory=dict)
    """By target label, versions that suit the most environments there: found by an earlier pass (`version_sharing`)."""
