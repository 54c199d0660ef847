"""The pyproject.toml of an sdist: its build system (PEP 517, PEP 518) and its ``[project]`` table (PEP 621)."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LimitExceeded, PyprojectInvalid, RequirementInvalid
from deep_lock.models.build_system import BuildSystem
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.parsing import build_system
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.parsing.toml import parse_toml

_HINT = "the release cannot be built as it is: take another version, or a wheel of it (no-binary, build-scope)"


def read_toml_bytes(raw: bytes, where: str) -> dict[str, Any]:
    """Parse TOML 1.1, of at most 1 MiB, without a byte order mark. Raises PyprojectInvalid or LimitExceeded."""
    error = partial(PyprojectInvalid, hint=_HINT)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise error(f"{where}: is not UTF-8") from None
    return parse_toml(text, where, error)


def nested_table(table: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Return a nested table; empty where it, or one above it, is missing or no table."""
    found: Any = table
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def read_build_system(pyproject: Mapping[str, Any], where: str) -> tuple[BuildSystem, tuple[str, ...]]:
    """Return the build system and the notes about it.

    Without the table, it is the default of PEP 517; nothing is ever added to a list in the file. Raises PyprojectInvalid or LimitExceeded.
    """
    if build_system.KEY not in pyproject:
        return build_system.DEFAULT_BUILD_SYSTEM, ()
    faults = Faults(where, PyprojectInvalid)
    system = build_system.read_build_system(pyproject[build_system.KEY], faults)
    error = faults.to_error()
    if system is None or error is not None:
        raise PyprojectInvalid(error.message if error is not None else where, hint=_HINT)
    return system, tuple(sorted({note for text in system.requires if (note := _note_of(text, where))}))


def _note_of(text: str, where: str) -> str:
    """Return a note about one build requirement, or "". A path or file: URL names a file of the machine that builds."""
    try:
        requirement = parse_requirement(text)
    except RequirementInvalid as error:
        raise PyprojectInvalid(f"{where}: {error.message}", hint=_HINT) from None
    if requirement.url is None:
        return ""
    scheme = _scheme(requirement.url)
    if scheme in {"", "file"} or scheme.endswith("+file"):
        raise PyprojectInvalid(f"{where}: the build requirement {text[:200]!r} is a file of the machine that builds")
    return "build-requires-url"


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:
        return ""


def read_project(pyproject: Mapping[str, Any], name: NormalizedName, version: str) -> Metadata | None:
    """Return the metadata that ``[project]`` proves, or None where it proves none.

    That is where it is missing, malformed, of another name, or leaves dependencies to the backend. Names in
    ``dynamic`` count before values: a value of such a field is a lower bound only (PEP 808).
    """
    project = pyproject.get("project")
    if not isinstance(project, dict) or not isinstance(project.get("name"), str):
        return None
    if canonicalize_name(project["name"]) != name:
        return None
    dynamic = project.get("dynamic", [])
    if not _is_strings(dynamic) or {"dependencies", "optional-dependencies", "name"} & set(dynamic):
        return None
    return _project_metadata(project, frozenset(dynamic), name, version)


def guess_project(pyproject: Mapping[str, Any], name: NormalizedName, version: str) -> Metadata | None:
    """Return what ``[project]`` lists although its backend may add to it."""
    project = pyproject.get("project")
    return _project_metadata(project, frozenset(), name, version) if isinstance(project, dict) else None


def _project_metadata(
    project: Mapping[str, Any], dynamic: frozenset[str], name: NormalizedName, version: str
) -> Metadata | None:
    dependencies = project.get("dependencies", [])
    optional = project.get("optional-dependencies", {})
    if not _is_strings(dependencies) or not isinstance(optional, dict) or not all(map(_is_strings, optional.values())):
        return None
    try:
        requires_dist = list(dependencies)
        for extra, texts in optional.items():
            requires_dist.extend(with_extra(text, canonicalize_name(extra)) for text in texts)
        for text in requires_dist:
            parse_requirement(text)
    except (RequirementInvalid, LimitExceeded):
        return None
    requires_python = project.get("requires-python")
    return Metadata(
        name=name,
        version=version,
        metadata_version="2.2",
        requires_dist=tuple(requires_dist),
        requires_python=requires_python if isinstance(requires_python, str) and requires_python else None,
        provides_extra=tuple(canonicalize_name(extra) for extra in optional),
        dynamic=frozenset({"requires-python"} if "requires-python" in dynamic else ()),
    )


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def with_extra(text: str, extra: str, marker: str = "") -> str:
    """Return the requirement as Requires-Dist writes it for an extra ("" for none), under one more marker.

    Raises RequirementInvalid or LimitExceeded.
    """
    wanted = [f"({marker})"] if marker else []
    if ";" in text:
        requirement = parse_requirement(text)
        if requirement.marker is not None:
            wanted.insert(0, f"({requirement.marker})")
            text = str(replace(requirement, marker=None))
    if extra:
        wanted.append(f'extra == "{extra}"')
    return f"{text} ; {' and '.join(wanted)}" if wanted else text


def parse_requirements(texts: tuple[str, ...]) -> tuple[Requirement, ...] | None:
    """Return the requirements, or None where one of the texts is not valid."""
    try:
        return tuple(map(parse_requirement, texts))
    except (RequirementInvalid, LimitExceeded):
        return None
