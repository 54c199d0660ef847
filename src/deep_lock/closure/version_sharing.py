"""Finds versions that more build environments, or more targets, can share, in a finished closure.

They are resolved one after another, so the first ones cannot know what the later ones allow. The plan is closed again with
the versions that suit most of them as preferences, and that closure is kept if it has fewer releases.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.closure.model import Closure, Plan, Preferences
from deep_lock.models.conflicts import Choice
from deep_lock.models.distribution import source_of


class _Use(Struct, frozen=True, kw_only=True):
    """The version of a project in one environment (or at run time), and the versions that it accepts."""

    version: Version
    accepts: tuple[SpecifierSet, ...] = ()
    movable: bool = True
    """False at run time: a pin there does not change for a build."""

    def suits(self, version: Version) -> bool:
        if not self.movable:
            return version == self.version
        return all(specifier.contains(version, prereleases=True) for specifier in self.accepts)


def _uses(closure: Closure) -> Mapping[str, dict[NormalizedName, list[_Use]]]:
    found: dict[str, dict[NormalizedName, list[_Use]]] = {target.label: {} for target, _ in closure.runtime}
    for target, resolved in closure.runtime:
        for pin in (pin for pin in resolved.pins if not source_of(pin.distribution)):
            use = _Use(version=pin.version, movable=False)
            found[target.label].setdefault(pin.name, []).append(use)
    for built in closure.builds:
        specifiers: dict[NormalizedName, list[SpecifierSet]] = {}
        for edge in built.final.edges:
            specifiers.setdefault(edge.child, []).append(edge.requirement.specifier)
        for pin in built.final.pins:
            use = _Use(version=pin.version, accepts=tuple(specifiers.get(pin.name, ())))
            found[built.target.label].setdefault(pin.name, []).append(use)
    return found


def shared_preferences(closure: Closure) -> dict[str, Preferences]:
    """Return, by target, the versions that suit the most environments, where some environment could change to one of them."""
    found: dict[str, Preferences] = {}
    for label, uses in _uses(closure).items():
        preferences: dict[NormalizedName, tuple[Version, ...]] = {}
        for name, own in uses.items():
            versions = {use.version for use in own}
            if len(versions) < 2 or not any(
                use.movable and use.suits(version) for use in own for version in versions - {use.version}
            ):
                continue
            suited = {version: (sum(use.suits(version) for use in own), version) for version in versions}
            preferences[name] = tuple(sorted(versions, key=suited.__getitem__, reverse=True))
        if preferences:
            found[label] = preferences
    return found


def with_runtime_preferences(plan: Plan, closure: Closure) -> Plan:
    """Return the plan with preferences for the projects whose versions differ between targets: the oldest version first.

    A target has an older version than another one only where it must, so this is the one that the others may share.
    """
    versions: dict[Choice, dict[NormalizedName, set[Version]]] = {}
    for problem, (_, resolved) in zip(plan.runtime, closure.runtime, strict=True):
        own = versions.setdefault(problem.choice, {})
        for pin in (pin for pin in resolved.pins if not source_of(pin.distribution)):
            own.setdefault(pin.name, set()).add(pin.version)
    preferences = {
        choice: tuple((name, tuple(sorted(found))) for name, found in sorted(own.items()) if len(found) > 1)
        for choice, own in versions.items()
    }
    return replace(plan, runtime=tuple(replace(own, preferences=preferences[own.choice]) for own in plan.runtime))


def releases(closure: Closure) -> int:
    """Count the different releases of a closure."""
    pins = [pin for _, resolved in closure.runtime for pin in resolved.pins]
    pins += [pin for built in closure.builds for pin in built.final.pins]
    return len({(pin.name, pin.version, source_of(pin.distribution)) for pin in pins})
