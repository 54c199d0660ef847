"""What a project asks Poetry for, as a poetry.lock needs it: a lock before 2.1 does not say it itself."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.errors import DeepLockError, ProjectInvalid
from deep_lock.inputs.faults import Faults
from deep_lock.inputs.groups import expand_groups
from deep_lock.inputs.poetry import read_poetry
from deep_lock.inputs.requirement_list import read_name
from deep_lock.inputs.toml_text import read_toml
from deep_lock.model.requirement import Requirement, parse_requirement

_SOURCE = "pyproject.toml"


class PoetryProject(Struct, frozen=True, kw_only=True):
    """The roots of a lock that is a graph."""

    base: tuple[Requirement, ...]
    extras: tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]
    groups: tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...]


def read_poetry_project(text: str) -> PoetryProject:
    """Read what ``[tool.poetry]`` asks for. Raises ProjectInvalid, or LimitExceeded."""
    document, lines = read_toml(text, _SOURCE, ProjectInvalid)
    table = _poetry(document)
    if "dependencies" not in table:
        raise ProjectInvalid(
            f"{_SOURCE}: has no [tool.poetry.dependencies], from which a lock of this version was made",
            hint="Put the pyproject.toml beside the lock that it was made for, or run poetry lock with Poetry 2.",
        )
    faults = Faults(_SOURCE, ProjectInvalid)
    poetry = read_poetry(_without_indexes(table), lines, faults)
    groups, broken = expand_groups(poetry.groups)
    for _, reason in broken:
        faults.add(reason)
    faults.raise_any()
    return PoetryProject(base=poetry.dependencies, extras=tuple(poetry.extras.items()), groups=groups)


def asked_names(text: str) -> dict[NormalizedName, frozenset[NormalizedName]]:
    """List what the project itself asks for, with the extras of each; what cannot be read is not listed."""
    try:
        document, _ = read_toml(text, _SOURCE, ProjectInvalid)
        wishes = [*_standard(document), *_poetrys(_poetry(document))]
    except DeepLockError:
        # it only tells direct from transitive here: Poetry itself judges the file
        return {}
    asked: dict[NormalizedName, frozenset[NormalizedName]] = {}
    for wish in wishes:
        asked[wish.name] = asked.get(wish.name, frozenset()) | wish.extras
    return asked


def _poetry(document: dict[str, Any]) -> dict[str, Any]:
    return _table(_table(document, "tool"), "poetry")


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _standard(document: dict[str, Any]) -> Iterator[Requirement]:
    """Give the requirements of ``[project]`` and ``[dependency-groups]``."""
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
    """Give the names of Poetry's tables, with extras."""
    tables = [
        _table(table, "dependencies"),
        _table(table, "dev-dependencies"),
        *(_table(group, "dependencies") for group in _table(table, "group").values() if isinstance(group, dict)),
    ]
    for dependencies in tables:
        for spelling, wanted in dependencies.items():
            if spelling.lower() == "python":
                continue
            name = read_name(spelling, "the dependency")
            extras: set[NormalizedName] = set()
            for one in wanted if isinstance(wanted, list) else [wanted]:
                listed = one.get("extras") if isinstance(one, dict) else None
                extras |= {read_name(extra, "the extra") for extra in listed or () if isinstance(extra, str)}
            yield Requirement(name=name, extras=frozenset(extras))


def _without_indexes(table: dict[str, Any]) -> dict[str, Any]:
    """Leave out which index a dependency is from: the lock says it of each package."""
    shorter = dict(table)
    for key in ("dependencies", "dev-dependencies"):
        if key in table:
            shorter[key] = _all_without(table[key])
    groups = table.get("group")
    if isinstance(groups, dict):
        shorter["group"] = {
            name: {**group, "dependencies": _all_without(group["dependencies"])}
            if isinstance(group, dict) and "dependencies" in group
            else group
            for name, group in groups.items()
        }
    return shorter


def _all_without(dependencies: Any) -> Any:
    if not isinstance(dependencies, dict):
        return dependencies
    return {name: _one_without(wanted) for name, wanted in dependencies.items()}


def _one_without(wanted: Any) -> Any:
    if isinstance(wanted, list):
        return [_one_without(one) for one in wanted if not isinstance(one, list)]
    if isinstance(wanted, dict):
        return {key: value for key, value in wanted.items() if key != "source"}
    return wanted
