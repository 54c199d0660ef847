"""What resolvelib asks, answered from the Catalog.

Identifiers are project names. A candidate carries the extras that were asked of it: when another requirement asks for
more of them, resolvelib finds the pin unsatisfying and pins again, with the union. (Name-and-extra identifiers, the
usual way, double the graph and let the two halves disagree on a version.)

resolvelib calls these methods by keyword: parameter names are its API.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib.providers import AbstractProvider
from resolvelib.structs import RequirementInformation

from deep_lock.models.distribution import Directory, source_of
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import BuildRequest, Candidate
from deep_lock.resolver.candidates import is_meant
from deep_lock.resolver.dependencies import BASE, IneligibleError, dependencies
from deep_lock.resolver.releases import BuildRequired, Releases, is_exact
from deep_lock.resolver.walk import overridden

INELIGIBLE = canonicalize_name("!")
"""Child of a release that cannot be used: no project has this name, and no candidate satisfies a Wish for it."""


PREFETCH_AFTER = 2
"""How many candidates of a name are given up before the next ones are fetched ahead."""
AHEAD = 16


class ResolverRequirement(Struct, frozen=True, kw_only=True):
    """A requirement as resolvelib sees it. ``reason`` is set where the asker cannot be used at all."""

    requirement: Requirement
    direct: bool = False
    order: int = 0
    reason: str = ""


class ResolverCandidate(Struct, frozen=True, kw_only=True, eq=False):
    """A candidate with the extras that are asked of it. Equal by release, whatever the extras."""

    candidate: Candidate
    extras: frozenset[NormalizedName] = frozenset()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResolverCandidate) and other.candidate == self.candidate

    def __hash__(self) -> int:
        return hash(self.candidate)


Information = RequirementInformation[ResolverRequirement, ResolverCandidate]


class Provider(AbstractProvider[ResolverRequirement, ResolverCandidate, NormalizedName]):
    """One problem's answers."""

    def __init__(self, releases: Releases) -> None:
        self.releases = releases
        self.problem = releases.problem
        self.catalog = releases.catalog
        self.conflicts: dict[NormalizedName, int] = {}
        """How often a name took part in a conflict: decided earlier the more it did."""
        self.ineligible: dict[tuple[NormalizedName, Version], str] = {}
        self._wishes: dict[
            tuple[NormalizedName, Version, str, frozenset[NormalizedName]], tuple[ResolverRequirement, ...]
        ] = {}
        self._told: set[tuple[NormalizedName, Version]] = set()

    # -- what resolvelib asks

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
        """Decide first what has the least choice: URLs, exact pins, names in conflict, bounded ones, then first come."""
        del resolutions, candidates, backtrack_causes
        named = exact = bounded = direct = False
        order = 1 << 30
        for asked, _parent in information[identifier]:
            named = named or asked.requirement.url is not None
            direct = direct or asked.direct
            order = min(order, asked.order)
            specifier = asked.requirement.specifier
            exact = exact or is_exact(specifier)
            bounded = bounded or any(part.operator in {"<", "<=", "~=", "=="} for part in specifier)
        return (not named, not exact, -self.conflicts.get(identifier, 0), not bounded, not direct, order, identifier)

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
        culprits: set[NormalizedName] = set()
        for asked, parent in backtrack_causes:
            culprits.add(asked.requirement.name)
            if parent is not None:
                culprits.add(parent.candidate.name)
        return [name for name in names if name in culprits] or names

    def find_matches(
        self,
        identifier: NormalizedName,
        requirements: Mapping[NormalizedName, Iterator[ResolverRequirement]],
        incompatibilities: Mapping[NormalizedName, Iterator[ResolverCandidate]],
    ) -> Callable[[], Iterator[ResolverCandidate]]:
        wishes = list(requirements[identifier])
        given_up = [choice.candidate for choice in incompatibilities[identifier]]
        refused = {candidate.version for candidate in given_up}
        extras = frozenset(extra for wish in wishes for extra in wish.requirement.extras)
        if any(wish.reason for wish in wishes):
            return lambda: iter(())
        specifiers = [wish.requirement.specifier for wish in wishes if wish.requirement.specifier]
        specifiers += [c.specifier for c in self.releases.constraints.get(identifier, ()) if c.specifier]
        urls = [wish.requirement for wish in wishes if wish.requirement.url is not None]
        if urls:
            found = self.releases.named.candidate(urls, specifiers)
            meant = [] if found is None or found in given_up else [ResolverCandidate(candidate=found, extras=extras)]
            return lambda: iter(meant)
        direct = any(wish.direct for wish in wishes)

        def matches() -> Iterator[ResolverCandidate]:
            offered = (
                c for c in self.releases.candidates(identifier, specifiers, direct=direct) if c.version not in refused
            )
            for candidate in self._announced(offered, given_up=len(refused)):
                yield ResolverCandidate(candidate=candidate, extras=extras)

        return matches

    def _announced(self, offered: Iterator[Candidate], *, given_up: int) -> Iterator[Candidate]:
        """Pass candidates on; once a few were given up, tell the catalog of the next ones before they are asked for."""
        for place, candidate in enumerate(offered, given_up):
            if place >= PREFETCH_AFTER and (candidate.name, candidate.version) not in self._told:
                ahead = [candidate, *islice(offered, AHEAD)]
                self._told.update((other.name, other.version) for other in ahead)
                self.catalog.prefetch((), ahead)
                yield from ahead
                continue
            yield candidate

    def is_satisfied_by(self, requirement: ResolverRequirement, candidate: ResolverCandidate) -> bool:
        wanted = requirement.requirement
        if requirement.reason or not wanted.extras <= candidate.extras:
            return False
        if not is_meant(wanted, candidate.candidate):
            return False
        return not wanted.specifier or self.releases.fits(wanted.specifier, candidate.candidate.version)

    def get_dependencies(self, candidate: ResolverCandidate) -> Iterable[ResolverRequirement]:
        own = candidate.candidate
        key = (own.name, own.version, source_of(own.distribution), candidate.extras)
        if key not in self._wishes:
            self._wishes[key] = self._ask(own, candidate.extras)
        return self._wishes[key]

    # -- how it is answered

    def _ask(self, own: Candidate, extras: frozenset[NormalizedName]) -> tuple[ResolverRequirement, ...]:
        metadata = self.catalog.metadata(own, self.problem.target)
        if isinstance(metadata, BuildRequest):
            raise BuildRequired(metadata)
        try:
            asked = self._requirements(own, metadata, extras)
        except IneligibleError as error:
            self.ineligible[own.name, own.version] = str(error)
            return (ResolverRequirement(requirement=Requirement(name=INELIGIBLE), reason=str(error)),)
        self.catalog.prefetch(asked)
        return tuple(
            ResolverRequirement(requirement=requirement, order=1 + len(self._wishes))
            for requirement in overridden(tuple(asked), self.problem)
        )

    def _requirements(self, own: Candidate, metadata: Metadata, extras: frozenset[NormalizedName]) -> list[Requirement]:
        """Return what the release and its extras ask for; extras that name the release itself are followed here."""
        found: list[Requirement] = []
        queue: list[NormalizedName] = [BASE, *sorted(extras)]
        done: set[NormalizedName] = set()
        while queue:
            extra = queue.pop(0)
            if extra in done:
                continue
            done.add(extra)
            local = isinstance(own.distribution, Directory)
            for requirement in dependencies(metadata, self.problem.target, extra, may_name_urls=local):
                if requirement.name != own.name:
                    found.append(requirement)
                    continue
                if not self.releases.fits(requirement.specifier, own.version):
                    raise IneligibleError(f"it asks for another version of itself: {requirement}")
                queue += sorted(requirement.extras)
        return found
