"""The configuration of one folder: ``[tool.deep-lock]`` or a deep-lock.toml, completed by what it declares for uv, Poetry or PDM.

A member of a workspace of uv has the indexes and sources of the workspace's root too, as in uv.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from deep_lock.boundary import reading
from deep_lock.config.config import Config, SourceSetting, Workspace, read_config
from deep_lock.config.declared_indexes import declared_indexes, with_declared
from deep_lock.errors import ConfigError, DeepLockError, raise_machine_fault
from deep_lock.files import is_there, open_regular
from deep_lock.models.direct_url import Reference
from deep_lock.parsing.text import shown
from deep_lock.sdist import pyproject

PYPROJECT = "pyproject.toml"
CONFIG = "deep-lock.toml"
MAX_FILE_BYTES = 256 * 1024
MAX_PARENTS = 30
_UV_INDEX_KEYS = ("index", "index-url", "extra-index-url", "find-links", "no-index")
"""The settings that a uv.toml replaces; sources and workspace are in pyproject.toml alone."""


def read_document(folder: Path) -> dict[str, Any] | None:
    """Return the document of a folder's pyproject.toml; None where there is none, or one of an insane size."""
    return _document(folder / PYPROJECT)


def folder_config(folder: Path) -> Config:
    """Return a folder's own settings. Raises ConfigError."""
    table, source = _own_table(folder)
    tools = pyproject.nested_table(read_document(folder) or {}, "tool")
    return completed(read_config(table, f"{folder.name}/{source}"), tools, folder)


def _own_table(folder: Path) -> tuple[Mapping[str, Any], str]:
    """Return the table of a folder's own settings, and its file: where there is a deep-lock.toml, no other one is read."""
    own = _document(folder / CONFIG)
    if own is not None:
        return own, CONFIG
    return pyproject.nested_table(read_document(folder) or {}, "tool", "deep-lock"), PYPROJECT


def has_own_table(folder: Path) -> bool:
    """Whether a folder has settings of deep-lock. A pyproject.toml that cannot be read counts where it names them."""
    try:
        if (folder / CONFIG).exists():
            return True
        return "deep-lock" in pyproject.nested_table(read_document(folder) or {}, "tool")
    except (DeepLockError, OSError) as error:
        raise_machine_fault(error)
        with suppress(OSError), open_regular(folder / PYPROJECT) as file:
            return b"tool.deep-lock" in file.read(MAX_FILE_BYTES)
        return False


def workspace_root(folder: Path) -> Path | None:
    """Return the root of the workspace of which a folder is a member; None for all others, a root too. Raises ConfigError.

    The path is absolute. The nearest workspace counts, as in uv.
    """
    with reading(PYPROJECT, ConfigError):
        root = next((above for above in folder.parents[:MAX_PARENTS] if _declares_workspace(above)), None)
        if root is None or _declares_workspace(folder):
            return None
    return root if folder in _folders(root, folder_config(root)) else None


def _declares_workspace(folder: Path) -> bool:
    uv = pyproject.nested_table(read_document(folder) or {}, "tool", "uv")
    return "workspace" in uv or "workspace" in _own_table(folder)[0]


def completed(own: Config, tools: Mapping[str, Any], folder: Path) -> Config:
    """Return the settings of a folder, completed by the raw ``tool`` table. Raises ConfigError."""
    with reading(PYPROJECT, ConfigError):
        return _completed(own, tools, folder)


def _completed(own: Config, tools: Mapping[str, Any], folder: Path) -> Config:
    config = with_declared(own, declared_indexes(_with_uv_toml(tools, folder)))
    if pyproject.nested_table(tools, "uv").get("workspace") is not None:
        return config  # the root of a workspace
    for root in folder.parents[:MAX_PARENTS]:
        document = read_document(root) or {}
        if isinstance(pyproject.nested_table(document, "tool", "uv").get("workspace"), dict):
            settings = folder_config(root)
            return _of_member(config, settings, root, folder) if folder in _folders(root, settings) else config
    return config


def members(root: Path, workspace: Workspace) -> Iterator[Path]:
    """Yield the folders of a workspace's members, each once, the root first. Raises ConfigError."""
    yield root
    seen = {root}
    excluded = {folder for pattern in workspace.exclude for folder in _matches(root, pattern)}
    for pattern in workspace.members:
        for folder in _matches(root, pattern):
            if folder not in excluded and folder not in seen and folder.is_dir():
                seen.add(folder)
                yield folder


def _matches(root: Path, pattern: str) -> list[Path]:
    """Return the paths that a pattern means, without ``..`` where it can be resolved; the root itself is not among them."""
    if os.path.normpath(pattern) == ".":
        return []
    try:
        return sorted({Path(os.path.normpath(path)) for path in root.glob(pattern)})
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"{root.name}/{PYPROJECT}: the workspace has the pattern {shown(pattern)}: {error}",
            hint="write a path that is relative to the root of the workspace, such as packages/*",
        ) from None


def _folders(root: Path, settings: Config) -> frozenset[Path]:
    return frozenset(members(root, settings.workspace)) if settings.workspace is not None else frozenset()


def _of_member(own: Config, root: Config, root_folder: Path, folder: Path) -> Config:
    """Return the settings of a member, completed by those of its workspace; its own have precedence."""
    sources = dict(own.sources or ())
    known = {index.name for index in own.index or ()}
    inherited = {
        name: _moved(source, root_folder, folder) for name, source in root.sources or () if name not in sources
    }
    return replace(
        own,
        index=(*(own.index or ()), *(index for index in root.index or () if index.name not in known)) or None,
        sources=(*sources.items(), *inherited.items()) or None,
        find_links=own.find_links
        or tuple(link if "://" in link else os.path.normpath(root_folder / link) for link in root.find_links or ())
        or None,
        no_index=own.no_index if own.no_index is not None else root.no_index,
        public_index=own.public_index or root.public_index,
    )


def _moved(source: SourceSetting, base: Path, folder: Path) -> SourceSetting:
    """Return a source of one folder as seen from another one."""
    if isinstance(source, tuple):
        return tuple(replace(own, source=_moved_reference(own.source, base, folder)) for own in source)
    return _moved_reference(source, base, folder)


def _moved_reference(source: str | Reference, base: Path, folder: Path) -> str | Reference:
    if isinstance(source, Reference) and source.is_path and source.kind != "workspace":
        place = os.path.relpath(os.path.normpath(base / source.place), folder).replace(os.sep, "/")
        return replace(source, place=place)
    return source


def _with_uv_toml(tools: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Return the tables with the indexes of a uv.toml: it replaces the settings of ``[tool.uv]``."""
    settings = _document(folder / "uv.toml")
    if settings is None:
        return tools
    kept = {key: value for key, value in pyproject.nested_table(tools, "uv").items() if key not in _UV_INDEX_KEYS}
    return {**tools, "uv": {**kept, **{key: settings[key] for key in _UV_INDEX_KEYS if key in settings}}}


def _document(path: Path) -> dict[str, Any] | None:
    if not is_there(path):
        return None
    with open_regular(path) as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    return None if len(raw) > MAX_FILE_BYTES else pyproject.read_toml_bytes(raw, path.name)
