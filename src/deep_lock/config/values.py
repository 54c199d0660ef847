"""Typed values of TOML tables: `msgspec.convert`, with messages in the words of TOML."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct

from deep_lock.errors import ConfigError
from deep_lock.parsing.requirements import described
from deep_lock.parsing.text import shown
from deep_lock.suggestions import nearest

T = TypeVar("T")
Record = TypeVar("Record", bound=Struct)

_WORDS: dict[Any, str] = {
    bool: "true or false",
    str: "a string",
    tuple[str, ...]: "a list of strings",
    dict[str, Any]: "a table",
    tuple[dict[str, Any], ...]: "an array of tables",
}


def typed(value: Any, kind: type[T], expected: str = "") -> T:
    """Return a value of TOML as this type; ``expected`` describes it in messages. Raises ConfigError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise ConfigError(f"must be {expected or _WORDS[kind]}, not {described(value)}") from None


def one_of(value: Any, alias: Any) -> str:
    """Return a value that is one of the strings of a Literal. Raises ConfigError."""
    words = get_args(alias)
    if isinstance(value, str) and value in words:
        return value
    listed = ", ".join(f'"{word}"' for word in words)
    raise ConfigError(f"must be one of {listed}, not {shown(value) if isinstance(value, str) else described(value)}")


def read_record(value: Any, kind: type[Record]) -> Record:
    """Return a table as a record. Raises ConfigError for an unknown or missing key, and for a value of another type."""
    table = typed(value, dict[str, Any])
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in sorted(table.keys() - fields.keys()):
        raise ConfigError(f"{shown(key)} is not a known key; known are {', '.join(fields)}")
    missing = [key for key, field in fields.items() if field.required and key not in table]
    if missing:
        raise ConfigError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    for key, own in table.items():
        field_type = fields[key].type
        try:
            msgspec.convert(own, field_type)
        except msgspec.ValidationError:
            raise ConfigError(f"{key} must be {_WORDS[field_type]}, not {described(own)}") from None
    return msgspec.convert(table, kind)


def read_day(value: Any) -> date:
    """Return the day of a key ``until``: a TOML date, or the same as a string. Raises ConfigError."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and len(value) == len("2026-11-01"):
            return date.fromisoformat(value)
    except ValueError:
        pass
    got = shown(value) if isinstance(value, str) else described(value)
    raise ConfigError(f"until must be a day such as 2026-11-01, not {got}")


def unknown_key(key: str, location: str, known: Iterable[str]) -> str:
    """Return the message about a key that is not known, with the most similar one that is."""
    return f"{shown(location)} is not a known key{similar(key, known)}"


def similar(text: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?", where a known word is similar."""
    near = nearest(text, known)
    return f"; did you mean {near!r}?" if near else ""
