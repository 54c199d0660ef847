"""``[tool.deep-lock.audit]``: where advisories come from, and which of them are ignored until when."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.config.exclude_newer import read_exclude_newer
from deep_lock.config.values import one_of, read_day, read_record, typed, unknown_key
from deep_lock.errors import ConfigError
from deep_lock.models.advisory import AuditScope, AuditSettings, Ignored, Threshold
from deep_lock.parsing.faults import Faults
from deep_lock.parsing.text import deceiving, shown

MAX_TEXT = 500


def read_audit(table: Mapping[str, Any], location: str, faults: Faults) -> AuditSettings:
    """Read the raw table under the key ``location``; its faults are added to ``faults``."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        with faults.collecting(f"{location}.{key}" if key in KEYS else ""):
            if key not in _READERS:
                raise ConfigError(unknown_key(key, f"{location}.{key}", KEYS))
            values[key.replace("-", "_")] = _READERS[key](value)
    return AuditSettings(**values)


def read_max_age(value: Any) -> timedelta:
    """Read an age such as "P7D". Raises ConfigError."""
    limit = read_exclude_newer(value)
    if not isinstance(limit, timedelta):
        raise ConfigError('must be an age such as "P7D", not a date or time')
    return limit


def _texts(value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else typed(value, tuple[str, ...], "a string or a list of strings")
    return tuple(map(_text, texts))


def _text(text: str) -> str:
    if not text.strip() or len(text) > MAX_TEXT or "\n" in text or deceiving(text):
        raise ConfigError(f"{shown(text)} must be one line of text, of at most {MAX_TEXT} visible characters")
    return text


def _service(value: Any) -> str:
    return read_service(typed(value, str))


def read_service(text: str) -> str:
    """Return the URL of a service. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        if parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment:
            return text
    except ValueError:
        pass
    # not quoted: it may hold a password
    raise ConfigError("the service is not an http(s) URL", hint="Write the part of the address before /v1/querybatch.")


class _Ignored(Struct, frozen=True, kw_only=True):
    id: str
    reason: str
    until: Any


def _ignore(value: Any) -> tuple[Ignored, ...]:
    found: list[Ignored] = []
    for number, entry in enumerate(typed(value, tuple[dict[str, Any], ...]), 1):
        try:
            table = read_record(entry, _Ignored)
            found.append(Ignored(id=_text(table.id), reason=_text(table.reason), until=read_day(table.until)))
        except ConfigError as error:
            raise ConfigError(f"entry {number}: {error.message}", hint=error.hint) from None
    return tuple(found)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "database": _texts,
    "service": _service,
    "max-age": read_max_age,
    "fail-on": lambda value: one_of(value, Threshold),
    "scope": lambda value: one_of(value, AuditScope),
    "ignore": _ignore,
    "ignore-until-fixed": _texts,
    "openvex": _texts,
}
KEYS = frozenset(_READERS)
"""All keys of the table."""
