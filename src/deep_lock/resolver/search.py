"""The search with resolvelib, for a problem that the best release of each name does not solve.

It is loaded at first use: one walk solves most problems.

Identifiers are project names. A candidate has the required extras: when another requirement adds extras, the pin no longer
satisfies it, and resolvelib pins again with the union. (Name-and-extra identifiers, the usual way, double the graph, and
the two halves can have different versions.)
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib import BaseReporter
from resolvelib.providers import AbstractProvider
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep
from resolvelib.structs import RequirementInformation

from deep_lock.errors import Unsatisfiable
from deep_lock.models.distribution import source_of
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate
from deep_lock.resolver.candidates import Releases, is_exact, matches_url, usable_metadata
from deep_lock.resolver.dependencies import BASE, IneligibleError, candidate_dependencies, overridden

MAX_ROUNDS = 50_000
"""Pins and back-tracks before the search ends: far more than any known project needs."""
MAX_THOROUGH_ROUNDS = 5_000
"""The same for the second search: a few seconds."""

INELIGIBLE = canonicalize_name("!")
"""Dependency of a release that cannot be used: no project has this name, and no candidate satisfies it."""

PREFETCH_AFTER = 2
"""How many candidates of a name are rejected before the next ones are fetched ahead."""
PREFETCH_COUNT = 16


class ResolverRequirement(Struct, frozen=True, kw_only=True):
    """A requirement as resolvelib sees it. ``reason`` is set where its parent cannot be used at all."""

    requirement: Requirement
    direct: bool = False
    order: int = 0
    reason: str = ""


class ResolverCandidate(Struct, frozen=True, kw_only=True, eq=False):
    """A candidate with the required extras. Equality ignores the extras."""

    candidate: Candidate
    extras: frozenset[NormalizedName] = frozenset()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResolverCandidate) and other.candidate == self.candidate

    def __hash__(self) -> int:
        return hash(self.candidate)


Information = RequirementInformation[ResolverRequirement, ResolverCandidate]


class Provider(AbstractProvider[ResolverRequirement, ResolverCandidate, NormalizedName]):
    """The provider of one problem. resolvelib calls its methods by keyword: parameter names are its API."""

    def __init__(self, releases: Releases) -> None:
        self.releases = releases
        self.problem = releases.problem
        self.catalog = releases.catalog
        self.conflicts: dict[NormalizedName, int] = {}
        """How often a name took part in a conflict: names with more conflicts are decided earlier."""
        self.causes: Sequence[Information] = ()
        """In a thorough search: the conflict from which resolvelib is backtracking now."""
        self.conflicting: set[NormalizedName] = set()
        """In a thorough search: the names of all conflicts so far."""
        self.ineligible: dict[tuple[NormalizedName, Version], IneligibleError] = {}
        self._dependencies: dict[
            tuple[NormalizedName, Version, str, frozenset[NormalizedName]], tuple[ResolverRequirement, ...]
        ] = {}
        self._prefetched: set[tuple[NormalizedName, Version]] = set()

    # -- the interface of resolvelib

    def identify(self, requirement_or_candidate: ResolverRequirement | ResolverCandidate) -> NormalizedName:
        if isinstance(requirement_or_candidate, ResolverRequirement):
            return requirement_or_candidate.requirement.name
        return requirement_or_candidate.candidate.name

    def get_preference(
        self,
        identifier: NormalizedName,
        resolutions: Mapping[NormalizedName, ResolverCandidate],
        candidates: Mapping[NormalizedName, Iterator[ResolverCandidate]],
        information: Mapping[NormalizedName, Iterator[Information]],
        backtrack_causes: Sequence[Information],
    ) -> tuple[bool, bool, int, bool, bool, int, str]:
        """Decide names with the least choice first: URLs, exact pins, conflicts, upper bounds, direct ones, order."""
        del resolutions, candidates, backtrack_causes
        has_url = exact = bounded = direct = False
        order = 1 << 30
        for required, _parent in information[identifier]:
            has_url = has_url or required.requirement.url is not None
            direct = direct or required.direct
            order = min(order, required.order)
            specifier = required.requirement.specifier
            exact = exact or is_exact(specifier)
            bounded = bounded or any(part.operator in {"<", "<=", "~=", "=="} for part in specifier)
        return (not has_url, not exact, -self.conflicts.get(identifier, 0), not bounded, not direct, order, identifier)

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[NormalizedName],
        resolutions: Mapping[NormalizedName, ResolverCandidate],
        candidates: Mapping[NormalizedName, Iterator[ResolverCandidate]],
        information: Mapping[NormalizedName, Iterator[Information]],
        backtrack_causes: Sequence[Information],
    ) -> Iterable[NormalizedName]:
        del resolutions, candidates, information
        names = list(identifiers)
        if not backtrack_causes:
            return names
        causes = {required.requirement.name for required, _ in backtrack_causes}
        causes |= {parent.candidate.name for _, parent in backtrack_causes if parent is not None}
        return [name for name in names if name in causes] or names

    def find_matches(
        self,
        identifier: NormalizedName,
        requirements: Mapping[NormalizedName, Iterator[ResolverRequirement]],
        incompatibilities: Mapping[NormalizedName, Iterator[ResolverCandidate]],
    ) -> Callable[[], Iterator[ResolverCandidate]]:
        required = list(requirements[identifier])
        rejected = [own.candidate for own in incompatibilities[identifier]]
        versions = {candidate.version for candidate in rejected}
        extras = frozenset(extra for own in required for extra in own.requirement.extras)
        if any(own.reason for own in required):
            return lambda: iter(())
        specifiers = [own.requirement.specifier for own in required if own.requirement.specifier]
        specifiers += [own.specifier for own in self.releases.constraints.get(identifier, ()) if own.specifier]
        urls = [own.requirement for own in required if own.requirement.url is not None]
        if urls:
            found = self.releases.direct_candidates.candidate(urls, specifiers)
            only = [] if found is None or found in rejected else [ResolverCandidate(candidate=found, extras=extras)]
            return lambda: iter(only)
        direct = any(own.direct for own in required)

        def matches() -> Iterator[ResolverCandidate]:
            found = self.releases.candidates(identifier, specifiers, direct=direct)
            left = (candidate for candidate in found if candidate.version not in versions)
            for candidate in self._with_prefetch(left, rejected=len(versions)):
                yield ResolverCandidate(candidate=candidate, extras=extras)

        return matches

    def _with_prefetch(self, candidates: Iterator[Candidate], *, rejected: int) -> Iterator[Candidate]:
        """Yield the candidates; once a few are rejected, announce the next ones to the catalog before they are needed."""
        for number, candidate in enumerate(candidates, rejected):
            if number >= PREFETCH_AFTER and (candidate.name, candidate.version) not in self._prefetched:
                ahead = [candidate, *islice(candidates, PREFETCH_COUNT)]
                self._prefetched.update((other.name, other.version) for other in ahead)
                self.catalog.prefetch((), ahead)
                yield from ahead
                continue
            yield candidate

    def is_satisfied_by(self, requirement: ResolverRequirement, candidate: ResolverCandidate) -> bool:
        own = requirement.requirement
        return (
            not requirement.reason
            and own.extras <= candidate.extras
            and matches_url(candidate.candidate, own)
            and (not own.specifier or self.releases.fits(own.specifier, candidate.candidate.version))
        )

    def get_dependencies(self, candidate: ResolverCandidate) -> Iterable[ResolverRequirement]:
        own = candidate.candidate
        key = (own.name, own.version, source_of(own.distribution), candidate.extras)
        if key not in self._dependencies:
            self._dependencies[key] = self._read_dependencies(own, candidate.extras)
        found = self._dependencies[key]
        names = {own.name, *(required.requirement.name for required in found)} if self.causes else set()
        if names.isdisjoint(self.conflicting):
            return found
        # while it backtracks, resolvelib skips a pin none of whose dependencies is a cause, and so can miss an answer
        self.conflicting.add(own.name)
        return (*found, self.causes[0].requirement)

    # -- dependencies

    def _read_dependencies(self, own: Candidate, extras: frozenset[NormalizedName]) -> tuple[ResolverRequirement, ...]:
        try:
            metadata = usable_metadata(own, self.problem, self.catalog)
            required = self._requirements(own, metadata, extras)
        except IneligibleError as error:
            self.ineligible[own.name, own.version] = error
            return (ResolverRequirement(requirement=Requirement(name=INELIGIBLE), reason=str(error)),)
        self.catalog.prefetch(required)
        return tuple(
            ResolverRequirement(requirement=requirement, order=1 + len(self._dependencies))
            for requirement in overridden(tuple(required), self.problem)
        )

    def _requirements(self, own: Candidate, metadata: Metadata, extras: frozenset[NormalizedName]) -> list[Requirement]:
        """Return what the release and its extras require; requirements on the release itself only add extras."""
        found: list[Requirement] = []
        queue: list[NormalizedName] = [BASE, *sorted(extras)]
        done: set[NormalizedName] = set()
        while queue:
            extra = queue.pop(0)
            if extra in done:
                continue
            done.add(extra)
            for requirement in candidate_dependencies(own, metadata, self.problem, extra):
                if requirement.name != own.name:
                    found.append(requirement)
                    continue
                if not self.releases.fits(requirement.specifier, own.version):
                    raise IneligibleError(f"it requires another version of itself: {requirement}")
                queue += sorted(requirement.extras)
        return found


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


class Conflict(Struct, frozen=True, kw_only=True):
    """A search without an answer: the last requirements that conflict."""

    causes: tuple[Information, ...]
    provider: Provider


def search(requirements: Sequence[Requirement], releases: Releases) -> Mapping[NormalizedName, Candidate] | Conflict:
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
        return Conflict(causes=tuple(error.causes), provider=provider)
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
