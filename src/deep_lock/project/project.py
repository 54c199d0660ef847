"""A project as its own files describe it: what it needs, and how it is built."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import and_
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.markers import Marker
from packaging.utils import NormalizedName

from deep_lock.errors import LimitExceeded
from deep_lock.events import Warned
from deep_lock.models.build_system import BuildSystem
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing.build_system import DEFAULT_BUILD_SYSTEM
from deep_lock.parsing.requirements import check_count, parse_requirement
from deep_lock.project import extra_markers
from deep_lock.targets.markers import BASE, Scope

Named = tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]
"""Lists of requirements under names: extras, dependency groups."""


class Project(Struct, frozen=True, kw_only=True):
    """One project, read from one file (and from files that this one names).

    Every requirement knows where it was written. Where nothing is ``unknown``, none of them names the project itself: a
    requirement on its own extras is replaced by what they require, under the markers on the way.
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
    """Groups that cannot be read, with the reason: a fault only where one is selected (PEP 735)."""
    included_groups: tuple[tuple[NormalizedName, tuple[NormalizedName, ...]], ...] = ()
    """For each group that includes others these, at any depth."""
    own_extras: Mapping[Scope, frozenset[Scope]] = field(default_factory=dict)
    """By part of the project, the extras of the project that it requires: their requirements are among its own."""
    unknown: frozenset[str] = frozenset()
    """Which of "dependencies" and "optional-dependencies" are dynamic, and known to the build backend only (PEP 621)."""
    build_system: BuildSystem | None = None
    """None for a virtual project: nothing is built."""
    build_requires: tuple[Requirement, ...] = ()
    """``build_system.requires`` with their origins."""
    prerelease_names: frozenset[NormalizedName] = frozenset()
    """Names for which the file allows pre-releases (Poetry's allow-prereleases)."""
    tools: Mapping[str, Any] = field(default_factory=dict)
    """The raw ``[tool]`` table."""
    notes: tuple[Warned, ...] = ()
    """Warnings: no faults, but worth knowing."""


UNKNOWN_FIELDS = frozenset({"dependencies", "optional-dependencies"})


class RuntimeFields(Struct, frozen=True, kw_only=True):
    """The runtime side of a project as one table or file states it, self-references left as they are."""

    name: NormalizedName | None = None
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[Requirement, ...] = ()
    extras: Mapping[NormalizedName, tuple[Requirement, ...]] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    """Those of UNKNOWN_FIELDS that only the build backend knows."""
    notes: tuple[Warned, ...] = ()


Build = tuple[BuildSystem | None, tuple[Requirement, ...]]
"""A build system, and its requirements with their origins."""


def default_build(source: str) -> Build:
    """Return how a tree without [build-system] is built (PEP 517)."""
    origin = Origin(source=source, place="build-system.requires (default)")
    return DEFAULT_BUILD_SYSTEM, tuple(parse_requirement(text, origin) for text in DEFAULT_BUILD_SYSTEM.requires)


Markers = tuple[Marker, ...]

MAX_NESTED_MARKERS = 50


def expand_self_references(
    requirements: tuple[Requirement, ...],
    name: NormalizedName | None,
    extras: Mapping[NormalizedName, tuple[Requirement, ...]],
    *,
    inside: NormalizedName | None = None,
    base: tuple[Requirement, ...] = (),
    on_unknown: Callable[[Requirement, NormalizedName], None],
) -> tuple[Requirement, ...]:
    """Replace each requirement on ``name`` by what it requires, in place, under the markers on the way.

    ``inside`` is the extra that the list itself defines. ``base`` is what the bare name requires: the project's
    dependencies, where the list does not belong to the project anyway (a dependency group).
    Raises LimitExceeded where nested extras multiply beyond reason.
    """
    if not any(requirement.name == name for requirement in requirements):
        return requirements
    found: list[Requirement] = []
    seen: dict[NormalizedName | None, list[frozenset[Marker]]] = {inside: [frozenset()]} if inside else {}
    pending: list[tuple[Requirement, Markers]] = [(requirement, ()) for requirement in reversed(requirements)]
    steps = 0
    while pending:
        steps += 1
        check_count(steps, f"{name}: extras that require each other")
        requirement, outer = pending.pop()
        marker = requirement.marker
        markers = outer if marker is None or marker in outer else (*outer, marker)
        if len(markers) > MAX_NESTED_MARKERS:
            raise LimitExceeded(f"{name}: extras nested more than {MAX_NESTED_MARKERS} deep, each with a marker")
        markers_here = frozenset(markers)
        if requirement.name != name:
            found.append(replace(requirement, marker=reduce(and_, markers) if markers else None))
            continue
        for extra in (*sorted(requirement.extras, reverse=True), None):
            if extra is not None and extra not in extras:
                on_unknown(requirement, extra)
                continue
            # Seen before under weaker markers: nothing new, and the end of every cycle.
            if any(earlier <= markers_here for earlier in seen.get(extra, [])):
                continue
            seen.setdefault(extra, []).append(markers_here)
            required = base if extra is None else extras[extra]
            pending.extend((child, markers) for child in reversed(required))
    return tuple(found)


def with_expanded_references(project: Project) -> Project:
    """Return a project whose fields are known without requirements on itself. A warning names each extra that it lacks.

    Dependencies for an extra only (``extra == "x"``) become requirements of this extra.
    Raises LimitExceeded where nested extras multiply beyond reason, and ProjectInvalid.
    """
    extras = dict(project.extras)
    notes: list[Warned] = []
    dependencies: list[Requirement] = []
    for requirement in project.dependencies:
        extra, own = None, requirement
        if requirement.marker is not None:
            extra, own = extra_markers.split_extra(requirement, project.source)
        if extra is None:
            dependencies.append(own)
        elif extra in extras:
            extras[extra] = (*extras[extra], own)
        else:
            message = f"{requirement} is for the extra {extra!r}, which the project does not have"
            notes.append(
                Warned(code="unknown-extra", subject=str(requirement.origin or project.source), message=message)
            )
    base = tuple(dependencies)

    def on_unknown(own: Requirement, extra: NormalizedName) -> None:
        message = f"the project requires its own extra {extra!r}, which it does not have"
        notes.append(Warned(code="unknown-extra", subject=str(own.origin or project.source), message=message))

    def expanded(
        own: tuple[Requirement, ...], inside: NormalizedName | None = None, base: tuple[Requirement, ...] = ()
    ) -> tuple[Requirement, ...]:
        return expand_self_references(own, project.name, extras, inside=inside, base=base, on_unknown=on_unknown)

    parts = {
        BASE: base,
        **{Scope(kind="extra", name=name): own for name, own in extras.items()},
        **{Scope(kind="group", name=name): own for name, own in project.groups},
    }
    return replace(
        project,
        own_extras={part: found for part, own in parts.items() if (found := _own_extras(own, project.name, extras))},
        dependencies=expanded(base),
        extras=tuple((extra, expanded(own, extra)) for extra, own in extras.items()),
        groups=tuple((group, expanded(own, base=base)) for group, own in project.groups),
        notes=(*project.notes, *notes),
    )


def _own_extras(
    requirements: tuple[Requirement, ...],
    name: NormalizedName | None,
    extras: Mapping[NormalizedName, tuple[Requirement, ...]],
) -> frozenset[Scope]:
    """Return the extras of the project that requirements name, directly or by another extra of it."""
    found: set[NormalizedName] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        for extra in (requirement.extras if requirement.name == name else frozenset()) & extras.keys() - found:
            found.add(extra)
            waiting += extras[extra]
    return frozenset(Scope(kind="extra", name=extra) for extra in found)
