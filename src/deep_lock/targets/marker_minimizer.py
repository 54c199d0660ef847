"""Which few marker terms hold on some declared targets and on no others: a small boolean minimisation.

Targets stand in a grid: Pythons in order on one axis, (platform_machine, sys_platform) on the other. A set of targets
is a set of cells, kept as the bits of a number. A term is a rectangle: Pythons that lie together (or all but one) x
platforms that share a system or a machine (or all but those of one). Terms that touch no forbidden cell are taken
greedily: one that holds on all that is left, else the cheapest text for each new cell. Free-threaded builds and levels of libc share a cell: markers have no
word for them.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import product

from msgspec import Struct
from packaging.version import Version

from deep_lock.targets.target import Target

Literals = tuple[str, ...]
"""Comparisons that are joined with ``and``; none of them holds an ``or``."""


class Term(Struct, frozen=True, kw_only=True):
    """A rectangle of cells and how it is said."""

    mask: int
    python: Literals
    platform: Literals
    text: str


class Python(Struct, frozen=True, kw_only=True, eq=False):
    """One place on the Python axis."""

    full_version: str
    minor: str
    exact: bool
    """A full version was declared: otherwise the minor version is meant, whatever its micro."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Python) and (other.full_version, other.minor) == (self.full_version, self.minor)

    def __hash__(self) -> int:
        return hash((self.full_version, self.minor))


class Grid(Struct, frozen=True, kw_only=True):
    """The cells of declared targets, and every term that could be said about them."""

    cells: tuple[int, ...]
    """The cell of each declared target, as one bit."""
    terms: tuple[Term, ...]


def variable(literal: str) -> str:
    """The sort key of comparisons: the marker variable."""
    return literal.split(" ", 1)[0]


def conjunction(literals: Iterable[str]) -> str:
    """Join comparisons with ``and``, by the name of the variable."""
    return " and ".join(sorted(literals, key=variable))


def python_axis(declared: Iterable[Target]) -> tuple[Python, ...]:
    """Place the Pythons of the targets in order."""
    exact: dict[str, bool] = {}
    for target in declared:
        version = target.python_full_version
        exact[version] = exact.get(version, False) or target.python.count(".") > 1
    return tuple(
        Python(full_version=version, minor=".".join(version.split(".")[:2]), exact=exact[version])
        for version in sorted(exact, key=Version)
    )


def platform_of(target: Target) -> tuple[str, str]:
    """The machine and the system, as markers say them."""
    return target.environment["platform_machine"], target.environment["sys_platform"]


def _border(below: Python, above: Python) -> tuple[str, str]:
    """The comparisons that hold up to ``below`` and from ``above`` on.

    Between micro versions a declared one is named, and inclusively: ``< '3.15.0'`` does not hold on 3.15.0rc1.
    """
    if below.minor != above.minor:
        return f"python_version < '{above.minor}'", f"python_version >= '{above.minor}'"
    upto = f"<= '{below.full_version}'" if below.exact else f"< '{above.full_version}'"
    onward = f">= '{above.full_version}'" if above.exact else f"> '{below.full_version}'"
    return f"python_full_version {upto}", f"python_full_version {onward}"


def _same(axis: tuple[Python, ...], first: int, last: int, operator: str) -> Literals:
    """One comparison that tells the places from all others: they are one minor version, or one full version."""
    here = axis[first]
    sharing = [place for place, python in enumerate(axis) if python.minor == here.minor]
    if sharing == list(range(first, last + 1)):
        return (f"python_version {operator} '{here.minor}'",)
    return (f"python_full_version {operator} '{here.full_version}'",) if here.exact and first == last else ()


def _span(axis: tuple[Python, ...], first: int, last: int) -> Literals:
    start = () if first == 0 else (_border(axis[first - 1], axis[first])[1],)
    end = () if last == len(axis) - 1 else (_border(axis[last], axis[last + 1])[0],)
    if start and end:
        return _same(axis, first, last, "==") or (*start, *end)
    return (*start, *end)


def _python_sets(axis: tuple[Python, ...]) -> dict[int, Literals]:
    """Every set of Pythons that a few comparisons can say, as bits."""
    sets: dict[int, Literals] = {}
    end = len(axis) - 1
    for first in range(len(axis)):
        for last in range(first, len(axis)):
            bits = sum(1 << place for place in range(first, last + 1))
            sets[bits] = _span(axis, first, last)
            unlike = _same(axis, first, last, "!=")
            if unlike and first > 0 and last < end:
                sets[((1 << len(axis)) - 1) ^ bits] = unlike
    return sets


def _platform_sets(platforms: tuple[tuple[str, str], ...]) -> dict[int, Literals]:
    """Every set of platforms that at most one comparison of each variable can say, as bits; the shortest way each."""
    said: list[list[tuple[int, Literals]]] = []
    for number, name in enumerate(("platform_machine", "sys_platform")):
        choices: list[tuple[int, Literals]] = [((1 << len(platforms)) - 1, ())]
        for value in sorted({platform[number] for platform in platforms}):
            bits = sum(1 << place for place, platform in enumerate(platforms) if platform[number] == value)
            choices.append((bits, (f"{name} == '{value}'",)))
            choices.append((((1 << len(platforms)) - 1) ^ bits, (f"{name} != '{value}'",)))
        said.append(choices)
    sets: dict[int, Literals] = {}
    for (machines, machine), (systems, system) in product(*said):
        bits, literals = machines & systems, (*machine, *system)
        if bits and (bits not in sets or _cost(literals) < _cost(sets[bits])):
            sets[bits] = literals
    return sets


def _cost(literals: Literals) -> tuple[int, int, str]:
    text = conjunction(literals)
    return len(text), text.count("!="), text


@lru_cache(maxsize=32)
def grid(declared: tuple[Target, ...]) -> Grid:
    """Lay out the cells of the targets."""
    axis = python_axis(declared)
    versions = {python.full_version: place for place, python in enumerate(axis)}
    platforms = tuple(sorted({platform_of(target) for target in declared}))
    width = len(platforms)
    cells = tuple(
        1 << (versions[target.python_full_version] * width + platforms.index(platform_of(target)))
        for target in declared
    )
    terms = tuple(
        Term(
            mask=sum(systems << (place * width) for place in range(len(axis)) if pythons >> place & 1),
            python=python,
            platform=platform,
            text=conjunction((*python, *platform)),
        )
        for (pythons, python), (systems, platform) in product(
            _python_sets(axis).items(), _platform_sets(platforms).items()
        )
    )
    return Grid(cells=cells, terms=terms)


_ALTERNATIVE = 10  # characters that an `or` more may save


def _price(term: Term, left: int) -> tuple[float, int, str]:
    """What a term costs for each cell that it adds; equal prices are told apart by the text, for the same answer always."""
    return (len(term.text) + _ALTERNATIVE) / (term.mask & left).bit_count(), term.text.count("!="), term.text


def cover(required: int, forbidden: int, terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Choose terms that hold on every required cell and on no forbidden one. What they say elsewhere is free."""
    usable = [term for term in terms if term.mask & required and not term.mask & forbidden]
    chosen: list[Term] = []
    left = required
    while left:
        whole = [term for term in usable if not left & ~term.mask]
        best = min(whole or usable, key=lambda term: _price(term, left))
        chosen.append(best)
        left &= ~best.mask
        usable = [term for term in usable if term.mask & left]
    for term in tuple(chosen):
        others = 0
        for other in chosen:
            others |= 0 if other is term else other.mask
        if not required & ~others:
            chosen.remove(term)
    return tuple(chosen)


def say(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Write a cover as alternatives, sorted, with what several terms share written once."""
    alternatives: list[str] = []
    left = list(terms)
    for share in (_python, _platform):
        for shared in sorted({share(term) for term in left if share(term)}):
            group = [term for term in left if share(term) == shared]
            if len(group) > 1:
                rest = _platform if share is _python else _python
                inner = " or ".join(sorted(conjunction(rest(term)) for term in group))
                alternatives.append(f"{conjunction(shared)} and ({inner})")
                left = [term for term in left if term not in group]
    return tuple(sorted([*alternatives, *(term.text for term in left)]))


def _python(term: Term) -> Literals:
    return term.python


def _platform(term: Term) -> Literals:
    return term.platform
