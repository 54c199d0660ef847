"""A target: one Python version on one platform, as a marker environment and a ranked list of wheel tags.

A lock is exact for each of its declared targets, and for nothing else. `factory` makes targets from names.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import product

from msgspec import Struct
from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deep_lock.pep440 import parse_specifier

ALL_MICROS = (1 << 100) - 1


class Target(Struct, frozen=True, kw_only=True, eq=False):
    """A declared target. Two of a lock are equal if their labels are: the label has all that differs between targets."""

    label: str
    """"cp313-x86_64-manylinux_2_28"; free-threaded "cp313t-...". """
    python: str
    """"3.13" or "3.13t", as declared."""
    python_full_version: str
    platform: str
    """"x86_64-manylinux_2_28"."""
    environment: Mapping[str, str]
    """Every marker variable of the dependency specifiers specification except ``extra``."""
    tags: tuple[str, ...]
    """Wheel tags as text, best first."""
    ranks: Mapping[str, int]
    """The position of each tag in ``tags``."""
    micros: int = 0
    """The micro versions that a target of a minor version includes, as bits; 0 of a full version."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and (other.label, other.micros) == (self.label, self.micros)

    def __hash__(self) -> int:
        return hash(self.label)

    def __repr__(self) -> str:
        return f"Target({self.label!r})"


def rank(tags: str, target: Target) -> int | None:
    """Return the rank of a wheel with this compressed tag set on the target: 0 is the best, None does not fit."""
    best: int | None = None
    pythons, abis, platforms = tags.rsplit("-", 2) if tags.count("-") >= 2 else ("", "", "")
    ranks = target.ranks
    for parts in product(pythons.split("."), abis.split("."), platforms.split(".")):
        found = ranks.get("-".join(parts))
        if found is not None and (best is None or found < best):
            best = found
    return best


def holds(marker: Marker | None, target: Target, extras: Iterable[str] = ("",)) -> bool:
    """Whether the marker holds on the target with any one of the extras ("" is none).

    Raises UnevaluableMarker on a marker that cannot be evaluated: the caller ignores the candidate, with a warning
    (dependency specifiers).
    """
    if marker is None:
        return True
    return any(marker.evaluate({**target.environment, "extra": extra}) for extra in extras)


@lru_cache(maxsize=8192)
def _specifier(text: str) -> SpecifierSet | None:
    try:
        return parse_specifier(text)
    except InvalidSpecifier:
        return None


def python_fits(requires_python: str | None, target: Target) -> bool:
    """Whether Requires-Python allows the target. An invalid specifier allows none, so that its file is excluded."""
    if not requires_python:
        return True
    return _python_fits(requires_python, target.python_full_version)


@lru_cache(maxsize=16384)
def _python_fits(requires_python: str, python_full_version: str) -> bool:
    specifier = _specifier(requires_python)
    return specifier is not None and specifier.contains(python_full_version, prereleases=True)


def same_pythons(one: str | None, other: str | None) -> bool:
    """Whether two Requires-Python allow the same versions; the order and the blanks of their specifiers do not count."""
    if one == other:
        return True
    specifier = _specifier(one or "")
    return specifier is not None and specifier == _specifier(other or "")


UnevaluableMarker = (UndefinedEnvironmentName, UndefinedComparison)
