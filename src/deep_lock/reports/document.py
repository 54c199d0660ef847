"""The envelope of the JSON documents, and the document of a failure.

A document begins with its schema and the version of the schema. Within a version keys are only added. docs/formats/json.md lists the
documents, docs/schemas has their JSON Schemas.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from deep_lock.errors import DeepLockError
from deep_lock.events import Warned
from deep_lock.sanitize import Safe, json_document, show_lines


class Failure(Struct, frozen=True, kw_only=True):
    """Why a run failed."""

    code: str
    """Stable: the kind of the error, such as "hash-mismatch"."""
    exit_code: int
    message: str
    hint: str = ""
    """What the user can do; empty where that is not known."""


def document(name: str, version: int, payload: Mapping[str, Any]) -> Safe:
    """Return a document of the schema "deep-lock/NAME"."""
    return json_document({"schema": f"deep-lock/{name}", "version": version, **payload})


def failure_of(error: DeepLockError) -> Failure:
    """Return an error as documents have it."""
    return Failure(code=error.code, exit_code=error.exit_code, message=error.message, hint=error.hint)


_LOCATION = re.compile(
    r"(?P<path>(?:[A-Za-z]:)?[^\s:\[]+\.(?:toml|lock|txt|in|cfg|py|jsonl?|ya?ml|ini))"
    r"(?::(?P<line>[1-9][0-9]{0,8})(?=[: ])|(?<=\.toml|\.lock)(?=[: ])|(?<=\.txt)(?=: ))"
)
_IN_TOML = re.compile(r"\(at line (?P<line>[1-9][0-9]{0,8}), column [0-9]+\)")
_OF_THE_USER = frozenset({1, 2})
"""Exit codes of errors that are about files of the user. The messages of others can begin with text from outside."""


def failure_row(failure: Failure) -> dict[str, Any]:
    """Return the keys of a failure."""
    return {
        "code": failure.code,
        "exit-code": failure.exit_code,
        "message": show_lines(failure.message),
        "hint": show_lines(failure.hint),
        **(location_of(failure.message) if failure.exit_code in _OF_THE_USER else {}),
    }


def location_of(message: str) -> dict[str, Any]:
    """Return the ``path`` and, from 1, the ``line`` that a message begins with, as each error about a file does.

    An error about versions has them in its second line, with the first requirement that takes part.
    """
    first, _, others = message.partition("\n")
    found = _LOCATION.match(first) or _LOCATION.match(others.removeprefix("  "))
    if found is None:
        return {}
    line = found["line"] or ((in_toml := _IN_TOML.search(first)) and in_toml["line"])
    return {"path": show_lines(found["path"]), **({"line": int(line)} if line else {})}


def warning_row(warning: Warned) -> dict[str, str]:
    """Return the keys of a warning."""
    return {
        "code": warning.code,
        "subject": show_lines(warning.subject),
        "message": show_lines(warning.message),
    }


def error_document(failure: Failure) -> Safe:
    """Return the document of a run that has no result."""
    return document("error", 1, failure_row(failure))
