"""The pyproject.toml of a poetry.lock: which packages the project itself requires."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.boundary import reading
from deep_lock.errors import DeepLockError, ProjectInvalid
from deep_lock.models.requirement import Requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import parse_requirement, read_name
from deep_lock.parsing.toml import read_toml
from deep_lock.project.dependency_groups import expand_groups
from deep_lock.project.poetry import read_poetry

_SOURCE = "pyproject.toml"
_LISTS = ("dependencies", "dev-dependencies")


class PoetryProject(Struct, frozen=True, kw_only=True):
    """The requirements of ``[tool.poetry]``: roots of a lock that is a graph."""

    base: tuple[Requirement, ...]
    extras: tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]
    groups: tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]


def read_poetry_project(text: str) -> PoetryProject:
    """Read the requirements of ``[tool.poetry]``. Raises ProjectInvalid, or LimitExceeded."""
    document, lines = read_toml(text, _SOURCE, ProjectInvalid)
    table = _table(_table(document, "tool"), "poetry")
    if "dependencies" not in table:
        raise ProjectInvalid(
            f"{_SOURCE}: has no [tool.poetry.dependencies], from which a lock of this version was made",
            hint="Put the pyproject.toml that the lock was made for next to it, or run poetry lock with Poetry 2.",
        )
    faults = Faults(_SOURCE, ProjectInvalid)
    poetry = read_poetry(table, lines, faults)
    groups, broken = expand_groups(poetry.groups)
    for _, reason in broken:
        faults.add(reason)
    faults.raise_any()
    return PoetryProject(base=poetry.fields.dependencies, extras=tuple(poetry.fields.extras.items()), groups=groups)


def direct_requirements(text: str) -> dict[NormalizedName, frozenset[NormalizedName]]:
    """Return the names that the project itself requires, each with its extras; empty where the file cannot be read."""
    found: dict[NormalizedName, frozenset[NormalizedName]] = {}
    try:
        with reading(_SOURCE, ProjectInvalid):
            document, _ = read_toml(text, _SOURCE, ProjectInvalid)
            for requirement in (*_standard(document), *_poetrys(_table(_table(document, "tool"), "poetry"))):
                found[requirement.name] = found.get(requirement.name, frozenset()) | requirement.extras
    except DeepLockError:
        # here it only distinguishes direct from transitive dependencies: Poetry itself checks the file
        return {}
    return found


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _standard(document: dict[str, Any]) -> Iterator[Requirement]:
    """Yield the requirements of ``[project]`` and ``[dependency-groups]``."""
    project = _table(document, "project")
    lists = [
        project.get("dependencies"),
        *_table(project, "optional-dependencies").values(),
        *_table(document, "dependency-groups").values(),
    ]
    for items in lists:
        for item in items if isinstance(items, list) else ():
            if isinstance(item, str):
                yield parse_requirement(item)


def _poetrys(table: dict[str, Any]) -> Iterator[Requirement]:
    """Yield the names in Poetry's tables, with extras."""
    owners = [table, *(group for group in _table(table, "group").values() if isinstance(group, dict))]
    for dependencies in (_table(owner, key) for owner in owners for key in _LISTS):
        for spelling, wanted in dependencies.items():
            if spelling.lower() == "python":
                continue
            listed = [one.get("extras") for one in _as_list(wanted) if isinstance(one, dict)]
            extras = [extra for own in listed for extra in own or () if isinstance(extra, str)]
            yield Requirement(
                name=read_name(spelling, "the dependency"),
                extras=frozenset(read_name(extra, "the extra") for extra in extras),
            )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
