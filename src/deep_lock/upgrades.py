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
    """Return NAME==VERSION for each row of the document that is admitted where it is used, once each.

    A bot leaves out the rows that it does not want. Raises UsageError that names the place.
    """
    try:
        document = msgspec.json.decode(read_text(path, UsageError).encode(), type=_Document)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: {error}", hint="it is made by deep-lock outdated --output-format json") from None
    found: dict[str, str] = {}
    for row in document.outdated:
        if not row.admitted:
            continue
        name = canonicalize_name(row.name)
        if found.setdefault(name, _version(row.newest, path)) != _version(row.newest, path):
            raise UsageError(f"{path}: {name} is to be moved to {found[name]} and to {row.newest}")
    return tuple(f"{name}=={version}" for name, version in found.items())


def _version(text: str, path: Path) -> str:
    try:
        return str(Version(text))
    except (InvalidVersion, ValueError):
        raise UsageError(f"{path}: {text[:80]!r} is no version") from None
