"""Pipfile.lock: "default" is what the project needs, every other section a group of its name.

Pipenv locks for one environment: what the project needs elsewhere only is missing, or not pinned.
"""

import json
import re
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import LockInvalid
from deep_lock.events import Warned
from deep_lock.foreign_locks.fields import (
    MAX_FILES,
    MAX_LOCK,
    MAX_PINS,
    Name,
    Position,
    Rows,
    Sha256,
    names,
    note_without_sha256,
)
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, ForeignLock, ForeignPin
from deep_lock.parsing.text import readable
from deep_lock.targets.markers import BASE, Scope

_KNOWN = 6
_META = "_meta"
_MINOR = re.compile(r"(3\.[0-9]{1,2})(?:\.[0-9]{1,3})?")
_PINNED = re.compile(r"===?\s*([^\s,;*]+)")


class _Index(Struct, frozen=True):
    url: str
    name: str | None = None


class _Requires(Struct, frozen=True):
    python_full_version: str | None = None
    python_version: str | None = None


class _LockMeta(Struct, frozen=True, rename={"spec": "pipfile-spec"}):
    spec: Any
    sources: Rows[_Index] = ()
    requires: _Requires = _Requires()


class _Header(Struct, frozen=True, rename={"meta": _META}):
    meta: _LockMeta


class _Entry(Struct, frozen=True):
    version: str = ""
    hashes: Annotated[tuple[Sha256, ...], Meta(max_length=MAX_FILES)] = ()
    markers: str = ""
    index: str | None = None
    extras: Rows[Name] = ()
    git: str | None = None
    hg: str | None = None
    svn: str | None = None
    bzr: str | None = None
    ref: str | None = None
    subdirectory: str | None = None
    path: str | None = None
    file: str | None = None
    editable: bool = False


_Section = Annotated[dict[str, _Entry], Meta(max_length=MAX_PINS)]


def read_pipfile_lock(text: str, source: str) -> ForeignLock:
    """Read a Pipfile.lock. Raises LockInvalid that names the position, or LimitExceeded."""
    document, top = _parsed(text, source), Position(source=source)
    meta = top.convert(document, _Header).meta
    if type(meta.spec) is not int or meta.spec != _KNOWN:
        raise top.below(_META, "pipfile-spec").invalid(f"is {str(meta.spec)[:20]}; known is {_KNOWN}")
    indexes = _indexes(meta, top.below(_META, "sources"))
    notes: list[Warned] = []
    pins: list[ForeignPin] = []
    groups: list[NormalizedName] = []
    for key, section in document.items():
        if key == _META:
            continue
        at, scope = top.below(key), BASE
        if key != "default":
            groups.append(NormalizedName(at.convert(key, Name)))
            scope = Scope(kind="group", name=groups[-1])
        entries: dict[str, _Entry] = at.convert(section, _Section)
        for spelling, entry in entries.items():
            here = at.below(spelling)
            pin = _read_pin(NormalizedName(here.convert(spelling, Name)), entry, here, indexes, notes)
            if pin is not None:
                marker = here.below("markers").marker(entry.markers)
                pins.append(replace(pin, conditions=(Condition(scope=scope, marker=marker),)))
    return ForeignLock(
        kind="Pipfile.lock",
        source=source,
        pythons=_pythons(meta.requires),
        one_environment=True,
        groups=tuple(groups),
        pins=_merged(pins),
        notes=tuple(dict.fromkeys(notes)),
    )


def _parsed(text: str, source: str) -> Any:
    text = readable(text, source, LockInvalid, MAX_LOCK)
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except _DuplicateKey as error:
        raise LockInvalid(f"{source}: a key is in one table twice: {str(error)[:80]!r}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:80]
        raise LockInvalid(f"{source}: not valid JSON: {reason}") from None


class _DuplicateKey(Exception):
    """A key that two readers could read differently."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise _DuplicateKey(key)
        table[key] = value
    return table


def _indexes(meta: _LockMeta, at: Position) -> dict[str, str]:
    """Return the URLs of the indexes by name. One whose host comes from the environment is left out."""
    return {
        index.name: at.below(number, "url").index(index.url)
        for number, index in enumerate(meta.sources)
        if index.name is not None and "$" not in index.url.rpartition("@")[2]
    }


def _pythons(requires: _Requires) -> tuple[str, ...]:
    for text in (requires.python_full_version, requires.python_version):
        if text is not None:
            minor = _MINOR.fullmatch(text.strip())
            # Pipenv also takes "3" and "*", which name no minor version
            return (minor[1],) if minor else ()
    return ()


def _read_pin(
    name: NormalizedName, entry: _Entry, at: Position, indexes: dict[str, str], notes: list[Warned]
) -> ForeignPin | None:
    """Read an entry as a pin without its condition; None, with a note, for an entry that pins nothing."""
    url, version = _reference(entry, at), _version(entry, at)
    if url in {".", ".#editable=true"}:
        message = "is the project itself, which is not among its own pins"
        notes.append(Warned(code="foreign-project-itself", subject=name, message=message))
        return None
    if url is None and version is None:
        message = f"{at.source} lists it without a version ({at.place}): it was not needed where the file was made. It is left out"
        notes.append(Warned(code="foreign-unpinned", subject=name, message=message))
        return None
    if "" in entry.hashes:
        notes.append(note_without_sha256(name, at.source))
    return ForeignPin(
        name=name,
        version=version,
        url=url,
        extras=names(entry.extras),
        sha256s=frozenset(digest for digest in entry.hashes if digest),
        index=indexes.get(entry.index) if entry.index is not None else None,
        origin=at.origin,
    )


def _version(entry: _Entry, at: Position) -> Version | None:
    text, at = entry.version.strip(), at.below("version")
    if text in {"", "*"}:
        return None
    pinned = _PINNED.fullmatch(text)
    if pinned is None:
        raise at.invalid("is not a pinned version: a lock has each version with ==", "Run pipenv lock.")
    return at.convert(pinned[1], Version)


def _reference(entry: _Entry, at: Position) -> str | None:
    """Write the direct reference of an entry: a repository, a path, or the URL of a file."""
    for system, repository in (("git", entry.git), ("hg", entry.hg), ("svn", entry.svn), ("bzr", entry.bzr)):
        if repository is not None:
            revision = f"@{entry.ref}" if entry.ref is not None else ""
            url = f"{system}+{repository.removeprefix(f'{system}+')}{revision}"
            return at.below(system).reference(url, subdirectory=entry.subdirectory)
    for key, text in (("path", entry.path), ("file", entry.file)):
        if text is not None:
            if "://" in text or text.startswith("file:"):
                return at.below(key).reference(text)
            return at.below(key).reference(quoted_path(text), editable=entry.editable)
    return None


def _merged(pins: list[ForeignPin]) -> tuple[ForeignPin, ...]:
    """Make one pin of equal entries of several sections. It has the origin of the first."""
    merged: dict[tuple[object, ...], ForeignPin] = {}
    for pin in pins:
        key = (pin.name, pin.version, pin.url, pin.sha256s, pin.index, pin.extras)
        first = merged.setdefault(key, pin)
        merged[key] = replace(first, conditions=tuple(dict.fromkeys((*first.conditions, *pin.conditions))))
    return tuple(merged.values())
