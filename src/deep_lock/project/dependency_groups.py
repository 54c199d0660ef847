"""Dependency groups (PEP 735): includes expanded in place; a broken group is an error only where it is selected.

packaging has a resolver for these. It is not used here, since it keeps no origins of requirements and expands without
bound: thirty groups that each include the next twice would fill the memory. A test compares the two.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import ProjectInvalid, UserError
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import check_count, described, read_name, read_names, read_requirement, read_table
from deep_lock.parsing.text import shown
from deep_lock.parsing.toml import Lines, line_of

PLACE = "dependency-groups"
_DEV = canonicalize_name("dev")
_EDITABLE = re.compile(r"-e\s+(?P<url>file:[^#\s]+)#egg=(?P<name>[^&\s]+)")


class Include(Struct, frozen=True, kw_only=True):
    """``{include-group = "name"}``."""

    group: NormalizedName


Items = tuple[Requirement | Include, ...]
RawGroups = Mapping[NormalizedName, Items | str]
"""Each group as written, or the reason why it cannot be read."""

Expanded = tuple[
    tuple[tuple[NormalizedName, tuple[Requirement, ...]], ...],
    tuple[tuple[NormalizedName, str], ...],
]


def read_groups(table: Any, lines: Lines, faults: Faults, place: str = PLACE) -> RawGroups:
    """Read the ``[dependency-groups]`` table. Only names that are the same after normalization are faults of the file."""
    return {
        name: _read_group(value, f"{place}.{spelling}", lines, faults.source)
        for name, spelling, value in read_names(read_table(table, place, faults), "group", place, faults)
    }


def read_older_groups(tools: Mapping[str, Any], lines: Lines, faults: Faults) -> RawGroups:
    """Read ``[tool.uv] dev-dependencies`` and ``[tool.pdm.dev-dependencies]``: both tools join them to the groups."""
    groups: dict[NormalizedName, Items | str] = {}
    uv, pdm = (own if isinstance(own := tools.get(tool), dict) else {} for tool in ("uv", "pdm"))
    if "dev-dependencies" in uv:
        groups[_DEV] = _read_group(uv["dev-dependencies"], "tool.uv.dev-dependencies", lines, faults.source)
    table = pdm.get("dev-dependencies", {})
    if isinstance(table, dict):
        table = {name: list(map(_plain, own)) if isinstance(own, list) else own for name, own in table.items()}
    return joined(groups, read_groups(table, lines, faults, "tool.pdm.dev-dependencies"))


def joined(groups: RawGroups, others: RawGroups) -> RawGroups:
    """Return the groups of both; one that both have has the requirements of both."""
    found = dict(groups)
    for name, items in others.items():
        known = found.get(name, ())
        found[name] = known if isinstance(known, str) else items if isinstance(items, str) else known + items
    return found


def _plain(item: Any) -> Any:
    """Return a line of PDM for an editable project, ``-e URL#egg=NAME``, as a requirement."""
    found = _EDITABLE.fullmatch(item) if isinstance(item, str) else None
    return f"{found['name']} @ {found['url']}#editable=true" if found else item


def expand_groups(groups: RawGroups) -> Expanded:
    """Put included groups in place. Returns (groups, broken groups with the reason).

    Raises LimitExceeded where includes multiply beyond reason.
    """
    whole: list[tuple[NormalizedName, tuple[Requirement, ...]]] = []
    broken: list[tuple[NormalizedName, str]] = []
    for name in groups:
        try:
            whole.append((name, _expand(name, groups)))
        except UserError as error:
            broken.append((name, error.message))
    return tuple(whole), tuple(broken)


def included_groups(groups: RawGroups) -> tuple[tuple[NormalizedName, tuple[NormalizedName, ...]], ...]:
    """Return for each group that includes others the groups that it includes, at any depth; sorted."""
    direct = {
        name: [item.group for item in items if isinstance(item, Include)] if not isinstance(items, str) else []
        for name, items in groups.items()
    }
    found: list[tuple[NormalizedName, tuple[NormalizedName, ...]]] = []
    for name in sorted(name for name, own in direct.items() if own):
        seen: set[NormalizedName] = set()
        pending = [*direct[name]]
        while pending:
            group = pending.pop()
            if group not in seen:
                seen.add(group)
                pending += direct.get(group, [])
        found.append((name, tuple(sorted(seen))))
    return tuple(found)


def _read_group(value: Any, place: str, lines: Lines, source: str) -> Items | str:
    if not isinstance(value, list):
        return f"{source}: {place} must be a list, not {described(value)}"
    check_count(len(value), f"{source}: {place}")
    try:
        return tuple(_read_item(item, place, lines, source) for item in value)
    except UserError as error:
        return error.message


def _read_item(item: Any, place: str, lines: Lines, source: str) -> Requirement | Include:
    match item:
        case str():
            origin = Origin(source=source, place=place, line=line_of(lines.strings, item, place))
            return read_requirement(item, origin, direct=True)
        case {"include-group": str(included)} if len(item) == 1:
            return Include(group=read_name(included, f"{source}: {place} includes"))
        case dict():
            keys = ", ".join(shown(key) for key in item)
            raise ProjectInvalid(
                f'{source}: {place} has a table with {keys or "no key"}; only include-group = "NAME" is known'
            )
        case _:
            raise ProjectInvalid(f"{source}: {place} must contain strings and includes, not {described(item)}")


def _expand(name: NormalizedName, groups: RawGroups) -> tuple[Requirement, ...]:
    """Walk the includes without recursion; ``path`` is the chain that is open, for the cycle's message."""
    found: list[Requirement] = []
    path: list[NormalizedName] = []
    pending: list[Requirement | Include | None] = [Include(group=name)]
    steps = 0
    while pending:
        item = pending.pop()
        match item:
            case None:
                path.pop()
            case Requirement():
                found.append(item)
            case Include(group=group):
                steps += 1
                check_count(steps + len(found), f"dependency group {name} with its includes")
                if group in path:
                    chain = " -> ".join([*path[path.index(group) :], group])
                    raise ProjectInvalid(f"dependency group {name} includes itself: {chain}")
                path.append(group)
                pending.append(None)
                pending.extend(reversed(_items(group, path, groups)))
    check_count(len(found), f"dependency group {name} with its includes")
    return tuple(found)


def _items(group: NormalizedName, path: list[NormalizedName], groups: RawGroups) -> Items:
    items = groups.get(group)
    if items is None:
        chain = " -> ".join(path)
        raise ProjectInvalid(f"dependency group {group} is included ({chain}), but there is no such group")
    if isinstance(items, str):
        raise ProjectInvalid(items)
    return items
