"""Requirements: abstract wishes, with where they were written. Never said of a pin (dependency specifiers, PEP 508)."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as ParsedRequirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LimitExceeded, RequirementInvalid

MAX_REQUIREMENT_LENGTH = 4096
MAX_NAME_LENGTH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a requirement was written: a file (or project) name, a table or option in it, a line."""

    source: str
    place: str = ""
    line: int | None = None

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        place = f" [{self.place}]" if self.place else ""
        return f"{self.source}{line}{place}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A name with the releases that would do. Two requirements are equal wherever they were written."""

    name: NormalizedName
    extras: frozenset[NormalizedName] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: Marker | None = None
    url: str | None = None
    origin: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        wanted = f" @ {self.url}" if self.url else ",".join(sorted(map(str, self.specifier)))
        separator = " ; " if self.url else "; "
        return f"{self.name}{extras}{wanted}" + (f"{separator}{self.marker}" if self.marker else "")


@lru_cache(maxsize=65536)
def _parsed(text: str) -> Requirement:
    if len(text) > MAX_REQUIREMENT_LENGTH:
        raise LimitExceeded(f"a requirement of {len(text)} characters; at most {MAX_REQUIREMENT_LENGTH} are taken")
    try:
        parsed = ParsedRequirement(text)
    except (InvalidRequirement, ValueError, RecursionError) as error:
        # packaging lets RecursionError and ValueError through on nested brackets and huge digit runs
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).split("\n", 1)[0]
        raise RequirementInvalid(f"{text[:200]!r} is not a valid requirement: {reason}") from None
    if len(parsed.name) > MAX_NAME_LENGTH:
        raise LimitExceeded(f"a project name of {len(parsed.name)} characters; at most {MAX_NAME_LENGTH} are taken")
    return Requirement(
        name=canonicalize_name(parsed.name),
        extras=frozenset(map(canonicalize_name, parsed.extras)),
        specifier=parsed.specifier,
        marker=parsed.marker,
        url=parsed.url,
    )


def parse_requirement(text: str, origin: Origin | None = None) -> Requirement:
    """Read one requirement text.

    Raises RequirementInvalid, naming the origin, or LimitExceeded.
    """
    try:
        requirement = _parsed(text)
    except RequirementInvalid as error:
        if origin is None:
            raise
        raise RequirementInvalid(f"{origin}: {error.message}", hint=error.hint) from None
    return requirement if origin is None else replace(requirement, origin=origin)
