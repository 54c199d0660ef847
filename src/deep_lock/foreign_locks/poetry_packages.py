"""The packages of a poetry.lock: name, version, where from, and files, in the three forms that Poetry has written."""

from pathlib import PurePosixPath

from msgspec import Struct
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from deep_lock.foreign_locks.reader import MAX_FILES, Value, note_without_sha256, read_file
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import ForeignFile, ForeignNote, ForeignPin, Need
from deep_lock.targets.markers import Scope


class LockedPackage(Struct, frozen=True, kw_only=True):
    """A package: its pin, still without conditions or edges, and its table."""

    pin: ForeignPin
    value: Value


class Placed(Struct, frozen=True, kw_only=True):
    """The pins with what says where they are installed."""

    pins: tuple[ForeignPin, ...]
    groups: tuple[NormalizedName, ...]
    roots: tuple[tuple[Scope, tuple[Need, ...]], ...] = ()
    notes: tuple[ForeignNote, ...] = ()


def read_packages(
    lock: Value, direct: dict[NormalizedName, frozenset[NormalizedName]]
) -> tuple[list[LockedPackage], tuple[ForeignNote, ...]]:
    """Read all packages. ``direct`` names those that the project itself asks for, with the extras that it wants of each.

    Raises LockInvalid.
    """
    listed = lock.find("package")
    tables = [] if listed is None else list(listed.items())
    packages = [_read_package(value, lock, direct) for value in tables]
    notes = tuple(
        note_without_sha256(str(package.pin.name), lock.source)
        for package in packages
        if any(file.sha256 is None for file in package.pin.files)
    )
    return packages, notes


def _read_package(value: Value, lock: Value, direct: dict[NormalizedName, frozenset[NormalizedName]]) -> LockedPackage:
    name = value.get("name").name("the project")
    version = value.get("version").version()
    source = value.find("source")
    kind = None if source is None else _text(source, "type")
    url = None if source is None or kind in {None, "legacy", "pypi"} else _reference(source, kind or "", value)
    index = source.get("url").index() if source is not None and kind == "legacy" else None
    pin = ForeignPin(
        name=name,
        version=version,
        url=url,
        direct=name in direct,
        extras=direct.get(name, frozenset()),
        files=_files(value, lock, name, version),
        index=index,
        origin=value.origin,
    )
    return LockedPackage(pin=pin, value=value)


def _text(table: Value, key: str) -> str | None:
    found = table.find(key)
    return None if found is None else found.text()


def _reference(source: Value, kind: str, package: Value) -> str:
    place = source.get("url")
    inner = _text(source, "subdirectory")
    match kind:
        case "directory":
            develop = package.find("develop")
            editable = "#editable=true" if develop is not None and develop.flag() else ""
            return place.reference(quoted_path(place.text()) + editable)
        case "file":
            return place.reference(quoted_path(place.text()))
        case "url":
            return place.reference(_with_folder(place.text(), inner))
        case "git":
            commit = _text(source, "resolved_reference") or _text(source, "reference")
            at = f"@{commit}" if commit else ""
            return place.reference(_with_folder(f"git+{_as_url(place.text())}{at}", inner))
        case _:
            raise source.get("type").invalid(f"is {kind!r:.40}; known are legacy, directory, file, url and git")


def _with_folder(url: str, inner: str | None) -> str:
    if not inner:
        return url
    return f"{url}{'&' if '#' in url else '#'}subdirectory={inner}"


def _as_url(place: str) -> str:
    """Return the URL of a repository that may be written as ``user@host:path``, or as a path."""
    if "://" in place:
        return place
    host, colon, path = place.partition(":")
    if colon and "/" not in host:
        return f"ssh://{host}/{path.lstrip('/')}"
    return f"file:{place}"


def _files(package: Value, lock: Value, name: NormalizedName, version: Version) -> tuple[ForeignFile, ...]:
    """Read the files of a package: its own list, or in older locks that of all versions of its name."""
    own = package.find("files")
    if own is not None:
        return tuple(read_file(item, "file") for item in own.items(MAX_FILES))
    listed = lock.get("metadata").find("files")
    if listed is None:
        return ()
    found: list[ForeignFile] = []
    for key, items in listed.entries():
        if items.as_name(key, "the project") == name:
            found += [read_file(item, "file") for item in items.items(MAX_FILES)]
    return tuple(file for file in found if _version_of(file.name) in {version, None})


def _version_of(filename: str) -> Version | None:
    """Return the version that a file name says; None where it says none."""
    try:
        if PurePosixPath(filename).suffix == ".whl":
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None
