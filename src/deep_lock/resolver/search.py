"""The search for a problem in which the best release of each name is not the answer: resolvelib's, with our provider.

Loaded where it is needed: most problems are answered by one walk.
"""

from collections.abc import Collection, Mapping, Sequence

from packaging.utils import NormalizedName
from resolvelib import BaseReporter
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep

from deep_lock.errors import Unsatisfiable
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Blocked, Candidate, Impossible
from deep_lock.resolver import explain
from deep_lock.resolver.provider import Information, Provider, ResolverCandidate, ResolverRequirement
from deep_lock.resolver.releases import BuildRequired, Releases

MAX_ROUNDS = 50_000
"""Pins and back-tracks before giving up: far more than any real project was seen to need."""


class _Watch(BaseReporter[ResolverRequirement, ResolverCandidate, NormalizedName]):
    """Counts whose wishes collide, so that the provider decides those names earlier the next time.

    Not what they collide on: to try other versions of that cannot help while both askers stand.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def resolving_conflicts(self, causes: Collection[Information]) -> None:
        for name in {parent.candidate.name for _, parent in causes if parent is not None}:
            self._provider.conflicts[name] = self._provider.conflicts.get(name, 0) + 1


def search(
    asked: Sequence[Requirement], releases: Releases
) -> Mapping[NormalizedName, Candidate] | Blocked | Impossible:
    """Return a pin for each name that is needed, and perhaps for more. Raises Unsatisfiable when it takes too long."""
    problem = releases.problem
    provider = Provider(releases)
    wishes = [ResolverRequirement(requirement=requirement, direct=True, order=0) for requirement in asked]
    try:
        # not Resolver: the graph that it draws afterwards recurses without end where a pin was pinned again on a circle
        state = Resolution(provider, _Watch(provider)).resolve(wishes, max_rounds=MAX_ROUNDS)
    except BuildRequired as stop:
        return Blocked(request=stop.request)
    except ResolutionImpossible as error:
        return explain.explain(error.causes, problem, provider)
    except ResolutionTooDeep:
        raise Unsatisfiable(
            f"the {problem.purpose} on {problem.target.label} was given up after {MAX_ROUNDS} attempts",
            hint="narrow the requirements of the projects that have many releases",
        ) from None
    return {name: choice.candidate for name, choice in state.mapping.items()}
