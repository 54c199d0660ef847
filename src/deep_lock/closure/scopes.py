"""Which part of the project's own wishes (base, an extra, a dependency group) reaches which pin, target by target."""

from collections import deque
from collections.abc import Sequence

from packaging.utils import NormalizedName

from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Problem, Resolved
from deep_lock.resolver.dependencies import BASE, applicable
from deep_lock.resolver.walk import overridden
from deep_lock.targets.markers import Scope

RequirementScope = tuple[Scope, tuple[Requirement, ...]]
"""One selectable part of the project with what it asks for: its dependencies, one extra, or one dependency group."""


def reached_by(
    requirements: tuple[Requirement, ...], problem: Problem, resolved: Resolved
) -> frozenset[NormalizedName]:
    """Return the names that one part alone would install on the problem's target."""
    if problem.given is not None:
        return frozenset(requirement.name for requirement in applicable(requirements, problem.target))
    below: dict[tuple[NormalizedName | None, NormalizedName], list[Requirement]] = {}
    for edge in resolved.edges:
        below.setdefault((edge.parent, edge.parent_extra or BASE), []).append(edge.requirement)
    roots = overridden(applicable(requirements, problem.target), problem)
    queue: deque[Requirement] = deque(roots)
    seen: set[tuple[NormalizedName, NormalizedName]] = set()
    while queue:
        requirement = queue.popleft()
        for extra in (BASE, *requirement.extras):
            node = (requirement.name, extra)
            if node not in seen:
                seen.add(node)
                queue.extend(below.get(node, ()))
    return frozenset(name for name, _ in seen)


def scopes_by_pin(
    parts: Sequence[RequirementScope], problem: Problem, resolved: Resolved
) -> dict[NormalizedName, tuple[Scope, ...]]:
    """Return, for each pinned name, the scopes that reach it, in the order given."""
    found: dict[NormalizedName, list[Scope]] = {}
    for scope, requirements in parts:
        for name in reached_by(requirements, problem, resolved):
            found.setdefault(name, []).append(scope)
    return {name: tuple(own) for name, own in found.items()}
