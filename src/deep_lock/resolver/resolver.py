"""`resolve(problem, catalog) -> Resolved | Blocked | Impossible`.

Law: a resolution depends on its arguments alone. It stops and says what it lacks (`Blocked`); it never builds, and it
knows nothing of the problem that another problem's answer may cause.
"""

from collections.abc import Mapping

from packaging.utils import NormalizedName

from deep_lock.errors import Unsatisfiable
from deep_lock.models.resolution import Blocked, Candidate, Impossible, Outcome, Problem
from deep_lock.resolver import fixed_pins, search
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.releases import BuildRequired, Choices, Releases
from deep_lock.resolver.walk import roots, walk


def resolve(problem: Problem, catalog: Catalog, choices: Choices | None = None) -> Outcome:
    """Find a pin for every name that the problem reaches on its target.

    Pins at hand (the problem's preferences), and the best of every other name, are tried first, in one walk: most
    problems have no conflict, and then that is the answer. Raises IndexFault and SafetyError as the
    catalog does; requirements that no release can meet are an answer (Impossible), not an error.
    """
    if problem.given is not None:
        return fixed_pins.apply_pins(problem, problem.given, catalog)
    asked = roots(problem)
    named = next((requirement for requirement in asked if requirement.url is not None), None)
    if named is not None and problem.purpose.kind == "build":
        story = f"{named.origin or 'a build'} asks for {named.name} by a direct URL, which no hash guards"
        return Impossible(causes=(), explanation=story)
    releases = Releases(problem, catalog, choices)
    catalog.prefetch(asked)
    try:
        known = walk(problem, _preferred(releases), catalog, releases.first)
    except BuildRequired as stop:
        return Blocked(request=stop.request)
    if known is not None:
        return known
    found = search.search(asked, releases)
    if isinstance(found, Blocked | Impossible):
        return found
    done = walk(problem, found, catalog)
    if done is None:
        raise Unsatisfiable(
            f"the resolver's answer for the {problem.purpose} on {problem.target.label} is not complete"
        )
    return done


def _preferred(releases: Releases) -> Mapping[NormalizedName, Candidate]:
    """Return the pins at hand as candidates: the first preferred version of each name, where it may be used."""
    problem = releases.problem
    chosen: dict[NormalizedName, Candidate] = {}
    for name, versions in releases.preferences.items():
        limits = [constraint.specifier for constraint in releases.constraints.get(name, ())]
        for version in versions[:1]:
            if (name, version) in problem.excluded or not all(releases.fits(limit, version) for limit in limits):
                continue
            candidate = releases.usable(name, version, yanked_ok=True)
            if candidate is not None:
                chosen[name] = candidate
    return chosen
