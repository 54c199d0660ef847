"""Lines of a pinned file that name a path or a URL and no project: the file name says it, or the tree's pyproject.toml."""

import posixpath
from collections.abc import Callable
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)

from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.inputs.requirement_list import read_name
from deep_lock.inputs.toml_text import read_toml
from deep_lock.inputs.unnamed_lines import UnnamedLine
from deep_lock.model.direct import WHEEL_SUFFIX
from deep_lock.model.foreign import ForeignNote

_HINT = "Write NAME @ URL (or NAME @ ./path)."


def name_unnamed(
    line: UnnamedLine, opener: Callable[[str, str], str]
) -> tuple[NormalizedName | None, ForeignNote | None]:
    """Tell whose project a line names: its name, or no name and a note where it is the locked project itself.

    Raises LockInvalid where nothing tells it.
    """
    reference = line.reference
    if reference.kind == "path" and reference.place == ".":
        note = ForeignNote(
            code="foreign-project-itself",
            subject=str(line.origin),
            message="the line is the project itself, which is not among its own pins",
        )
        return None, note
    name = None
    if reference.is_archive:
        name = _of_archive(posixpath.basename(reference.place.partition("?")[0]))
    elif reference.kind == "path":
        name = _of_tree(line.origin.source, reference.place, opener)
    if name is None:
        raise LockInvalid(f"{line.origin}: nothing tells whose project the line names", hint=_HINT)
    return name, None


def _of_archive(filename: str) -> NormalizedName | None:
    try:
        if filename.lower().endswith(WHEEL_SUFFIX):
            return parse_wheel_filename(filename)[0]
        return parse_sdist_filename(filename)[0]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None


def _of_tree(including: str, place: str, opener: Callable[[str, str], str]) -> NormalizedName | None:
    """Read the name of a project in a folder that is seen from the file."""
    if posixpath.isabs(place) or ":" in place:
        return None
    source = posixpath.join(place, "pyproject.toml")
    try:
        document, _ = read_toml(opener(including, source), source, LockInvalid)
    except (DeepLockError, OSError, UnicodeError):
        return None
    for table in (document.get("project"), _below(document.get("tool"), "poetry")):
        name = _below(table, "name")
        if isinstance(name, str):
            return read_name(name, f"{source}: the project name")
    return None


def _below(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, dict) else None
