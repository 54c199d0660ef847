"""Values that a shell completes: names from the lock and the configuration. Loaded by every command, so it imports little.

The lock is not parsed: names are found in the form that deep-lock writes, also in a lock that is broken somewhere. A name with
characters that no package, extra, group or target has is left out: a shell would interpret them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from deep_lock.errors import DeepLockError, ProjectInvalid
from deep_lock.files import open_regular
from deep_lock.parsing.toml import parse_toml
from deep_lock.targets import factory

MAX_BYTES = 16 * 1024 * 1024
"""Of a lock. A larger one is not read: completion must be quick."""
MAX_NAMES = 5000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_STRING = re.compile(r'"([^"\n]*)"')
_PACKAGE = re.compile(r'^\[\[packages\]\]\nname = "([^"\n]*)"', re.MULTILINE)
_TARGET = re.compile(r'^\[\[tool\.deep-lock\.targets\]\]\nname = "([^"\n]*)"', re.MULTILINE)

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def packages(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the packages of the lock."""
    return fitting(_PACKAGE.findall(_lock(context)), incomplete)


def targets(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the targets of the lock, and "host"."""
    return fitting([*_TARGET.findall(_lock(context)), factory.HOST], incomplete)


def extras(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the extras of the project and of the lock."""
    own = _table(_configuration(context), "project", "optional-dependencies")
    return fitting([*own, *_list(_lock(context), "extras")], incomplete)


def groups(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the dependency groups of the project and of the lock."""
    own = _table(_configuration(context), "dependency-groups")
    return fitting([*own, *_list(_lock(context), "dependency-groups")], incomplete)


def indexes(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the indexes of the configuration, each with the sign before its URL."""
    found = _own_settings(context).get("index", ())
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [f"{name}=" for name in fitting([str(row.get("name", "")) for row in rows], incomplete)]


def platforms(_context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the platforms that most locks are for."""
    return fitting([*factory.SHORTHANDS, factory.HOST, *factory.DEFAULT_PLATFORMS], incomplete)


def pythons(_context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the minor versions of CPython."""
    return fitting([*(f"3.{minor}" for minor in factory.CPYTHON), factory.HOST], incomplete)


VALUES: Mapping[str, Completer] = MappingProxyType(
    {
        **dict.fromkeys(("--upgrade-package", "--in-build", "--invert", "--refresh-package"), packages),
        **dict.fromkeys(("--no-binary", "--only-binary", "--allow-wheel", "--trust-hooks"), packages),
        "--target": targets,
        "--extra": extras,
        **dict.fromkeys(("--group", "--only-group"), groups),
        "--index": indexes,
        **dict.fromkeys(("--platform", "--add-platform"), platforms),
        **dict.fromkeys(("--python-version", "--add-python"), pythons),
    }
)
"""By the long name of the option."""


def fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin so, and that no shell interprets."""
    known = dict.fromkeys(name for name in names if name.startswith(incomplete) and _NAME.fullmatch(name))
    return [*known][:MAX_NAMES]


def _folder(context: click.Context) -> Path:
    """Return the folder of the project: that of ``--lock`` where the command names no other one."""
    named = _named_lock(context)
    return Path(context.params.get("folder") or (named.parent if named is not None else "."))


def _named_lock(context: click.Context) -> Path | None:
    named = context.params.get("lock")
    return Path(named) if named and str(named) != "-" else None


def _lock(context: click.Context) -> str:
    """Return the text of the lock that the command reads; empty where it cannot be read."""
    return _text(_named_lock(context) or _folder(context) / "deep.lock")


def _configuration(context: click.Context) -> Mapping[str, Any]:
    return _parsed(_folder(context) / "pyproject.toml")


def _own_settings(context: click.Context) -> Mapping[str, Any]:
    """Return the keys of deep-lock.toml; where there is none, those of [tool.deep-lock]."""
    own = _folder(context) / "deep-lock.toml"
    return _parsed(own) if own.exists() else _table(_configuration(context), "tool", "deep-lock")


def _parsed(path: Path) -> Mapping[str, Any]:
    """Return the tables of a file; none where it cannot be read."""
    try:
        return parse_toml(_text(path), path.name, ProjectInvalid)
    except DeepLockError:
        return {}


def _text(path: Path) -> str:
    """Return the text of a file; empty where it is no regular file, or too large."""
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError:
        return ""
    return raw.decode("utf-8", errors="replace") if len(raw) <= MAX_BYTES else ""


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        own = document.get(key)
        document = own if isinstance(own, dict) else {}
    return document


def _list(text: str, key: str) -> list[str]:
    """Return the strings of a list above the first table."""
    head, found = text.partition("\n[")[0], re.search(rf"^{key} = \[([^\]]*)\]", text, re.MULTILINE)
    return _STRING.findall(found[1]) if found is not None and found.start() < len(head) else []
