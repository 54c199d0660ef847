"""`resolve(problem, catalog) -> Resolved | Blocked | Impossible`.

Law: a resolution depends on its arguments alone. It stops and says what it lacks (`Blocked`); it never builds, and it
knows nothing of the problem that another problem's answer may cause.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName
from resolvelib import BaseReporter
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep

from deep_lock.deferred import Deferred
from deep_lock.errors import Unsatisfiable
from deep_lock.model.resolution import Blocked, Candidate, Impossible, Outcome, Problem, Resolved
from deep_lock.resolve.catalog import Catalog
from deep_lock.resolve.provider import BlockedError, Choice, Information, Provider, Wish
from deep_lock.resolve.walk import roots, walk

if TYPE_CHECKING:
    from deep_lock.resolve import explain
else:
    explain = Deferred("deep_lock.resolve.explain")

MAX_ROUNDS = 50_000
"""Pins and back-tracks before giving up: far more than any real project was seen to need."""


class _Watch(BaseReporter[Wish, Choice, NormalizedName]):
    """Counts whose wishes collide, so that the provider decides those names earlier the next time.

    Not what they collide on: to try other versions of that cannot help while both askers stand.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def resolving_conflicts(self, causes: Collection[Information]) -> None:
        for name in {parent.candidate.name for _, parent in causes if parent is not None}:
            self._provider.conflicts[name] = self._provider.conflicts.get(name, 0) + 1


def resolve(problem: Problem, catalog: Catalog) -> Outcome:
    """Find a pin for every name that the problem reaches on its target.

    Pins at hand (the problem's preferences), and the best of every other name, are tried first, in one walk: most
    problems have no conflict, and then that is the answer. Raises IndexFault and SafetyError as the
    catalog does; requirements that no release can meet are an answer (Impossible), not an error.
    """
    asked = roots(problem)
    named = next((requirement for requirement in asked if requirement.url is not None), None)
    if named is not None and problem.purpose.kind == "build":
        story = f"{named.origin or 'a build'} asks for {named.name} from a URL: no hash guards what lies there"
        return Impossible(causes=(), explanation=story)
    provider = Provider(problem, catalog)
    catalog.prefetch(asked)
    wishes = [Wish(requirement=requirement, direct=True, order=0) for requirement in asked]
    try:
        known = walk(problem, _preferred(provider), catalog, provider.first)
        if known is not None:
            return known
        # not Resolver: the graph that it draws afterwards recurses without end where a pin was pinned again on a circle
        state = Resolution(provider, _Watch(provider)).resolve(wishes, max_rounds=MAX_ROUNDS)
    except BlockedError as stop:
        return Blocked(request=stop.request)
    except ResolutionImpossible as error:
        return explain.explain(error.causes, problem, provider)
    except ResolutionTooDeep:
        raise Unsatisfiable(
            f"the {problem.purpose} on {problem.target.label} was given up after {MAX_ROUNDS} attempts",
            hint="narrow the requirements of the projects that have many releases",
        ) from None
    return _finished(problem, state.mapping, catalog)


def _preferred(provider: Provider) -> Mapping[NormalizedName, Candidate]:
    """Return the pins at hand as candidates: the first preferred version of each name, where it may be used."""
    problem = provider.problem
    chosen: dict[NormalizedName, Candidate] = {}
    for name, versions in provider.preferences.items():
        limits = [constraint.specifier for constraint in provider.constraints.get(name, ())]
        for version in versions[:1]:
            if (name, version) in problem.excluded or not all(provider.fits(limit, version) for limit in limits):
                continue
            candidate = provider.usable(name, version, yanked_ok=True)
            if candidate is not None:
                chosen[name] = candidate
    return chosen


def _finished(problem: Problem, mapping: Mapping[NormalizedName, Choice], catalog: Catalog) -> Resolved | Blocked:
    chosen = {name: choice.candidate for name, choice in mapping.items()}
    done = walk(problem, chosen, catalog)
    if done is None:
        raise Unsatisfiable(
            f"the resolver's answer for the {problem.purpose} on {problem.target.label} is not complete"
        )
    return done
