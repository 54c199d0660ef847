"""`resolve(problem, catalog) -> Resolved | Blocked | Impossible`.

Invariant: a resolution depends on its arguments alone. It stops and returns what it lacks (`Blocked`); it never builds.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from packaging.utils import NormalizedName

from deep_lock.errors import Unsatisfiable
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Blocked, Candidate, Edge, Impossible, Outcome, Problem, Resolved
from deep_lock.resolver import explain, fixed_pins, search
from deep_lock.resolver.candidates import BuildRequired, Choices, Releases, resolved, satisfies, usable_metadata
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import (
    BASE,
    IneligibleError,
    Node,
    candidate_dependencies,
    overridden,
    parts_below,
    roots,
)

MAX_ROUNDS = 50_000
"""Pins and back-tracks before a search ends: far more than any known project needs."""


def resolve(
    problem: Problem, catalog: Catalog, choices: Choices | None = None, *, max_rounds: int = MAX_ROUNDS
) -> Outcome:
    """Find a pin for every name that the problem needs on its target.

    One walk first tries the problem's preferences, and the best candidate of every other name: most problems have no
    conflict, and then that is the answer. Raises IndexFault and SafetyError as the catalog does; requirements that no
    release satisfies are an answer (Impossible), not an error. Raises Unsatisfiable where ``max_rounds`` are not enough.
    """
    try:
        if problem.fixed_pins is not None:
            return fixed_pins.apply_pins(problem, problem.fixed_pins, catalog)
        return _resolve(problem, catalog, choices, max_rounds)
    except BuildRequired as stop:
        return Blocked(request=stop.request)


def _resolve(problem: Problem, catalog: Catalog, choices: Choices | None, max_rounds: int) -> Resolved | Impossible:
    requirements = roots(problem)
    direct = next((requirement for requirement in requirements if requirement.url is not None), None)
    if direct is not None and problem.purpose.kind == "build":
        text = f"{direct.origin or 'a build'} requires {direct.name} by a direct URL, which no hash protects"
        return Impossible(explanation=text)
    releases = Releases(problem, catalog, choices)
    catalog.prefetch(requirements)
    answer = _walk(
        problem, catalog, {}, lambda requirement: _preferred(releases, requirement) or releases.best(requirement)
    )
    if answer is not None:
        return answer
    found = search.search(requirements, releases, max_rounds)
    if isinstance(found, search.Conflict):
        return explain.explain(found.causes, found.provider)
    answer = _walk(problem, catalog, found)
    if answer is None:
        raise Unsatisfiable(f"the resolver's result for the {problem.purpose} on {problem.target.label} is incomplete")
    return answer


def _preferred(releases: Releases, requirement: Requirement) -> Candidate | None:
    """Return the first preferred version of a required name, where it may be used.

    Only for names that a requirement leads to: a lock that was edited could have thousands of others, each a request.
    """
    name = requirement.name
    if requirement.url is not None or name not in releases.preferences:
        return None
    limits = [constraint.specifier for constraint in releases.constraints.get(name, ())]
    return next(releases.fitting(name, releases.preferences[name][:1], limits, yanked_ok=True), None)


def _walk(
    problem: Problem,
    catalog: Catalog,
    chosen: Mapping[NormalizedName, Candidate],
    choose: Callable[[Requirement], Candidate | None] = lambda _: None,
) -> Resolved | None:
    """Follow every requirement from the problem's own; None where a pin is missing or does not satisfy one.

    It gives the edges of what the search found. It also checks whether known pins (of an earlier target, of the previous
    lock) already solve a problem, so that most targets need no search.

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
                try:
                    if name not in metadata:
                        metadata[name] = usable_metadata(candidate, problem, catalog)
                    required = candidate_dependencies(candidate, metadata[name], problem, extra)
                except IneligibleError:
                    return None
                catalog.prefetch(required)
                queue.append((name, extra, overridden(required, problem)))
    return _possible(pins, edges, problem) if problem.apply_open else resolved(pins, extras, edges)


def _possible(pins: Mapping[NormalizedName, Candidate], edges: Sequence[Edge], problem: Problem) -> Resolved:
    """Leave out what is on no part of the target, since the conditions on the way to it contradict each other."""
    below: dict[Node, list[Requirement]] = {}
    for edge in edges:
        if edge.parent is not None:
            below.setdefault((edge.parent, edge.parent_extra or BASE), []).append(edge.requirement)
    found = parts_below(roots(problem), below, problem)
    extras: dict[NormalizedName, set[NormalizedName]] = {}
    for name, extra in found:
        extras.setdefault(name, set()).add(extra)
    kept = [
        edge
        for edge in edges
        if edge.child in extras and (edge.parent is None or (edge.parent, edge.parent_extra or BASE) in found)
    ]
    return resolved(pins, extras, kept)
