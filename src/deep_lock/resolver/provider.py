"""resolvelib's provider, on the Catalog.

Identifiers are project names. A candidate has the required extras: when another requirement adds extras, the pin no longer
satisfies it, and resolvelib pins again with the union. (Name-and-extra identifiers, the usual way, double the graph, and
the two halves can have different versions.)

resolvelib calls these methods by keyword: parameter names are its API.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib.providers import AbstractProvider
from resolvelib.structs import RequirementInformation

from deep_lock.models.distribution import source_of
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate
from deep_lock.resolver.candidates import matches_url
from deep_lock.resolver.dependencies import BASE, IneligibleError, candidate_dependencies, overridden
from deep_lock.resolver.releases import Releases, is_exact, metadata_of

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
    """The provider of one problem."""

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
        self.ineligible: dict[tuple[NormalizedName, Version], str] = {}
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
        metadata = metadata_of(own, self.problem, self.catalog)
        try:
            required = self._requirements(own, metadata, extras)
        except IneligibleError as error:
            self.ineligible[own.name, own.version] = str(error)
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
            for requirement in candidate_dependencies(own, metadata, self.problem.target, extra):
                if requirement.name != own.name:
                    found.append(requirement)
                    continue
                if not self.releases.fits(requirement.specifier, own.version):
                    raise IneligibleError(f"it requires another version of itself: {requirement}")
                queue += sorted(requirement.extras)
        return found
