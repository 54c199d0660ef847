"""The text of `deep.lock` as a Lock. The text is untrusted: each value and each key is checked, and a fault is located.

Only DeepLockError is raised. `invariants` checks what the tables of a lock state of each other.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, TypeVar, get_args

from msgspec import Meta, Struct, ValidationError, convert

from deep_lock.boundary import reading
from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.events import Reporter, Warned, silent
from deep_lock.lockfile.fields import parsed_version
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.tables import KINDS, Count, Document, Fault, known_keys
from deep_lock.models.build_system import Evidence
from deep_lock.models.lock import (
    LOCK_VERSION,
    REVISION,
    VERSION,
    Ending,
    HashOrigin,
    Lock,
    LockedHook,
    Needed,
    RequiresFrom,
)
from deep_lock.parsing.toml import parse_toml
from deep_lock.sanitize import quote, show

MAX_LOCK_BYTES = 64 * 1024 * 1024

_UPGRADE = "upgrade deep-lock"
_RESTORE = (
    'restore the file, for example with git, or delete it and run "deep-lock lock", which selects every version again'
)
_RELOCK = 'take either side of the merge (git checkout --ours or --theirs), then run "deep-lock lock": it keeps every pin that still fits'
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|\Z)", re.MULTILINE)
_LOCATION = " - at `$"
_MISSING = re.compile(r"Object missing required field `(.+)`")
_NOT_ACCEPTED = re.compile(r"Object contains unknown field `(.+)`", re.DOTALL)
_WRONG_KIND = re.compile(r"Expected `(.+?)(?: \| null)?`, got `(.+)`")
_WRONG_CHOICE = re.compile(r"Invalid enum value ['\"](.*)['\"]", re.DOTALL)
_CHOICES = {
    "ends": get_args(Ending),
    "evidence": get_args(Evidence),
    "hash-origin": get_args(HashOrigin),
    "hook": get_args(LockedHook),
    "metadata": get_args(Evidence),
    "needed": get_args(Needed),
    "requires-from": get_args(RequiresFrom),
    "type": ("git",),
}
_WHY_REQUIRED = {
    "packages": ": the file is incomplete",
    "hashes": ": a file without a sha256 is not locked",
}

Kind = TypeVar("Kind")


class _Head(Struct, rename="kebab"):
    lock_version: str
    tool: Any = None


class _Format(Struct):
    version: Annotated[int, Meta(ge=1)]
    revision: Count


def from_text(text: str, source: str, report: Reporter = silent) -> Lock:
    """Read a lock, in canonical order; ``source`` names the file in messages.

    ``report`` gets a warning about a newer revision, with the keys that are not understood.
    Raises LockInvalid, or UrlForbidden on a URL with credentials or of another scheme than http(s).
    """
    return from_tables(read_tables(text, source), source, report)


def read_tables(text: str, source: str) -> dict[str, object]:
    """Parse the text of a lock; no value is checked. Raises LockInvalid."""
    source = show(source)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_LOCK_BYTES:
        raise LockInvalid(f"{source}: is larger than {MAX_LOCK_BYTES // 2**20} MiB, which is the limit")
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise LockInvalid(
            f"{source}:{line}: has conflict markers ({conflict.group()!r}): a merge was left unfinished", hint=_RELOCK
        )
    return parse_toml(text, source, _not_whole, limit=MAX_LOCK_BYTES)


def _not_whole(message: str, /, *, hint: str = _RESTORE) -> LockInvalid:
    """Return the error of a file that deep-lock did not write in this form."""
    return LockInvalid(message, hint=hint or _RESTORE)


def from_tables(document: dict[str, object], source: str, report: Reporter = silent) -> Lock:
    """Return the lock of a parsed text. Raises as `from_text`."""
    source = show(source)
    with reading(source, _not_whole):
        revision = _check_versions(document, source, report)
        unknown = list(_unknown_keys(document, Document, ""))
        if unknown and revision <= REVISION:
            raise _not_whole(f"{source}: {unknown[0]}: is a key that this format does not have")
        lock = ordered(_convert(document, Document, source).record())
    if revision > REVISION:
        ignored = f"; not understood: {show(', '.join(unknown))}" if unknown else ""
        message = f"was written by a later deep-lock (revision {revision}, this one knows {REVISION}){ignored}"
        report(Warned(code="lock-newer", subject=source, message=message))
    return lock


def _check_versions(document: dict[str, object], source: str, report: Reporter) -> int:
    """Return the revision of a file that can be read. It is checked first: a message about a key could mislead."""
    head = _convert(document, _Head, source)
    _check_lock_version(head.lock_version, source, report)
    own = head.tool.get("deep-lock") if isinstance(head.tool, dict) else None
    if not isinstance(own, dict):
        raise LockInvalid(
            f"{source}: has no [tool.deep-lock] table: the file is incomplete, or another program wrote it",
            hint='"deep-lock deepen FILE" reads the lock of another tool and adds the build dependencies',
        )
    found = _convert(own, _Format, source, "tool.deep-lock")
    if found.version > VERSION:
        message = f"{source}: is of version {found.version}; this deep-lock reads version {VERSION}"
        raise LockInvalid(message, hint=_UPGRADE)
    tables = list(document)
    if "packages" in document and tables.index("tool") < tables.index("packages"):
        raise LockInvalid(
            f"{source}: has [tool.deep-lock] before [[packages]], as only versions of deep-lock before the first release "
            'wrote it: delete the file and run "deep-lock lock"'
        )
    return found.revision


def _check_lock_version(written: str, source: str, report: Reporter) -> None:
    """PEP 751: a newer major version is an error, a newer minor one a warning."""
    version, ours = parsed_version(written), parsed_version(LOCK_VERSION)
    if version is None or ours is None:
        raise LockInvalid(f"{source}: lock-version: {quote(written)} is not a version")
    if version.major != ours.major:
        raise LockInvalid(f"{source}: lock-version: {show(written)} is not {LOCK_VERSION}", hint=_UPGRADE)
    if version > ours:
        message = f"lock-version {show(written)} is newer than {LOCK_VERSION}, the one that this deep-lock knows"
        report(Warned(code="lock-newer", subject=source, message=message))


def _unknown_keys(table: dict[str, Any], kind: type[Struct], location: str) -> Iterator[str]:
    """Yield the locations of the unknown keys of a table and the tables in it."""
    known, nested = known_keys(kind)
    if not known.issuperset(table):
        yield from (f"{location}{show(key)}" for key in sorted(table.keys() - known))
    for key, inner in nested.items():
        value = table.get(key)
        if isinstance(value, dict):
            yield from _unknown_keys(value, inner, f"{location}{key}.")
        elif isinstance(value, list):
            for position, row in enumerate(value):
                if isinstance(row, dict):
                    yield from _unknown_keys(row, inner, f"{location}{key}[{position}].")


def _convert(value: object, kind: type[Kind], source: str, location: str = "") -> Kind:
    try:
        return convert(value, kind, builtin_types=(datetime,))
    except ValidationError as error:
        raise _refusal(error, source, location) from None


def _refusal(error: ValidationError, source: str, location: str) -> DeepLockError:
    """Return the error with the file, the location and the reason."""
    fault = error.__cause__
    if isinstance(fault, Fault):
        reason, key = str(fault), fault.key
        kind: Callable[[str], DeepLockError] = _not_whole if fault.error is LockInvalid else fault.error
        path = str(error).removeprefix(reason).removeprefix(_LOCATION).removesuffix("`")
    else:
        message, separator, path = str(error).rpartition(_LOCATION)
        message, path = (message, path.removesuffix("`")) if separator else (path, "")
        key, reason = _in_our_words(message, path)
        kind = _not_whole
    where = ".".join(part for part in (location, path.removeprefix("."), key) if part)
    return kind(f"{source}: {where}: {reason}")


def _in_our_words(message: str, path: str) -> tuple[str, str]:
    """Return the key of a fault, if ``path`` does not end in it, and the reason in our words."""
    key = ""
    if match := _MISSING.fullmatch(message):
        key = match[1]
        reason = f"is missing{_WHY_REQUIRED.get(key, '')}"
    elif match := _NOT_ACCEPTED.fullmatch(message):
        key, reason = show(match[1]), "only sha256 is accepted"
    elif match := _WRONG_CHOICE.fullmatch(message):
        choices = _CHOICES.get(path.rpartition(".")[2], ())
        reason = f"must be one of {', '.join(map(repr, choices))}, not {quote(match[1])}"
    elif match := _WRONG_KIND.fullmatch(message):
        wanted, found = KINDS.get(match[1], "a date-time with its zone"), KINDS.get(match[2], "a date or time")
        reason = f"must be {wanted}, not {found}"
    elif message.startswith("Expected `datetime`"):
        reason = "must be a date-time with its zone, not a date or time"
    else:
        reason = f"must be an integer from {1 if path.endswith('version') else 0} to 2**63 - 1"
    return key, reason
