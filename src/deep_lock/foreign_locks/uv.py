"""uv.lock, as ``uv sync --frozen`` installs from it: a graph, in which forks give a name several versions."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct
from packaging.markers import Marker
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import LimitExceeded, LockInvalid
from deep_lock.foreign_locks.reader import MAX_FILES, MAX_LOCK, Value, extras_selected, note_without_sha256, sha256_of
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import ForeignFile, ForeignLock, ForeignNote, ForeignPin, Need
from deep_lock.parsing.toml import read_toml
from deep_lock.targets.markers import BASE, Scope

MAX_EDGES = 200_000
"""Followed while the lock is read: edges of what is no pin are followed once for each way to it."""
MAX_THROUGH = 50
"""Members without a package, one behind the other."""

_OWN = ("virtual", "editable")
_KINDS: tuple[tuple[str, Literal["extra", "group"], tuple[str, str]], ...] = (
    ("optional-dependencies", "extra", ("metadata", "provides-extras")),
    ("dev-dependencies", "group", ("metadata", "requires-dev")),
)

Asked = dict[Scope, tuple[Need, ...]]


class UvPackage(Struct, frozen=True, kw_only=True):
    value: Value
    number: int
    name: NormalizedName
    version: Version | None
    source: str
    """Kind and place, as one text: what tells two packages of a name and a version apart."""
    is_root: bool
    """It stands in the folder of the lock."""
    is_pin: bool
    """Whether uv installs it beside the project."""


def marker_texts(table: Value, key: str) -> Iterator[str]:
    for item in table.rows(key):
        item.marker()
        yield item.text()


def read_package(value: Value, number: int) -> UvPackage:
    version = value.find("version")
    source = value.get("source")
    is_root = any((own := source.find(kind)) is not None and own.raw == "." for kind in _OWN)
    return UvPackage(
        value=value,
        number=number,
        name=value.get("name").name("the project"),
        version=version.version() if version is not None else None,
        source=_source_text(source),
        is_root=is_root,
        is_pin=not is_root and not source.has("virtual"),
    )


def _source_text(source: Value) -> str:
    return "|".join(f"{key}={value.text()}" for key, value in sorted(source.entries()) if isinstance(value.raw, str))


def uv_roots(lock: Value, packages: list[UvPackage]) -> list[UvPackage]:
    """Return the project, or of a workspace without one at its root all its members."""
    roots = [package for package in packages if package.is_root]
    if len(roots) > 1:
        raise lock.invalid(f"has {len(roots)} packages that stand in the folder of the lock")
    manifest = lock.find("manifest")
    if roots or manifest is None:
        return roots
    names = {item.name("the member") for item in manifest.rows("members")}
    return [package for package in packages if package.name in names]


class UvPlaces:
    """Where packages stand among the pins, and what a dependency means."""

    def __init__(self, lock: Value, packages: list[UvPackage]) -> None:
        self.lock = lock
        self.conflicting = lock.has("conflicts")
        self.pinned = [package for package in packages if package.is_pin]
        self.place = {package.number: place for place, package in enumerate(self.pinned)}
        self._by_name: dict[NormalizedName, list[UvPackage]] = {}
        self._left = MAX_EDGES
        for package in packages:
            self._by_name.setdefault(package.name, []).append(package)

    def needs(self, table: Value, key: str, of_extra: NormalizedName | None = None) -> Iterator[Need]:
        """Give the edges of a list of dependencies."""
        return self._needs(table, key, _Way(of_extra=of_extra))

    def wanted(self, package: UvPackage, extra: NormalizedName | None = None) -> Iterator[Need]:
        """Give the edge to a package, or those that stand for it."""
        extras = frozenset((extra,)) if extra is not None else frozenset[NormalizedName]()
        return self._edge(package.value, package, extras, _Way())

    def _needs(self, table: Value, key: str, way: "_Way") -> Iterator[Need]:
        for value in table.rows(key):
            marker = value.find("marker")
            extras = frozenset(extra.name("the extra") for extra in value.rows("extra"))
            onward = _Way(
                of_extra=way.of_extra,
                conditions=(*way.conditions, marker.text()) if marker is not None else way.conditions,
                selects=way.selects,
                through=way.through,
            )
            yield from self._edge(value, self._meant(value), extras, onward)

    def _edge(self, value: Value, package: UvPackage, extras: frozenset[NormalizedName], way: "_Way") -> Iterator[Need]:
        self._left -= 1
        if self._left < 0 or len(way.through) > MAX_THROUGH:
            raise LimitExceeded(f"{value.source}: {value.place} leads too far, or in too many ways")
        selects = way.selects
        if self.conflicting:
            selects |= {_selector("extra", package, extra) for extra in extras}
        if package.is_pin:
            yield Need(
                child=self.place[package.number],
                extras=extras,
                marker=_marker(value, way.conditions),
                selects=selects,
                of_extra=way.of_extra,
            )
            return
        for extra in (None, *sorted(extras)):
            step = (package.number, extra)
            if step not in way.through:
                onward = _Way(
                    of_extra=way.of_extra, conditions=way.conditions, selects=selects, through=(*way.through, step)
                )
                listing = _listing(package, extra)
                yield from self._needs(*listing, onward) if listing is not None else ()

    def _meant(self, value: Value) -> UvPackage:
        name = value.get("name").name("the dependency")
        version, source = value.find("version"), value.find("source")
        wanted = version.version() if version is not None else None
        kind = _source_text(source) if source is not None else None
        fits = [
            package
            for package in self._by_name.get(name, ())
            if (wanted is None or package.version == wanted) and (kind is None or package.source == kind)
        ]
        if len(fits) != 1:
            raise value.invalid(f"means {len(fits)} of the packages")
        return fits[0]


class _Way(Struct, frozen=True, kw_only=True):
    """How an edge was come to, through packages that are no pins."""

    of_extra: NormalizedName | None = None
    conditions: tuple[str, ...] = ()
    selects: frozenset[str] = frozenset()
    through: tuple[tuple[int, NormalizedName | None], ...] = ()


def _listing(package: UvPackage, extra: NormalizedName | None) -> tuple[Value, str] | None:
    """Return the table and the key of what a package, or an extra that it has, depends on."""
    if extra is None:
        return package.value, "dependencies"
    for name, value in package.value.fields("optional-dependencies"):
        if value.as_name(name, "the extra") == extra:
            return package.value.get("optional-dependencies"), name
    return None


def _marker(value: Value, conditions: tuple[str, ...]) -> Marker | None:
    texts = [text for text in conditions if text.strip()]
    together = " and ".join(f"({text})" for text in texts) if len(texts) > 1 else "".join(texts)
    return value.marker(extras_selected(together)[0])


def _asked(root: UvPackage, places: UvPlaces) -> Iterator[tuple[Scope, tuple[Need, ...]]]:
    yield BASE, tuple(places.wanted(root))
    for key, kind, (table, told) in _KINDS:
        for name, value in root.value.fields(key):
            own = value.as_name(name, f"the {kind}")
            of_pin = kind == "extra" and root.is_pin
            needs = places.wanted(root, own) if of_pin else places.needs(root.value.get(key), name)
            yield Scope(kind=kind, name=own), tuple(needs)
        for name in _empty(root.value.find(table), told, kind):
            yield Scope(kind=kind, name=name), ()


def _empty(metadata: Value | None, key: str, what: str) -> Iterator[NormalizedName]:
    """Give the extras or groups that the project says it has: one that asks for nothing has no edges."""
    told = metadata.find(key) if metadata is not None else None
    if told is not None and isinstance(told.raw, dict):
        yield from (value.as_name(name, f"the {what}") for name, value in told.entries())
    elif told is not None:
        yield from (item.name(f"the {what}") for item in told.items())


def uv_scopes(roots: list[UvPackage], places: UvPlaces) -> Asked:
    """Return what each scope asks for."""
    found: Asked = {BASE: ()}
    for root in roots:
        for scope, needs in _asked(root, places):
            found[scope] = (*found.get(scope, ()), *needs)
    manifest = places.lock.find("manifest")
    if manifest is not None:
        found[BASE] = (*found[BASE], *_listed(manifest, "requirements", places))
        for name, value in manifest.fields("dependency-groups"):
            scope = Scope(kind="group", name=value.as_name(name, "the group"))
            found[scope] = (*found.get(scope, ()), *_listed(manifest.get("dependency-groups"), name, places))
    return found


def _listed(table: Value, key: str, places: UvPlaces) -> Iterator[Need]:
    """Requirements of a manifest: they have a specifier, and mean every package of the name, each where its fork is."""
    for value in table.rows(key):
        name = value.get("name").name("the requirement")
        marker = value.find("marker")
        wanted = frozenset(extra.name("the extra") for extra in value.rows("extras"))
        for place, package in enumerate(places.pinned):
            if package.name == name:
                fork = _fork(package)
                condition = marker.text() if marker is not None else ""
                yield Need(child=place, extras=wanted, marker=_marker(value, (condition, fork)))


def _fork(package: UvPackage) -> str:
    return " or ".join(f"({text})" for text in marker_texts(package.value, "resolution-markers"))


def uv_selectors(roots: list[UvPackage], scopes: Asked) -> tuple[tuple[Scope, frozenset[str]], ...]:
    return tuple(
        (scope, frozenset(_selector("project" if scope == BASE else scope.kind, root, scope.name) for root in roots))
        for scope in scopes
    )


def uv_conflicts(lock: Value, roots: list[UvPackage]) -> Iterator[frozenset[Scope]]:
    """Give the sets of scopes that exclude each other. What excludes extras of other packages, edges say."""
    names = {root.name for root in roots}
    for conflict in lock.rows("conflicts"):
        own = frozenset(
            _conflicting(item) for item in conflict.items() if item.get("package").name("the package") in names
        )
        if len(own) > 1:
            yield own


def _conflicting(item: Value) -> Scope:
    extra, group = item.find("extra"), item.find("group")
    if extra is not None:
        return Scope(kind="extra", name=extra.name("the extra"))
    return Scope(kind="group", name=group.name("the group")) if group is not None else BASE


def _selector(kind: str, package: UvPackage, name: str) -> str:
    """Return uv's name for a project, an extra or a group of it in markers: what conflicts is told apart by it."""
    return f"{kind}-{len(package.name)}-{package.name}" + (f"-{name}" if name else "")


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
