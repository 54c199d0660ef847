"""Poetry's own tables: main dependencies, extras, groups, as requirements of PEP 508.

A value that deep-lock cannot apply exactly is a fault that names the key: a lock without it would be wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName

from deep_lock.errors import RequirementInvalid, UserError
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.poetry import PLACE, Reading, read_dependency, read_extras, read_main, read_python
from deep_lock.parsing.requirements import (
    check_count,
    described,
    is_list_of_strings,
    read_name,
    read_names,
    read_string,
    read_table,
    read_version,
)
from deep_lock.parsing.toml import Lines
from deep_lock.project.dependency_groups import Include, Items, RawGroups
from deep_lock.project.project import RuntimeFields


class Poetry(Struct, frozen=True, kw_only=True):
    """What ``[tool.poetry]`` states."""

    fields: RuntimeFields = RuntimeFields()
    groups: RawGroups = field(default_factory=dict)
    sources: Mapping[NormalizedName, str] = field(default_factory=dict)
    """Direct references of the main dependencies."""
    prerelease_names: frozenset[NormalizedName] = frozenset()
    package_mode: bool = True


def read_poetry(table: Any, lines: Lines, faults: Faults) -> Poetry:
    """Read the ``[tool.poetry]`` table; what is wrong goes to ``faults``.

    The indexes that the key ``source`` names are read in `config.declared_indexes`.
    Where there is a ``[project]`` table only what PEP 508 cannot express is taken from it, such as direct references.
    """
    if not isinstance(table, dict):
        faults.add(f"{PLACE} must be a table, not {described(table)}")
        return Poetry()
    reading = Reading(lines=lines, faults=faults)
    dependencies = read_main(table.get("dependencies", {}), reading)
    fields = RuntimeFields(
        name=_read_project_name(table.get("name"), faults),
        version=_read_version(table.get("version"), faults),
        requires_python=read_python(table, faults),
        dependencies=tuple(own.requirement for own in dependencies if not own.optional),
        extras=read_extras(table.get("extras", {}), dependencies, reading),
    )
    groups = _read_groups(table, reading)
    return Poetry(
        fields=replace(fields, notes=tuple(reading.notes)),
        groups=groups,
        sources={own.requirement.name: url for own in dependencies if (url := own.requirement.url) is not None},
        prerelease_names=frozenset(reading.prereleases),
        package_mode=table.get("package-mode", True) is not False,
    )


def _read_project_name(value: Any, faults: Faults) -> NormalizedName | None:
    text = read_string(value, f"{PLACE}.name", faults)
    if text is not None:
        with faults.collecting(PLACE):
            return read_name(text, "the project name")
    return None


def _read_version(value: Any, faults: Faults) -> str | None:
    """Return the version in normal form; None where there is none, and for the values that plugins replace."""
    text = read_string(value, f"{PLACE}.version", faults)
    return None if text in {None, "", "0", "0.0.0"} else read_version(text, f"{PLACE}.version", faults)


def _read_groups(table: dict[str, Any], reading: Reading) -> RawGroups:
    """Read ``group.NAME.dependencies`` and the older ``dev-dependencies``, which is the group "dev"."""
    place = f"{PLACE}.group"
    tables = read_table(table.get("group", {}), place, reading.faults)
    groups = {
        name: _lazily(_read_group, group, f"{place}.{spelling}", reading)
        for name, spelling, group in read_names(tables, "group", place, reading.faults)
    }
    if "dev-dependencies" in table:
        dev = _lazily(_read_members, table["dev-dependencies"], f"{PLACE}.dev-dependencies", reading)
        dev_name = read_name("dev", "the group")
        earlier = groups.get(dev_name, ())
        groups[dev_name] = earlier if isinstance(earlier, str) else dev if isinstance(dev, str) else earlier + dev
    return groups


def _lazily(read: Callable[[Any, str, Reading], Items], value: Any, place: str, reading: Reading) -> Items | str:
    """Return the error of a group that cannot be read: it is a fault only where the group is selected (PEP 735)."""
    try:
        return read(value, place, reading)
    except UserError as error:
        return f"{error.message}. {error.hint}" if error.hint else error.message


def _read_group(group: Any, place: str, reading: Reading) -> Items:
    if not isinstance(group, dict):
        raise RequirementInvalid(f"{reading.faults.source}: {place} must be a table, not {described(group)}")
    items = _read_members(group.get("dependencies", {}), f"{place}.dependencies", reading)
    included = group.get("include-groups", [])
    if not is_list_of_strings(included):
        raise RequirementInvalid(
            f"{reading.faults.source}: {place}.include-groups must be a list of strings, not {described(included)}"
        )
    return (*items, *(Include(group=read_name(name, f"{place} includes")) for name in included))


def _read_members(value: Any, place: str, reading: Reading) -> Items:
    if not isinstance(value, dict):
        raise RequirementInvalid(f"{reading.faults.source}: {place} must be a table, not {described(value)}")
    check_count(len(value), f"{reading.faults.source}: {place}")
    return tuple(
        own.requirement
        for name, wanted in value.items()
        if name.lower() != "python"
        for own in read_dependency(name, wanted, place, reading)
    )
