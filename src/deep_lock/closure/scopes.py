"""Which scopes of the project (its dependencies, an extra, a dependency group) bring in which pin of one target."""

from collections.abc import Mapping, Sequence

from packaging.utils import NormalizedName

from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Problem, Resolved
from deep_lock.resolver.dependencies import BASE, applicable, overridden
from deep_lock.targets.markers import Scope

RequirementScope = tuple[Scope, tuple[Requirement, ...]]
"""One scope of the project with its requirements."""
_ByNode = Mapping[tuple[NormalizedName, NormalizedName], Sequence[Requirement]]
"""Requirements by the name and extra that have them."""


def scopes_by_pin(
    parts: Sequence[RequirementScope], problem: Problem, resolved: Resolved
) -> dict[NormalizedName, tuple[Scope, ...]]:
    """Return, for each pinned name, the scopes that bring it in, in the order given."""
    below: dict[tuple[NormalizedName, NormalizedName], list[Requirement]] = {}
    for edge in resolved.edges:
        if edge.parent is not None:
            below.setdefault((edge.parent, edge.parent_extra or BASE), []).append(edge.requirement)
    found: dict[NormalizedName, list[Scope]] = {}
    for scope, requirements in parts:
        own = applicable(requirements, problem.target)
        if problem.fixed_pins is not None:  # an imported lock names every pin of each scope
            names = {requirement.name for requirement in own}
        else:
            names = _names_below(overridden(own, problem), below)
        for name in names:
            found.setdefault(name, []).append(scope)
    return {name: tuple(own) for name, own in found.items()}


def _names_below(requirements: Sequence[Requirement], below: _ByNode) -> set[NormalizedName]:
    """Return the names that requirements bring in, at any depth."""
    waiting = list(requirements)
    seen: set[tuple[NormalizedName, NormalizedName]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in (BASE, *requirement.extras):
            node = (requirement.name, extra)
            if node not in seen:
                seen.add(node)
                waiting += below.get(node, ())
    return {name for name, _ in seen}
