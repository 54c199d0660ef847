"""Requirements (dependency specifiers, PEP 508), with their origin."""

import re
from functools import lru_cache

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as ParsedRequirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LimitExceeded, RequirementInvalid

MAX_REQUIREMENT_LENGTH = 4096
"""Of the name, extras and specifier or URL, without the marker. In characters, as all limits here."""
MAX_MARKER_LENGTH = 128 * 1024
MAX_MARKER_DEPTH = 50
MAX_NAME_LENGTH = 200
# Python refuses to read larger numbers, and packaging reads those of a specifier only when it is used.
_HUGE_NUMBER = re.compile("[0-9]{1000}")


class Origin(Struct, frozen=True, kw_only=True):
    """The origin of a requirement: a file (or project) name, a table or option in it, a line."""

    source: str
    place: str = ""
    line: int | None = None

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        place = f" [{self.place}]" if self.place else ""
        return f"{self.source}{line}{place}"


class Requirement(Struct, frozen=True, kw_only=True, eq=False):
    """A name, and the releases that satisfy it. The origin does not count for equality."""

    name: NormalizedName
    extras: frozenset[NormalizedName] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: Marker | None = None
    url: str | None = None
    origin: Origin | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Requirement) and other.meaning == self.meaning

    def __hash__(self) -> int:
        return hash(self.meaning)

    @property
    def meaning(self) -> tuple[object, ...]:
        """All but the origin."""
        return (self.name, self.extras, self.specifier, self.marker, self.url)

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        wanted = f" @ {self.url}" if self.url else ",".join(sorted(map(str, self.specifier)))
        separator = " ; " if self.url else "; "
        return f"{self.name}{extras}{wanted}" + (f"{separator}{self.marker}" if self.marker else "")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    return deepest


def _check_size(text: str) -> None:
    """Refuse a text with which packaging would fail, now or when the requirement is used."""
    front, _, marker = text.partition(";")
    if len(front) > MAX_REQUIREMENT_LENGTH:
        raise LimitExceeded(f"a requirement of {len(front)} characters; at most {MAX_REQUIREMENT_LENGTH} are taken")
    if len(marker) > MAX_MARKER_LENGTH:
        raise LimitExceeded(f"a marker of {len(marker)} characters; at most {MAX_MARKER_LENGTH} are taken")
    if _HUGE_NUMBER.search(text):
        raise RequirementInvalid(f"{text[:200]!r} is not a valid requirement: a number of 1000 digits or more")
    if text.count("(") > MAX_MARKER_DEPTH and _depth(text) > MAX_MARKER_DEPTH:
        # packaging's parser is recursive: its limit would depend on the depth of the caller
        raise RequirementInvalid(f"{text[:200]!r} is not a valid requirement: nested too deeply")


def _parse(text: str) -> Requirement:
    _check_size(text)
    try:
        parsed = ParsedRequirement(text)
    except (InvalidRequirement, ValueError, RecursionError) as error:
        # RecursionError: the parser's caller may be deep already
        reason = str(error).split("\n", 1)[0]
        raise RequirementInvalid(f"{text[:200]!r} is not a valid requirement: {reason[:200]}") from None
    if len(parsed.name) > MAX_NAME_LENGTH:
        raise LimitExceeded(f"a project name of {len(parsed.name)} characters; at most {MAX_NAME_LENGTH} are taken")
    return Requirement(
        name=canonicalize_name(parsed.name),
        extras=frozenset(map(canonicalize_name, parsed.extras)),
        specifier=parsed.specifier,
        marker=parsed.marker,
        url=parsed.url,
    )


_parse_once = lru_cache(maxsize=65536)(_parse)


def parse_requirement(text: str, origin: Origin | None = None) -> Requirement:
    """Parse one requirement text.

    Raises RequirementInvalid or LimitExceeded, with the origin.
    """
    try:
        # long texts are rare, and must not fill the cache
        requirement = _parse_once(text) if len(text) <= MAX_REQUIREMENT_LENGTH else _parse(text)
    except (RequirementInvalid, LimitExceeded) as error:
        if origin is None:
            raise
        raise type(error)(f"{origin}: {error.message}", hint=error.hint) from None
    return requirement if origin is None else replace(requirement, origin=origin)
