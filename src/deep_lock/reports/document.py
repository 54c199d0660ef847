"""The envelope of the JSON documents, and the document of a failure.

A document begins with its schema and the version of the schema. Within a version keys are only added. docs/formats/json.md lists the
documents, docs/schemas has their JSON Schemas.
"""

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


def failure_row(failure: Failure) -> dict[str, Any]:
    """Return the keys of a failure."""
    return {
        "code": failure.code,
        "exit-code": failure.exit_code,
        "message": show_lines(failure.message),
        "hint": show_lines(failure.hint),
    }


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
