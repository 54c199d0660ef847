"""Requirements (dependency specifiers, PEP 508) and names, out of texts and out of TOML values.

`parse_requirement` reads one text. The functions for TOML values collect every fault, and give each requirement its line.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from msgspec.structs import replace
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as ParsedRequirement
from packaging.specifiers import InvalidSpecifier
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion

from deep_lock.errors import LimitExceeded, RequirementInvalid
from deep_lock.models.direct_url import parse_reference
from deep_lock.models.requirement import MAX_NAME_LENGTH, Origin, Requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.text import shown
from deep_lock.parsing.toml import Lines, line_of
from deep_lock.pep440 import has_huge_number, parse_specifier, parse_version

T = TypeVar("T")

MAX_REQUIREMENT_LENGTH = 4096
"""Of the name, extras and specifier or URL, without the marker. In characters, as all limits here."""
MAX_VERSION_LENGTH = 200
MAX_MARKER_LENGTH = 128 * 1024
MAX_MARKER_DEPTH = 50
MAX_REQUIREMENTS = 2000
"""In one list."""
DIRECT_SOURCE_HINT = (
    "A direct reference (a URL, a path, version control) may be in the dependencies of the project, its extras and "
    "groups, and in [tool.deep-lock.sources]; here only a name with versions is allowed."
)


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
        raise LimitExceeded(f"a requirement of {len(front)} characters; at most {MAX_REQUIREMENT_LENGTH} are allowed")
    if len(marker) > MAX_MARKER_LENGTH:
        raise LimitExceeded(f"a marker of {len(marker)} characters; at most {MAX_MARKER_LENGTH} are allowed")
    if has_huge_number(text):
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
        raise LimitExceeded(f"a project name of {len(parsed.name)} characters; at most {MAX_NAME_LENGTH} are allowed")
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


def read_requirement(text: str, origin: Origin, *, direct: bool = False) -> Requirement:
    """Read one requirement by name; with ``direct`` also one by URL, whose credentials are dropped.

    Raises RequirementInvalid, also for a direct URL where none may be, or LimitExceeded.
    """
    requirement = parse_requirement(text, origin)
    if requirement.url is None:
        return requirement
    if not direct:
        raise RequirementInvalid(f"{origin}: {requirement.name} is required from a URL", hint=DIRECT_SOURCE_HINT)
    try:
        return replace(requirement, url=str(parse_reference(requirement.url)))
    except RequirementInvalid as error:
        raise RequirementInvalid(f"{origin}: {requirement.name}: {error.message}", hint=error.hint) from None


def read_requirement_list(
    value: Any, place: str, lines: Lines, faults: Faults, *, direct: bool = False
) -> tuple[Requirement, ...]:
    """Read a list of requirement texts under the key ``place``; what is wrong with it goes to ``faults``.

    ``direct`` allows direct references in it.
    """
    if not is_list_of_strings(value):
        faults.add(f"{place} must be a list of strings, not {described(value)}")
        return ()
    check_count(len(value), f"{faults.source}: {place}")
    requirements: list[Requirement] = []
    for text in value:
        origin = Origin(source=faults.source, place=place, line=line_of(lines.strings, text, place))
        with faults.collecting():
            requirements.append(read_requirement(text, origin, direct=direct))
    return tuple(requirements)


def read_table(value: Any, place: str, faults: Faults) -> dict[str, Any]:
    """Return a table; where the value is none, that is a fault and the table is empty."""
    if isinstance(value, dict):
        return value
    faults.add(f"{place} must be a table, not {described(value)}")
    return {}


def read_string(value: Any, place: str, faults: Faults) -> str | None:
    """Return a string, None where the value is missing; anything else is a fault."""
    if value is None or isinstance(value, str):
        return value
    faults.add(f"{place} must be a string, not {described(value)}")
    return None


def read_version(value: Any, place: str, faults: Faults) -> str | None:
    """Return a version in normal form (PEP 440), None where it is missing or not valid: that is a fault."""
    text = read_string(value, place, faults)
    if text is None:
        return None
    try:
        return str(parse_version(text[:MAX_VERSION_LENGTH]))
    except InvalidVersion:
        faults.add(f"{place} {shown(text)} is not a valid version (PEP 440)")
        return None


def read_names(
    table: Mapping[str, T], what: str, place: str, faults: Faults
) -> Iterator[tuple[NormalizedName, str, T]]:
    """Yield each key of a table as a normalized name and as written, with its value.

    A key that is no name, or the name of an earlier key, is a fault and is left out. ``what`` is the kind of name.
    """
    spelled: dict[NormalizedName, str] = {}
    for spelling, value in table.items():
        name = None
        with faults.collecting(place):
            name = read_name(spelling, f"the {what}")
        if name in spelled:
            faults.add(f"{place}: {shown(spelled[name])} and {shown(spelling)} are the same {what} after normalization")
        elif name is not None:
            spelled[name] = spelling
            yield name, spelling, value


def read_name(text: str, what: str) -> NormalizedName:
    """Normalize the name of a project, an extra or a group; ``what`` is the kind, for messages.

    Raises RequirementInvalid.
    """
    if len(text) <= MAX_NAME_LENGTH:
        try:
            return canonicalize_name(text, validate=True)
        except ValueError:
            pass
    raise RequirementInvalid(
        f"{what} {shown(text)} is not a valid name",
        hint="A name has ASCII letters, digits, '.', '-' and '_', and begins and ends with a letter or a digit.",
    )


def check_count(count: int, what: str) -> None:
    """Raise LimitExceeded where one list has more requirements than deep-lock reads."""
    if count > MAX_REQUIREMENTS:
        raise LimitExceeded(f"{what}: {count} requirements; at most {MAX_REQUIREMENTS} are allowed")


def is_list_of_strings(value: Any) -> bool:
    """Whether a TOML value is an array of strings (a string is not: it would be read letter by letter)."""
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)


def described(value: Any) -> str:
    """Return the kind of a TOML value, for messages."""
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case dict():
            return "a table"
        case list():
            strange = next((item for item in value if not isinstance(item, str)), "")
            inner = "a list" if isinstance(strange, list) else described(strange)
            return f"a list with {inner} in it" if strange != "" else "a list"
        case _:
            return "a date or time"


MAX_SPECIFIER_LENGTH = 500
"""Also keeps numbers short enough for int(), which packaging calls only when the specifier is used."""


def is_specifier(text: str) -> bool:
    """Whether the text is a specifier set of a sane length."""
    if len(text) > MAX_SPECIFIER_LENGTH:
        return False
    try:
        parse_specifier(text)
    except InvalidSpecifier:
        return False
    return True


def read_python_specifier(value: Any, place: str, faults: Faults) -> str | None:
    """Read a requires-python value; what is wrong goes to ``faults``."""
    text = (read_string(value, place, faults) or "").strip()
    if is_specifier(text):
        return text or None
    faults.add(
        f"{place} {shown(text)} is not a valid version specifier",
        hint='Version specifiers (PEP 440) look like ">=3.11" or ">=3.9,<4".',
    )
    return None
