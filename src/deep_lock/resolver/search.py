"""The search with resolvelib, for a problem that the best release of each name does not solve.

It is loaded at first use: one walk solves most problems.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

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
MAX_THOROUGH_ROUNDS = 5_000
"""The same for the second search: a few seconds."""


class _Reporter(BaseReporter[ResolverRequirement, ResolverCandidate, NormalizedName]):
    """Passes conflicts to the provider.

    It counts the packages whose requirements conflict, so that they are decided earlier the next time. The package that
    they conflict on is not counted: another version of it cannot help while both parents are pinned.
    """

    def __init__(self, provider: Provider, *, thorough: bool) -> None:
        self._provider = provider
        self._thorough = thorough

    def starting_round(self, index: int) -> None:
        del index
        self._provider.causes = ()

    def resolving_conflicts(self, causes: Collection[Information]) -> None:
        parents = {parent.candidate.name for _, parent in causes if parent is not None}
        for name in parents:
            self._provider.conflicts[name] = self._provider.conflicts.get(name, 0) + 1
        if self._thorough:
            self._provider.causes = tuple(causes)
            self._provider.conflicting |= parents | {required.requirement.name for required, _ in causes}


def search(requirements: Sequence[Requirement], releases: Releases) -> Mapping[NormalizedName, Candidate] | Impossible:
    """Return a pin for each name that is needed, and perhaps for more.

    resolvelib may skip an answer when it backtracks over several pins at once. So before a problem counts as impossible,
    a second search goes back to every pin that took part in a conflict.

    Raises BuildRequired, and Unsatisfiable after MAX_ROUNDS.
    """
    provider = Provider(releases)
    try:
        return _search(requirements, provider, MAX_ROUNDS, thorough=False)
    except ResolutionImpossible as error:
        with suppress(ResolutionImpossible, ResolutionTooDeep):
            return _search(requirements, Provider(releases), MAX_THOROUGH_ROUNDS, thorough=True)
        return explain.explain(error.causes, provider)
    except ResolutionTooDeep:
        problem = releases.problem
        raise Unsatisfiable(
            f"the {problem.purpose} on {problem.target.label} is not resolved after {MAX_ROUNDS} attempts",
            hint="narrow the requirements of the projects that have many releases",
        ) from None


def _search(
    requirements: Sequence[Requirement], provider: Provider, rounds: int, *, thorough: bool
) -> Mapping[NormalizedName, Candidate]:
    direct = [ResolverRequirement(requirement=requirement, direct=True) for requirement in requirements]
    # not Resolver: the graph that it builds at the end recurses endlessly where a pin on a cycle was replaced
    resolution = Resolution(provider, _Reporter(provider, thorough=thorough))
    return {name: pin.candidate for name, pin in resolution.resolve(direct, max_rounds=rounds).mapping.items()}
