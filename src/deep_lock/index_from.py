"""Opens pip's or uv's index settings, and adds them to what the command line says of indexes, which counts for more."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from deep_lock.errors import ConfigError
from deep_lock.flags import NetworkFlags
from deep_lock.inputs.foreign_indexes import ForeignIndexes, pip_indexes, uv_indexes
from deep_lock.inputs.toml_text import read_toml
from deep_lock.opening import read_text


def with_indexes_from(
    tool: Literal["pip", "uv"],
    network: NetworkFlags,
    *,
    project: Path,
    settings: Sequence[Path],
    environ: Mapping[str, str],
) -> tuple[NetworkFlags, tuple[str, ...]]:
    """Return the flags with the tool's indexes behind their own, and what could not be taken, a line each.

    ``project`` is its folder; ``settings`` are the folders of the tool's own settings, the user's before the machine's.
    Raises UserError for settings that cannot be read.
    """
    if tool == "pip":
        found = pip_indexes(environ, list(_pip_files(settings, environ)))
    else:
        found = uv_indexes(environ, list(_uv_tables(project, settings, environ)))
    return _joined(network, found), found.left_out


def _joined(network: NetworkFlags, found: ForeignIndexes) -> NetworkFlags:
    links = tuple(link if "://" in link else str(Path(link).absolute()) for link in found.find_links)
    return replace(
        network,
        default_index=network.default_index or found.default,
        indexes=(*network.indexes, *found.indexes),
        find_links=(*network.find_links, *links),
        no_index=network.no_index or (found.no_index and not network.default_index and not network.indexes),
    )


def _pip_files(settings: Sequence[Path], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pip's configuration files, the one that counts most first: named, of the environment, the user's, the machine's."""
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    places = [Path(named)] if named else []
    places += [Path(environ["VIRTUAL_ENV"], name)] if environ.get("VIRTUAL_ENV") else []
    places += [folder / name for folder in settings]
    yield from ((path.name, read_text(path, ConfigError)) for path in places if path.is_file())


def _uv_tables(project: Path, settings: Sequence[Path], environ: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Yield uv's settings, those that count most first: of the project (uv.toml hides pyproject.toml), then the user's, the machine's."""
    if environ.get("UV_NO_CONFIG"):
        return
    own, declared = project / "uv.toml", project / "pyproject.toml"
    if own.is_file():
        yield _toml(own)
    elif declared.is_file():
        tools = _toml(declared).get("tool")
        table = tools.get("uv") if isinstance(tools, dict) else None
        yield from [table] if isinstance(table, dict) else []
    yield from (_toml(folder / "uv.toml") for folder in settings if (folder / "uv.toml").is_file())


def _toml(path: Path) -> Mapping[str, Any]:
    return read_toml(read_text(path, ConfigError), path.name, ConfigError)[0]
