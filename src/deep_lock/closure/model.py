"""The nouns of the closure: what is to be closed, what is built, and the finished graph of resolutions."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.build_system import ConfigSettings, Hook, HookAnswer, SdistFacts
from deep_lock.models.distribution import Buildable, SourceDistribution, source_of
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import BuildRequest, Pin, Problem, Resolved
from deep_lock.resolver.catalog import Catalog
from deep_lock.targets.target import Target

Preferences = Mapping[NormalizedName, tuple[Version, ...]]
BuiltKey = tuple[NormalizedName, str | None, Hook]
"""What is built on one target: a release by its version, a direct reference by "@" and where it leads, the project
itself (None); and as what."""


class Subject(Struct, frozen=True, kw_only=True):
    """What is built: an sdist, what a direct reference names, or the project itself (``source`` None)."""

    name: NormalizedName
    version: str | None
    """None where only the backend knows it: of the project, or of a source tree."""
    source: Buildable | None
    facts: SdistFacts
    added: tuple[Requirement, ...] = ()
    """What the user says its build needs beyond what it declares."""
    config_settings: ConfigSettings = ()
    """What the user tells its backend, in every call of a hook."""
    unnamed: bool = False
    """Whether only its backend knows its name, and ``name`` stands for it."""
    hook: Hook = "wheel"
    """As what it is built: only the project itself is ever installed in editable mode."""

    @property
    def key(self) -> BuiltKey:
        """What it is called among all that is built on a target."""
        return built_key(self.name, self.version, self.source, self.hook)

    @property
    def sdist(self) -> SourceDistribution | None:
        """The sdist of an index, if it is one."""
        return self.source if isinstance(self.source, SourceDistribution) else None


def built_key(name: NormalizedName, version: str | None, source: Buildable | None, hook: Hook = "wheel") -> BuiltKey:
    """Return what a build is called."""
    place = source_of(source) if source is not None else ""
    return (name, f"@{place}" if place else version if source is not None else None, hook)


def key_of_pin(pin: Pin) -> BuiltKey:
    """Return what the build of a pin would be called."""
    place = source_of(pin.distribution)
    return (pin.name, f"@{place}" if place else str(pin.version), "wheel")


class Built(Struct, frozen=True, kw_only=True):
    """One subject on one target: its build environment in both stages, and how the hook's answer is known."""

    subject: Subject
    target: Target
    answer: HookAnswer
    declared: Resolved
    final: Resolved


class Sources(Catalog, Protocol):
    """The Catalog, what is known of source distributions, and what their backends may be asked."""

    def subject(self, source: Buildable) -> Subject:
        """Return what is to be built, with what it says of itself. Raises IndexFault or SafetyError."""

    def proven(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer:
        """Return what the backend asks for on top as far as a rule proves it; else ``assumed``."""

    def place(self, name: NormalizedName, target: Target) -> Target | None:
        """Return the target on which a backend may be asked on behalf of another; None where it may not."""

    def ask(
        self, subject: Subject, environment: Resolved, target: Target, made: Mapping[BuiltKey, Built]
    ) -> HookAnswer:
        """Ask the backend in this environment. ``made`` tells how the sdists in it are built."""

    def kept(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer | None:
        """Return what an earlier lock recorded as observed, where the sdist and the declared releases are the same."""

    def observe(self, built: Built, made: Mapping[BuiltKey, Built]) -> None:
        """Ask for the metadata of a release in its build environment, and remember it; where that fails, assume it."""

    def assume(self, request: BuildRequest) -> None:
        """Remember the best guess at metadata that only a backend knows, and warn."""


class Closure(Struct, frozen=True, kw_only=True):
    """The finished graph of resolutions."""

    runtime: tuple[tuple[Target, Resolved], ...]
    builds: tuple[Built, ...]
    """The project's own editable build is among them only where its hook asks for something else than for a wheel."""
    editable_unknown: tuple[str, ...] = ()
    """Why the project's editable build is not known, where it should be."""


class Plan(Struct, frozen=True, kw_only=True):
    """What to close: one runtime problem a target, in order, and the project's own build where it has one."""

    runtime: tuple[Problem, ...]
    project: Subject | None = None
    build_constraints: tuple[Requirement, ...] = ()
    observe_all: bool = False
    """Ask backends also where a rule proves what they would answer."""
    extra_build_requires: Mapping[NormalizedName, tuple[Requirement, ...]] = field(default_factory=dict)
    """What the user adds to the declared build requirements of each sdist of a project."""
    config_settings: Mapping[NormalizedName, ConfigSettings] = field(default_factory=dict)
    """What the user tells the backend of each project."""
    share: bool = True
    """Prefer pins already made in build environments, so that one version serves as many as can share it."""
    runtime_hints: Mapping[str, Preferences] = field(default_factory=dict)
    """Earlier pins by target label."""
    build_hints: Mapping[tuple[str, str, Hook], Preferences] = field(default_factory=dict)
    """Earlier pins by (target label, name of what is built, as what)."""
    build_moves: Preferences = field(default_factory=dict)
    """What -P NAME==VERSION wants in builds of which no earlier lock tells."""
    shared: Mapping[str, Preferences] = field(default_factory=dict)
    """By target label, versions that suit the most environments there: found by an earlier pass (sharing.py)."""
