"""`resolve(problem, catalog) -> Resolved | Blocked | Impossible`.

Invariant: a resolution depends on its arguments alone. It stops and returns what it lacks (`Blocked`); it never builds.
"""

from collections.abc import Mapping

from packaging.utils import NormalizedName

from deep_lock.errors import Unsatisfiable
from deep_lock.models.resolution import Blocked, Candidate, Impossible, Outcome, Problem, Resolved
from deep_lock.resolver import fixed_pins, search
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import roots
from deep_lock.resolver.releases import BuildRequired, Choices, Releases
from deep_lock.resolver.walk import walk


def resolve(problem: Problem, catalog: Catalog, choices: Choices | None = None) -> Outcome:
    """Find a pin for every name that the problem needs on its target.

    One walk first tries the problem's preferences, and the best candidate of every other name: most problems have no
    conflict, and then that is the answer. Raises IndexFault and SafetyError as the catalog does; requirements that no
    release satisfies are an answer (Impossible), not an error.
    """
    try:
        if problem.fixed_pins is not None:
            return fixed_pins.apply_pins(problem, problem.fixed_pins, catalog)
        return _resolve(problem, catalog, choices)
    except BuildRequired as stop:
        return Blocked(request=stop.request)


def _resolve(problem: Problem, catalog: Catalog, choices: Choices | None) -> Resolved | Impossible:
    requirements = roots(problem)
    direct = next((requirement for requirement in requirements if requirement.url is not None), None)
    if direct is not None and problem.purpose.kind == "build":
        text = f"{direct.origin or 'a build'} requires {direct.name} by a direct URL, which no hash protects"
        return Impossible(explanation=text)
    releases = Releases(problem, catalog, choices)
    catalog.prefetch(requirements)
    answer = walk(problem, catalog, _preferred(releases), releases.best)
    if answer is not None:
        return answer
    found = search.search(requirements, releases)
    if isinstance(found, Impossible):
        return found
    answer = walk(problem, catalog, found)
    if answer is None:
        raise Unsatisfiable(
            f"the resolver's answer for the {problem.purpose} on {problem.target.label} is not complete"
        )
    return answer


def _preferred(releases: Releases) -> Mapping[NormalizedName, Candidate]:
    """Return the first preferred version of each name, where it may be used."""
    chosen: dict[NormalizedName, Candidate] = {}
    for name, versions in releases.preferences.items():
        limits = [constraint.specifier for constraint in releases.constraints.get(name, ())]
        chosen.update((name, candidate) for candidate in releases.fitting(name, versions[:1], limits, yanked_ok=True))
    return chosen
