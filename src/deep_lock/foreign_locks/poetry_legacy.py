"""A poetry.lock before 2.1 as a graph: edges give ranges of versions, and Poetry solves again within the lock.

An edge to a name of which several versions are locked admits those in its range; `installed_pins` takes the highest that
all edges admit which are followed, which is the answer of that solving.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import DeepLockError, LimitExceeded, ProjectInvalid, RequirementInvalid
from deep_lock.foreign_locks.poetry_packages import LockedPackage, Placed
from deep_lock.foreign_locks.reader import Value, extra_decided
from deep_lock.models.foreign_lock import ForeignNote, Need
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import read_name
from deep_lock.parsing.toml import read_toml
from deep_lock.project.dependency_groups import expand_groups
from deep_lock.project.poetry import read_poetry
from deep_lock.project.poetry_constraints import read_constraint, to_python_marker
from deep_lock.targets.markers import BASE, Scope

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


MAX_EDGES = 1000
"""Of one package."""

_DIRECT = frozenset(("git", "path", "url", "file"))
_LISTED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,199})")

_Places = dict[NormalizedName, list[int]]


def with_edges(packages: list[LockedPackage], asked: PoetryProject) -> Placed:
    """Make the edges between the packages, and those from what the project asks for. Raises LockInvalid."""
    places: _Places = {}
    for place in sorted(range(len(packages)), key=lambda place: _version(packages[place]), reverse=True):
        places.setdefault(packages[place].pin.name, []).append(place)
    notes: list[ForeignNote] = []
    roots = [
        (scope, tuple(_roots(requirements, packages, places, notes)))
        for scope, requirements in (
            (BASE, asked.base),
            *((Scope(kind="extra", name=name), wanted) for name, wanted in asked.extras),
            *((Scope(kind="group", name=name), wanted) for name, wanted in asked.groups),
        )
    ]
    pins = [
        replace(
            package.pin,
            needs=tuple(_needs(package, packages, places)),
            fits=_fits(package.value) if len(places[package.pin.name]) > 1 else None,
        )
        for package in packages
    ]
    groups = tuple(sorted(name for name, _ in asked.groups))
    return Placed(pins=tuple(pins), groups=groups, roots=tuple(roots), notes=tuple(notes))


def _version(package: LockedPackage) -> Version:
    return package.pin.version or Version("0")


def _roots(
    requirements: tuple[Requirement, ...], packages: list[LockedPackage], places: _Places, notes: list[ForeignNote]
) -> Iterator[Need]:
    for wish in requirements:
        found = _admitted(
            [place for place in places.get(wish.name, ()) if wish.url is None or packages[place].pin.url is not None],
            (wish.specifier,),
            packages,
        )
        if found:
            yield Need(child=found[0], others=tuple(found[1:]), extras=wish.extras, marker=wish.marker)
        else:
            notes.append(
                ForeignNote(
                    code="foreign-not-locked",
                    subject=str(wish.name),
                    message=f"is asked for ({wish.origin}) and not in the lock: it holds on no Python of the project, "
                    "or the lock is older than the project",
                )
            )


def _needs(package: LockedPackage, packages: list[LockedPackage], places: _Places) -> Iterator[Need]:
    table = package.value.find("dependencies")
    if table is None:
        return
    listed = _listed(package.value)
    for spelling, wanted in table.entries():
        name = wanted.as_name(spelling, "the dependency")
        for one in wanted.items(MAX_EDGES) if isinstance(wanted.raw, list) else [wanted]:
            yield from _edges(one, name, listed, packages, places)


def _listed(package: Value) -> dict[NormalizedName, list[NormalizedName]]:
    """Return the names that each extra of a package lists: name to extras."""
    extras = package.find("extras")
    found: dict[NormalizedName, list[NormalizedName]] = {}
    for spelling, items in () if extras is None else extras.entries():
        extra = items.as_name(spelling, "the extra")
        for item in items.items(MAX_EDGES):
            begin = _LISTED.match(item.text())
            if begin is None:
                raise item.invalid("is no requirement")
            found.setdefault(item.as_name(begin[1].rstrip("._-"), "the dependency"), []).append(extra)
    return found


def _edges(
    wanted: Value,
    name: NormalizedName,
    listed: dict[NormalizedName, list[NormalizedName]],
    packages: list[LockedPackage],
    places: _Places,
) -> Iterator[Need]:
    """Make the edges of one dependency: one, or where it is optional, one for each extra that lists it."""
    table = (
        wanted
        if isinstance(wanted.raw, dict)
        else Value(raw={"version": wanted.text()}, source=wanted.source, place=wanted.place)
    )
    direct = bool(_DIRECT & set(table.table()))
    same_kind = [place for place in places.get(name, ()) if (packages[place].pin.url is not None) == direct]
    version = table.find("version")
    found = _admitted(same_kind or places.get(name, []), _ranges(version), packages)
    if not found:
        # of an extra that nobody asks for, or on no Python of the project
        return
    optional = table.find("optional")
    extras = table.find("extras")
    for of_extra in listed.get(name, []) if optional is not None and optional.flag() else [None]:
        yield Need(
            child=found[0],
            others=tuple(found[1:]),
            extras=frozenset(extra.name("the extra") for extra in extras.items(MAX_EDGES)) if extras else frozenset(),
            marker=table.marker(extra_decided(_condition(table), of_extra)),
            of_extra=of_extra,
        )


def _fits(package: Value) -> Marker | None:
    """Read on which Pythons a version can be installed: the solving looks at it too."""
    pythons = package.get("python-versions")
    return pythons.marker(_python_marker(pythons))


def _python_marker(pythons: Value) -> str:
    try:
        return to_python_marker(pythons.text())
    except (RequirementInvalid, LimitExceeded) as error:
        raise pythons.invalid(f"cannot be read: {error.message}") from None


def _condition(table: Value) -> str:
    """Return the marker of a dependency, with its Pythons."""
    markers, python = table.find("markers"), table.find("python")
    texts = [] if markers is None else [markers.text()]
    if python is not None:
        texts.append(_python_marker(python))
    return " and ".join(f"({text})" for text in texts if text.strip())


def _ranges(version: Value | None) -> tuple[SpecifierSet, ...]:
    """Read a constraint as the ranges of which any may admit a version."""
    if version is None:
        return (SpecifierSet(),)
    try:
        union = read_constraint(version.text())
        return tuple(SpecifierSet(",".join(map(str, conjunction))) for conjunction in union)
    except (RequirementInvalid, LimitExceeded, InvalidSpecifier, ValueError) as error:
        raise version.invalid(f"cannot be read: {str(error)[:200]}") from None


def _admitted(places: list[int], ranges: tuple[SpecifierSet, ...], packages: list[LockedPackage]) -> list[int]:
    """Return the places that a range admits, the highest version first; a name that is locked once needs no choice."""
    if len(places) < 2:
        return places
    return [
        place
        for place in places
        if packages[place].pin.url is not None
        or any(one.contains(_version(packages[place]), prereleases=True) for one in ranges)
    ]
