"""What resolvelib asks, answered from the Catalog.

Identifiers are project names. A candidate carries the extras that were asked of it: when another requirement asks for
more of them, resolvelib finds the pin unsatisfying and pins again, with the union. (Name-and-extra identifiers, the
usual way, double the graph and let the two halves disagree on a version.)

resolvelib calls these methods by keyword: parameter names are its API.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from resolvelib.providers import AbstractProvider
from resolvelib.structs import RequirementInformation

from deep_lock.model.distribution import Directory, source_of
from deep_lock.model.metadata import Metadata
from deep_lock.model.requirement import Requirement
from deep_lock.model.resolution import UNKNOWN_VERSION, BuildRequest, Candidate, Problem
from deep_lock.resolve.candidates import choose, direct_refusal, is_meant
from deep_lock.resolve.catalog import Catalog
from deep_lock.resolve.dependencies import BASE, IneligibleError, applicable, dependencies
from deep_lock.resolve.walk import overridden

INELIGIBLE = canonicalize_name("!")
"""Child of a release that cannot be used: no project has this name, and no candidate satisfies a Wish for it."""


PATIENCE = 2
"""How many candidates of a name are given up before the next ones are fetched ahead."""
AHEAD = 16


class BlockedError(Exception):
    """Carries the build request out of resolvelib; never leaves this wing."""

    def __init__(self, request: BuildRequest) -> None:
        super().__init__(request.name)
        self.request = request


class Wish(Struct, frozen=True, kw_only=True):
    """A requirement as resolvelib sees it. ``reason`` is set where the asker cannot be used at all."""

    requirement: Requirement
    direct: bool = False
    order: int = 0
    reason: str = ""


class Choice(Struct, frozen=True, kw_only=True, eq=False):
    """A candidate with the extras that are asked of it. Equal by release, whatever the extras."""

    candidate: Candidate
    extras: frozenset[NormalizedName] = frozenset()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and other.candidate == self.candidate

    def __hash__(self) -> int:
        return hash(self.candidate)


def _editable_first(requirement: Requirement) -> tuple[bool, str]:
    url = requirement.url or ""
    return ("editable=true" not in url.partition("#")[2], url)


Information = RequirementInformation[Wish, Choice]


def is_exact(specifier: SpecifierSet) -> bool:
    """Whether a specifier names one release: ``==V`` without a wildcard, or ``===V``."""
    return any(
        part.operator == "===" or (part.operator == "==" and not part.version.endswith(".*")) for part in specifier
    )


class Provider(AbstractProvider[Wish, Choice, NormalizedName]):
    """One problem's answers. Holds memory of the problem only: the Catalog holds the world's."""

    def __init__(self, problem: Problem, catalog: Catalog) -> None:
        self.problem = problem
        self.catalog = catalog
        self.preferences = dict(problem.preferences)
        self.constraints: dict[NormalizedName, list[Requirement]] = {}
        for constraint in applicable(problem.constraints, problem.target):
            self.constraints.setdefault(constraint.name, []).append(constraint)
        self._direct = {requirement.name for requirement in problem.requirements}
        self.conflicts: dict[NormalizedName, int] = {}
        """How often a name took part in a conflict: decided earlier the more it did."""
        self.ineligible: dict[tuple[NormalizedName, Version], str] = {}
        self.refused_direct: dict[str, str] = {}
        """Why what a URL names cannot be taken on the target, by the URL."""
        self._direct_candidates: dict[str, Candidate | None] = {}
        self._usable: dict[tuple[NormalizedName, Version, bool], Candidate | None] = {}
        self._wishes: dict[tuple[NormalizedName, Version, str, frozenset[NormalizedName]], tuple[Wish, ...]] = {}
        self._told: set[tuple[NormalizedName, Version]] = set()
        self._fits: dict[int, tuple[SpecifierSet, dict[Version, bool]]] = {}
        """By identity of the specifier, which is kept alive here: its hash costs more than the answer."""

    # -- what resolvelib asks

    def identify(self, requirement_or_candidate: Wish | Choice) -> NormalizedName:
        if isinstance(requirement_or_candidate, Wish):
            return requirement_or_candidate.requirement.name
        return requirement_or_candidate.candidate.name

    def get_preference(
        self,
        identifier: NormalizedName,
        resolutions: Mapping[NormalizedName, Choice],
        candidates: Mapping[NormalizedName, Iterator[Choice]],
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
        resolutions: Mapping[NormalizedName, Choice],
        candidates: Mapping[NormalizedName, Iterator[Choice]],
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
        requirements: Mapping[NormalizedName, Iterator[Wish]],
        incompatibilities: Mapping[NormalizedName, Iterator[Choice]],
    ) -> Callable[[], Iterator[Choice]]:
        wishes = list(requirements[identifier])
        given_up = [choice.candidate for choice in incompatibilities[identifier]]
        refused = {candidate.version for candidate in given_up}
        extras = frozenset(extra for wish in wishes for extra in wish.requirement.extras)
        if any(wish.reason for wish in wishes):
            return lambda: iter(())
        specifiers = [wish.requirement.specifier for wish in wishes if wish.requirement.specifier]
        specifiers += [c.specifier for c in self.constraints.get(identifier, ()) if c.specifier]
        direct = any(wish.direct for wish in wishes)
        urls = [wish.requirement for wish in wishes if wish.requirement.url is not None]
        if urls:
            return lambda: iter(self._named(urls, specifiers, given_up, extras))

        def matches() -> Iterator[Choice]:
            offered = (c for c in self.candidates(identifier, specifiers, direct=direct) if c.version not in refused)
            for candidate in self._announced(offered, given_up=len(refused)):
                yield Choice(candidate=candidate, extras=extras)

        return matches

    def _named(
        self,
        requirements: Sequence[Requirement],
        specifiers: Sequence[SpecifierSet],
        given_up: Sequence[Candidate],
        extras: frozenset[NormalizedName],
    ) -> list[Choice]:
        """Return the one candidate that all the URLs name, if they do and it satisfies the specifiers."""
        candidate = self.direct(min(requirements, key=_editable_first), needs_version=any(specifiers))
        if (
            candidate is None
            or candidate in given_up
            or (candidate.name, candidate.version) in self.problem.excluded
            or not all(is_meant(requirement, candidate) for requirement in requirements)
            or not all(self.fits(specifier, candidate.version) for specifier in specifiers)
        ):
            return []
        return [Choice(candidate=candidate, extras=extras)]

    def _announced(self, offered: Iterator[Candidate], *, given_up: int) -> Iterator[Candidate]:
        """Pass candidates on; once a few were given up, tell the catalog of the next ones before they are asked for."""
        for place, candidate in enumerate(offered, given_up):
            if place >= PATIENCE and (candidate.name, candidate.version) not in self._told:
                ahead = [candidate, *islice(offered, AHEAD)]
                self._told.update((other.name, other.version) for other in ahead)
                self.catalog.prefetch((), ahead)
                yield from ahead
                continue
            yield candidate

    def is_satisfied_by(self, requirement: Wish, candidate: Choice) -> bool:
        wanted = requirement.requirement
        if requirement.reason or not wanted.extras <= candidate.extras:
            return False
        if not is_meant(wanted, candidate.candidate):
            return False
        return not wanted.specifier or self.fits(wanted.specifier, candidate.candidate.version)

    def get_dependencies(self, candidate: Choice) -> Iterable[Wish]:
        own = candidate.candidate
        key = (own.name, own.version, source_of(own.distribution), candidate.extras)
        if key not in self._wishes:
            self._wishes[key] = self._ask(own, candidate.extras)
        return self._wishes[key]

    # -- how it is answered

    def fits(self, specifier: SpecifierSet, version: Version) -> bool:
        """Whether a version satisfies a specifier, pre-releases aside: those are a matter of the whole set."""
        known = self._fits.get(id(specifier))
        if known is None:
            known = self._fits[id(specifier)] = (specifier, {})
        answers = known[1]
        answer = answers.get(version)
        if answer is None:
            answer = answers[version] = specifier.contains(version, prereleases=True)
        return answer

    def candidates(
        self, name: NormalizedName, specifiers: Sequence[SpecifierSet], *, direct: bool
    ) -> Iterator[Candidate]:
        """Yield what could be pinned, best first: preferred versions, final ones, then pre-releases if admitted.

        PEP 440: a pre-release counts only where no final release satisfies *all* that is asked of the name, or where
        a specifier names one; even then final releases come first.
        """
        yanked_ok = any(is_exact(specifier) for specifier in specifiers)
        preferred = self.preferences.get(name, ())
        for version in preferred:
            candidate = self._fitting(name, version, specifiers, yanked_ok=True)
            if candidate is not None:
                yield candidate
        selection = self.problem.selection
        mode = "allow" if name in selection.prerelease_names else selection.prereleases
        withheld: list[Version] = []
        finals = False
        for version in self._ordered(name, direct=direct):
            if version in preferred:
                finals = finals or not version.is_prerelease
                continue
            if version.is_prerelease and mode != "allow":
                withheld.append(version)
                continue
            candidate = self._fitting(name, version, specifiers, yanked_ok=yanked_ok)
            if candidate is not None:
                finals = True
                yield candidate
        named = any(specifier.prereleases for specifier in specifiers)
        if mode == "disallow" or (finals and not named):
            return
        for version in withheld:
            candidate = self._fitting(name, version, specifiers, yanked_ok=yanked_ok)
            if candidate is not None:
                yield candidate

    def direct(self, requirement: Requirement, *, needs_version: bool) -> Candidate | None:
        """Return what a URL names; None where the target cannot take it. Raises BlockedError."""
        url = requirement.url or ""
        known = self._direct_candidates.get(url)
        if url not in self._direct_candidates or (needs_version and known and known.version == UNKNOWN_VERSION):
            target = self.problem.target
            found = self.catalog.direct(requirement, target, needs_version=needs_version)
            if isinstance(found, BuildRequest):
                raise BlockedError(found)
            metadata = self.catalog.metadata(found, target)
            if isinstance(metadata, BuildRequest):
                raise BlockedError(metadata)
            refusal = direct_refusal(found, metadata, target)
            if refusal:
                self.refused_direct[url] = refusal
            self._direct_candidates[url] = None if refusal else found
        return self._direct_candidates[url]

    def named_by(self, url: str) -> Candidate | None:
        """Return what a URL was found to name; None where it was not asked, or cannot be taken."""
        return self._direct_candidates.get(url)

    def first(self, requirement: Requirement) -> Candidate | None:
        """Return the best candidate for a requirement and the problem's constraints alone."""
        specifiers = [requirement.specifier, *(c.specifier for c in self.constraints.get(requirement.name, ()))]
        if requirement.url is not None:
            named = self._named([requirement], specifiers, (), frozenset())
            return named[0].candidate if named else None
        return next(self.candidates(requirement.name, specifiers, direct=requirement.name in self._direct), None)

    def _ordered(self, name: NormalizedName, *, direct: bool) -> Iterable[Version]:
        versions = self.catalog.versions(name)
        mode = self.problem.selection.resolution
        lowest = mode == "lowest" or (mode == "lowest-direct" and direct)
        return reversed(versions) if lowest else versions

    def _fitting(
        self, name: NormalizedName, version: Version, specifiers: Sequence[SpecifierSet], *, yanked_ok: bool
    ) -> Candidate | None:
        if (name, version) in self.problem.excluded:
            return None
        if not all(self.fits(specifier, version) for specifier in specifiers):
            return None
        return self.usable(name, version, yanked_ok=yanked_ok)

    def usable(self, name: NormalizedName, version: Version, *, yanked_ok: bool) -> Candidate | None:
        """Return the release with the file that the target takes, or None."""
        key = (name, version, yanked_ok)
        if key not in self._usable:
            files = self.catalog.files(name, version)
            file = choose(files, self.problem.target, self.problem.selection, yanked_ok=yanked_ok)
            self._usable[key] = None if file is None else Candidate(name=name, version=version, distribution=file)
        return self._usable[key]

    def _ask(self, own: Candidate, extras: frozenset[NormalizedName]) -> tuple[Wish, ...]:
        metadata = self.catalog.metadata(own, self.problem.target)
        if isinstance(metadata, BuildRequest):
            raise BlockedError(metadata)
        try:
            asked = self._requirements(own, metadata, extras)
        except IneligibleError as error:
            self.ineligible[own.name, own.version] = str(error)
            return (Wish(requirement=Requirement(name=INELIGIBLE), reason=str(error)),)
        self.catalog.prefetch(asked)
        return tuple(
            Wish(requirement=requirement, order=1 + len(self._wishes))
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
                if not self.fits(requirement.specifier, own.version):
                    raise IneligibleError(f"it asks for another version of itself: {requirement}")
                queue += sorted(requirement.extras)
        return found
