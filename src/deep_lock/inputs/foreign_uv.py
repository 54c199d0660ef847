"""uv.lock, as ``uv sync --frozen`` installs from it.

A lock of uv is a graph: the root asks, edges have markers, and forks give a name several versions. Conflicting extras are
written into markers as an extra of their own name (``extra-5-app-x-cpu``): here they are selectors of scopes.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import LockInvalid
from deep_lock.inputs.foreign_values import MAX_FILES, MAX_LOCK, Value, note_without_sha256, sha256_of
from deep_lock.inputs.toml_text import read_toml
from deep_lock.model.direct import quoted_path
from deep_lock.model.foreign import ForeignFile, ForeignLock, ForeignNote, ForeignPin, Need
from deep_lock.model.target_markers import BASE, Scope

_VERSION = 1
_OWN = ("virtual", "editable")
_KINDS: tuple[tuple[str, Literal["extra", "group"]], ...] = (
    ("optional-dependencies", "extra"),
    ("dev-dependencies", "group"),
)
_FOLDERS = ("editable", "virtual", "directory")


class _Package(Struct, frozen=True, kw_only=True):
    value: Value
    name: NormalizedName
    version: Version | None
    source: str
    """Kind and place, as one text: what tells two packages of a name and a version apart."""


def read_uv_lock(text: str, source: str) -> ForeignLock:
    """Read a uv.lock. Raises LockInvalid that names the place, or LimitExceeded."""
    document, _ = read_toml(text, source, LockInvalid, limit=MAX_LOCK)
    lock = Value(raw=document, source=source)
    version = lock.get("version")
    if version.raw != _VERSION:
        raise version.invalid(f"is {str(version.raw)[:20]!r}; known is {_VERSION}")
    packages = [_package(value) for value in lock.rows("package")]
    roots = [package for package in packages if _is_root(package)]
    places = _Places(lock, packages, roots)
    direct = frozenset(need.child for root in roots for _, needs in _asked(root, places) for need in needs)
    pins = tuple(_pin(package, places, is_direct=place in direct) for place, package in enumerate(places.pinned))
    scopes = _scopes(roots, places)
    return ForeignLock(
        kind="uv.lock",
        source=source,
        requires_python=_requires_python(lock),
        environments=tuple(_texts(lock, "supported-markers")),
        extras=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "extra"),
        groups=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "group"),
        pins=pins,
        roots=tuple(scopes.items()),
        selectors=tuple((scope, text) for root in roots for scope in scopes if (text := _selector(root, scope))),
        notes=tuple(_notes(pins, roots, source)),
    )


def _requires_python(lock: Value) -> str | None:
    value = lock.find("requires-python")
    return value.specifier() if value is not None else None


def _texts(table: Value, key: str) -> Iterator[str]:
    for item in table.rows(key):
        item.marker()
        yield item.text()


def _package(value: Value) -> _Package:
    version = value.find("version")
    source = value.get("source")
    return _Package(
        value=value,
        name=value.get("name").name("the project"),
        version=version.version() if version is not None else None,
        source=_source_text(source),
    )


def _source_text(source: Value) -> str:
    return "|".join(f"{key}={value.text()}" for key, value in sorted(source.entries()) if isinstance(value.raw, str))


def _is_root(package: _Package) -> bool:
    """The project itself stands in the folder of the lock: it is not a pin."""
    source = package.value.get("source")
    return any((own := source.find(kind)) is not None and own.raw == "." for kind in _OWN)


class _Places:
    """Where packages stand among the pins, and what a dependency means."""

    def __init__(self, lock: Value, packages: list[_Package], roots: list[_Package]) -> None:
        self.lock = lock
        self.roots = frozenset(root.name for root in roots)
        self.pinned = [package for package in packages if package not in roots]
        self._by_name: dict[NormalizedName, list[int]] = {}
        for place, package in enumerate(self.pinned):
            self._by_name.setdefault(package.name, []).append(place)

    def child(self, value: Value) -> int | None:
        """Return the place of what a dependency means; None for the project itself."""
        name = value.get("name").name("the dependency")
        version, source = value.find("version"), value.find("source")
        wanted = version.version() if version is not None else None
        kind = _source_text(source) if source is not None else None
        fits = [
            place
            for place in self._by_name.get(name, ())
            if (wanted is None or self.pinned[place].version == wanted)
            and (kind is None or self.pinned[place].source == kind)
        ]
        if not fits and name in self.roots:
            return None
        if len(fits) != 1:
            raise value.invalid(f"means {len(fits)} of the packages")
        return fits[0]

    def needs(self, table: Value, key: str, of_extra: NormalizedName | None = None) -> Iterator[Need]:
        """Give the edges of a list of dependencies."""
        for value in table.rows(key):
            child = self.child(value)
            if child is None:
                continue
            marker = value.find("marker")
            yield Need(
                child=child,
                extras=frozenset(extra.name("the extra") for extra in value.rows("extra")),
                marker=marker.marker() if marker is not None else None,
                of_extra=of_extra,
            )


def _asked(root: _Package, places: _Places) -> Iterator[tuple[Scope, tuple[Need, ...]]]:
    yield BASE, tuple(places.needs(root.value, "dependencies"))
    for key, kind in _KINDS:
        for name, value in root.value.fields(key):
            yield (
                Scope(kind=kind, name=value.as_name(name, f"the {kind}")),
                tuple(places.needs(root.value.get(key), name)),
            )


def _scopes(roots: list[_Package], places: _Places) -> dict[Scope, tuple[Need, ...]]:
    """Return what each scope asks for; a workspace without a project at its root is all its members."""
    found: dict[Scope, tuple[Need, ...]] = {BASE: ()}
    for root in roots:
        for scope, needs in _asked(root, places):
            found[scope] = (*found.get(scope, ()), *needs)
    if not roots:
        found[BASE] = tuple(_members(places))
    manifest = places.lock.find("manifest")
    if manifest is not None:
        found[BASE] = (*found[BASE], *_listed(manifest, "requirements", places))
        for name, value in manifest.fields("dependency-groups"):
            scope = Scope(kind="group", name=value.as_name(name, "the group"))
            found[scope] = (*found.get(scope, ()), *_listed(manifest.get("dependency-groups"), name, places))
    return found


def _members(places: _Places) -> Iterator[Need]:
    manifest = places.lock.find("manifest")
    names = {item.name("the member") for item in (manifest.rows("members") if manifest is not None else ())}
    for place, package in enumerate(places.pinned):
        if package.name in names:
            yield Need(child=place)


def _listed(table: Value, key: str, places: _Places) -> Iterator[Need]:
    """Requirements of a manifest: they have a specifier, and mean every package of the name, each where its fork is."""
    for value in table.rows(key):
        name = value.get("name").name("the requirement")
        marker = value.find("marker")
        wanted = frozenset(extra.name("the extra") for extra in value.rows("extras"))
        for place, package in enumerate(places.pinned):
            if package.name == name:
                fork = _fork(package)
                condition = marker.text() if marker is not None else ""
                both = " and ".join(f"({text})" for text in (condition, fork) if text)
                yield Need(child=place, extras=wanted, marker=value.marker(both))


def _fork(package: _Package) -> str:
    return " or ".join(f"({text})" for text in _texts(package.value, "resolution-markers"))


def _selector(root: _Package, scope: Scope) -> str:
    """Return uv's name for a scope in the markers of edges: what conflicts is told apart by it."""
    if scope == BASE:
        return ""
    return f"{scope.kind}-{len(root.name)}-{root.name}-{scope.name}"


def _pin(package: _Package, places: _Places, *, is_direct: bool) -> ForeignPin:
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
            text = place.text() if key != "url" else unquote(urlsplit(place.text()).path)
            name = text.replace("\\", "/").rpartition("/")[2]
            if name and name.isprintable():
                return name
    raise value.invalid("names no file")


def _reference(source: Value, package: Value) -> str:
    """Return what a source that is no index names, as the URL of a requirement."""
    for kind in _FOLDERS:
        folder = source.find(kind)
        if folder is not None:
            end = "#editable=true" if kind == "editable" else ""
            return source.reference(quoted_path(folder.text()) + end)
    path, url, git = source.find("path"), source.find("url"), source.find("git")
    if path is not None:
        return source.reference(quoted_path(posixpath.normpath(path.text())))
    if git is not None:
        return source.reference(_git(git))
    if url is not None:
        inner = source.find("subdirectory")
        digest = next((file.sha256 for file in _files(package) if file.sha256), None)
        parts = [f"sha256={digest}"] if digest else []
        parts += [f"subdirectory={inner.text()}"] if inner is not None else []
        return source.reference(url.text() + (f"#{'&'.join(parts)}" if parts else ""))
    raise source.invalid("is of a kind that is not known")


def _git(value: Value) -> str:
    """Return a commit: uv writes ``URL?tag=v1&subdirectory=x#commit``."""
    start, _, commit = value.text().partition("#")
    place, _, query = start.partition("?")
    if not commit:
        raise value.invalid("names no commit")
    wanted: Mapping[str, str] = dict(parse_qsl(query))
    inner = wanted.get("subdirectory")
    return f"git+{place}@{commit}" + (f"#subdirectory={inner}" if inner else "")


def _notes(pins: tuple[ForeignPin, ...], roots: list[_Package], source: str) -> Iterator[ForeignNote]:
    if len(roots) > 1:
        raise LockInvalid(f"{source}: {len(roots)} packages stand in the folder of the lock")
    for pin in pins:
        if any(file.sha256 is None for file in pin.files):
            yield note_without_sha256(str(pin.name), source)
