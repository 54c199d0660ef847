"""Values of another tool's lock, each with its place: what has the wrong type is named as `package[3].files[0].hash`."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.errors import LockInvalid, RequirementInvalid
from deep_lock.models.direct_url import parse_reference
from deep_lock.models.foreign_lock import ForeignFile, ForeignNote
from deep_lock.models.requirement import Origin, parse_requirement
from deep_lock.parsing.requirements import described, read_name
from deep_lock.parsing.text import shown

MAX_LOCK = 16 * 1024 * 1024
"""Characters. The largest lock seen in use has three million."""
MAX_PINS = 20_000
MAX_FILES = 5_000
"""Of one pin."""
MAX_VERSION_LENGTH = 200

_DIGEST = re.compile(r"(?P<algorithm>[a-z0-9_]{1,20})[:=](?P<digest>[0-9a-f]{16,256})", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EXTRA = re.compile(
    r"""
      \bextra\s*(?P<operator>==|!=)\s*(?P<quote>["'])(?P<name>[^"']*)(?P=quote)
    | (?P<quote2>["'])(?P<name2>[^"']*)(?P=quote2)\s*(?P<operator2>==|!=)\s*extra\b
    | "[^"]*" | '[^']*'
    """,
    re.VERBOSE,
)


class Value(Struct, frozen=True, kw_only=True):
    """A value of TOML or JSON, and where it stands."""

    raw: Any
    source: str
    place: str = ""

    def __repr__(self) -> str:
        return f"Value({self.source} {self.place})"

    @property
    def origin(self) -> Origin:
        """Where a pin that is read from this value was written."""
        return Origin(source=self.source, place=self.place)

    def invalid(self, what: str, hint: str = "") -> LockInvalid:
        """Make the error that says what is wrong with this value."""
        return LockInvalid(f"{self.source}: {self.place or 'the whole'} {what}", hint=hint)

    def table(self) -> dict[str, Any]:
        """Return the value as a table. Raises LockInvalid, as all of these do."""
        if not isinstance(self.raw, dict):
            raise self.invalid(f"must be a table, not {described(self.raw)}")
        return self.raw

    def text(self) -> str:
        """Return the value as a string."""
        if not isinstance(self.raw, str):
            raise self.invalid(f"must be a string, not {described(self.raw)}")
        return self.raw

    def flag(self) -> bool:
        """Return the value as a boolean."""
        if not isinstance(self.raw, bool):
            raise self.invalid(f"must be a boolean, not {described(self.raw)}")
        return self.raw

    def has(self, key: str) -> bool:
        """Whether the table has the key."""
        return key in self.table()

    def get(self, key: str) -> "Value":
        """Return what stands under a key that must be there."""
        if not self.has(key):
            raise self.invalid(f"lacks the key {key!r}")
        return self._below(key)

    def find(self, key: str) -> "Value | None":
        """Return what stands under a key, if it is there."""
        return self._below(key) if self.has(key) else None

    def entries(self) -> Iterator[tuple[str, "Value"]]:
        """Give the keys of a table with what stands under them."""
        for key in self.table():
            yield key, self._below(key)

    def items(self, limit: int = MAX_PINS) -> Iterator["Value"]:
        """Give the items of an array."""
        if not isinstance(self.raw, list):
            raise self.invalid(f"must be an array, not {described(self.raw)}")
        if len(self.raw) > limit:
            raise self.invalid(f"has {len(self.raw)} items; at most {limit} are taken")
        for number, item in enumerate(self.raw):
            yield Value(raw=item, source=self.source, place=f"{self.place}[{number}]")

    def rows(self, key: str, limit: int = MAX_PINS) -> Iterator["Value"]:
        """Give the items of the array under a key; none where the key is missing."""
        found = self.find(key)
        return found.items(limit) if found is not None else iter(())

    def fields(self, key: str) -> Iterator[tuple[str, "Value"]]:
        """Give the keys of the table under a key with what stands under them; none where the key is missing."""
        found = self.find(key)
        return found.entries() if found is not None else iter(())

    def name(self, what: str) -> NormalizedName:
        """Return the value as a normalized name."""
        return self.as_name(self.text(), what)

    def as_name(self, text: str, what: str) -> NormalizedName:
        """Normalise a name that stands here, or is the key of this value."""
        try:
            return read_name(text, what)
        except RequirementInvalid as error:
            raise self.invalid(f"has something wrong: {error.message}", error.hint) from None

    def version(self) -> Version:
        """Return the value as a version (PEP 440)."""
        text = self.text()
        try:
            if len(text) <= MAX_VERSION_LENGTH:
                return Version(text)
        except (InvalidVersion, ValueError):
            pass
        raise self.invalid(f"is {shown(text)}, which is no version")

    def specifiers(self) -> SpecifierSet:
        """Return the value as a set of version specifiers."""
        try:
            if len(self.text()) <= MAX_VERSION_LENGTH:
                return SpecifierSet(self.text())
        except (InvalidSpecifier, ValueError):
            pass
        raise self.invalid(f"is {shown(self.text())}, which is no version specifier")

    def specifier(self) -> str | None:
        """Return a text that is a set of version specifiers; None where it is empty."""
        return str(self.text()) if str(self.specifiers()) else None

    def marker(self, text: str | None = None) -> Marker | None:
        """Return the value (or a text made from it) as an environment marker; None where it is empty."""
        condition = self.text() if text is None else text
        if not condition.strip():
            return None
        try:
            return parse_requirement(f"marked ; {condition}").marker
        except RequirementInvalid:
            raise self.invalid(f"is {shown(condition)}, which is no environment marker") from None

    def reference(self, url: str) -> str:
        """Write a direct reference in its one form, without a login."""
        try:
            return str(parse_reference(url))
        except RequirementInvalid as error:
            raise self.invalid(f"cannot be used: {error.message}", error.hint) from None

    def index(self) -> str:
        """Return the URL of an index without a login."""
        return self.indexed(self.text())

    def indexed(self, url: str) -> str:
        """Return the URL of an index that is named here, without a login."""
        try:
            return parse_reference(url).place
        except RequirementInvalid as error:
            raise self.invalid(f"cannot be used: {error.message}", error.hint) from None

    def _below(self, key: str) -> "Value":
        step = shown(key) if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", key) else key
        place = f"{self.place}.{step}" if self.place else step
        return Value(raw=self.table()[key], source=self.source, place=place)


def sha256_of(value: Value) -> str | None:
    """Return the digest of a text "sha256:..."; None of another kind. Raises LockInvalid on what is no digest."""
    found = _DIGEST.fullmatch(value.text())
    if found is None:
        raise value.invalid(f"is {shown(value.text())}, which is no digest")
    if found["algorithm"].lower() != "sha256":
        return None
    digest = found["digest"].lower()
    if not _SHA256.fullmatch(digest):
        raise value.invalid("has a sha256 that is not 64 hexadecimal digits")
    return digest


def read_file(value: Value, name_key: str) -> ForeignFile:
    """Read one entry of a list of files: a table with a name and a hash."""
    name = value.get(name_key)
    if not name.text() or "/" in name.text() or "\\" in name.text() or not name.text().isprintable():
        raise name.invalid("is no file name")
    digest = value.find("hash")
    return ForeignFile(name=name.text(), sha256=None if digest is None else sha256_of(digest))


def note_without_sha256(subject: str, source: str) -> ForeignNote:
    """Make the note on a pin of which some file has no sha256."""
    return ForeignNote(
        code="foreign-no-sha256",
        subject=subject,
        message=f"{source} gives a file of it no sha256: nothing that the lock says proves those bytes",
    )


def extras_selected(text: str) -> tuple[str, frozenset[str]]:
    """Write the marker variable ``extra`` as the ``extras`` of lock files (PEP 751).

    Returns the marker and the extras that it names, as written. An ``extra`` that is compared with ``!=`` is named too.
    """
    named: set[str] = set()

    def rewritten(found: re.Match[str]) -> str:
        name = found["name"] or found["name2"]
        if not name:
            return found[0]
        named.add(name)
        negated = "!=" in {found["operator"], found["operator2"]}
        return f'"{name}" {"not in" if negated else "in"} extras'

    return _EXTRA.sub(rewritten, text), frozenset(named)


def extra_decided(text: str, extra: NormalizedName | None) -> str:
    """Write a marker of an edge for one extra of the pin that has the edge (None: for none of them)."""

    def rewritten(found: re.Match[str]) -> str:
        name = found["name"] or found["name2"]
        if not name:
            return found[0]
        same = extra is not None and re.sub(r"[-_.]+", "-", name).lower() == extra
        holds = same != ("!=" in {found["operator"], found["operator2"]})
        return f'python_version {">=" if holds else "<"} "0"'

    return _EXTRA.sub(rewritten, text)
