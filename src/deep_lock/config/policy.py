"""``[tool.deep-lock.policy]``: what a project wants of its lock.

Every fault of the table is told at once. A rule that cannot be kept is refused: a policy that silently holds less than
it says is worse than none.
"""

import difflib
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, get_args
from urllib.parse import urlsplit

from deep_lock.config.exclude_newer import read_exclude_newer
from deep_lock.errors import ConfigError
from deep_lock.models import licenses
from deep_lock.models.policy import RULES, Exemption, Level, Policy
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.requirements import described, is_list_of_strings, read_name
from deep_lock.parsing.text import deceiving, shown
from deep_lock.parsing.toml import read_toml

MAX_REASON = 500
MAX_DEPTH = 1000

_LEVELS: tuple[str, ...] = get_args(Level)
_ELSEWHERE: Mapping[str, str] = {
    "no-yanked": 'write yanked = "error"',
    "licences": "write licenses",
}
"""What one may look for here, and how it is called."""


def read_policy_file(text: str, source: str) -> Policy:
    """Read a file that holds a policy: the same keys, at the top level. Raises ConfigError or LimitExceeded."""
    table, _ = read_toml(text, source, ConfigError)
    faults = Faults(source, ConfigError)
    policy = read_policy(table, "", faults)
    faults.raise_any()
    return policy


def read_policy(table: Mapping[str, Any], place: str, faults: Faults) -> Policy:
    """Read a raw table that stands at ``place``; what is wrong with it goes to ``faults``."""
    values: dict[str, Any] = {}
    levels: dict[str, Level] = {}
    for key, value in table.items():
        here = f"{place}.{key}" if place else key
        with faults.collecting(here if key in KEYS else ""):
            if key in RULES:
                levels[key] = _level(value)
            elif key == "exceptions":
                values["exceptions"] = _exceptions(value, here, faults)
            elif key in _READERS:
                values.update(_READERS[key](value))
            else:
                raise ConfigError(_unknown(key, here))
    return Policy(levels=levels, **values)


def _unknown(key: str, place: str) -> str:
    told = f"{shown(place)} is not a known key"
    if key in _ELSEWHERE:
        return f"{told}: {_ELSEWHERE[key]}"
    near = difflib.get_close_matches(key[:100].replace("_", "-").lower(), KEYS, n=1)
    return told + (f"; did you mean {near[0]!r}?" if near else "")


def _level(value: Any) -> Level:
    for level in get_args(Level):
        if value == level:
            return level  # type: ignore[no-any-return]  # get_args forgets what the alias holds
    wanted = ", ".join(f'"{word}"' for word in _LEVELS)
    raise ConfigError(f"must be one of {wanted}, not {shown(value) if isinstance(value, str) else described(value)}")


def _strings(value: Any) -> tuple[str, ...]:
    if not is_list_of_strings(value):
        raise ConfigError(f"must be a list of strings, not {described(value)}")
    return tuple(value)


def _hosts(value: Any) -> dict[str, Any]:
    return {"hosts": frozenset(_host(text) for text in _strings(value))}


def _host(text: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        if parts.netloc == text and parts.hostname and text.isascii() and text.isprintable() and "@" not in text:
            return f"{parts.hostname}{f':{parts.port}' if parts.port is not None else ''}"
    except ValueError:
        pass
    raise ConfigError(f"{shown(text)} is no host name", hint='Write the host alone, as in "files.example".')


def _indexes(value: Any) -> dict[str, Any]:
    return {"indexes": frozenset(_index(text) for text in _strings(value))}


def _index(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc:
            return text if text.endswith("/") else f"{text}/"
    except ValueError:
        pass
    raise ConfigError("an index is no http(s) URL without a login", hint="Write it as the lock has it.")


def _backends(value: Any) -> dict[str, Any]:
    return {"backends": frozenset(_strings(value))}


def _min_age(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"min_age": _age(value)}
    for key in sorted(value.keys() - {"runtime", "build", "exempt"}):
        raise ConfigError(f"{shown(key)} is not a known key; known are runtime, build, exempt")
    if not value.keys() & {"runtime", "build"}:
        raise ConfigError("must have runtime, build, or both")
    names = frozenset(read_name(text, "the name") for text in _strings(value.get("exempt", [])))
    ages = {"min_age": "runtime", "min_age_build": "build"}
    return {field: _age(value[key]) for field, key in ages.items() if key in value} | {"ageless": names}


def _age(value: Any) -> timedelta:
    limit = read_exclude_newer(value)
    if not isinstance(limit.value, timedelta):
        raise ConfigError(f'must be an age such as "P7D", not {shown(limit.raw)}')
    return limit.value


def _max_depth(value: Any) -> dict[str, Any]:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_DEPTH:
        raise ConfigError(f"must be a number of builds, from 0 to {MAX_DEPTH}")
    return {"max_depth": value}


def _licenses(value: Any) -> dict[str, Any]:
    return {"licenses": frozenset(_license(text) for text in _strings(value))}


def _license(text: str) -> str:
    expression = licenses.canonical_license(text)
    if expression is None:
        raise ConfigError(
            f"{shown(text)} is no SPDX licence identifier",
            hint='Write it as the SPDX licence list does, as in "MIT" or "Apache-2.0".',
        )
    if {"AND", "OR", "("} & set(expression.split()) or "(" in expression:
        raise ConfigError(f"{shown(text)} is an expression; name each licence by itself")
    return expression


def _exceptions(value: Any, place: str, faults: Faults) -> tuple[Exemption, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ConfigError(f"must be an array of tables, not {described(value)}")
    found: list[Exemption] = []
    for number, entry in enumerate(value, 1):
        with faults.collecting(f"{place}, entry {number}"):
            found.append(_exception(entry))
    return tuple(found)


def _exception(entry: Mapping[str, Any]) -> Exemption:
    known = ("name", "version", "rule", "reason", "until")
    for key in sorted(entry.keys() - set(known)):
        raise ConfigError(f"{shown(key)} is not a known key; known are {', '.join(known)}")
    missing = [key for key in known if key not in entry and key != "version"]
    if missing:
        raise ConfigError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return Exemption(
        name=read_name(_text(entry, "name"), "the name"),
        version=_text(entry, "version") if "version" in entry else None,
        rule=_rule(_text(entry, "rule")),
        reason=_text(entry, "reason"),
        until=_until(entry["until"]),
    )


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a string, not {described(value)}")
    if not value.strip() or len(value) > MAX_REASON or "\n" in value or deceiving(value):
        raise ConfigError(f"{key} must be one line of text, of at most {MAX_REASON} characters that can be seen")
    return value


def _rule(text: str) -> str:
    if text not in RULES:
        near = difflib.get_close_matches(text[:100].replace("_", "-").lower(), RULES, n=1)
        raise ConfigError(f"there is no rule {shown(text)}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return text


def _until(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and len(value) == len("2026-11-01"):
            return date.fromisoformat(value)
    except ValueError:
        pass
    told = shown(value) if isinstance(value, str) else described(value)
    raise ConfigError(f"until must be a day such as 2026-11-01, not {told}")


_READERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "hosts": _hosts,
    "indexes": _indexes,
    "backends": _backends,
    "min-age": _min_age,
    "max-depth": _max_depth,
    "licenses": _licenses,
}
SETTINGS = (*_READERS, "exceptions")
KEYS = frozenset((*SETTINGS, *RULES))
"""All that the table may hold."""
