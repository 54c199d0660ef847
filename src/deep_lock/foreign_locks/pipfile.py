"""Pipfile.lock: "default" is what the project needs, every other section a group of its name.

Pipenv looks at one environment when it locks: what the project needs elsewhere only is not in it, or not pinned.
"""

import json
import re
from typing import Any

from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.reader import MAX_FILES, MAX_LOCK, Value, note_without_sha256, sha256_of
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, ForeignLock, ForeignNote, ForeignPin
from deep_lock.parsing.text import readable
from deep_lock.targets.markers import BASE, Scope

_KNOWN = 6
_META = "_meta"
_DEFAULT = "default"
_SYSTEMS = ("git", "hg", "svn", "bzr")
_MINOR = re.compile(r"(3\.[0-9]{1,2})(?:\.[0-9]{1,3})?")
_PINNED = re.compile(r"===?\s*([^\s,;*]+)")


def read_pipfile_lock(text: str, source: str) -> ForeignLock:
    """Read a Pipfile.lock. Raises LockInvalid that names the place, or LimitExceeded."""
    lock = Value(raw=_parsed(text, source), source=source)
    meta = lock.get(_META)
    form = meta.get("pipfile-spec").raw
    if form != _KNOWN or isinstance(form, bool):
        raise meta.get("pipfile-spec").invalid(f"is {str(form)[:20]}; known is {_KNOWN}")
    indexes = _indexes(meta)
    notes: list[ForeignNote] = []
    pins: list[ForeignPin] = []
    groups: list[NormalizedName] = []
    for key, section in lock.entries():
        if key == _META:
            continue
        scope = BASE
        if key != _DEFAULT:
            scope = Scope(kind="group", name=section.as_name(key, "the section"))
            groups.append(section.as_name(key, "the section"))
        for name, entry in section.entries():
            pin = _read_pin(name, entry, scope, indexes, notes)
            if pin is not None:
                pins.append(pin)
    return ForeignLock(
        kind="Pipfile.lock",
        source=source,
        pythons=_pythons(meta),
        one_environment=True,
        groups=tuple(groups),
        pins=_merged(pins),
        notes=tuple(dict.fromkeys(notes)),
    )


def _parsed(text: str, source: str) -> Any:
    text = readable(text, source, LockInvalid, MAX_LOCK)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _Twice as twice:
        raise LockInvalid(f"{source}: a key stands twice in one table: {str(twice)[:80]!r}") from None
    except (ValueError, RecursionError) as fault:
        reason = "nested too deeply" if isinstance(fault, RecursionError) else str(fault)[:80]
        raise LockInvalid(f"{source}: not valid JSON: {reason}") from None


class _Twice(Exception):
    """A key that two readers could read differently."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise _Twice(key)
        table[key] = value
    return table


def _indexes(meta: Value) -> dict[str, str]:
    """Return the URLs of the indexes that the lock names. One that takes its login from the environment has none."""
    listed = meta.find("sources")
    found: dict[str, str] = {}
    for item in () if listed is None else listed.items(MAX_FILES):
        name = item.find("name")
        if name is not None and "$" not in item.get("url").text().rpartition("@")[2]:
            found[name.text()] = item.get("url").index()
    return found


def _pythons(meta: Value) -> tuple[str, ...]:
    requires = meta.find("requires")
    for key in ("python_full_version", "python_version"):
        value = None if requires is None else requires.find(key)
        if value is not None:
            minor = _MINOR.fullmatch(value.text().strip())
            # "3" and "*" are taken by Pipenv too, and tell no minor version
            return (minor[1],) if minor else ()
    return ()


def _read_pin(
    spelling: str, entry: Value, scope: Scope, indexes: dict[str, str], notes: list[ForeignNote]
) -> ForeignPin | None:
    name = entry.as_name(spelling, "the project")
    url = _reference(entry)
    version = _version(entry)
    if url in {".", "./", ".#editable=true"}:
        notes.append(_note("foreign-project-itself", name, "is the project itself, which is not among its own pins"))
        return None
    if url is None and version is None:
        notes.append(
            _note(
                "foreign-unpinned",
                name,
                f"{entry.source} names it without a version ({entry.place}), as what is not needed where it was made: left out",
            )
        )
        return None
    digests = [sha256_of(item) for item in hashes.items(MAX_FILES)] if (hashes := entry.find("hashes")) else []
    if None in digests:
        notes.append(note_without_sha256(name, entry.source))
    markers, index, extras = entry.find("markers"), entry.find("index"), entry.find("extras")
    return ForeignPin(
        name=name,
        version=version,
        url=url,
        conditions=(Condition(scope=scope, marker=None if markers is None else markers.marker()),),
        extras=frozenset(extra.name("the extra") for extra in extras.items(MAX_FILES)) if extras else frozenset(),
        sha256s=frozenset(digest for digest in digests if digest is not None),
        index=None if index is None else indexes.get(index.text()),
        origin=entry.origin,
    )


def _version(entry: Value) -> Version | None:
    value = entry.find("version")
    if value is None or value.text().strip() in {"", "*"}:
        return None
    pinned = _PINNED.fullmatch(value.text().strip())
    if pinned is None:
        raise value.invalid("is no version: a lock names one with ==", "Lock again: pipenv lock.")
    return Value(raw=pinned[1], source=value.source, place=value.place).version()


def _reference(entry: Value) -> str | None:
    """Write the direct reference of an entry: a repository, a path, or the URL of a file."""
    for key in _SYSTEMS:
        if (place := entry.find(key)) is not None:
            ref, inner = entry.find("ref"), entry.find("subdirectory")
            at = f"@{ref.text()}" if ref is not None else ""
            end = f"#subdirectory={inner.text()}" if inner is not None else ""
            url = place.text().removeprefix(f"{key}+")
            return place.reference(f"{key}+{url}{at}{end}")
    for key in ("path", "file"):
        if (place := entry.find(key)) is not None:
            editable = entry.find("editable")
            end = "#editable=true" if editable is not None and editable.flag() else ""
            text = place.text()
            return place.reference(text if "://" in text or text.startswith("file:") else quoted_path(text) + end)
    return None


def _note(code: str, name: str, message: str) -> ForeignNote:
    return ForeignNote(code=code, subject=name, message=message)


def _merged(pins: list[ForeignPin]) -> tuple[ForeignPin, ...]:
    """Make one pin of what several sections hold alike."""
    merged: dict[tuple[object, ...], ForeignPin] = {}
    for pin in pins:
        key = (pin.name, pin.version, pin.url, pin.sha256s, pin.index, pin.extras)
        earlier = merged.get(key)
        if earlier is None:
            merged[key] = pin
        else:
            # the first one's origin stays
            conditions = tuple(dict.fromkeys((*earlier.conditions, *pin.conditions)))
            merged[key] = replace(earlier, conditions=conditions)
    return tuple(merged.values())
