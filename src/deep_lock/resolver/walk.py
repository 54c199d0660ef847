"""One linear walk over a graph of pins: whether it is a complete answer, and which requirement leads to which pin.

It gives the edges of what the resolver found, and it checks whether known pins (of an earlier target, of the previous
lock) already solve a problem, so that most targets need no search.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from packaging.utils import NormalizedName

from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate, Edge, Pin, Problem, Resolved
from deep_lock.resolver.candidates import matches_url
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import BASE, IneligibleError, candidate_dependencies, overridden, roots
from deep_lock.resolver.releases import metadata_of


def walk(
    problem: Problem,
    catalog: Catalog,
    chosen: Mapping[NormalizedName, Candidate],
    choose: Callable[[Requirement], Candidate | None] = lambda _: None,
) -> Resolved | None:
    """Follow every requirement from the problem's own; None where a pin is missing or does not satisfy one.

    ``choose`` picks a pin for a name that ``chosen`` lacks, by the first requirement on it. Where it picks the best and
    the walk succeeds, no other answer has a better pin for any of those names: no search is needed.
    Cost: linear in the edges. Pins that no requirement leads to are left out. Raises BuildRequired.
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
            if candidate is None or not satisfies(candidate, requirement):
                return None
            pins[name] = candidate
            edges.append(Edge(parent=parent, parent_extra=parent_extra or None, child=name, requirement=requirement))
            seen = extras.setdefault(name, set())
            for extra in sorted({BASE, *requirement.extras} - seen):
                seen.add(extra)
                if name not in metadata:
                    metadata[name] = metadata_of(candidate, problem, catalog)
                try:
                    required = candidate_dependencies(candidate, metadata[name], problem.target, extra)
                except IneligibleError:
                    return None
                catalog.prefetch(required)
                queue.append((name, extra, overridden(required, problem)))
    return resolved(pins, extras, edges)


def satisfies(candidate: Candidate, requirement: Requirement) -> bool:
    """Whether a candidate has a required version, and is what the requirement's URL names."""
    return requirement.specifier.contains(candidate.version, prereleases=True) and matches_url(candidate, requirement)


def resolved(
    candidates: Mapping[NormalizedName, Candidate],
    extras: Mapping[NormalizedName, set[NormalizedName]],
    edges: Iterable[Edge],
) -> Resolved:
    """Return the candidates that have extras (BASE among them) as pins, and the edges, both sorted."""
    pins = (
        Pin(
            name=name,
            version=candidates[name].version,
            distribution=candidates[name].distribution,
            extras=frozenset(extras[name] - {BASE}),
        )
        for name in sorted(extras)
    )
    return Resolved(
        pins=tuple(pins),
        edges=tuple(
            sorted(
                edges, key=lambda edge: (edge.parent or "", edge.parent_extra or "", edge.child, str(edge.requirement))
            )
        ),
    )
