"""Fields that the lock formats share: typed structs from parsed TOML or JSON, and the rules of their values.

Each fault names the file and the position, such as `package[3].files[0].hash`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, Struct
from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.errors import LockInvalid, RequirementInvalid
from deep_lock.events import Warned
from deep_lock.models.direct_url import Reference, parse_reference
from deep_lock.models.foreign_lock import ForeignFile, ForeignPin
from deep_lock.models.requirement import Origin
from deep_lock.parsing.requirements import parse_requirement, read_name
from deep_lock.parsing.text import readable, shown
from deep_lock.parsing.toml import parse_toml
from deep_lock.pep440 import parse_specifier

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

_T = TypeVar("_T")


Rows = Annotated[tuple[_T, ...], Meta(max_length=MAX_PINS)]
"""An array of bounded length."""


class Name(str):
    """The name of a project, an extra or a group, normalized."""

    __slots__ = ()


class Sha256(str):
    """Lower-case hex of a digest that is written as "sha256:..."; empty for any other algorithm."""

    __slots__ = ()


class Specifiers(str):
    """A valid specifier set, as written."""

    __slots__ = ()


class _FieldFault(ValueError):
    """A string that its rule refuses. `msgspec.convert` adds the path."""

    def __init__(self, message: str, value: Any, hint: str = "") -> None:
        super().__init__(message)
        self.value = value
        self.hint = hint


def _name(text: str) -> Name:
    try:
        return Name(read_name(text, "the name"))
    except RequirementInvalid as error:
        raise _FieldFault(f"is {shown(text)}, which is not a valid name", text, error.hint) from None


def _version(text: str) -> Version:
    try:
        if len(text) <= MAX_VERSION_LENGTH:
            return Version(text)
    except (InvalidVersion, ValueError):
        pass
    raise _FieldFault(f"is {shown(text)}, which is not a version", text)


def _specifiers(text: str) -> Specifiers:
    try:
        if len(text) <= MAX_VERSION_LENGTH:
            parse_specifier(text)
            return Specifiers(text)
    except (InvalidSpecifier, ValueError):
        pass
    raise _FieldFault(f"is {shown(text)}, which is not a version specifier", text)


def _sha256(text: str) -> Sha256:
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise _FieldFault(f"is {shown(text)}, which is not a valid digest", text)
    if found["algorithm"].lower() != "sha256":
        return Sha256()
    digest = found["digest"].lower()
    if not _SHA256.fullmatch(digest):
        raise _FieldFault("has a sha256 that is not 64 hexadecimal digits", text)
    return Sha256(digest)


_RULES: Mapping[type, Callable[[str], object]] = {
    Name: _name,
    Version: _version,
    Specifiers: _specifiers,
    Sha256: _sha256,
}


_TYPES = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "a table",
    "null": "null",
}
"""The types of msgspec's messages in the words of TOML; what else TOML has is a date or time."""


def _type_name(value: Any) -> str:
    """Return a type as msgspec names it."""
    return {dict: "object", list: "array", type(None): "null"}.get(type(value), type(value).__name__)


def _described(value: Any) -> str:
    return _TYPES.get(_type_name(value), "a date or time")


def _decode(field_type: type, value: Any) -> object:
    if not isinstance(value, str):
        raise _FieldFault(f"must be a string, not {_described(value)}", value)
    return _RULES[field_type](value)


class Position(Struct, frozen=True):
    """A position in a lock, such as `package[3].files[0].hash`. Each method raises LockInvalid that names it."""

    source: str
    place: str = ""

    @property
    def origin(self) -> Origin:
        """Where a pin that is read from here was written."""
        return Origin(source=self.source, place=self.place)

    def below(self, *steps: str | int) -> "Position":
        """Return the position of a key or an index below this one."""
        return self.plus("".join(f"[{step}]" if isinstance(step, int) else _step(step) for step in steps))

    def plus(self, path: str) -> "Position":
        """Return the position at the end of a path, such as ".files[0]"."""
        return Position(source=self.source, place=(self.place + path).removeprefix("."))

    def invalid(self, what: str, hint: str = "") -> LockInvalid:
        """Make the error that says what is wrong here."""
        return LockInvalid(f"{self.source}: {self.place or 'the whole'} {what}", hint=hint)

    def convert(self, value: Any, wanted: type[_T]) -> _T:
        """Return a value as a struct or a field type. Unknown keys are ignored."""
        try:
            return msgspec.convert(value, wanted, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise _located(error, value, self) from None

    def required(self, value: _T | None, key: str) -> _T:
        """Return the value of a key that is required only sometimes."""
        if value is None:
            raise self.invalid(f"lacks the key {key!r}")
        return value

    def marker(self, text: str) -> Marker | None:
        """Read an environment marker; None where it is empty."""
        if not text.strip():
            return None
        try:
            return parse_requirement(f"marked ; {text}").marker
        except RequirementInvalid:
            raise self.invalid(f"is {shown(text)}, which is not a valid environment marker") from None

    def reference(
        self, url: str, *, editable: bool = False, sha256: str | None = None, subdirectory: str | None = None
    ) -> str:
        """Return a direct reference in its normal form, without a login."""
        fragment = [
            *(["editable=true"] if editable else []),
            *([f"sha256={sha256}"] if sha256 else []),
            *([f"subdirectory={subdirectory}"] if subdirectory else []),
        ]
        if fragment:
            url += ("&" if "#" in url else "#") + "&".join(fragment)
        return str(self._parsed(url))

    def index(self, url: str) -> str:
        """Return the URL of an index without a login."""
        return self._parsed(url).place

    def _parsed(self, url: str) -> Reference:
        try:
            return parse_reference(url)
        except RequirementInvalid as error:
            raise self.invalid(f"cannot be used: {error.message}", error.hint) from None


def read_toml_lock(text: str, source: str) -> tuple[dict[str, Any], Position]:
    """Parse a lock, and return it with the position of the whole. Raises LockInvalid or LimitExceeded."""
    text = readable(text, source, LockInvalid, MAX_LOCK)
    return parse_toml(text, source, LockInvalid, limit=MAX_LOCK), Position(source=source)


_EXPECTED = re.compile(r"Expected `(?P<types>[^`]*)`(?:, got `(?P<got>[^`]*)`| of length <= (?P<limit>[0-9]+))")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_STEP = re.compile(r"\[(?:[0-9]+|\.\.\.)\]|\.[^.\[`]+")


def _located(error: msgspec.ValidationError, document: Any, at: Position) -> LockInvalid:
    """Write msgspec's fault in the words of TOML, with the keys that msgspec writes as [...]."""
    text, _, path = str(error).rpartition(" - at ") if " - at " in str(error) else (str(error), "", "")
    fault, missing, expected = error.__cause__, _MISSING.match(text), _EXPECTED.match(text)
    is_key = path.startswith("`key`")

    def is_wrong(value: Any) -> bool:
        if isinstance(fault, _FieldFault):
            return fault.value in value if is_key else value is fault.value
        if missing is not None:
            return isinstance(value, dict) and missing[1] not in value
        if expected is not None and expected["limit"] is not None:
            return isinstance(value, list | dict) and len(value) > int(expected["limit"])
        return expected is None or expected["got"] == _type_name(value)

    found = ((place, value) for place, value in _matches(document, _STEP.findall(path)) if is_wrong(value))
    place, value = next(found, ("", document))
    here = at.plus(place)
    if isinstance(fault, _FieldFault):
        return (here.below(fault.value) if is_key else here).invalid(text, fault.hint)
    if missing is not None:
        return here.invalid(f"lacks the key {missing[1]!r}")
    if expected is None:
        return here.invalid(f"cannot be used: {shown(text)}")
    if expected["limit"] is not None:
        return here.invalid(f"has {len(value)} items; at most {expected['limit']} are allowed")
    types = " or ".join(_TYPES[name] for name in expected["types"].split(" | ") if name != "null")
    return here.invalid(f"must be {types}, not {_described(value)}")


def _matches(value: Any, steps: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield each position that a path of msgspec can mean, with its value."""
    if not steps:
        yield "", value
    elif isinstance(value, list):
        yield from ((steps[0] + rest, found) for rest, found in _matches(value[int(steps[0][1:-1])], steps[1:]))
    elif isinstance(value, dict):
        for key in value if steps[0] == "[...]" else (steps[0][1:],):
            yield from ((_step(key) + rest, found) for rest, found in _matches(value.get(key), steps[1:]))


def _step(key: str) -> str:
    return f".{key}" if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", key) else f".{shown(key)}"


class File(Struct, frozen=True):
    """A file of a package, as uv, Poetry and PDM list it."""

    filename: str | None = None
    file: str | None = None
    path: str | None = None
    url: str | None = None
    hash: Sha256 = Sha256()


Files = Annotated[tuple[File, ...], Meta(max_length=MAX_FILES)]


def read_files(files: Iterable[File], at: Position) -> tuple[ForeignFile, ...]:
    """Return the files of a list. Raises LockInvalid for one without a name."""
    return tuple(read_file(file, at.below(number)) for number, file in enumerate(files))


def read_file(file: File, at: Position) -> ForeignFile:
    """Return a file by the first key that names it. Raises LockInvalid where none does."""
    if file.filename is not None:
        name, at = file.filename, at.below("filename")
    elif file.file is not None:
        name, at = file.file, at.below("file")
    elif file.path is not None:
        name, at = file.path.rpartition("/")[2], at.below("path")
    elif file.url is not None:
        at = at.below("url")
        try:
            # decoded once, as the tools do
            name = unquote(urlsplit(file.url).path.rpartition("/")[2])
        except ValueError:
            raise at.invalid("is no URL") from None
    else:
        name = ""
    if not name or {"/", "\\"} & {*name} or name in {".", ".."} or not name.isprintable():
        raise at.invalid("names no file")
    return ForeignFile(name=name, sha256=file.hash or None)


def with_plain_strings(record: Any) -> Any:
    """Return a record with a plain `str` in place of each field type of this module.

    The field types are subclasses of `str`, which msgspec does not encode: a name of a pin comes into cached index pages.
    """
    if isinstance(record, str):
        return str(record)
    if isinstance(record, Struct):
        return type(record)(**{key: with_plain_strings(getattr(record, key)) for key in record.__struct_fields__})
    if isinstance(record, tuple | frozenset):
        return type(record)(map(with_plain_strings, record))
    return record


def names(texts: Iterable[str]) -> frozenset[NormalizedName]:
    """Return normalized names as a set."""
    return frozenset(map(NormalizedName, texts))


def notes_without_sha256(pins: Iterable[ForeignPin], source: str) -> Iterator[Warned]:
    """Yield a note for each pin of which some named file has no sha256."""
    for pin in pins:
        if any(file.sha256 is None for file in pin.files):
            yield note_without_sha256(pin.name, source)


def note_without_sha256(subject: str, source: str) -> Warned:
    """Make the note on a pin of which some file has no sha256."""
    return Warned(
        code="foreign-no-sha256",
        subject=subject,
        message=f"{source} has no sha256 for a file of it: no hash of this lock protects the file",
    )


def extras_selected(text: str) -> tuple[str, frozenset[str]]:
    """Write the marker variable ``extra`` as the ``extras`` of lock files (PEP 751).

    Returns the marker and the extras that it names, as written. An ``extra`` that is compared with ``!=`` is named too.
    """
    named: set[str] = set()

    def rewritten(name: str, *, equal: bool) -> str:
        named.add(name)
        return f'"{name}" {"in" if equal else "not in"} extras'

    return _with_extras_rewritten(text, rewritten), frozenset(named)


def extra_decided(text: str, extra: str | None) -> str:
    """Write a marker of an edge for one extra of the pin that has the edge (None: for none of them)."""

    def rewritten(name: str, *, equal: bool) -> str:
        same = extra is not None and re.sub(r"[-_.]+", "-", name).lower() == extra
        return f'python_version {">=" if same == equal else "<"} "0"'

    return _with_extras_rewritten(text, rewritten)


def _with_extras_rewritten(text: str, rewrite: Callable[..., str]) -> str:
    """Replace each comparison of ``extra`` with a name; other strings are left alone."""

    def replaced(found: re.Match[str]) -> str:
        name = found["name"] or found["name2"]
        return rewrite(name, equal="!=" not in {found["operator"], found["operator2"]}) if name else found[0]

    return _EXTRA.sub(replaced, text)
