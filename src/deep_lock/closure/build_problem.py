"""The requirements and preferred versions of a build problem. Pure."""

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.model import Preferences, Subject
from deep_lock.models.build_system import HookAnswer
from deep_lock.models.distribution import is_wheel, source_of
from deep_lock.models.requirement import Origin, Requirement, parse_requirement
from deep_lock.models.resolution import Pin, Resolved, Selection


def needs_build(pin: Pin, selection: Selection) -> bool:
    """Whether the target takes the release as an sdist or a source tree, which is then built."""
    return not is_wheel(pin.distribution) and selection.build_scope != "none"


def requirements_of(subject: Subject, dynamic: tuple[str, ...]) -> tuple[Requirement, ...]:
    """Return the declared requirements, those of the user, and those that the hook returned, with their origins.

    Raises RequirementInvalid.
    """
    source = "pyproject.toml"
    if subject.source is not None:
        source = f"{subject.name} {subject.version or source_of(subject.source)}"
    system = subject.facts.build_system
    table = "build-system.requires" if system.requires_from == "pyproject" else "default build system"
    declared = Origin(source=source, place=table)
    hook = Origin(source=source, place=f"get_requires_for_build_{subject.hook}")
    return (
        *(parse_requirement(text, declared) for text in system.requires),
        *subject.added,
        *(parse_requirement(text, hook) for text in dynamic),
    )


def needs_own_environment(editable: HookAnswer, wheel: HookAnswer) -> bool:
    """Whether an editable installation needs an environment of its own.

    An empty answer looks like that of a backend without the hook (PEP 660), and the wheel's environment has all that it
    requires.
    """
    requirements = frozenset(map(parse_requirement, editable.requires or ()))
    return bool(requirements) and requirements != frozenset(map(parse_requirement, wheel.requires or ()))


def merged(*layers: Preferences) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
    """Merge preferences by project, the versions of the first layer first."""
    merged: dict[NormalizedName, tuple[Version, ...]] = {}
    for layer in layers:
        for name, versions in layer.items():
            merged[name] = tuple(dict.fromkeys((*merged.get(name, ()), *versions)))
    return tuple(sorted(merged.items()))


def versions_of(resolved: Resolved) -> dict[NormalizedName, tuple[Version, ...]]:
    """Return the pins as preferences, less direct references: no index is queried for their names."""
    return {pin.name: (pin.version,) for pin in resolved.pins if not source_of(pin.distribution)}


def within(final: Resolved, declared: Resolved) -> Resolved:
    """Return the part of a final environment that the declared requirements alone bring in: the hook is called there."""
    names = {pin.name for pin in declared.pins}
    return Resolved(
        pins=tuple(pin for pin in final.pins if pin.name in names),
        edges=tuple(edge for edge in final.edges if edge.child in names and edge in declared.edges),
    )
