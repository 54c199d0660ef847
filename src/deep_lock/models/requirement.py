"""Requirements (dependency specifiers, PEP 508), with their origin."""

from msgspec import Struct, field
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

MAX_NAME_LENGTH = 200
"""In characters."""


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
