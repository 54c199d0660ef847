"""``[tool.deep-lock.policy]``: what a project requires of its lock.

All faults of the table are reported at once. A rule that cannot be applied is refused: a policy must not check less than it
states.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.boundary import reading
from deep_lock.config.exclude_newer import read_exclude_newer
from deep_lock.config.values import one_of, read_day, read_record, similar, typed, unknown_key
from deep_lock.errors import ConfigError
from deep_lock.models import licenses
from deep_lock.models.lock import Identity
from deep_lock.models.policy import PROFILES, RULES, Exemption, Level, Policy, PolicySource
from deep_lock.models.resolution import ALL
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import read_name
from deep_lock.parsing.text import deceiving, shown
from deep_lock.parsing.toml import read_toml

MAX_REASON = 500
MAX_DEPTH = 1000
_SHA256 = re.compile("[0-9a-fA-F]{64}")

_OTHER_TOOLS_KEYS: Mapping[str, str] = {
    "no-yanked": 'write yanked = "error"',
    "licences": "write licenses",
}


def read_policy_file(text: str, source: str) -> Policy:
    """Read a file with a policy: the same keys, at the top level. Raises ConfigError or LimitExceeded."""
    table, _ = read_toml(text, source, ConfigError)
    faults = Faults(source, ConfigError)
    with reading(source, ConfigError):
        policy = read_policy(table, "", faults)
    faults.raise_any()
    return policy


def read_policy(table: Mapping[str, Any], location: str, faults: Faults) -> Policy:
    """Read the raw table under the key ``location``; its faults are added to ``faults``."""
    values: dict[str, Any] = {}
    levels: dict[str, Level] = {}
    for key, value in table.items():
        here = f"{location}.{key}" if location else key
        with faults.collecting(here if key in KEYS else ""):
            if key in RULES:
                one_of(value, Level)
                levels[key] = value
            elif key == "exceptions":
                values["exceptions"] = _exceptions(value, here, faults)
            elif key in _READERS:
                values.update(_READERS[key](value))
            elif key in _OTHER_TOOLS_KEYS:
                raise ConfigError(f"{shown(here)} is not a known key: {_OTHER_TOOLS_KEYS[key]}")
            else:
                raise ConfigError(unknown_key(key, here, KEYS))
    return Policy(levels=levels, **values)


def _strings(value: Any) -> tuple[str, ...]:
    return typed(value, tuple[str, ...])


class _Source(Struct, frozen=True):
    path: str = ""
    url: str = ""
    sha256: str = ""


def _extends(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        if value not in PROFILES:
            raise ConfigError(
                f"there is no profile {shown(value)}; profiles are {', '.join(PROFILES)}",
                hint='Write a file as {path = "company.toml"}, a URL as {url = "https://...", sha256 = "..."}.',
            )
        return {"extends": PolicySource(profile=value)}
    source = read_record(value, _Source)
    if bool(source.path) == bool(source.url):
        raise ConfigError("must have either path or url")
    if source.url and not source.sha256:
        raise ConfigError("sha256 is missing: the content of a URL can change")
    if source.sha256 and not _SHA256.fullmatch(source.sha256):
        raise ConfigError("sha256 must be 64 hexadecimal digits")
    return {
        "extends": PolicySource(
            path=source.path or None,
            url=_policy_url(source.url) if source.url else None,
            sha256=source.sha256.lower() or None,
        )
    }


def _policy_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and text.isprintable():
            return text
    except ValueError:
        pass
    raise ConfigError("url must be an http(s) URL without a login")


def _hosts(value: Any) -> dict[str, Any]:
    return {"hosts": frozenset(map(_host, _strings(value)))}


def _host(text: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        if parts.netloc == text and parts.hostname and text.isascii() and text.isprintable() and "@" not in text:
            return f"{parts.hostname}{f':{parts.port}' if parts.port is not None else ''}"
    except ValueError:
        pass
    raise ConfigError(f"{shown(text)} is not a host name", hint='Write the host alone, as in "files.example".')


def _indexes(value: Any) -> dict[str, Any]:
    return {"indexes": frozenset(map(_index, _strings(value)))}


def _index(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc:
            return text if text.endswith("/") else f"{text}/"
    except ValueError:
        pass
    raise ConfigError("an index must be an http(s) URL without a login", hint="Write it as it is in the lock.")


def _backends(value: Any) -> dict[str, Any]:
    return {"backends": frozenset(_strings(value))}


def _names(field: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {field: tuple(map(_pattern, _strings(value)))}


def _pattern(text: str) -> str:
    """Return a pattern of names, normalized: ``*`` is any text."""
    read_name(text.replace("*", "x"), "the name")
    return canonicalize_name(text)


class _MinAge(Struct, frozen=True):
    runtime: Any = None
    build: Any = None
    exempt: tuple[str, ...] = ()


def _min_age(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"min_age": _age(value)}
    table = read_record(value, _MinAge)
    if not value.keys() & {"runtime", "build"}:
        raise ConfigError("must have the key runtime, the key build, or both")
    ages = {"min_age": table.runtime, "min_age_build": table.build}
    return {
        **{field: _age(age) for field, age in ages.items() if age is not None},
        "ageless": frozenset(read_name(text, "the name") for text in table.exempt),
    }


def _age(value: Any) -> timedelta:
    limit = read_exclude_newer(value)
    if not isinstance(limit, timedelta):
        raise ConfigError('must be an age such as "P7D", not a date or time')
    return limit


def _max_depth(value: Any) -> dict[str, Any]:
    expected = f"a number of builds, from 0 to {MAX_DEPTH}"
    depth = typed(value, int, expected)
    if not 0 <= depth <= MAX_DEPTH:
        raise ConfigError(f"must be {expected}, not {depth}")
    return {"max_depth": depth}


def _licenses(value: Any) -> dict[str, Any]:
    return {"licenses": frozenset(map(_license, _strings(value)))}


def _license(text: str) -> str:
    expression = licenses.canonical_license(text)
    if expression is None:
        raise ConfigError(
            f"{shown(text)} is not an SPDX license identifier",
            hint='Write it as the SPDX license list does, as in "MIT" or "Apache-2.0".',
        )
    if {"AND", "OR"} & set(expression.split()) or "(" in expression:
        raise ConfigError(f"{shown(text)} is an expression; list each license by itself")
    return expression


def _publishers(value: Any) -> dict[str, Any]:
    tables = typed(value, dict[str, Any], "a table of names with publishers")
    return {"publishers": {read_name(name, "the name"): _identities(name, own) for name, own in tables.items()}}


def _identities(name: str, value: Any) -> tuple[Identity, ...]:
    """Read one publisher, or a list of them."""
    expected = (
        f'of {shown(name)} must be a table such as {{kind = "GitHub", repository = "a/b"}}, or a list of such tables'
    )
    tables = value if isinstance(value, list) and value else [value]
    for table in tables:
        if not isinstance(table, dict) or "kind" not in table:
            raise ConfigError(f"the publisher {expected}")
        for key, text in table.items():
            if not isinstance(text, str) or not text or deceiving(text) or len(text) > MAX_REASON:
                raise ConfigError(
                    f"{shown(key)} of the publisher of {shown(name)} must be a text, not {shown(str(text))}"
                )
    return tuple(tuple(sorted(table.items())) for table in tables)


def _require_attestations(value: Any) -> dict[str, Any]:
    return {"attested": frozenset(text if text == ALL else read_name(text, "the name") for text in _strings(value))}


class _Exception(Struct, frozen=True, kw_only=True):
    name: str
    version: str = ""
    rule: str
    reason: str
    until: Any


def _exceptions(value: Any, location: str, faults: Faults) -> tuple[Exemption, ...]:
    found: list[Exemption] = []
    for number, entry in enumerate(typed(value, tuple[dict[str, Any], ...]), 1):
        with faults.collecting(f"{location}, entry {number}"):
            found.append(_exception(entry))
    return tuple(found)


def _exception(entry: Mapping[str, Any]) -> Exemption:
    table = read_record(entry, _Exception)
    for key in ("name", "version", "rule", "reason"):
        text = getattr(table, key)
        if key in entry and (not text.strip() or len(text) > MAX_REASON or "\n" in text or deceiving(text)):
            raise ConfigError(f"{key} must be one line of text, of at most {MAX_REASON} visible characters")
    if table.rule not in RULES:
        raise ConfigError(f"there is no rule {shown(table.rule)}{similar(table.rule, RULES)}")
    return Exemption(
        name=read_name(table.name, "the name"),
        version=table.version if "version" in entry else None,
        rule=table.rule,
        reason=table.reason,
        until=read_day(table.until),
    )


_READERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "extends": _extends,
    "hosts": _hosts,
    "indexes": _indexes,
    "backends": _backends,
    "deny": _names("deny"),
    "may-build": _names("may_build"),
    "min-age": _min_age,
    "max-depth": _max_depth,
    "licenses": _licenses,
    "publishers": _publishers,
    "require-attestations": _require_attestations,
}
SETTINGS = (*_READERS, "exceptions")
KEYS = frozenset((*SETTINGS, *RULES))
"""All keys of the table."""
