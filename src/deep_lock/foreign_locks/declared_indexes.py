"""The indexes and sources that a pyproject.toml declares for uv, Poetry or PDM, as keys of ``[tool.deep-lock]``."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from deep_lock.config.config import IndexSetting
from deep_lock.network.urls import without_user_info
from deep_lock.sanitize import show

_SOURCE_KEYS: Mapping[str, frozenset[str]] = {
    "index": frozenset({"index"}),
    "workspace": frozenset({"workspace", "editable"}),
    "path": frozenset({"path", "editable", "subdirectory"}),
    "git": frozenset({"git", "rev", "tag", "branch", "subdirectory"}),
    "url": frozenset({"url", "subdirectory"}),
}
"""The keys of a uv source that ``sources`` of deep-lock has too, by kind."""


class DeclaredIndexes(Struct, frozen=True, kw_only=True):
    """Where another tool gets the packages of a project."""

    indexes: tuple[IndexSetting, ...] = ()
    """In order of priority; their URLs have no login."""
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By project, the table of ``sources``."""
    members: tuple[str, ...] = ()
    """Patterns of the folders of a workspace's members."""
    find_links: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """What is not taken over, one sentence each."""


def declared_indexes(tools: Mapping[str, Any]) -> DeclaredIndexes:
    """Read the raw ``tool`` table of a pyproject.toml. What has another type than the tool requires is skipped."""
    found = DeclaredIndexes()
    for name, read in (("uv", _uv), ("poetry", _poetry), ("pdm", _pdm)):
        table = tools.get(name)
        if isinstance(table, dict):
            own = read(table)
            found = DeclaredIndexes(
                indexes=(*found.indexes, *own.indexes),
                sources={**own.sources, **found.sources},
                members=(*found.members, *own.members),
                find_links=(*found.find_links, *own.find_links),
                left_out=(*found.left_out, *own.left_out),
            )
    return _checked(found)


def _checked(found: DeclaredIndexes) -> DeclaredIndexes:
    """Leave out what a file of deep-lock may not have: logins, variables, a second name or default index."""
    indexes: dict[str, IndexSetting] = {}
    left_out = list(found.left_out)
    for index in found.indexes:
        url = without_user_info(index.url)
        shown = show(index.name)
        if not re.match(r"https?://[^/]", url) or "${" in url:
            left_out.append(f"the index {shown} has no plain http(s) URL: name it in [[tool.deep-lock.index]]")
            continue
        if url != index.url:
            variable = re.sub(r"[^A-Z0-9]", "_", index.name.upper())
            left_out.append(
                f"the login of the index {shown} is not copied: set DEEP_LOCK_INDEX_{variable}_USERNAME and _PASSWORD"
            )
        is_default = index.default and not any(own.default for own in indexes.values())
        indexes.setdefault(index.name, replace(index, url=url, default=is_default))
    sources = {}
    for name, source in found.sources.items():
        if "index" not in source or source["index"] in indexes:
            sources[name] = source
        else:
            left_out.append(
                f"the source of {show(name)} is an index without a URL here: name it in [[tool.deep-lock.index]]"
            )
    return replace(found, indexes=tuple(indexes.values()), sources=sources, left_out=tuple(left_out))


def _uv(table: Mapping[str, Any]) -> DeclaredIndexes:
    indexes, links, left_out = [], list(_texts(table.get("find-links"))), []
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
    sources: dict[str, Mapping[str, Any]] = {}
    declared = table.get("sources")
    for name, source in declared.items() if isinstance(declared, dict) else ():
        kinds = [kind for kind in _SOURCE_KEYS if isinstance(source, dict) and kind in source]
        if len(kinds) == 1 and source.keys() <= _SOURCE_KEYS[kinds[0]]:
            own = {**source, "index": _name(source["index"], "")} if kinds == ["index"] else source
            sources[name] = own
        else:
            left_out.append(f"uv's source of {show(name)} has conditions or keys that deep-lock does not know")
    workspace = table.get("workspace")
    workspace = workspace if isinstance(workspace, dict) else {}
    if workspace.get("exclude"):
        left_out.append("uv's workspace excludes members: [tool.deep-lock.workspace] cannot do that")
    return DeclaredIndexes(
        indexes=tuple(indexes),
        sources=sources,
        members=tuple(_texts(workspace.get("members"))),
        find_links=tuple(links),
        left_out=tuple(left_out),
    )


def _poetry(table: Mapping[str, Any]) -> DeclaredIndexes:
    """Read Poetry's sources: the primary ones replace the public index, unless it is one of them.

    A dependency may name a source. One that names two, or the public index, is left out.
    """
    left_out, indexes, has_public = [], [], False
    primary: list[IndexSetting] = []
    for number, own in enumerate(_tables(table.get("source")), 1):
        priority = own.get("priority", "default" if own.get("default") is True else "primary")
        url, name = own.get("url"), _name(own.get("name"), f"source-{number}")
        if not isinstance(url, str):  # the public index has a name and no URL
            has_public = has_public or priority != "explicit"
            continue
        index = IndexSetting(name=name, url=url, explicit=priority == "explicit")
        if priority in {"primary", "default"}:
            primary.append(index)
            continue
        if priority != "explicit":
            left_out.append(
                f"Poetry uses the source {show(name)} after the others, deep-lock before the default index: "
                "assign packages to indexes in [tool.deep-lock.sources]"
            )
        indexes.append(index)
    if primary and not has_public:
        primary[-1] = replace(primary[-1], default=True)
    sources: dict[str, Mapping[str, Any]] = {}
    for name, named in _named_sources(table).items():
        if len(named) == 1:
            sources[name] = {"index": _name(named.pop(), "")}
        else:
            left_out.append(f"{show(name)} has several sources of Poetry: assign it to one in [tool.deep-lock.sources]")
    return DeclaredIndexes(indexes=(*primary, *indexes), sources=sources, left_out=tuple(left_out))


def _named_sources(poetry: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """Return by project the sources that its tables name, in the dependencies and in the groups."""
    groups = poetry.get("group")
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += (
        [own.get("dependencies") for own in groups.values() if isinstance(own, dict)]
        if isinstance(groups, dict)
        else []
    )
    found: dict[str, set[str]] = {}
    for table in tables:
        for name, entry in table.items() if isinstance(table, dict) else ():
            for own in entry if isinstance(entry, list) else [entry]:
                if isinstance(own, dict) and isinstance(own.get("source"), str):
                    found.setdefault(name, set()).add(own["source"])
    return found


def _pdm(table: Mapping[str, Any]) -> DeclaredIndexes:
    """Read PDM's sources; the one with the name "pypi" replaces the public index."""
    indexes, links, left_out = [], [], []
    for number, own in enumerate(_tables(table.get("source")), 1):
        url, name = own.get("url"), _name(own.get("name"), f"source-{number}")
        if not isinstance(url, str):
            continue
        if own.get("type") == "find_links":
            links.append(url)
            continue
        indexes.append(IndexSetting(name=name, url=url, default=name == "pypi"))
        if own.get("include_packages") or own.get("exclude_packages"):
            left_out.append(
                f"PDM limits the source {show(name)} to some packages: assign them in [tool.deep-lock.sources]"
            )
    return DeclaredIndexes(indexes=tuple(indexes), find_links=tuple(links), left_out=tuple(left_out))


def _name(value: object, otherwise: str) -> str:
    """Return a name of an index that a configuration may have."""
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-") if isinstance(value, str) else ""
    return text if re.search(r"[A-Za-z0-9]", text) else otherwise


def _tables(value: object) -> Iterator[Mapping[str, Any]]:
    yield from (own for own in value if isinstance(own, dict)) if isinstance(value, list) else ()


def _texts(value: object) -> Iterator[str]:
    yield from (text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
