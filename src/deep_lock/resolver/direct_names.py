"""How far a result moves the direct dependencies of a problem back from their best releases.

A search decides one name after the other, and a name that is decided late accepts what the others have left: it may go back
for years where another name could go back by one release. So `search` tries several limits, and compares the answers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.distribution import SourceDistribution, Wheel
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate
from deep_lock.resolver.candidates import Releases

MONTH = timedelta(days=30)
FEW_MONTHS, FEW_RELEASES = 2, 2
"""Farther back than this another search is tried."""
LONG_MONTHS, LONG_RELEASES = 12, 6
"""Farther back than this a package that is not required directly goes back instead, if that is less far."""
MAX_KEPT = 8
"""How many names one problem may keep new."""
RELAX, MAX_FACTOR = 4, 64
"""Where no search keeps every name that near, all may go back so many times farther, and at last as far as they must."""


class Distance(Struct, frozen=True, kw_only=True):
    """How far names are behind their best releases."""

    months: int | None = 0
    """How much older they are; None where an index does not give the time of an upload."""
    releases: int = 0
    """How many better releases there are."""

    def __add__(self, other: "Distance") -> "Distance":
        months = None if self.months is None or other.months is None else self.months + other.months
        return Distance(months=months, releases=self.releases + other.releases)

    def is_far(self, factor: int) -> bool:
        """Whether it is more than a few months or releases, times a factor."""
        return self.releases > FEW_RELEASES * factor or (self.months or 0) > FEW_MONTHS * factor

    def is_long(self) -> bool:
        """Whether it is more than a year, or many releases where there are no times to compare."""
        return self.months > LONG_MONTHS if self.months else self.releases > LONG_RELEASES

    def exceeds(self, other: "Distance") -> bool:
        """Whether this is the longer way back: in months, else in releases."""
        if self.months is None or other.months is None or self.months == other.months:
            return self.releases > other.releases
        return self.months > other.months


def _months(candidates: Sequence[Candidate]) -> int | None:
    """Return the whole months between the first and the last upload; None where one of them is unknown.

    An old line of versions can have a new release: so the releases between count, too.
    """
    files = [candidate.distribution for candidate in candidates]
    times = [file.upload_time for file in files if isinstance(file, Wheel | SourceDistribution) and file.upload_time]
    return (max(times) - min(times)) // MONTH if len(times) == len(files) else None


class DirectNames:
    """The names that the problem itself requires, each with its releases as if nothing else were required."""

    def __init__(self, requirements: Sequence[Requirement], releases: Releases) -> None:
        urls = {requirement.name for requirement in requirements if requirement.url is not None}
        self._specifiers: dict[NormalizedName, list[SpecifierSet]] = {
            requirement.name: [constraint.specifier for constraint in releases.constraints.get(requirement.name, ())]
            for requirement in requirements
            if requirement.name not in urls
        }
        for requirement in requirements:
            if requirement.name not in urls:
                self._specifiers[requirement.name].append(requirement.specifier)
        self._releases = releases
        self._read: dict[NormalizedName, list[Candidate]] = {}
        self._unread: dict[NormalizedName, Iterator[Candidate]] = {}

    def __iter__(self) -> Iterator[NormalizedName]:
        return iter(self._specifiers)

    def __contains__(self, name: NormalizedName) -> bool:
        return name in self._specifiers

    def best(self, name: NormalizedName, number: int) -> list[Candidate]:
        """Return the best releases of one of the names, by the problem's own requirements and constraints."""
        return list(islice(self._releases.candidates(name, self._specifiers[name], direct=True), number))

    def behind(self, name: NormalizedName, version: Version, specifiers: Sequence[SpecifierSet] = ()) -> Distance:
        """Return how far a version is behind the best release that satisfies the specifiers.

        Only the problem's own requirements and constraints decide which release is better.
        """
        if name not in self._unread:
            own = self._specifiers.get(name) or [limit.specifier for limit in self._releases.constraints.get(name, ())]
            self._read[name] = []
            self._unread[name] = self._releases.candidates(name, own, direct=name in self)
        read = self._read[name]
        if all(candidate.version != version for candidate in read):
            for candidate in self._unread[name]:
                read.append(candidate)
                if candidate.version == version:
                    break
        fits = self._releases.fits
        passed: list[Candidate] = []
        for candidate in read:
            if candidate.version == version:
                return Distance(months=_months([*passed, candidate]) if passed else 0, releases=len(passed))
            if all(fits(specifier, candidate.version) for specifier in specifiers):
                passed.append(candidate)
        return Distance()  # a pre-release that only another requirement allows

    def distance(self, answer: Mapping[NormalizedName, Candidate]) -> Distance:
        """Return how far a result moves all the names back together."""
        return self._sum(self._specifiers, answer)

    def _sum(self, names: Iterable[NormalizedName], answer: Mapping[NormalizedName, Candidate]) -> Distance:
        return sum((self.behind(name, answer[name].version) for name in names if name in answer), Distance())

    def far_back(self, answer: Mapping[NormalizedName, Candidate]) -> list[NormalizedName]:
        """Return names that an answer takes back for long, MAX_KEPT at most, in the order of the requirements."""
        found = (name for name in self if name in answer and self.behind(name, answer[name].version).is_long())
        return list(islice(found, MAX_KEPT))

    def is_newer(self, answer: Mapping[NormalizedName, Candidate], other: Mapping[NormalizedName, Candidate]) -> bool:
        """Whether an answer is as new as another one, or newer, by all the names that both have."""
        common = [
            name
            for name in answer
            if name in other
            and all(isinstance(one[name].distribution, Wheel | SourceDistribution) for one in (answer, other))
        ]
        return not self._sum(common, answer).exceeds(self._sum(common, other))


class FarBack(Exception):
    """Ends a search that takes a direct name far back."""

    def __init__(self, name: NormalizedName, distance: Distance) -> None:
        super().__init__(name)
        self.name = name
        self.distance = distance


class Limit(Struct, frozen=True, kw_only=True):
    """How far one search may take direct names back."""

    names: DirectNames
    kept: tuple[NormalizedName, ...] = ()
    """Names that must not go far back; the first one is decided first."""
    factor: int = 1
    """For `Distance.is_far`. Twice as much for the other names with each kept name."""
    strict: frozenset[NormalizedName] = frozenset()
    """Kept names that what no direct name requires must not take back either."""
    free: frozenset[NormalizedName] = frozenset()
    """Names that may go back as far as they must."""
    best: Distance | None = None
    """Of the best answer so far: the search must be better, or as good if it keeps no name. Without an answer no name that
    is not free may go far back."""
    _behind: dict[NormalizedName, Distance] = field(default_factory=dict)
    """Where the search is now."""

    def fresh(self) -> "Limit":
        """Return the limit for a search of its own."""
        return replace(self, _behind={})

    def with_kept(self, name: NormalizedName) -> "Limit":
        """Return the limit of a search that keeps one name more."""
        if len(self.kept) + len(self.free) >= MAX_KEPT:
            return Limit(names=self.names, kept=self.kept, factor=self.factor, free=self.free | {name})
        return Limit(names=self.names, kept=(name, *self.kept), factor=self.factor, free=self.free)

    def relaxed(self) -> "Limit":
        """Return the limit of a search that may go back farther."""
        factor = self.factor * RELAX
        return Limit(names=self.names, factor=factor) if factor <= MAX_FACTOR else self.opened()

    def opened(self) -> "Limit":
        """Return the limit of a search that may take every name back."""
        return Limit(names=self.names, free=frozenset(self.names))

    def with_strict(self, name: NormalizedName, best: Distance) -> "Limit":
        """Return the limit of a better result that keeps one name more, for any package that requires it."""
        kept = (name, *(own for own in self.kept if own != name))
        return Limit(names=self.names, kept=kept, factor=self.factor, strict=frozenset({name}), best=best)

    def better_than(self, best: Distance) -> "Limit":
        """Return the limit of the same search now that there is an answer."""
        return Limit(names=self.names, kept=self.kept, factor=self.factor, best=best)

    def accepts(self, total: Distance) -> bool:
        """Whether an answer this far back is better than the best one, or as good in the default order."""
        return self.best is None or (self.best.exceeds(total) if self.kept else not total.exceeds(self.best))

    def allows(self, name: NormalizedName, version: Version, indirect: Sequence[SpecifierSet]) -> bool:
        """Whether a version may be taken. Raises FarBack where another search is to be tried instead.

        ``indirect``: the specifiers of what no direct name requires. What they exclude does not count, except for strict
        names: to keep the name new could send the package that requires it back to a release that is too old to have the
        specifier.
        """
        if name not in self.names:
            return True
        if name in self.strict:
            indirect = ()
        if name in self.kept and self.names.behind(name, version, indirect).is_far(self.factor):
            return False
        self._behind[name] = self.names.behind(name, version)
        if self.best is not None:
            ends = not self.accepts(self._total())
        elif name in self.kept or name in self.free:
            ends = False
        else:
            ends = self.names.behind(name, version, indirect).is_far(self.factor * 2 ** len(self.kept))
        if ends:
            raise FarBack(name, self._total())
        return True

    def _total(self) -> Distance:
        return sum(self._behind.values(), Distance())
