"""Finds few marker terms that are true on some targets of the lock and false on all others (boolean minimization).

Targets are cells of a grid: Pythons in order on one axis, (platform_machine, sys_platform) on the other. A set of cells
is kept as the bits of a number. A term is a rectangle: neighboring Pythons (or all but one) x platforms that share a
system or a machine (or all but those of one). Terms without a forbidden cell are chosen greedily: one that covers all
remaining cells, else the one with the shortest text for each new cell. Free-threaded builds and levels of libc share a
cell: no marker variable distinguishes them.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import product
from operator import attrgetter

from msgspec import Struct
from packaging.version import Version

from deep_lock.targets.target import Target

Literals = tuple[str, ...]
"""Comparisons that are joined with ``and``; none of them contains an ``or``."""


class Term(Struct, frozen=True, kw_only=True):
    """A rectangle of cells and its text."""

    mask: int
    python: Literals
    platform: Literals
    text: str


class Python(Struct, frozen=True, kw_only=True):
    """One position on the Python axis."""

    full_version: str
    minor: str
    exact: bool
    """Whether a full version was declared, and not the minor version with any micro version."""


class Grid(Struct, frozen=True, kw_only=True):
    """The cells of declared targets, and every term that can be written about them."""

    cells: tuple[int, ...]
    """The cell of each declared target, as one bit."""
    terms: tuple[Term, ...]


def conjunction(literals: Iterable[str]) -> str:
    """Join comparisons with ``and``, sorted by the marker variable."""
    return " and ".join(sorted(literals, key=lambda literal: literal.split(" ", 1)[0]))


def python_axis(declared: Iterable[Target]) -> tuple[Python, ...]:
    """Return the Pythons of the targets in order."""
    exact: dict[str, bool] = {}
    for target in declared:
        version = target.python_full_version
        exact[version] = exact.get(version, False) or target.python.count(".") > 1
    return tuple(
        Python(full_version=version, minor=".".join(version.split(".")[:2]), exact=exact[version])
        for version in sorted(exact, key=Version)
    )


def platform_of(target: Target) -> tuple[str, str]:
    """The machine and the system, as marker variables."""
    return target.environment["platform_machine"], target.environment["sys_platform"]


def _border(below: Python, above: Python) -> tuple[str, str]:
    """The comparisons that hold up to ``below`` and from ``above`` on.

    Between micro versions they name a declared one, and include it: ``< '3.15.0'`` does not hold on 3.15.0rc1.
    """
    if below.minor != above.minor:
        return f"python_version < '{above.minor}'", f"python_version >= '{above.minor}'"
    upto = f"<= '{below.full_version}'" if below.exact else f"< '{above.full_version}'"
    onward = f">= '{above.full_version}'" if above.exact else f"> '{below.full_version}'"
    return f"python_full_version {upto}", f"python_full_version {onward}"


def _same(axis: tuple[Python, ...], first: int, last: int, operator: str) -> Literals:
    """One comparison for these positions, if they are one minor version or one full version; else none."""
    here = axis[first]
    sharing = [position for position, python in enumerate(axis) if python.minor == here.minor]
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
    """Every set of Pythons that a few comparisons can express, as bits."""
    sets: dict[int, Literals] = {}
    end = len(axis) - 1
    for first in range(len(axis)):
        for last in range(first, len(axis)):
            bits = sum(1 << position for position in range(first, last + 1))
            sets[bits] = _span(axis, first, last)
            unlike = _same(axis, first, last, "!=")
            if unlike and first > 0 and last < end:
                sets[((1 << len(axis)) - 1) ^ bits] = unlike
    return sets


def _platform_sets(platforms: tuple[tuple[str, str], ...]) -> dict[int, Literals]:
    """Every set of platforms that at most one comparison of each variable can express, as bits; each by its shortest text."""
    options: list[list[tuple[int, Literals]]] = []
    for number, name in enumerate(("platform_machine", "sys_platform")):
        choices: list[tuple[int, Literals]] = [((1 << len(platforms)) - 1, ())]
        for value in sorted({platform[number] for platform in platforms}):
            bits = sum(1 << position for position, platform in enumerate(platforms) if platform[number] == value)
            choices.append((bits, (f"{name} == '{value}'",)))
            choices.append((((1 << len(platforms)) - 1) ^ bits, (f"{name} != '{value}'",)))
        options.append(choices)
    sets: dict[int, Literals] = {}
    for (machines, machine), (systems, system) in product(*options):
        bits, literals = machines & systems, (*machine, *system)
        if bits and (bits not in sets or _cost(literals) < _cost(sets[bits])):
            sets[bits] = literals
    return sets


def _cost(literals: Literals) -> tuple[int, int, str]:
    text = conjunction(literals)
    return len(text), text.count("!="), text


@lru_cache(maxsize=32)
def grid(declared: tuple[Target, ...]) -> Grid:
    """Return the cells of the targets, and the terms."""
    axis = python_axis(declared)
    versions = {python.full_version: position for position, python in enumerate(axis)}
    platforms = tuple(sorted({platform_of(target) for target in declared}))
    width = len(platforms)
    cells = tuple(
        1 << (versions[target.python_full_version] * width + platforms.index(platform_of(target)))
        for target in declared
    )
    terms = tuple(
        Term(
            mask=sum(systems << (position * width) for position in range(len(axis)) if pythons >> position & 1),
            python=python,
            platform=platform,
            text=conjunction((*python, *platform)),
        )
        for (pythons, python), (systems, platform) in product(
            _python_sets(axis).items(), _platform_sets(platforms).items()
        )
    )
    return Grid(cells=cells, terms=terms)


_ALTERNATIVE = 10  # characters that one more `or` must save


def _price(term: Term, left: int) -> tuple[float, int, str]:
    """The cost of a term for each cell that it adds. The text breaks ties, so that the result is always the same."""
    return (len(term.text) + _ALTERNATIVE) / (term.mask & left).bit_count(), term.text.count("!="), term.text


def cover(required: int, forbidden: int, terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Choose terms that hold on every required cell and on no forbidden one, and anywhere else or not."""
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


_PYTHON: Callable[[Term], Literals] = attrgetter("python")
_PLATFORM: Callable[[Term], Literals] = attrgetter("platform")


def write(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Write a cover as alternatives, sorted; comparisons that several terms share are written once."""
    alternatives: list[str] = []
    left = list(terms)
    for share, rest in ((_PYTHON, _PLATFORM), (_PLATFORM, _PYTHON)):
        for shared in sorted({share(term) for term in left if share(term)}):
            group = [term for term in left if share(term) == shared]
            if len(group) > 1:
                inner = " or ".join(sorted(conjunction(rest(term)) for term in group))
                alternatives.append(f"{conjunction(shared)} and ({inner})")
                left = [term for term in left if term not in group]
    return tuple(sorted([*alternatives, *(term.text for term in left)]))
