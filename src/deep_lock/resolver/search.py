"""The search with resolvelib, for a problem that the best release of each name does not solve.

It is loaded at first use: one walk solves most problems.

Names that the problem itself requires are decided before the others, so they stay newer. Between two of them the order
decides which one goes back. So where one would go back far, the search starts again with that name first, and the answer
that takes them back least wins (`search`). A search without an answer after many conflicts stays below one release of a direct
name: then the releases of this name are tried one by one (`_probed`).

Identifiers are project names. A candidate has the required extras: when another requirement adds extras, the pin no longer
satisfies it, and resolvelib pins again with the union. (Name-and-extra identifiers, the usual way, double the graph, and
the two halves can have different versions.)
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib import BaseReporter
from resolvelib.providers import AbstractProvider
from resolvelib.resolvers import Criterion, Resolution, ResolutionImpossible, ResolutionTooDeep
from resolvelib.structs import RequirementInformation

from deep_lock.errors import Unsatisfiable
from deep_lock.models.distribution import source_of
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate
from deep_lock.resolver import straight
from deep_lock.resolver.candidates import Releases, is_exact, matches_url, usable_metadata
from deep_lock.resolver.dependencies import BASE, IneligibleError, candidate_dependencies, overridden
from deep_lock.resolver.direct_names import DirectNames, Distance, FarBack, Limit
from deep_lock.sanitize import listed

MAX_LIMITED_ROUNDS = 5_000
"""Pins and back-tracks of all searches of a problem that keep a name new: a few seconds."""
MAX_THOROUGH_ROUNDS = 5_000
"""The same for a search that goes back to every pin of a conflict."""

MAX_CONFLICTS_BEFORE_PROBES = 250
"""Of a search without limits, before the releases of one direct name are tried one by one."""
MAX_PROBED, PROBE_CONFLICTS = 40, 100
"""How many releases are tried, and how many conflicts the search for each may have."""

INELIGIBLE = canonicalize_name("!")
"""Dependency of a release that cannot be used: no project has this name, and no candidate satisfies it."""

PREFETCH_AFTER = 2
"""How many candidates of a name are rejected before the next ones are fetched ahead."""
PREFETCH_COUNT = 16

MAX_NAMED = 5
"""How many packages the message names when a search has no end."""


class ResolverRequirement(Struct, frozen=True, kw_only=True):
    """A requirement as resolvelib sees it. ``reason`` is set where its parent cannot be used at all."""

    requirement: Requirement
    direct: bool = False
    from_direct: bool = False
    """Whether a release that the problem itself requires has it."""
    order: int = 0
    reason: str = ""
    exact: bool = False
    """Whether its specifier names one release."""
    bounded: bool = False
    """Whether its specifier has an upper bound."""


def resolver_requirement(
    requirement: Requirement, *, direct: bool = False, from_direct: bool = False, order: int = 0
) -> ResolverRequirement:
    """Return a requirement with what decides its order: resolvelib compares it in every round."""
    return ResolverRequirement(
        requirement=requirement,
        direct=direct,
        from_direct=from_direct,
        order=order,
        exact=is_exact(requirement.specifier),
        bounded=any(part.operator in {"<", "<=", "~=", "=="} for part in requirement.specifier),
    )


class ResolverCandidate(Struct, frozen=True, kw_only=True, eq=False):
    """A candidate with the required extras. Equality ignores the extras."""

    candidate: Candidate
    extras: frozenset[NormalizedName] = frozenset()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResolverCandidate) and other.candidate == self.candidate

    def __hash__(self) -> int:
        return hash(self.candidate)


Information = RequirementInformation[ResolverRequirement, ResolverCandidate]
Answer = Mapping[NormalizedName, Candidate]


class Provider(AbstractProvider[ResolverRequirement, ResolverCandidate, NormalizedName]):
    """The provider of one problem. resolvelib calls its methods by keyword: parameter names are its API."""

    def __init__(self, releases: Releases, direct: DirectNames, limit: Limit | None = None) -> None:
        self.releases = releases
        self._direct = direct
        self._limit = limit
        self._first = {} if limit is None else {name: rank for rank, name in enumerate(limit.kept)}
        self.problem = releases.problem
        self.catalog = releases.catalog
        self.conflicts: dict[NormalizedName, int] = {}
        """How often a name took part in a conflict: names with more conflicts are decided earlier."""
        self.exhausted: dict[NormalizedName, int] = {}
        """How often no candidate of a name was left: such a name is decided before the names that it conflicts with."""
        self.causes: Sequence[Information] = ()
        """In a thorough search: the conflict from which resolvelib is backtracking now."""
        self.conflicting: set[NormalizedName] = set()
        """In a thorough search: the names of all conflicts so far."""
        self.rejection: NormalizedName | None = None
        """On which name the last candidate was rejected; None after it was not."""
        self.rounds = 0
        """How many rounds the search has begun."""
        self.ineligible: dict[tuple[NormalizedName, Version], IneligibleError] = {}
        self._dependencies: dict[
            tuple[NormalizedName, Version, str, frozenset[NormalizedName]], tuple[ResolverRequirement, ...]
        ] = {}
        self._satisfied: dict[tuple[int, int], tuple[bool, ResolverRequirement, ResolverCandidate]] = {}
        """By identity of the requirement and the candidate: their hashes are slower than the check."""
        self._prefetched: set[tuple[NormalizedName, Version]] = set()

    def fresh(self) -> "Provider":
        """Return a provider of the same problem that no search has used."""
        return Provider(self.releases, self._direct, None if self._limit is None else self._limit.fresh())

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
    ) -> tuple[bool, bool, int, bool, int, int, bool, int, str]:
        """Decide URLs and exact pins first: they have no choice. Then direct names, conflicts, upper bounds, order."""
        del resolutions, candidates, backtrack_causes
        has_url = exact = bounded = direct = False
        order = 1 << 30
        for required, _parent in information[identifier]:
            has_url = has_url or required.requirement.url is not None
            direct = direct or required.direct
            order = min(order, required.order)
            exact = exact or required.exact
            bounded = bounded or required.bounded
        first = self._first.get(identifier, len(self._first))
        conflicts = self.conflicts.get(identifier, 0)
        exhausted = self.exhausted.get(identifier, 0)
        return (not has_url, not exact, first, not direct, -exhausted, -conflicts, not bounded, order, identifier)

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
        # resolvelib repeats a rejected candidate up to thousands of times
        rejected = {id(own): own.candidate for own in incompatibilities[identifier]}.values()
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
        indirect = [own.requirement.specifier for own in required if not (own.direct or own.from_direct)]

        def matches() -> Iterator[ResolverCandidate]:
            found = self.releases.candidates(identifier, specifiers, direct=direct)
            left = (candidate for candidate in found if candidate.version not in versions)
            refused: dict[NormalizedName, list[frozenset[tuple[SpecifierSet, str | None]]]] = {}
            for candidate in self._with_prefetch(left, rejected=len(versions)):
                if self._limit is not None and not self._limit.allows(identifier, candidate.version, indirect):
                    return
                own = ResolverCandidate(candidate=candidate, extras=extras)
                if any(self._required_of(own, name) in known for name, known in refused.items()):
                    continue  # it would be rejected for the same reason as a better candidate
                self.rejection = None
                yield own
                if self.rejection is not None and self.rejection != INELIGIBLE:
                    refused.setdefault(self.rejection, []).append(self._required_of(own, self.rejection))

        return matches

    def _required_of(
        self, candidate: ResolverCandidate, name: NormalizedName
    ) -> frozenset[tuple[SpecifierSet, str | None]]:
        """Return the specifiers and URLs by which a candidate requires a package."""
        every = (required.requirement for required in self.get_dependencies(candidate))
        return frozenset((own.specifier, own.url) for own in every if own.name == name)

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
        # resolvelib checks every requirement on every pin in every round
        key = (id(requirement), id(candidate))
        answer = self._satisfied.get(key)
        if answer is None:
            # the pair is kept alive: another object must not take the identity
            answer = (self._is_satisfied(requirement, candidate), requirement, candidate)
            self._satisfied[key] = answer
        return answer[0]

    def _is_satisfied(self, requirement: ResolverRequirement, candidate: ResolverCandidate) -> bool:
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
        from_direct = own.name in self._direct
        return tuple(
            resolver_requirement(requirement, from_direct=from_direct, order=1 + len(self._dependencies))
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

    The package whose last candidate was rejected counts before them. If it stayed behind them, each combination of the
    others would be tried before it fails again for the same reason.
    """

    def __init__(self, provider: Provider, *, max_conflicts: int | None, thorough: bool) -> None:
        self._provider = provider
        self._max_conflicts = max_conflicts
        self._conflicts = 0
        self._thorough = thorough
        self._rejected: NormalizedName | None = None

    def starting_round(self, index: int) -> None:
        self._provider.rounds = index + 1
        self._provider.causes = ()
        self._rejected = None

    def rejecting_candidate(
        self, criterion: Criterion[ResolverRequirement, ResolverCandidate], candidate: ResolverCandidate
    ) -> None:
        self._rejected = candidate.candidate.name
        self._provider.rejection = next(required.requirement.name for required in criterion.iter_requirement())

    def resolving_conflicts(self, causes: Collection[Information]) -> None:
        self._conflicts += 1
        if self._max_conflicts is not None and self._conflicts > self._max_conflicts:
            raise ResolutionTooDeep(self._provider.rounds)
        parents = {parent.candidate.name for _, parent in causes if parent is not None}
        for name in parents:
            self._provider.conflicts[name] = self._provider.conflicts.get(name, 0) + 1
        if self._rejected is not None:
            self._provider.exhausted[self._rejected] = self._provider.exhausted.get(self._rejected, 0) + 1
        if self._thorough:
            self._provider.causes = tuple(causes)
            self._provider.conflicting |= parents | {required.requirement.name for required, _ in causes}


class Conflict(Struct, frozen=True, kw_only=True):
    """A search without an answer: the last requirements that conflict."""

    causes: tuple[Information, ...]
    provider: Provider


class Found(Struct, frozen=True, kw_only=True):
    """The first answer of a problem."""

    answer: Answer
    limit: Limit
    """Of the search that found it."""
    ended: tuple[tuple[Distance, Limit], ...] = ()
    """The searches that ended early: the distance at the end, and the limit."""
    is_probed: bool = False
    """Whether no other search found one within its bound: no better one is looked for."""


def search(requirements: Sequence[Requirement], releases: Releases, max_rounds: int) -> Answer | Conflict:
    """Return a pin for each name that is needed, and perhaps for more.

    Raises BuildRequired, and Unsatisfiable after ``max_rounds``.
    """
    found = _first(requirements, releases, max_rounds)
    if isinstance(found, Conflict):
        return found
    return found.answer if found.is_probed else _best(requirements, releases, found)


def _first(requirements: Sequence[Requirement], releases: Releases, max_rounds: int) -> Found | Conflict:
    """Return an answer. A search ends early where it takes a direct name far back, and the next one keeps this name new."""
    names = DirectNames(requirements, releases)
    limit, left = Limit(names=names), min(MAX_LIMITED_ROUNDS, max_rounds)
    ended: list[tuple[Distance, Limit]] = []
    while True:
        provider = Provider(releases, names, limit)
        try:
            if not limit.kept:
                answer, is_probed = _without_kept(requirements, provider, max_rounds)
                return Found(answer=answer, limit=limit, ended=tuple(ended), is_probed=is_probed)
            return Found(answer=_search(requirements, provider, left), limit=limit, ended=tuple(ended))
        except FarBack as stop:
            ended.append((stop.distance, limit))
            limit = limit.with_kept(stop.name)
        except ResolutionImpossible as error:
            if not limit.kept:
                return _thorough(requirements, limit, Conflict(causes=tuple(error.causes), provider=provider))
            limit = limit.relaxed()
        except ResolutionTooDeep:
            if not limit.kept:
                raise _too_deep(provider, max_rounds) from None
        left -= provider.rounds
        if left <= 0:
            limit = limit.opened()


def _without_kept(requirements: Sequence[Requirement], provider: Provider, max_rounds: int) -> tuple[Answer, bool]:
    """Return the answer of a search that keeps no name new, and whether it is that of a probe. Raises as `_search`."""
    try:
        return _search(requirements, provider, max_rounds, max_conflicts=MAX_CONFLICTS_BEFORE_PROBES), False
    except ResolutionTooDeep:
        if provider.rounds >= max_rounds:
            raise
    probed = _probed(requirements, provider, max_rounds)
    return (_search(requirements, provider, max_rounds), False) if probed is None else (probed, True)


def _probed(requirements: Sequence[Requirement], provider: Provider, max_rounds: int) -> Answer | None:
    """Return an answer with the best release of a direct name for which a short search finds one.

    The name is the one whose requirements conflict most often. A search decides it first, and tries all combinations of the
    other packages before it goes back to the next release: that can take longer than any bound.
    """
    releases, names = provider.releases, DirectNames(requirements, provider.releases)
    direct = [requirement for requirement in requirements if requirement.name in names]
    most = max(direct, key=lambda requirement: provider.conflicts.get(requirement.name, 0), default=None)
    if most is None:
        return None
    for candidate in names.best(most.name, MAX_PROBED):
        exact = Requirement(name=most.name, specifier=SpecifierSet(f"=={candidate.version}"))
        with suppress(ResolutionImpossible, ResolutionTooDeep):
            own = (*requirements, exact)
            probe = Provider(releases, names, Limit(names=names).opened())
            return _search(own, probe, max_rounds, max_conflicts=PROBE_CONFLICTS)
    return None


def _best(requirements: Sequence[Requirement], releases: Releases, found: Found) -> Answer:
    """Return the first answer, or a better one: of a search that ended early, or of one that keeps one name more."""
    answer, limit = found.answer, found.limit
    latest = {early.kept: (distance, early) for distance, early in found.ended if early.kept != limit.kept}
    for distance, early in reversed(latest.values()):
        best = limit.names.distance(answer)
        if not distance.exceeds(best):
            answer = _better(requirements, releases, early.better_than(best)) or answer
    for name in limit.names.far_back(answer):
        other = _better(requirements, releases, limit.with_strict(name, limit.names.distance(answer)))
        if other is not None and limit.names.is_newer(other, answer):
            answer = other
    return answer


def _better(requirements: Sequence[Requirement], releases: Releases, limit: Limit) -> Answer | None:
    """Return an answer that is better than the best one of the limit; None where the search does not find one."""
    with suppress(FarBack, ResolutionImpossible, ResolutionTooDeep):
        answer = _search(requirements, Provider(releases, limit.names, limit), MAX_LIMITED_ROUNDS)
        return answer if limit.accepts(limit.names.distance(answer)) else None
    return None


def _thorough(requirements: Sequence[Requirement], limit: Limit, conflict: Conflict) -> Found | Conflict:
    """Return an answer that resolvelib skipped, else the conflict.

    resolvelib may skip an answer when it backtracks over several pins at once. So before a problem counts as impossible,
    this search goes back to every pin that took part in a conflict.
    """
    with suppress(ResolutionImpossible, ResolutionTooDeep):
        provider = Provider(conflict.provider.releases, limit.names)
        answer = _search(requirements, provider, MAX_THOROUGH_ROUNDS, thorough=True)
        return Found(answer=answer, limit=limit)
    return conflict


def _too_deep(provider: Provider, max_rounds: int) -> Unsatisfiable:
    problem, conflicts, exhausted = provider.problem, provider.conflicts, provider.exhausted
    names = sorted({*conflicts, *exhausted}, key=lambda own: (-exhausted.get(own, 0), -conflicts.get(own, 0), own))
    most = f"; these packages conflict most often: {listed(names, MAX_NAMED)}" if names else ""
    return Unsatisfiable(
        f"the {problem.purpose} on {problem.target.label} is not resolved after {max_rounds} attempts{most}",
        hint="add narrower requirements or constraints for packages that have many versions",
    )


def _search(
    requirements: Sequence[Requirement],
    provider: Provider,
    rounds: int,
    *,
    max_conflicts: int | None = None,
    thorough: bool = False,
) -> Answer:
    """Return the answer of one search of at most ``rounds``, which decide how far resolvelib goes back at once.

    A search that never goes back is tried first: it has the same pins, and costs less.

    Raises what resolvelib raises, and ResolutionTooDeep after ``max_conflicts``.
    """
    direct = [resolver_requirement(requirement, direct=True) for requirement in requirements]
    if not thorough and not provider.conflicts:
        trial = provider.fresh()
        try:
            found = straight.decide(direct, trial, _Reporter(trial, max_conflicts=None, thorough=False), rounds)
        finally:
            provider.rounds = trial.rounds
        if found is not None:
            return {name: pin.candidate for name, pin in found.items()}
    # not Resolver: the graph that it builds at the end recurses endlessly where a pin on a cycle was replaced
    resolution = Resolution(provider, _Reporter(provider, max_conflicts=max_conflicts, thorough=thorough))
    return {name: pin.candidate for name, pin in resolution.resolve(direct, max_rounds=rounds).mapping.items()}
