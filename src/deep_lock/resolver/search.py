"""The search with resolvelib, for a problem that the best release of each name does not solve.

It is loaded at first use: one walk solves most problems.
"""

from collections.abc import Collection, Mapping, Sequence

from packaging.utils import NormalizedName
from resolvelib import BaseReporter
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep

from deep_lock.errors import Unsatisfiable
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate, Impossible
from deep_lock.resolver import explain
from deep_lock.resolver.provider import Information, Provider, ResolverCandidate, ResolverRequirement
from deep_lock.resolver.releases import Releases

MAX_ROUNDS = 50_000
"""Pins and back-tracks before the search ends: far more than any known project needs."""


class _ConflictCounter(BaseReporter[ResolverRequirement, ResolverCandidate, NormalizedName]):
    """Counts the packages whose requirements conflict, so that the provider decides them earlier the next time.

    The package that they conflict on is not counted: another version of it cannot help while both parents are pinned.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def resolving_conflicts(self, causes: Collection[Information]) -> None:
        for name in {parent.candidate.name for _, parent in causes if parent is not None}:
            self._provider.conflicts[name] = self._provider.conflicts.get(name, 0) + 1


def search(requirements: Sequence[Requirement], releases: Releases) -> Mapping[NormalizedName, Candidate] | Impossible:
    """Return a pin for each name that is needed, and perhaps for more.

    Raises BuildRequired, and Unsatisfiable after MAX_ROUNDS.
    """
    problem = releases.problem
    provider = Provider(releases)
    direct = [ResolverRequirement(requirement=requirement, direct=True) for requirement in requirements]
    try:
        # not Resolver: the graph that it builds at the end recurses endlessly where a pin on a cycle was replaced
        state = Resolution(provider, _ConflictCounter(provider)).resolve(direct, max_rounds=MAX_ROUNDS)
    except ResolutionImpossible as error:
        return explain.explain(error.causes, provider)
    except ResolutionTooDeep:
        raise Unsatisfiable(
            f"the {problem.purpose} on {problem.target.label} is not resolved after {MAX_ROUNDS} attempts",
            hint="narrow the requirements of the projects that have many releases",
        ) from None
    return {name: pin.candidate for name, pin in state.mapping.items()}
