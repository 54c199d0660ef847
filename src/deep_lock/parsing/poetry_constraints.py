"""Poetry's version constraints as version specifiers (PEP 440) and, for Python, as markers (PEP 508).

A constraint is a union (``||``) of conjunctions. A conjunction of caret, tilde, wildcard and plain comparisons always is
a specifier set. A union is one only where ``!=`` can express what it leaves out; otherwise it is an error, never an
approximation. For Python, unions become markers joined by ``or``, so nothing is lost.
"""

import re

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from deep_lock.errors import LimitExceeded, RequirementInvalid
from deep_lock.parsing.requirements import is_specifier
from deep_lock.parsing.text import shown

MAX_CONSTRAINT_LENGTH = 1000
MAX_EXCLUSIONS = 32

_ZERO = Version("0")

_CLAUSE = re.compile(
    r"\s*(?P<operator>\^|~=|~|===|==|=|!=|<>|<=|>=|<|>)?\s*(?P<version>(?:[^\s,|^~=<>!]|!(?!=))+)\s*,?"
)
_WILDCARD = re.compile(r"v?(?P<prefix>\d+(\.\d+)*)(\.[*xX])+")
_HINT = "Poetry's constraints are ^1.2, ~1.2, 1.2.*, *, a version, comparisons joined by ',' and unions joined by '||'."


class Clause(Struct, frozen=True, kw_only=True):
    """One comparison of PEP 440. ``version`` may end in ".*" after == and !=."""

    operator: str
    version: str

    def __str__(self) -> str:
        return f"{self.operator}{self.version}"


Conjunction = tuple[Clause, ...]


class _Range(Struct, frozen=True, kw_only=True):
    """The versions between two bounds; None is no bound."""

    lower: Version | None
    upper: Version | None
    with_lower: bool = True
    with_upper: bool = False


def read_constraint(text: str) -> tuple[Conjunction, ...]:
    """Read a constraint as a union of conjunctions; an empty conjunction is every version.

    Raises RequirementInvalid, or LimitExceeded.
    """
    if len(text) > MAX_CONSTRAINT_LENGTH:
        raise LimitExceeded(
            f"a version constraint of {len(text)} characters; at most {MAX_CONSTRAINT_LENGTH} are allowed"
        )
    return tuple(_read_conjunction(part, text) for part in re.split(r"\|\|?", text))


def to_specifier(text: str) -> SpecifierSet:
    """Turn a constraint into a specifier set that allows the same final releases.

    Where ranges of a union touch, pre-releases of the bound between them are admitted too, as in Poetry.

    Raises RequirementInvalid where the text is no constraint or its union cannot be expressed, or LimitExceeded.
    """
    union = read_constraint(text)
    if () in union:
        return SpecifierSet()
    if len(union) == 1:
        return _specifier(union[0])
    return _specifier(_combined(union, text))


def to_python_specifier(text: str) -> str:
    """Turn the constraint on ``python`` into a Requires-Python: there, a bare 3.12 means every 3.12.

    Raises as to_specifier.
    """
    union = tuple(tuple(_as_python_series(clause) for clause in part) for part in read_constraint(text))
    if () in union:
        return ""
    return str(_specifier(union[0] if len(union) == 1 else _combined(union, text)))


def to_python_marker(text: str) -> str:
    """Turn a dependency's ``python`` key into a marker; "" where every Python will do.

    Raises as read_constraint.
    """
    union = read_constraint(text)
    if () in union:
        return ""
    parts = [" and ".join(_python_comparison(clause) for clause in part) for part in union]
    if len(parts) == 1:
        return parts[0]
    return " or ".join(f"({part})" if " and " in part else part for part in parts)


def _read_conjunction(part: str, whole: str) -> Conjunction:
    clauses: list[Clause] = []
    position, end = 0, len(part.rstrip())
    while position < end:
        found = _CLAUSE.match(part, position)
        if found is None:
            raise _invalid(whole)
        clauses.extend(_read_clause(found["operator"] or "", found["version"], whole))
        position = found.end()
    if position == 0:
        raise _invalid(whole)
    return tuple(clauses)


def _read_clause(operator: str, version: str, whole: str) -> Conjunction:
    operator = {"": "==", "=": "==", "<>": "!="}.get(operator, operator)
    if version in {"*", "x", "X"} and operator == "==":
        return ()
    if wildcard := _WILDCARD.fullmatch(version):
        if operator not in {"==", "!="}:
            raise _invalid(whole)
        return _checked((Clause(operator=operator, version=wildcard["prefix"] + ".*"),), whole)
    try:
        parsed = Version(version)
    except (InvalidVersion, ValueError):
        raise _invalid(whole) from None
    lower = Clause(operator=">=", version=str(parsed))
    match operator:
        case "^":
            clauses: Conjunction = (lower, Clause(operator="<", version=_next_breaking(parsed)))
        case "~":
            clauses = (lower, Clause(operator="<", version=_bump(parsed, min(len(parsed.release), 2) - 1)))
        case "~=" if len(parsed.release) == 1:
            clauses = (lower, Clause(operator="<", version=_bump(parsed, 0)))
        case _:
            clauses = (Clause(operator=operator, version=str(parsed)),)
    return _checked(clauses, whole)


def _checked(clauses: Conjunction, whole: str) -> Conjunction:
    if not all(is_specifier(str(clause)) for clause in clauses):
        raise _invalid(whole)
    return clauses


def _next_breaking(version: Version) -> str:
    """Return the first release that a caret excludes: the leftmost number that is not zero goes up."""
    considered = version.release[:3]
    place = next((place for place, number in enumerate(considered) if number), len(considered) - 1)
    return _bump(version, place)


def _bump(version: Version, place: int) -> str:
    """Return the release with the number at ``place`` one higher and zeros after it: Poetry writes them to its metadata."""
    release = [*version.release[:place], version.release[place] + 1, *(0 for _ in version.release[place + 1 :])]
    epoch = f"{version.epoch}!" if version.epoch else ""
    return epoch + ".".join(map(str, release))


def _specifier(clauses: Conjunction) -> SpecifierSet:
    return SpecifierSet(",".join(map(str, clauses)))


def _combined(union: tuple[Conjunction, ...], text: str) -> Conjunction:
    """Return one conjunction for a union: its outer bounds, and exclusions of what is between its ranges."""
    ranges = [one for one in (_range(part, text) for part in union) if not _is_empty(one)]
    if not ranges:
        raise _inexpressible(text)
    ranges.sort(key=lambda one: (one.lower is not None, one.lower or _ZERO, not one.with_lower))
    merged, *rest = ranges
    clauses: list[Clause] = []
    if merged.lower is not None:
        clauses.append(Clause(operator=">=" if merged.with_lower else ">", version=str(merged.lower)))
    for following in rest:
        clauses.extend(_between(merged, following, text))
        merged = _farther(merged, following)
    if merged.upper is not None:
        clauses.append(Clause(operator="<=" if merged.with_upper else "<", version=str(merged.upper)))
    if len(clauses) > MAX_EXCLUSIONS:
        raise _inexpressible(text)
    return tuple(clauses)


def _range(part: Conjunction, text: str) -> _Range:
    """Return the one range of a conjunction; raises where it has holes."""
    lower: tuple[Version, bool] | None = None
    upper: tuple[Version, bool] | None = None
    for clause in part:
        for operator, version in _bounds(clause, text):
            if operator in {">=", ">"}:
                bound = (version, operator == ">=")
                # the higher one wins, and of two equal ones the exclusive one
                lower = bound if lower is None else max(lower, bound, key=lambda one: (one[0], not one[1]))
            else:
                bound = (version, operator == "<=")
                upper = bound if upper is None else min(upper, bound)
    return _Range(
        lower=lower[0] if lower else None,
        with_lower=lower[1] if lower else True,
        upper=upper[0] if upper else None,
        with_upper=upper[1] if upper else False,
    )


def _bounds(clause: Clause, text: str) -> tuple[tuple[str, Version], ...]:
    wildcard = clause.version.endswith(".*")
    version = Version(clause.version.removesuffix(".*"))
    match clause.operator:
        case "==" if wildcard:
            return (">=", version), ("<", Version(_bump(version, len(version.release) - 1)))
        case "==":
            return (">=", version), ("<=", version)
        case "~=":
            return (">=", version), ("<", Version(_bump(version, len(version.release) - 2)))
        case ">=" | ">" | "<" | "<=":
            return ((clause.operator, version),)
        case _:
            raise _inexpressible(text)


def _is_empty(one: _Range) -> bool:
    if one.lower is None or one.upper is None:
        return False
    return one.lower > one.upper or (one.lower == one.upper and not (one.with_lower and one.with_upper))


def _between(merged: _Range, following: _Range, text: str) -> list[Clause]:
    """Return what must be excluded between two ranges, the second of which begins no earlier."""
    if merged.upper is None or following.lower is None or following.lower < merged.upper:
        return []
    if following.lower == merged.upper:
        touching = merged.with_upper or following.with_lower
        return [] if touching else [Clause(operator="!=", version=str(merged.upper))]
    if merged.with_upper or not following.with_lower:
        raise _inexpressible(text)
    return _exclusions(merged.upper, following.lower, text)


def _farther(one: _Range, other: _Range) -> _Range:
    if one.upper is None or (
        other.upper is not None and (other.upper, other.with_upper) <= (one.upper, one.with_upper)
    ):
        return one
    return other


def _exclusions(start: Version, end: Version, text: str) -> list[Clause]:
    """``!=`` clauses for all releases from ``start`` up to, not including, ``end``: only whole series can be named."""
    if start.epoch != end.epoch or not (_is_plain(start) and _is_plain(end)):
        raise _inexpressible(text)
    low, high = _trimmed(start), _trimmed(end)
    size = max(len(low), len(high))
    low, high = low + (0,) * (size - len(low)), high + (0,) * (size - len(high))
    if low[:-1] != high[:-1] or high[-1] - low[-1] > MAX_EXCLUSIONS:
        raise _inexpressible(text)
    epoch = f"{start.epoch}!" if start.epoch else ""
    prefix = epoch + "".join(f"{number}." for number in low[:-1])
    return [Clause(operator="!=", version=f"{prefix}{number}.*") for number in range(low[-1], high[-1])]


def _trimmed(version: Version) -> tuple[int, ...]:
    release = version.release
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    return release


def _is_plain(version: Version) -> bool:
    return not version.is_prerelease and not version.is_postrelease and version.local is None


def _as_python_series(clause: Clause) -> Clause:
    """A bare 3.12 is its whole series, and what is below 2.8 is below 3: there is no Python between."""
    if str(clause) == "<2.8":
        return Clause(operator="<", version="3")
    if clause.operator == "==" and not clause.version.endswith(".*") and _names_a_series(clause.version):
        return Clause(operator="==", version=f"{clause.version}.*")
    return clause


def _names_a_series(version: str) -> bool:
    """Whether a Python version is a major or minor one, as python_version is."""
    parsed = Version(version)
    return len(parsed.release) <= 2 and _is_plain(parsed)


def _python_comparison(clause: Clause) -> str:
    operator, version = clause.operator, clause.version
    if version.endswith(".*"):
        return _series_comparison(operator, version.removesuffix(".*"))
    if not _names_a_series(version):
        return f'python_full_version {operator} "{version}"'
    if operator in {">", "<=", "!="}:
        # 3.9.1 is above 3.9, which python_version cannot see; Poetry reads != so too, but == 3.9 as the whole series
        padded = ".".join(map(str, (*Version(version).release, 0, 0)[:3]))
        return f'python_full_version {operator} "{padded}"'
    return f'python_version {operator} "{version}"'


def _series_comparison(operator: str, series: str) -> str:
    """``3.9.*`` is what python_version calls 3.9; it has no value for ``3.*``."""
    precision = len(Version(series).release)
    if precision == 1:
        after = _bump(Version(series), 0)
        if operator == "==":
            return f'python_version >= "{series}" and python_version < "{after}"'
        return f'(python_version < "{series}" or python_version >= "{after}")'
    if precision == 2:
        return f'python_version {operator} "{series}"'
    return f'python_full_version {operator} "{series}.*"'


def _invalid(text: str) -> RequirementInvalid:
    return RequirementInvalid(f"{shown(text)} is not a valid version constraint", hint=_HINT)


def _inexpressible(text: str) -> RequirementInvalid:
    return RequirementInvalid(
        f"the union {shown(text)} cannot be expressed as one version specifier (PEP 440)",
        hint="Narrow it to one range, with != for what must be left out.",
    )
