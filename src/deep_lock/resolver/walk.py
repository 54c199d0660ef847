"""One linear walk over a graph of pins: whether it is a complete answer, and who asked for what.

The same walk serves two ends: it draws the edges of what the resolver found, and it checks whether pins at hand (of an
earlier target, of the old lock) already answer a problem, so that most targets cost no resolution.
"""

from collections import deque
from collections.abc import Callable, Mapping

from packaging.utils import NormalizedName

from deep_lock.models.distribution import Directory
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Blocked, BuildRequest, Candidate, Edge, Pin, Problem, Resolved
from deep_lock.resolver.candidates import is_meant
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import BASE, IneligibleError, applicable, dependencies, urls_first


def overridden(requirements: tuple[Requirement, ...], problem: Problem) -> tuple[Requirement, ...]:
    """Replace requirements on overridden names, keeping the extras that were asked for."""
    if not problem.overrides:
        return requirements
    replaced: list[Requirement] = []
    for requirement in requirements:
        own = [override for override in problem.overrides if override.name == requirement.name]
        if not own:
            replaced.append(requirement)
        replaced += [
            Requirement(
                name=override.name,
                extras=override.extras | requirement.extras,
                specifier=override.specifier,
                origin=override.origin,
            )
            for override in applicable(own, problem.target)
        ]
    return tuple(replaced)


def roots(problem: Problem) -> tuple[Requirement, ...]:
    """Return what the problem itself asks for on its target."""
    return urls_first(overridden(applicable(problem.requirements, problem.target), problem))


def edge_key(edge: Edge) -> tuple[str, str, str, str]:
    """Return what edges are sorted by."""
    return (edge.parent or "", edge.parent_extra or "", edge.child, str(edge.requirement))


def walk(
    problem: Problem,
    chosen: Mapping[NormalizedName, Candidate],
    catalog: Catalog,
    choose: Callable[[Requirement], Candidate | None] = lambda _: None,
) -> Resolved | Blocked | None:
    """Follow every requirement from the problem's own; None where a pin is missing or does not satisfy one.

    ``choose`` picks a pin for a name that ``chosen`` lacks, by the first requirement that is met on it. Where it picks
    the best and the walk succeeds, no other answer has a better pin for any of those names: the resolver need not search.
    Cost: linear in the edges. Pins that nothing reaches are left out.
    """
    pins = dict(chosen)
    extras: dict[NormalizedName, set[NormalizedName]] = {}
    edges: list[Edge] = []
    metadata: dict[NormalizedName, Metadata] = {}
    queue: deque[tuple[NormalizedName | None, NormalizedName, tuple[Requirement, ...]]] = deque(
        [(None, BASE, roots(problem))]
    )
    while queue:
        parent, parent_extra, requirements = queue.popleft()
        for requirement in requirements:
            name = requirement.name
            candidate = pins.get(name) or choose(requirement)
            if candidate is None or not _meets(requirement, candidate):
                return None
            pins[name] = candidate
            edges.append(Edge(parent=parent, parent_extra=parent_extra or None, child=name, requirement=requirement))
            seen = extras.setdefault(name, set())
            for extra in sorted({BASE, *requirement.extras} - seen):
                seen.add(extra)
                if name not in metadata:
                    found = catalog.metadata(candidate, problem.target)
                    if isinstance(found, BuildRequest):
                        return Blocked(request=found)
                    metadata[name] = found
                try:
                    own = isinstance(candidate.distribution, Directory)
                    asked = dependencies(metadata[name], problem.target, extra, may_name_urls=own)
                except IneligibleError:
                    return None
                catalog.prefetch(asked)
                queue.append((name, extra, overridden(asked, problem)))
    return Resolved(pins=tuple(_pin(pins[name], extras[name]) for name in sorted(extras)), edges=_sorted(edges))


def _meets(requirement: Requirement, candidate: Candidate) -> bool:
    return requirement.specifier.contains(candidate.version, prereleases=True) and is_meant(requirement, candidate)


def _pin(candidate: Candidate, extras: set[NormalizedName]) -> Pin:
    return Pin(
        name=candidate.name,
        version=candidate.version,
        distribution=candidate.distribution,
        extras=frozenset(extras - {BASE}),
    )


def _sorted(edges: list[Edge]) -> tuple[Edge, ...]:
    return tuple(sorted(edges, key=edge_key))
