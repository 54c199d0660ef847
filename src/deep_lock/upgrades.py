"""Moves that a bot was told of: what `deep-lock outdated --output-format json` wrote, as `lock -P` takes it."""

from pathlib import Path
from typing import Literal

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from deep_lock.errors import UsageError
from deep_lock.opening import read_text


class _Row(msgspec.Struct):
    name: str
    newest: str
    admitted: bool = True


class _Document(msgspec.Struct):
    outdated: list[_Row]
    schema: Literal["deep-lock/outdated"]
    version: Literal[1]


def read_upgrades(path: Path) -> tuple[str, ...]:
    """Return NAME==VERSION for each project of which a row of the document is admitted where it is used.

    Where rows of a project name several versions, for several targets or builds, it is the NAME alone: each takes the newest
    that it can. A bot leaves out the rows that it does not want. Raises UsageError that names the place.
    """
    try:
        document = msgspec.json.decode(read_text(path, UsageError).encode(), type=_Document)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: {error}", hint="it is made by deep-lock outdated --output-format json") from None
    found: dict[str, set[str]] = {}
    for row in document.outdated:
        if row.admitted:
            found.setdefault(canonicalize_name(row.name), set()).add(_version(row.newest, path))
    return tuple(f"{name}=={next(iter(versions))}" if len(versions) == 1 else name for name, versions in found.items())


def _version(text: str, path: Path) -> str:
    try:
        return str(Version(text))
    except (InvalidVersion, ValueError):
        raise UsageError(f"{path}: {text[:80]!r} is no version") from None
