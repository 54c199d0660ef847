"""Requirements in Poetry's tables, as requirements of PEP 508.

A value that deep-lock cannot apply exactly is a fault that names the key: a lock without it would be wrong.
"""

from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import Any

from msgspec import Struct, field
from packaging.markers import InvalidMarker, Marker
from packaging.utils import NormalizedName

from deep_lock.errors import ConfigError, RequirementInvalid
from deep_lock.events import Warned
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.poetry_constraints import to_python_marker, to_python_specifier, to_specifier
from deep_lock.parsing.references import read_reference
from deep_lock.parsing.requirements import (
    MAX_REQUIREMENT_LENGTH,
    check_count,
    described,
    is_list_of_strings,
    read_name,
    read_names,
    read_string,
    read_table,
)
from deep_lock.parsing.text import shown
from deep_lock.parsing.toml import Lines, line_of
from deep_lock.pep440 import parse_marker

PLACE = "tool.poetry"
MAIN = f"{PLACE}.dependencies"

_DIRECT = ("git", "path", "url", "file")
_KNOWN = frozenset(
    (
        "version",
        "python",
        "platform",
        "markers",
        "extras",
        "optional",
        "allow-prereleases",
        "source",
        "develop",
        "rev",
        "tag",
        "branch",
        "subdirectory",
        *_DIRECT,
    )
)


class Dependency(Struct, frozen=True, kw_only=True):
    """One requirement, and whether only an extra requires it."""

    requirement: Requirement
    optional: bool
    prereleases: bool


class Reading(Struct, kw_only=True):
    """What the readers of the parts share."""

    lines: Lines
    faults: Faults
    prereleases: set[NormalizedName] = field(default_factory=set)
    notes: list[Warned] = field(default_factory=list)


def read_python(table: dict[str, Any], faults: Faults) -> str | None:
    main = table.get("dependencies")
    value = main.get("python") if isinstance(main, dict) else None
    if isinstance(value, dict):
        value = value.get("version")
    text = read_string(value, f"{MAIN}.python", faults)
    if text is not None:
        with faults.collecting(f"{MAIN}.python"):
            return to_python_specifier(text) or None
    return None


def read_main(value: Any, reading: Reading) -> list[Dependency]:
    dependencies: list[Dependency] = []
    for name, wanted in read_table(value, MAIN, reading.faults).items():
        if name.lower() == "python":
            continue
        with reading.faults.collecting():
            dependencies.extend(read_dependency(name, wanted, MAIN, reading))
    check_count(len(dependencies), f"{reading.faults.source}: {MAIN}")
    return dependencies


def read_extras(
    value: Any, dependencies: list[Dependency], reading: Reading
) -> Mapping[NormalizedName, tuple[Requirement, ...]]:
    """Read ``[tool.poetry.extras]``: names of dependencies, most of them optional ones."""
    place = f"{PLACE}.extras"
    extras: dict[NormalizedName, tuple[Requirement, ...]] = {}
    table = read_table(value, place, reading.faults)
    for extra, spelling, names in read_names(table, "extra", place, reading.faults):
        with reading.faults.collecting(place):
            if not is_list_of_strings(names):
                reading.faults.add(f"{place}.{spelling} must be a list of strings, not {described(names)}")
                continue
            check_count(len(names), f"{reading.faults.source}: {place}.{spelling}")
            extras[extra] = _members(f"{place}.{spelling}", names, dependencies, reading)
    return extras


def _members(place: str, names: list[str], dependencies: list[Dependency], reading: Reading) -> tuple[Requirement, ...]:
    found: list[Requirement] = []
    for spelling in names:
        name = read_name(spelling, "the dependency")
        found_here = [own.requirement for own in dependencies if own.requirement.name == name]
        found.extend(found_here)
        if not found_here:
            reading.notes.append(
                Warned(
                    code="unknown-extra-member",
                    subject=f"{reading.faults.source} [{place}]",
                    message=f"{shown(spelling)} is not among the dependencies of [{MAIN}]",
                )
            )
    return tuple(found)


def read_dependency(spelling: str, value: Any, place: str, reading: Reading) -> list[Dependency]:
    """Read one dependency: a constraint, a table, or a list of tables for different environments."""
    origin = Origin(source=reading.faults.source, place=place, line=line_of(reading.lines.keys, spelling, place))
    try:
        name = read_name(spelling, "the dependency")
        tables = value if isinstance(value, list) else [value]
        dependencies = [_read_entry(name, {"version": one} if isinstance(one, str) else one, origin) for one in tables]
    except RequirementInvalid as error:
        raise RequirementInvalid(f"{origin}: {spelling}: {error.message}", hint=error.hint) from None
    reading.prereleases.update(own.requirement.name for own in dependencies if own.prereleases)
    return dependencies


def _read_entry(name: NormalizedName, table: Any, origin: Origin) -> Dependency:
    if not isinstance(table, dict):
        raise RequirementInvalid(f"must be a constraint or a table, not {described(table)}")
    _text(table, "source")
    for key in sorted(set(table) - _KNOWN):
        raise RequirementInvalid(f"the key {shown(key)} is not known")
    requirement = Requirement(
        name=name,
        extras=_read_dependency_extras(table.get("extras", [])),
        specifier=to_specifier(_text(table, "version") or "*"),
        marker=_read_marker(table),
        url=_read_direct(table),
        origin=origin,
    )
    return Dependency(
        requirement=requirement,
        optional=table.get("optional", False) is True,
        prereleases=table.get("allow-prereleases", False) is True,
    )


def _read_direct(table: dict[str, Any]) -> str | None:
    """Read a path, a repository or a URL; "develop" is Poetry's key for editable."""
    kinds = sorted(set(_DIRECT) & set(table))
    if not kinds:
        return None
    if len(kinds) > 1:
        raise RequirementInvalid(f"has {' and '.join(kinds)}: a project has one source")
    kind = "path" if kinds[0] == "file" else kinds[0]
    entry = {**table, kind: table[kinds[0]], "editable": table.get("develop", False)}
    try:
        return str(read_reference(entry, kind))
    except ConfigError as error:
        raise RequirementInvalid(error.message, hint=error.hint) from None


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise RequirementInvalid(f"the key {key!r} must be a string, not {described(value)}")
    return value


def _read_dependency_extras(value: Any) -> frozenset[NormalizedName]:
    if not is_list_of_strings(value):
        raise RequirementInvalid(f"the key 'extras' must be a list of strings, not {described(value)}")
    return frozenset(read_name(extra, "the extra") for extra in value)


def _read_marker(table: dict[str, Any]) -> Marker | None:
    """Return the conditions of one dependency, joined by ``and``."""
    texts = [_text(table, "markers")]
    if python := _text(table, "python"):
        texts.append(to_python_marker(python))
    if platform := _text(table, "platform"):
        texts.append(_platform_marker(platform))
    markers = [_marker(text) for text in texts if text.strip()]
    return reduce(and_, markers) if markers else None


def _marker(text: str) -> Marker:
    if len(text) > MAX_REQUIREMENT_LENGTH:
        raise RequirementInvalid(f"a marker of {len(text)} characters; at most {MAX_REQUIREMENT_LENGTH} are allowed")
    try:
        return parse_marker(text)
    except InvalidMarker:
        raise RequirementInvalid(f"{shown(text)} is not a valid environment marker") from None


def _platform_marker(text: str) -> str:
    """``linux``, ``!=win32``, ``linux || darwin``, ``!=win32,!=cygwin``: values of sys.platform."""
    alternatives = [
        " and ".join(_platform_comparison(one) for one in part.split(","))
        for part in text.replace("||", "|").split("|")
    ]
    return " or ".join(alternatives)


def _platform_comparison(text: str) -> str:
    wanted = text.strip()
    operator = "!=" if wanted.startswith("!=") else "=="
    value = wanted.removeprefix("!=").removeprefix("==").removeprefix("=").strip()
    if not value.isascii() or not value.replace("_", "").replace("-", "").isalnum():
        raise RequirementInvalid(f"the key 'platform' has {shown(text)}, which is not a value of sys.platform")
    return f'sys_platform {operator} "{value}"'
