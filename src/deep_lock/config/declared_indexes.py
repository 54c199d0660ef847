"""The indexes and sources that a pyproject.toml declares for uv, Poetry or PDM, as keys of ``[tool.deep-lock]``.

Invariant: a project that a table assigns to an index has a source, or a fault that names it. It is never passed over: the
public index would answer instead of a private one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.config.config import (
    Config,
    IndexSetting,
    PublicIndex,
    SourceSetting,
    Workspace,
    read_source,
)
from deep_lock.errors import ConfigError, RequirementInvalid
from deep_lock.models.conflicts import Declared, read_declared
from deep_lock.network.urls import without_user_info
from deep_lock.parsing.text import shown
from deep_lock.sanitize import show

DEFAULT = "default"
"""The name under which ``sources`` can assign a project to the default index."""
_WITHOUT_EFFECT: Mapping[str, object] = {"package": True, "lfs": False}
"""Keys of a uv source that have the same meaning as no key, where they have this value."""
_VARIABLE_LOGIN = re.compile(r"//[^/]*\$\{[^/]*@")
_INDEX_HINT = "name an index with its URL in [[tool.deep-lock.index]]: it is used instead"
_SOURCE_HINT = 'assign the project in [tool.deep-lock.sources], which has precedence: {name} = {{index = "NAME"}}'


SourceTables = Mapping[str, Any] | list[Mapping[str, Any]]
"""What ``sources`` has for a project: a table, or several with conditions."""


class Fault(Struct, frozen=True, kw_only=True):
    """A declaration that deep-lock cannot apply."""

    place: str
    """The table, without "tool."."""
    reason: str
    project: str | None = None
    """The project whose source it is; None for an index."""


class DeclaredIndexes(Struct, frozen=True, kw_only=True):
    """Where another tool gets the packages of a project."""

    indexes: tuple[IndexSetting, ...] = ()
    """In order of priority; their URLs may contain a login."""
    public: PublicIndex | None = None
    sources: Mapping[str, SourceTables] = field(default_factory=dict)
    """By project as written."""
    workspace: Workspace | None = None
    conflicts: tuple[tuple[Declared, ...], ...] | None = None
    """Of a project; those between members of a workspace are not among them."""
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    faults: tuple[Fault, ...] = ()


def declared_indexes(tools: Mapping[str, Any]) -> DeclaredIndexes:
    """Read the raw ``tool`` table of a pyproject.toml. What has another type than the tool requires is skipped."""
    found = DeclaredIndexes()
    for name, read in (("uv", _uv), ("poetry", _poetry), ("pdm", _pdm)):
        table = tools.get(name)
        if isinstance(table, dict):
            own = read(table)
            found = DeclaredIndexes(
                indexes=(*found.indexes, *own.indexes),
                public=found.public or own.public,
                sources={**own.sources, **found.sources},
                workspace=found.workspace or own.workspace,
                conflicts=found.conflicts or own.conflicts,
                find_links=(*found.find_links, *own.find_links),
                no_index=found.no_index or own.no_index,
                faults=(*found.faults, *own.faults),
            )
    return _checked(found)


def of_options(options: Sequence[tuple[str, str]]) -> DeclaredIndexes:
    """Return what the index options of requirements files declare; the last ``--index-url`` counts, as in pip."""
    values: dict[str, list[str]] = {}
    for name, value in options:
        values.setdefault(name, []).append(value)
    urls = values.get("index-url", ())
    table = {
        "extra-index-url": list(dict.fromkeys(values.get("extra-index-url", ()))),
        "find-links": list(dict.fromkeys(values.get("find-links", ()))),
        "no-index": "no-index" in values,
        **({"index-url": urls[-1]} if urls else {}),
    }
    return _checked(_uv(table))


def _checked(found: DeclaredIndexes) -> DeclaredIndexes:
    """Leave out what no client can use: an index without a plain URL, a second name or default index."""
    indexes: dict[str, IndexSetting] = {}
    faults = list(found.faults)
    for stated in found.indexes:
        index = stated
        if _VARIABLE_LOGIN.search(stated.url):  # of the environment: a login has variables of its own here
            index = replace(stated, url=without_user_info(stated.url))
        if not re.match(r"https?://[^/]", without_user_info(index.url)) or "${" in index.url:
            reason = f"the index {shown(index.name)} has no plain http(s) URL"
            faults.append(Fault(place=f"the index {show(index.name)}", reason=reason))
            continue
        is_default = index.default and not any(own.default for own in indexes.values())
        indexes.setdefault(index.name, replace(index, default=is_default))
    return replace(found, indexes=tuple(indexes.values()), faults=tuple(faults))


# -- combined with the configuration of deep-lock


def with_declared(own: Config, declared: DeclaredIndexes) -> Config:
    """Return the configuration, completed by what other tools declare. Where both have a key, the own one is used.

    Own indexes replace the others, which stay for the projects that are assigned to them. Raises ConfigError.
    """
    assigned = dict(own.sources or ())
    for fault in declared.faults:
        if fault.project is not None and canonicalize_name(fault.project) not in assigned:
            raise ConfigError(
                f"{own.source} [tool.{fault.place}]: {fault.reason}", hint=_SOURCE_HINT.format(name=show(fault.project))
            )
        if fault.project is None and own.index is None:
            raise ConfigError(f"{own.source}: {fault.reason}", hint=_INDEX_HINT)
    sources: dict[NormalizedName, SourceSetting] = {}
    for name, table in declared.sources.items():
        normal = canonicalize_name(name)
        if normal not in assigned:
            try:
                sources[normal] = read_source(table)
            except (ConfigError, RequirementInvalid) as error:
                raise ConfigError(
                    f"{own.source}: the source of {shown(name)}: {error.message}", hint=error.hint
                ) from None
    known = {index.name for index in own.index or ()}
    others = tuple(index for index in declared.indexes if index.name not in known)
    if own.index is not None:
        needed = frozenset[str]().union(*map(index_names, (*sources.values(), *assigned.values())))
        others = tuple(
            replace(index, explicit=True, default=False, fallback=False)
            for index in others
            if index.name in needed or index.include_packages
        )
    return replace(
        own,
        index=(*(own.index or ()), *others) or own.index,
        sources=(*assigned.items(), *sources.items()) or own.sources,
        workspace=own.workspace or declared.workspace,
        conflicts=own.conflicts if own.conflicts is not None else declared.conflicts,
        find_links=own.find_links if own.find_links is not None else declared.find_links or None,
        no_index=own.no_index if own.no_index is not None else declared.no_index or None,
        public_index=None if own.index is not None else declared.public,
    )


def index_names(source: SourceSetting) -> frozenset[str]:
    """Return the indexes that a source names."""
    own = [part.source for part in source] if isinstance(source, tuple) else [source]
    return frozenset(part for part in own if isinstance(part, str))


def for_configuration(declared: DeclaredIndexes) -> tuple[DeclaredIndexes, tuple[str, ...]]:
    """Return the declarations as a file of deep-lock may contain them, without logins, and a sentence on each other one."""
    left_out = [f"{fault.reason}: write it in [tool.deep-lock]" for fault in declared.faults]
    indexes = []
    for index in declared.indexes:
        url = without_user_info(index.url)
        if url != index.url:
            variable = re.sub(r"[^A-Z0-9]", "_", index.name.upper())
            left_out.append(
                f"the login of the index {show(index.name)} is not copied: "
                f"set DEEP_LOCK_INDEX_{variable}_USERNAME and _PASSWORD"
            )
        indexes.append(replace(index, url=url))
    general = [number for number, index in enumerate(indexes) if not (index.explicit or index.fallback)]
    if declared.public in {"unused", "assigned"} and general and not any(index.default for index in indexes):
        indexes[general[-1]] = replace(indexes[general[-1]], default=True)
    sources = {}
    for name, source in declared.sources.items():
        named = {table.get("index") for table in ([source] if isinstance(source, Mapping) else source)}
        is_replaced = DEFAULT in named and declared.public in {"unused", "assigned"}
        if is_replaced or named - {None, DEFAULT, *(index.name for index in indexes)}:
            left_out.append(
                f"the source of {shown(name)} is an index without a URL here: name it in [[tool.deep-lock.index]]"
            )
        else:
            sources[name] = source
    return replace(declared, indexes=tuple(indexes), sources=sources), tuple(left_out)


# -- uv


def _uv(table: Mapping[str, Any]) -> DeclaredIndexes:
    indexes, links = [], list(_texts(table.get("find-links")))
    for number, own in enumerate(_tables(table.get("index")), 1):
        url = own.get("url")
        if not isinstance(url, str):
            continue
        if own.get("format") == "flat":
            links.append(url)
            continue
        name = _name(own.get("name"), f"index-{number}")
        indexes.append(
            IndexSetting(name=name, url=url, explicit=own.get("explicit") is True, default=own.get("default") is True)
        )
    for number, url in enumerate(_texts(table.get("extra-index-url")), 1):
        indexes.append(IndexSetting(name=f"extra-{number}", url=url))
    if isinstance(url := table.get("index-url"), str):
        indexes.append(IndexSetting(name="main", url=url, default=True))
    sources: dict[str, SourceTables] = {}
    faults = []
    declared = table.get("sources")
    for name, source in declared.items() if isinstance(declared, dict) else ():
        found = _uv_source(source)
        if isinstance(found, str):
            faults.append(Fault(place="uv.sources", reason=f"the source of {shown(name)}: {found}", project=name))
        else:
            sources[name] = found
    return DeclaredIndexes(
        indexes=tuple(indexes),
        sources=sources,
        workspace=_uv_workspace(table.get("workspace")),
        conflicts=_uv_conflicts(table.get("conflicts")),
        find_links=tuple(links),
        no_index=table.get("no-index") is True,
        faults=tuple(faults),
    )


def _uv_source(source: object) -> SourceTables | str:
    """Return what ``sources`` has for a project, or why deep-lock cannot apply it."""
    tables = source if isinstance(source, list) else [source]
    found: list[Mapping[str, Any]] = []
    for table in tables:
        if not isinstance(table, dict):
            return "must be a table"
        own = {key: value for key, value in table.items() if _WITHOUT_EFFECT.get(key) != value}
        found.append({**own, "index": _name(own["index"], "")} if "index" in own else own)
    try:
        read_source(found)
    except (ConfigError, RequirementInvalid) as error:
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return found[0] if len(found) == 1 else found


def _uv_conflicts(value: object) -> tuple[tuple[Declared, ...], ...] | None:
    found: list[tuple[Declared, ...]] = []
    for conflict in value if isinstance(value, list) else ():
        with suppress(ValueError):
            found += read_declared([conflict])
    return tuple(sorted(set(found))) or None


def _uv_workspace(table: object) -> Workspace | None:
    if not isinstance(table, dict):
        return None
    return Workspace(members=tuple(_texts(table.get("members"))), exclude=tuple(_texts(table.get("exclude"))))


# -- Poetry

_POETRY_PUBLIC = "pypi"


def _poetry(table: Mapping[str, Any]) -> DeclaredIndexes:
    """Read Poetry's sources: the primary ones replace the public index, unless it is one of them.

    A dependency may name a source.
    """
    indexes, names = [], {}
    primary: list[IndexSetting] = []
    public: PublicIndex | None = None
    for number, own in enumerate(_tables(table.get("source")), 1):
        url, name, priority = own.get("url"), _name(own.get("name"), f"source-{number}"), _priority(own)
        if not isinstance(url, str):
            if name.lower() == _POETRY_PUBLIC:  # the public index has a name and no URL
                public = "assigned" if priority == "explicit" else "used"
            continue
        names[name.lower()] = name
        if priority in {"primary", "default"}:
            primary.append(IndexSetting(name=name, url=url, default=priority == "default"))
        else:
            indexes.append(
                IndexSetting(name=name, url=url, explicit=priority == "explicit", fallback=priority != "explicit")
            )
    if primary and public is None:
        public = "unused"
    sources: dict[str, Mapping[str, Any]] = {}
    faults = []
    for name, named in _named_sources(table).items():
        source = next(iter(named)) if len(named) == 1 else None
        if source is None:
            reason = f"{shown(name)} has several sources: deep-lock does not read their conditions from Poetry"
            faults.append(Fault(place="poetry", reason=reason, project=name))
        elif source.lower() in names:
            sources[name] = {"index": names[source.lower()]}
        elif source.lower() == _POETRY_PUBLIC and public != "unused":
            sources[name] = {"index": DEFAULT}
        else:
            # an index of [[tool.deep-lock.index]] may have the name
            sources[name] = {"index": _name(source, "")}
    return DeclaredIndexes(indexes=(*primary, *indexes), public=public, sources=sources, faults=tuple(faults))


def _priority(source: Mapping[str, Any]) -> object:
    """Return the priority; before Poetry 1.5 there were two keys instead."""
    if "priority" in source:
        return str(source["priority"]).lower()
    if source.get("default") is True:
        return "default"
    return "secondary" if source.get("secondary") is True else "primary"


def _named_sources(poetry: Mapping[str, Any]) -> Mapping[str, set[str | None]]:
    """Return by project the sources that its tables name, in the dependencies and in the groups.

    None is the source of a table that names none, in a list of tables for different environments.
    """
    groups = poetry.get("group")
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += (
        [own.get("dependencies") for own in groups.values() if isinstance(own, dict)]
        if isinstance(groups, dict)
        else []
    )
    found: dict[str, set[str | None]] = {}
    for table in tables:
        for name, entry in table.items() if isinstance(table, dict) else ():
            named = {_source_of(own) for own in entry} if isinstance(entry, list) else {_source_of(entry)}
            if named - {None}:
                found.setdefault(name, set()).update(named)
    return found


def _source_of(entry: object) -> str | None:
    source = entry.get("source") if isinstance(entry, dict) else None
    return source if isinstance(source, str) else None


# -- PDM


def _pdm(table: Mapping[str, Any]) -> DeclaredIndexes:
    """Read PDM's sources; the one with the name "pypi" replaces the public index."""
    indexes, links = [], []
    for number, own in enumerate(_tables(table.get("source")), 1):
        url, name = own.get("url"), _name(own.get("name"), f"source-{number}")
        if not isinstance(url, str):
            continue
        if own.get("type") == "find_links":
            links.append(re.sub(r"^file:/+\$\{PROJECT_ROOT\}/", "./", url))
            continue
        indexes.append(
            IndexSetting(
                name=name,
                url=url,
                default=name == "pypi",
                include_packages=_patterns(own.get("include_packages")),
                exclude_packages=_patterns(own.get("exclude_packages")),
            )
        )
    return DeclaredIndexes(indexes=tuple(indexes), find_links=tuple(links))


def _patterns(value: object) -> tuple[str, ...]:
    return tuple(re.sub(r"[-_.]+", "-", text).lower() for text in _texts(value))


def _name(value: object, otherwise: str) -> str:
    """Return a name of an index that a configuration may have."""
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-") if isinstance(value, str) else ""
    return text if re.search(r"[A-Za-z0-9]", text) else otherwise


def _tables(value: object) -> Iterator[Mapping[str, Any]]:
    yield from (own for own in value if isinstance(own, dict)) if isinstance(value, list) else ()


def _texts(value: object) -> Iterator[str]:
    yield from (text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
