"""uv.lock, as ``uv sync --frozen`` installs from it: a graph, in which forks give a name several versions."""

import posixpath
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from packaging.utils import NormalizedName

from deep_lock.errors import LockInvalid
from deep_lock.inputs.foreign_uv_graph import (
    UvPackage,
    UvPlaces,
    marker_texts,
    read_package,
    uv_conflicts,
    uv_roots,
    uv_scopes,
    uv_selectors,
)
from deep_lock.inputs.foreign_values import (
    MAX_FILES,
    MAX_LOCK,
    Value,
    note_without_sha256,
    sha256_of,
)
from deep_lock.inputs.toml_text import read_toml
from deep_lock.model.direct import quoted_path
from deep_lock.model.foreign import ForeignFile, ForeignLock, ForeignNote, ForeignPin

_VERSION = 1
_FOLDERS = ("editable", "directory")


def read_uv_lock(text: str, source: str) -> ForeignLock:
    """Read a uv.lock. Raises LockInvalid that names the place, or LimitExceeded."""
    document, _ = read_toml(text, source, LockInvalid, limit=MAX_LOCK)
    lock = Value(raw=document, source=source)
    version = lock.get("version")
    if type(version.raw) is not int or version.raw != _VERSION:
        raise version.invalid(f"is {str(version.raw)[:20]!r}; known is {_VERSION}")
    if lock.has("distribution"):
        raise lock.invalid("was written by a uv of before its format was settled", hint="write it anew: uv lock")
    packages = [read_package(value, number) for number, value in enumerate(lock.rows("package"))]
    places = UvPlaces(lock, packages)
    roots = uv_roots(lock, packages)
    scopes = uv_scopes(roots, places)
    direct = frozenset(need.child for needs in scopes.values() for need in needs)
    pins = tuple(_pin(package, places, is_direct=place in direct) for place, package in enumerate(places.pinned))
    return ForeignLock(
        kind="uv.lock",
        source=source,
        requires_python=_requires_python(lock),
        environments=tuple(marker_texts(lock, "supported-markers")),
        extras=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "extra"),
        groups=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "group"),
        pins=pins,
        roots=tuple(scopes.items()),
        selectors=uv_selectors(roots, scopes) if places.conflicting else (),
        conflicts=tuple(uv_conflicts(lock, roots)),
        notes=tuple(_notes(pins, source)),
    )


def _requires_python(lock: Value) -> str | None:
    value = lock.find("requires-python")
    return value.specifier() if value is not None else None


def _pin(package: UvPackage, places: UvPlaces, *, is_direct: bool) -> ForeignPin:
    value, source = package.value, package.value.get("source")
    registry = source.find("registry")
    needs = [*places.needs(value, "dependencies")]
    for name, own in value.fields("optional-dependencies"):
        needs += places.needs(value.get("optional-dependencies"), name, own.as_name(name, "the extra"))
    files = tuple(_files(value)) if registry is not None else ()
    return ForeignPin(
        name=package.name,
        version=package.version if registry is not None else None,
        url=None if registry is not None else _reference(source, value),
        needs=tuple(needs),
        direct=is_direct,
        files=files,
        index=registry.index() if registry is not None and "://" in registry.text() else None,
        origin=value.origin,
    )


def _files(package: Value) -> Iterator[ForeignFile]:
    sdist = package.find("sdist")
    for value in (*((sdist,) if sdist is not None else ()), *package.rows("wheels", MAX_FILES)):
        digest = value.find("hash")
        yield ForeignFile(name=_filename(value), sha256=sha256_of(digest) if digest is not None else None)


def _filename(value: Value) -> str:
    """Return the name of a file: said so, or the last part of where it is, decoded once."""
    for key in ("filename", "path", "url"):
        place = value.find(key)
        if place is not None:
            name = place.text() if key != "url" else unquote(_path_of(place).rpartition("/")[2])
            name = name.rpartition("/")[2] if key == "path" else name
            if not name or {"/", "\\"} & {*name} or name in {".", ".."} or not name.isprintable():
                raise place.invalid("names no file")
            return name
    raise value.invalid("names no file")


def _path_of(url: Value) -> str:
    try:
        return urlsplit(url.text()).path
    except ValueError:
        raise url.invalid("is no URL") from None


def _reference(source: Value, package: Value) -> str:
    """Return what a source that is no index names, as the URL of a requirement."""
    for kind in _FOLDERS:
        folder = source.find(kind)
        if folder is not None:
            end = "#editable=true" if kind == "editable" else ""
            return source.reference(quoted_path(folder.text()) + end)
    path, url, git = source.find("path"), source.find("url"), source.find("git")
    if git is not None:
        return source.reference(_git(git))
    archive = (
        quoted_path(posixpath.normpath(path.text())) if path is not None else url.text() if url is not None else ""
    )
    if archive:
        inner, digest = source.find("subdirectory"), next(iter(sorted(_digests(package))), None)
        parts = [f"sha256={digest}"] if digest else []
        parts += [f"subdirectory={inner.text()}"] if inner is not None else []
        return source.reference(archive + (f"#{'&'.join(parts)}" if parts else ""))
    raise source.invalid("is of a kind that is not known")


def _digests(package: Value) -> Iterator[str]:
    """Give the digest of the one archive that a direct reference names, where there is one."""
    sdist = package.find("sdist")
    for file in (*((sdist,) if sdist is not None else ()), *package.rows("wheels", MAX_FILES)):
        digest = file.find("hash")
        found = sha256_of(digest) if digest is not None else None
        if found is not None:
            yield found


def _git(value: Value) -> str:
    """Return a commit: uv writes ``URL?tag=v1&subdirectory=x#commit``."""
    start, _, commit = value.text().partition("#")
    place, _, query = start.partition("?")
    if not commit:
        raise value.invalid("names no commit")
    wanted: Mapping[str, str] = dict(parse_qsl(query))
    inner = wanted.get("subdirectory")
    return f"git+{place}@{commit}" + (f"#subdirectory={inner}" if inner else "")


def _notes(pins: tuple[ForeignPin, ...], source: str) -> Iterator[ForeignNote]:
    for pin in pins:
        if any(file.sha256 is None for file in pin.files):
            yield note_without_sha256(str(pin.name), source)
