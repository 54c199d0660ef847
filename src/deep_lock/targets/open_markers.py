"""Markers on what a target leaves open: its micro version, and the release and the version of its system.

A target of a minor version is each micro version of it. Such a marker can hold on a part of the target: that part is a
`TargetPart`. Final releases count alone: a marker on 3.11.0a6 does not divide 3.11.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import product
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier

from deep_lock.pep440 import parse_specifier
from deep_lock.targets.target import ALL_MICROS, Target

MICRO_VARIABLES = ("python_full_version", "implementation_version")
SYSTEM_VARIABLES = ("platform_release", "platform_version")
MAX_COMPARISONS = 6
"""Different comparisons of the system's variables in one marker."""

_OPPOSITES = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "==", "in": "not in", "not in": "in"}
_OPERATOR = r"(?P<{}>[<>]=?|[=!]=|not in|in)"
_TEXT = r"(?:\"[^\"]*\"|'[^']*')"
_COMPARISON = re.compile(
    rf"(?:{'|'.join(SYSTEM_VARIABLES)}) {_OPERATOR.format('first')} {_TEXT}"
    rf"|{_TEXT} {_OPERATOR.format('last')} (?:{'|'.join(SYSTEM_VARIABLES)})\b"
)
_MICRO = re.compile(r"(?<![0-9])0*([0-9]{1,2})(?![0-9])")
_ALWAYS, _NEVER = 'os_name != ""', 'os_name == ""'

Selected = str | AbstractSet[str]
Comparisons = frozenset[tuple[str, bool]]
"""Comparisons of the system's variables, and whether each holds."""


class TargetPart(Struct, frozen=True, kw_only=True):
    """A part of a target: the alternatives are micro versions, as bits, with comparisons that hold or do not."""

    terms: frozenset[tuple[int, Comparisons]]

    def __and__(self, other: "TargetPart") -> "TargetPart":
        both = (
            (micros & others, comparisons | more)
            for (micros, comparisons), (others, more) in product(self.terms, other.terms)
        )
        return _joined((micros, own) for micros, own in both if len({text for text, _ in own}) == len(own))

    def __or__(self, other: "TargetPart") -> "TargetPart":
        return _joined((*self.terms, *other.terms))

    @property
    def is_never(self) -> bool:
        """Whether it is no part of the target."""
        return not self.terms


NEVER = TargetPart(terms=frozenset())


def whole(target: Target) -> TargetPart:
    """Return the whole target as a part."""
    return TargetPart(terms=frozenset({(_bits(target), frozenset())}))


def without(part: TargetPart, target: Target) -> TargetPart:
    """Return the rest of the target."""
    rest = whole(target)
    for micros, comparisons in part.terms:
        others: list[tuple[int, Comparisons]] = [(_bits(target) & ~micros, frozenset())]
        others += [(_bits(target), frozenset({(text, not value)})) for text, value in comparisons]
        rest &= _joined(others)
    return rest


def micro_part(micros: int) -> TargetPart:
    """Return the part of a target with these micro versions, as bits."""
    return TargetPart(terms=frozenset({(micros, frozenset())}))


def micro_samples(texts: Iterable[str], target: Target) -> list[tuple[Mapping[str, str], int]]:
    """Return an environment for each range of micro versions that markers can distinguish, with the range as bits.

    The newest range comes last. The release and the version of the system are unknown in each.
    """
    minor = target.environment["python_version"]
    numbers = {int(own) for text in texts for own in re.findall(rf"\b{re.escape(minor)}\.([0-9]{{1,2}})\b", text)}
    if not target.micros or not numbers:
        return [(target.environment, _bits(target))]
    ends = sorted({*numbers, *(number + 1 for number in numbers), target.micros.bit_length()})
    samples: list[tuple[Mapping[str, str], int]] = []
    start = 0
    for end in ends:
        micros = target.micros & ((1 << end) - (1 << start))
        if micros:
            version = f"{minor}.{_members(micros)[0]}"
            samples.append(({**target.environment, **dict.fromkeys(MICRO_VARIABLES, version)}, micros))
        start = end
    newest = 1 << int(target.python_full_version.split(".")[2])
    return sorted(samples, key=lambda sample: bool(sample[1] & newest))


def is_whole(part: TargetPart, target: Target) -> bool:
    """Whether a part is the whole target, with any terms."""
    return part == whole(target) or without(part, target).is_never


def is_open(text: str) -> bool:
    """Whether a requirement or a marker names a variable that a target may leave open."""
    return any(name in text for name in (*MICRO_VARIABLES, *SYSTEM_VARIABLES))


def part_where(marker: Marker | None, target: Target, extra: str = "") -> TargetPart:
    """Return the part of the target on which a marker holds. Raises UnevaluableMarker."""
    return whole(target) if marker is None else _part(str(marker), target, extra)


@lru_cache(maxsize=4096)
def _part(marker: str, target: Target, extra: str) -> TargetPart:
    return _joined(_terms(marker, target, {"extra": extra}, "metadata"))


def part_where_in_lock(
    marker: str | None, target: Target, extras: AbstractSet[str], groups: AbstractSet[str]
) -> TargetPart:
    """Return the part of the target on which a marker of a lock holds. Raises InvalidMarker and UnevaluableMarker."""
    if marker is None:
        return whole(target)
    return _joined(_terms(marker, target, {"extras": extras, "dependency_groups": groups}, "lock_file"))


def _terms(
    marker: str, target: Target, selected: Mapping[str, Selected], context: Literal["metadata", "lock_file"]
) -> Iterator[tuple[int, Comparisons]]:
    comparisons = sorted({match[0] for match in _COMPARISON.finditer(marker)})[:MAX_COMPARISONS]
    for values in product((True, False), repeat=len(comparisons)):
        text = marker
        for comparison, value in zip(comparisons, values, strict=True):
            text = text.replace(comparison, _ALWAYS if value else _NEVER)
        decided = _parsed(text)
        micros = _bits(target)
        if target.micros and any(name in text for name in MICRO_VARIABLES):
            micros = 0
            # "in" compares texts, so it can distinguish any two micro versions
            for same in map(_bit, _members(target.micros)) if " in " in text else _ranges(text, target.micros):
                version = f"{target.environment['python_version']}.{_members(same)[0]}"
                own = dict.fromkeys(MICRO_VARIABLES, version)
                if decided.evaluate({**target.environment, **own, **selected}, context=context):
                    micros |= same
        elif not decided.evaluate({**target.environment, **selected}, context=context):
            micros = 0
        yield micros, frozenset(zip(comparisons, values, strict=True))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Marker:
    """Parse a marker once: each target is compared with the markers of all targets, and a run may check many locks."""
    return Marker(text)


def _bits(target: Target) -> int:
    return target.micros or 1


def _bit(micro: int) -> int:
    return 1 << micro


def _ranges(text: str, micros: int) -> Iterator[int]:
    """Yield the micro versions in ranges, as bits. Comparisons of versions in ``text`` differ next to its numbers only."""
    numbers = {0, *map(int, _MICRO.findall(text))}  # "3.11" is 3.11.0
    ends = sorted({*numbers, *(number + 1 for number in numbers)})
    start = 0
    for end in (*(end for end in ends if end < micros.bit_length()), micros.bit_length()):
        own = micros & ((1 << end) - (1 << start))
        if own:
            yield own
        start = end


def _members(micros: int) -> list[int]:
    return [micro for micro in range(micros.bit_length()) if micros >> micro & 1]


def _joined(terms: Iterable[tuple[int, Comparisons]]) -> TargetPart:
    """Return a part with few terms: equal ones are joined, a comparison that makes no difference is dropped."""
    found: dict[Comparisons, int] = {}
    for micros, comparisons in terms:
        if micros:
            found[comparisons] = found.get(comparisons, 0) | micros
    waiting = list(found)
    while waiting:
        comparisons = waiting.pop()
        for text, value in comparisons:
            rest = comparisons - {(text, value)}
            shared = found[comparisons] & found.get(rest | {(text, not value)}, 0)
            if shared & ~found.get(rest, 0):
                found[rest] = found.get(rest, 0) | shared
                waiting.append(rest)
    return TargetPart(
        terms=frozenset(
            (micros, comparisons)
            for comparisons, micros in found.items()
            if not any(other < comparisons and not micros & ~found[other] for other in found)
        )
    )


def part_text(part: TargetPart, target: Target) -> str:
    """Return a part as a marker; it says nothing of the variables that the target fixes."""
    alternatives: list[str] = []
    for micros, comparisons in part.terms:
        texts = [text if value else _opposite(text) for text, value in sorted(comparisons)]
        spans = _spans(micros, target)
        if spans:
            texts.insert(0, spans[0] if len(spans) == 1 else f"({' or '.join(spans)})" if texts else " or ".join(spans))
        alternatives.append(" and ".join(texts))
    return " or ".join(sorted(alternatives))


def _opposite(comparison: str) -> str:
    match = _COMPARISON.fullmatch(comparison)
    group = "first" if match is not None and match["first"] else "last"
    if match is None:
        raise ValueError(comparison)
    return f"{comparison[: match.start(group)]}{_OPPOSITES[match[group]]}{comparison[match.end(group) :]}"


def _spans(micros: int, target: Target) -> list[str]:
    """Return comparisons of the full version; none for every micro version of the target."""
    minor, every = target.environment["python_version"], _members(_bits(target))
    if micros == _bits(target):
        return []
    missing = [micro for micro in every if not micros >> micro & 1]
    if len(missing) == 1 and missing[0] not in {every[0], every[-1]}:
        return [f"python_full_version != '{minor}.{missing[0]}'"]
    spans: list[str] = []
    runs: list[list[int]] = []
    for position, micro in enumerate(every):
        if micros >> micro & 1:
            if position and micros >> every[position - 1] & 1:
                runs[-1].append(micro)
            else:
                runs.append([micro])
    for run in runs:
        after = next((micro for micro in every if micro > run[-1]), None)
        low = [f"python_full_version >= '{minor}.{run[0]}'"] if run[0] != every[0] else []
        high = [f"python_full_version < '{minor}.{after}'"] if after is not None else []
        single = len(run) == 1 and low and high
        spans.append(f"python_full_version == '{minor}.{run[0]}'" if single else " and ".join([*low, *high]))
    return spans


def limited(targets: tuple[Target, ...], requires_python: str | None) -> tuple[Target, ...]:
    """Return the targets of a lock with the micro versions that each includes.

    These are those that requires-python allows. A minor version of which a full version is a target, too, is its newest one.
    """
    found: list[Target] = []
    for target in targets:
        minor = target.environment["python_version"]
        has_full = any(not other.micros and other.environment["python_version"] == minor for other in targets)
        own = 0 if has_full else target.micros & admitted_micros(requires_python or "", minor)
        found.append(replace(target, micros=own))
    return tuple(found)


def part_for_python(requires_python: str, target: Target) -> TargetPart:
    """Return the part of the target that a Requires-Python allows."""
    if not target.micros:
        return whole(target)
    return micro_part(target.micros & admitted_micros(requires_python, target.environment["python_version"]))


@lru_cache(maxsize=4096)
def admitted_micros(requires_python: str, minor: str) -> int:
    """Return the micro versions of a minor version that requires-python allows, as bits; all if it is invalid."""
    try:
        specifier = parse_specifier(requires_python)
        ranges = _ranges(requires_python, ALL_MICROS)
        return sum(own for own in ranges if specifier.contains(f"{minor}.{_members(own)[0]}"))
    except (InvalidSpecifier, ValueError):
        return ALL_MICROS
