"""What a build asks for, and which releases it prefers: the parts of a build problem, pure."""

from collections.abc import Mapping

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.model import Preferences, Subject
from deep_lock.models.build_system import HookAnswer
from deep_lock.models.distribution import is_wheel, source_of
from deep_lock.models.requirement import Origin, Requirement, parse_requirement
from deep_lock.models.resolution import Pin, Resolved, Selection


def needs_build(pin: Pin, selection: Selection) -> bool:
    """Whether the target takes the release as an sdist or a source tree, which then will be built."""
    return not is_wheel(pin.distribution) and selection.build_scope != "none"


def build_requirements(subject: Subject, extra: tuple[str, ...]) -> tuple[Requirement, ...]:
    """Return the declared requirements, those that the user added, and what the hook asked for on top, with their origins.

    Raises RequirementInvalid.
    """
    source = "pyproject.toml"
    if subject.source is not None:
        source = f"{subject.name} {subject.version or source_of(subject.source)}"
    system = subject.facts.build_system
    place = "build-system.requires" if system.requires_from == "pyproject" else "default build system"
    declared = (parse_requirement(text, Origin(source=source, place=place)) for text in system.requires)
    hook = f"get_requires_for_build_{subject.hook}"
    asked = (parse_requirement(text, Origin(source=source, place=hook)) for text in extra)
    return (*declared, *subject.added, *asked)


def asks_otherwise(editable: HookAnswer, wheel: HookAnswer) -> bool:
    """Whether an editable installation needs an environment of its own.

    An answer that is empty cannot be told from that of a backend without the hook (PEP 660), and all that it asks for is
    in the wheel's environment anyway.
    """
    asked = frozenset(map(parse_requirement, editable.requires or ()))
    return bool(asked) and asked != frozenset(map(parse_requirement, wheel.requires or ()))


def merged(*layers: Preferences) -> tuple[tuple[NormalizedName, tuple[Version, ...]], ...]:
    """Lay preferences over each other, the first layer's versions first."""
    merged: dict[NormalizedName, tuple[Version, ...]] = {}
    for layer in layers:
        for name, versions in layer.items():
            merged[name] = tuple(dict.fromkeys((*merged.get(name, ()), *versions)))
    return tuple(sorted(merged.items()))


def remembered(
    known: Mapping[NormalizedName, tuple[Version, ...]], resolved: Resolved
) -> dict[NormalizedName, tuple[Version, ...]]:
    """Return what is known, with the pins of a resolution behind it."""
    return dict(merged(known, versions_of(resolved)))


def versions_of(resolved: Resolved) -> dict[NormalizedName, tuple[Version, ...]]:
    """Return the pins as preferences. A direct reference is none: no index is to be asked for its name."""
    return {pin.name: (pin.version,) for pin in resolved.pins if not source_of(pin.distribution)}


def within(final: Resolved, declared: Resolved) -> Resolved:
    """Return the part of a final environment that stood before the hook asked for more: where it would be asked again."""
    names = {pin.name for pin in declared.pins}
    return Resolved(
        pins=tuple(pin for pin in final.pins if pin.name in names),
        edges=tuple(edge for edge in final.edges if edge.child in names and edge in declared.edges),
    )
