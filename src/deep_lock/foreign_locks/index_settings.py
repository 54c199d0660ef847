"""The index settings of pip or uv, for --index-from.

Invariant: they are used only where the user names the tool, and each setting that deep-lock cannot take over is reported.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.boundary import reading
from deep_lock.config.options import NetworkOptions
from deep_lock.errors import ConfigError
from deep_lock.files import is_there
from deep_lock.parsing.ini import read_ini
from deep_lock.parsing.toml import read_toml
from deep_lock.project.files import read_text

_PIP_SECTIONS = ("install", "global")
"""The section of a command has precedence (pip's documentation, "Configuration")."""
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})


class ForeignIndexes(Struct, frozen=True, kw_only=True):
    """The indexes of another tool. URLs may hold logins."""

    default: str | None = None
    indexes: tuple[str, ...] = ()
    """URL or NAME=URL, in order of priority."""
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    left_out: tuple[str, ...] = ()
    """Settings that are not taken over, one sentence each."""


def pip_indexes(environ: Mapping[str, str], files: Sequence[tuple[str, str]]) -> ForeignIndexes:
    """Read pip's settings: variables, then configuration files (name and text) in order of precedence.

    Raises ProjectInvalid for a file that is no configuration.
    """
    sections = [read_ini(text, source) for source, text in files]

    def setting(variable: str, key: str) -> str:
        if environ.get(variable, "").strip():
            return environ[variable]
        found = (own.get(section, {}).get(key) for own in sections for section in _PIP_SECTIONS)
        return next((str(value) for value in found if value is not None), "")

    return ForeignIndexes(
        default=setting("PIP_INDEX_URL", "index-url").strip() or None,
        indexes=tuple(setting("PIP_EXTRA_INDEX_URL", "extra-index-url").split()),
        find_links=tuple(setting("PIP_FIND_LINKS", "find-links").split()),
        no_index=setting("PIP_NO_INDEX", "no-index").strip().lower() in _TRUE,
    )


def uv_indexes(environ: Mapping[str, str], tables: Iterable[Mapping[str, Any]]) -> ForeignIndexes:
    """Read uv's settings: variables, then tables of settings in order of precedence. uv uses the indexes of all of them."""
    default = _first(environ.get("UV_DEFAULT_INDEX"), environ.get("UV_INDEX_URL"))
    indexes = [*environ.get("UV_INDEX", "").split(), *environ.get("UV_EXTRA_INDEX_URL", "").split()]
    links = environ.get("UV_FIND_LINKS", "").replace(",", " ").split()
    no_index = environ.get("UV_NO_INDEX", "").strip().lower() in _TRUE
    left_out: list[str] = []
    for table in tables:
        for own in _tables(table.get("index")):
            url, name = own.get("url"), own.get("name")
            if not isinstance(url, str):
                continue
            if own.get("explicit") is True:
                left_out.append(f"uv's index {name} is explicit: name it in [[tool.deep-lock.index]]")
            elif own.get("default") is True:
                default = default or url
            else:
                indexes.append(f"{name}={url}" if isinstance(name, str) else url)
        default = _first(default, table.get("index-url"))
        indexes += _texts(table.get("extra-index-url"))
        links += _texts(table.get("find-links"))
        no_index = no_index or table.get("no-index") is True
    return ForeignIndexes(
        default=_plain(default) if default else None,
        indexes=tuple(dict.fromkeys(indexes)),
        find_links=tuple(dict.fromkeys(links)),
        no_index=no_index,
        left_out=tuple(left_out),
    )


def _first(*values: object) -> str | None:
    return next((value for value in values if isinstance(value, str) and value.strip()), None)


def _plain(text: str) -> str:
    """Return the URL of NAME=URL."""
    name, equals, url = text.partition("=")
    return url if equals and "/" not in name else text


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [own for own in value if isinstance(own, dict)] if isinstance(value, list) else []


def with_indexes_from(
    tool: Literal["pip", "uv"],
    network: NetworkOptions,
    *,
    project: Path,
    settings: Sequence[Path],
    environ: Mapping[str, str],
) -> tuple[NetworkOptions, tuple[str, ...]]:
    """Return the options with the tool's indexes after their own, and the settings that are not taken over.

    ``project`` is its folder; ``settings`` are the folders of the tool's settings, the user's before the machine's.
    Raises UserError for settings that cannot be read.
    """
    with reading(f"the settings of {tool}", ConfigError, is_secret=True):
        if tool == "pip":
            found = pip_indexes(environ, list(_pip_files(settings, environ)))
        else:
            found = uv_indexes(environ, list(_uv_tables(project, settings, environ)))
    return _joined(network, found), found.left_out


def _joined(network: NetworkOptions, found: ForeignIndexes) -> NetworkOptions:
    links = tuple(link if "://" in link else str(Path(link).absolute()) for link in found.find_links)
    return replace(
        network,
        default_index=network.default_index or found.default,
        indexes=(*network.indexes, *found.indexes),
        find_links=(*network.find_links, *links),
        no_index=network.no_index or (found.no_index and not network.default_index and not network.indexes),
    )


def _pip_files(settings: Sequence[Path], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pip's configuration files in order of precedence: PIP_CONFIG_FILE, the environment's, the user's, the machine's."""
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    places = [Path(named)] if named else []
    places += [Path(environ["VIRTUAL_ENV"], name)] if environ.get("VIRTUAL_ENV") else []
    places += [folder / name for folder in settings]
    yield from ((path.name, read_text(path, ConfigError)) for path in places if is_there(path))


def _uv_tables(project: Path, settings: Sequence[Path], environ: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Yield uv's settings in order of precedence: the project's (uv.toml hides pyproject.toml), the user's, the machine's."""
    if environ.get("UV_NO_CONFIG"):
        return
    own, declared = project / "uv.toml", project / "pyproject.toml"
    if is_there(own):
        yield _toml(own)
    elif is_there(declared):
        tools = _toml(declared).get("tool")
        table = tools.get("uv") if isinstance(tools, dict) else None
        yield from [table] if isinstance(table, dict) else []
    yield from (_toml(folder / "uv.toml") for folder in settings if (folder / "uv.toml").is_file())


def _toml(path: Path) -> Mapping[str, Any]:
    return read_toml(read_text(path, ConfigError), path.name, ConfigError)[0]
