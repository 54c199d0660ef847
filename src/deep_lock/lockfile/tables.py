"""The tables of `deep.lock` as `msgspec.convert` reads them, and the rules that their values follow.

msgspec checks the types and names the table of a fault, `Fault` names the key in it. A table that has the shape of its
record is the record itself (`LockedBuild`, `LockedTarget`); the others return theirs as ``record``.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, get_args

from msgspec import Meta, Struct, field
from msgspec.structs import asdict, fields

from deep_lock.errors import DeepLockError, LimitExceeded, LockInvalid
from deep_lock.lockfile.fields import (
    Check,
    commit_fault,
    digest_fault,
    file_path_fault,
    filename_fault,
    folder_fault,
    inner_path_fault,
    label_fault,
    license_classifier_fault,
    license_fault,
    marker_fault,
    name_fault,
    object_fault,
    option_fault,
    parsed_version,
    path_fault,
    prefixed_digest_fault,
    repository_fault,
    requirement_fault,
    sdist_fault,
    source_fault,
    specifier_fault,
    text_fault,
    url_fault,
    url_filename,
    version_fault,
    wheel_fault,
)
from deep_lock.lockfile.index import called
from deep_lock.models.build_system import ConfigSettings, SettingValue
from deep_lock.models.conflicts import Conflict, choices, read_conflicts
from deep_lock.models.lock import (
    BUILD_GROUP,
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedInputs,
    LockedMarks,
    LockedPackage,
    LockedReference,
    LockedSource,
    LockedTarget,
    LockedTree,
    LockedVcs,
    OptionValue,
    source_text,
)
from deep_lock.models.workspace import Member, implied_scopes, scope_text, scopes_of
from deep_lock.sanitize import show
from deep_lock.targets.markers import Scope

MAX_INTEGER = 2**63 - 1
"""TOML's own bound."""

Record = TypeVar("Record", bound=Struct)
Texts = tuple[str, ...]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Moment = Annotated[datetime, Meta(tz=True)]

KINDS = {
    "str": "a string",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a float",
    "array": "an array",
    "list": "an array",
    "object": "a table",
    "dict": "a table",
}
"""By the name of its type, in Python and in msgspec; the others are dates and times."""


class Fault(ValueError):
    """A value that breaks a rule. ``key`` is its location, seen from the table that msgspec names; "" is the table."""

    def __init__(self, key: str, reason: str, error: type[DeepLockError] = LockInvalid) -> None:
        super().__init__(reason)
        self.key = key
        self.error = error


def _group_fault(text: str) -> str:
    """Installers can select a group that is listed: packages that only builds need must never be in one."""
    return (
        f"{BUILD_GROUP!r} is reserved for packages that only builds need" if text == BUILD_GROUP else name_fault(text)
    )


def _moment_fault(moment: datetime) -> str:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return "is out of bounds"
    return ""


def _setting_fault(text: str) -> str:
    return text_fault(text) if text else "is not the name of a setting"


def _check_text(key: str, text: str, check: Check) -> None:
    reason = check(text)
    if reason:
        raise Fault(key, reason)


def _check_url(key: str, url: str | None) -> None:
    fault = url_fault(url) if url is not None else None
    if fault is not None:
        raise Fault(key, fault[1], fault[0])


def _check_unique(key: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        position = next(position for position, name in enumerate(names) if name in names[:position])
        raise Fault(f"{key}[{position}]", f"{names[position]!r} is listed twice")


def check_values(table: Struct, location: str = "") -> None:
    """Check each value of a table by the rule of its field. Raises Fault."""
    for name, check in _RULES[type(table)].items():
        value = getattr(table, name)
        if value is None:
            continue
        if isinstance(value, tuple):
            for position, item in enumerate(value):
                if reason := check(item):
                    raise Fault(f"{location}{name.replace('_', '-')}[{position}]", reason)
        elif reason := check(value):
            raise Fault(location + name.replace("_", "-"), reason)


@lru_cache(maxsize=32)
def _shared_fields(kind: type[Struct], table: type[Struct]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if hasattr(table, name))


def _record(kind: type[Record], table: Struct, **values: object) -> Record:
    """Return a record of these values, and for its other fields those of the table that have the same names."""
    return kind(**({name: getattr(table, name) for name in _shared_fields(kind, type(table))} | values))


class _Table(Struct, frozen=True, kw_only=True, rename="kebab", gc=False):
    def __post_init__(self) -> None:
        check_values(self)


class HashTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``hashes``. A sha256 and nothing else."""

    sha256: str


class FileTable(_Table, frozen=True, kw_only=True, rename="kebab"):
    """``packages.sdist``, or one of ``packages.wheels``."""

    name: str
    url: str | None = None
    path: str | None = None
    upload_time: Moment | None = None
    size: Count | None = None
    hashes: HashTable

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_url("url", self.url)
        if self.path is None and self.url is None:
            raise Fault("url", "is missing")
        if self.path is not None and self.url is not None:
            # PEP 751 leaves it to the installer which of the two it uses
            raise Fault("path", "cannot be used with 'url': a file has one location")

    @property
    def location(self) -> tuple[str, str]:
        """The key of the location, and the file name that it ends in."""
        if self.url is not None:
            return "url", url_filename(self.url)
        return "path", (self.path or "").rpartition("/")[2]

    def record(self) -> LockedFile:
        moment = None if self.upload_time is None else self.upload_time.astimezone(UTC)
        return _record(LockedFile, self, sha256=self.hashes.sha256, upload_time=moment)


class ArchiveTable(_Table, frozen=True, kw_only=True, rename="kebab"):
    """``packages.archive``."""

    url: str | None = None
    path: str | None = None
    size: Count | None = None
    hashes: HashTable
    subdirectory: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_url("url", self.url)
        if (self.url is None) == (self.path is None):
            raise Fault("url", "or 'path' is the location of the file, and only one of them")

    def record(self) -> LockedArchive:
        return _record(LockedArchive, self, sha256=self.hashes.sha256)


class VcsTable(_Table, frozen=True, kw_only=True, rename="kebab"):
    """``packages.vcs``: of git alone."""

    type: Literal["git"]
    url: str | None = None
    path: str | None = None
    requested_revision: str | None = None
    commit_id: str
    subdirectory: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.url is None) == (self.path is None):
            raise Fault("url", "or 'path' is the location of the repository, and only one of them")

    def record(self) -> LockedVcs:
        return _record(LockedVcs, self)


class _SourcedTable(_Table, frozen=True, kw_only=True, rename="kebab"):
    name: str
    version: str | None = None
    archive: ArchiveTable | None = None
    directory: LockedDirectory | None = None
    vcs: VcsTable | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = [kind for kind in ("archive", "directory", "vcs") if getattr(self, kind) is not None]
        if len(kinds) > 1:
            raise Fault(kinds[1], f"cannot be used with {kinds[0]!r}: a package has one source")
        if self.directory is not None:
            check_values(self.directory, "directory.")

    @property
    def source(self) -> LockedSource | None:
        if self.archive is not None:
            return self.archive.record()
        return self.directory if self.vcs is None else self.vcs.record()


class ReferenceTable(_SourcedTable, frozen=True, kw_only=True):
    """One of ``packages.dependencies``."""

    index: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_url("index", self.index)

    def record(self) -> LockedReference:
        return _record(LockedReference, self)


class PackageTool(Struct, frozen=True, kw_only=True, rename="kebab"):
    """``packages.tool``."""

    deep_lock: LockedMarks = field(default_factory=LockedMarks)


class PackageTable(_SourcedTable, frozen=True, kw_only=True, rename="kebab"):
    """One of ``packages``."""

    marker: str | None = None
    requires_python: str | None = None
    dependencies: tuple[ReferenceTable, ...] = ()
    index: str | None = None
    sdist: FileTable | None = None
    wheels: tuple[FileTable, ...] = ()
    attestation_identities: tuple[dict[str, Any], ...] = ()
    tool: PackageTool = field(default_factory=PackageTool)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_values(self.tool.deep_lock, "tool.deep-lock.")
        _check_url("index", self.index)
        for position, identity in enumerate(self.attestation_identities):
            _check_identity(f"attestation-identities[{position}]", identity)
        self._check_source()
        self._check_files()

    def _check_source(self) -> None:
        if self.version is None and self.archive is None and self.directory is None and self.vcs is None:
            raise Fault("version", "is missing")
        if self.version is not None and (self.directory is not None or self.vcs is not None):
            raise Fault("version", "cannot be used with a source tree, whose version may change (PEP 751)")

    def _check_files(self) -> None:
        version = self.version or ""
        if self.sdist is not None:
            _check_file("sdist", self.sdist, sdist_fault(self.sdist.name, self.name, version))
        for position, wheel in enumerate(self.wheels):
            _check_file(f"wheels[{position}]", wheel, wheel_fault(wheel.name, self.name, version))
        _check_unique("wheels", [wheel.name for wheel in self.wheels])
        files = self.wheels if self.sdist is None else (self.sdist, *self.wheels)
        if self.archive is not None or self.directory is not None or self.vcs is not None:
            if files or self.index is not None:
                raise Fault("" if self.index is None else "index", "cannot be used with a direct source")
        elif not files:
            raise Fault("", "has neither an sdist nor a wheel")
        if self.index is None and any(file.url is not None for file in files):
            raise Fault("index", "is missing: only a package of files that have a path has no index")

    def record(self) -> LockedPackage:
        return _record(
            LockedPackage,
            self,
            dependencies=tuple(reference.record() for reference in self.dependencies),
            sdist=None if self.sdist is None else self.sdist.record(),
            wheels=tuple(wheel.record() for wheel in self.wheels),
            attestation_identities=tuple(tuple(sorted(each.items())) for each in self.attestation_identities),
            **asdict(self.tool.deep_lock),
        )


def _check_file(location: str, file: FileTable, name_fault: str) -> None:
    if name_fault:
        raise Fault(f"{location}.name", name_fault)
    key, name = file.location
    if name != file.name:
        raise Fault(f"{location}.{key}", f"does not end in the file's name, {file.name!r}")


def _check_identity(location: str, identity: Mapping[str, Any]) -> None:
    if "kind" not in identity:
        raise Fault(f"{location}.kind", "is missing")
    for key in sorted(identity):
        _text(f"{location}.{show(key)}", identity[key], text_fault)


def _check_build(build: LockedBuild, location: str) -> None:
    """Check one build record: of the sdist of a package, of a direct source, or of the project."""
    check_values(build, f"{location}.")
    for key, members in (("packages", build.packages), ("declared-packages", build.declared_packages or ())):
        for position, member in enumerate(members):
            check_values(member, f"{location}.{key}[{position}].")
        _check_unique(f"{location}.{key}", [member.name for member in members])
    _check_build_source(build, f"{location}.")


def _check_build_source(build: LockedBuild, location: str) -> None:
    project = build.needed == "project"
    if build.hook is not None and not project:
        raise Fault(f"{location}hook", "belongs to the project's build alone: everything else is built as a wheel")
    if build.needed == "direct":
        if build.source is None:
            raise Fault(f"{location}source", "is missing")
        return
    if build.source is None and (build.sdist is None or build.version is None):
        raise Fault(f"{location}{'sdist' if build.sdist is None else 'version'}", "is missing")
    if build.source is not None and build.sdist is not None:
        raise Fault(f"{location}sdist", "cannot be used with 'source': the project is built from its tree")
    if build.source is not None and build.cargo_lock is not None:
        raise Fault(f"{location}cargo-lock", "cannot be used with 'source': only the bytes of an sdist are locked")
    if (build.source is not None) != project:
        raise Fault(f"{location}needed", "must be 'project' if there is a 'source', and only then")


class InputTable(_Table, frozen=True, kw_only=True, rename="kebab"):
    """``tool.deep-lock.inputs``."""

    sources: Texts = ()
    pinned: bool = False
    requirements: Texts = ()
    extras: dict[str, Any] = {}
    dependency_groups: dict[str, Any] = {}
    constraints: Texts = ()
    overrides: Texts = ()
    build_constraints: Texts = ()
    extra_build_requires: dict[str, Any] = {}
    config_settings: dict[str, Any] = {}
    build_requires: Texts | None = None
    conflicts: list[Any] = []
    members: tuple[Member, ...] = ()
    trees: tuple[LockedTree, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for position, tree in enumerate(self.trees):
            check_values(tree, f"trees[{position}].")
        for position, member in enumerate(self.members):
            check_values(member, f"members[{position}].")
        _check_members(self.members, self.extras, self.dependency_groups)
        self.record()

    def record(self) -> LockedInputs:
        return _record(
            LockedInputs,
            self,
            extras=_requirement_lists("extras", self.extras),
            dependency_groups=_requirement_lists("dependency-groups", self.dependency_groups),
            extra_build_requires=_requirement_lists("extra-build-requires", self.extra_build_requires),
            config_settings=_config_settings("config-settings", self.config_settings),
            conflicts=_conflicts(self.conflicts, (*self.extras, *self.dependency_groups), self.members),
        )


# Tables whose keys are data: msgspec does not name such a key in a message.


def _wrong_kind(location: str, wanted: str, value: object) -> Fault:
    return Fault(location, f"must be {wanted}, not {KINDS.get(type(value).__name__, 'a date or time')}")


def _text(location: str, value: object, check: Check) -> str:
    if not isinstance(value, str):
        raise _wrong_kind(location, "a string", value)
    _check_text(location, value, check)
    return value


def _texts(location: str, value: object, check: Check) -> Texts:
    if not isinstance(value, list):
        raise _wrong_kind(location, "an array", value)
    return tuple(_text(f"{location}[{position}]", item, check) for position, item in enumerate(value))


def _items(location: str, table: Mapping[str, Any], check: Check) -> list[tuple[str, str, Any]]:
    """Return the location, the key and the value of each item, sorted by key. ``check`` is the rule of the keys."""
    items = [(f"{location}.{show(key)}", key, value) for key, value in sorted(table.items())]
    for where, key, _ in items:
        _check_text(where, key, check)
    return items


def _requirement_lists(location: str, table: Mapping[str, Any]) -> tuple[tuple[str, Texts], ...]:
    return tuple(
        (name, _texts(where, value, requirement_fault)) for where, name, value in _items(location, table, name_fault)
    )


def _conflicts(value: object, names: Collection[str], members: Sequence[Member]) -> tuple[Conflict, ...]:
    try:
        conflicts = read_conflicts(value)
    except ValueError as error:
        raise Fault("conflicts", str(error)) from None
    for scope in (scope for conflict in conflicts for scope in conflict):
        if scope.name not in names:
            raise Fault("conflicts", f"names {scope_text(scope)}, which the inputs do not have")
    try:
        choices(conflicts, {scope for conflict in conflicts for scope in conflict}, implied_scopes(members))
    except LimitExceeded as error:
        raise Fault("conflicts", error.message) from None
    return conflicts


def _check_members(members: Sequence[Member], extras: Collection[str], groups: Collection[str]) -> None:
    """Check that each part of a member has its requirements among the inputs, and belongs to no other member."""
    seen: set[Scope] = set()
    for position, member in enumerate(members):
        for own, scope in scopes_of(member).items():
            at, what = f"members[{position}]", scope_text(own)
            # of a lock of some groups only, what the member itself requires may not be locked
            if own.name and scope.name not in (extras if scope.kind == "extra" else groups):
                raise Fault(at, f"has the {what}, and the inputs have no {scope.kind} {scope.name!r}")
            if scope in seen:
                raise Fault(at, f"another member has the {scope.kind} {scope.name!r} too")
            seen.add(scope)


def _config_settings(location: str, table: Mapping[str, Any]) -> tuple[tuple[str, ConfigSettings], ...]:
    settings: list[tuple[str, ConfigSettings]] = []
    for where, name, own in _items(location, table, name_fault):
        if not isinstance(own, dict):
            raise _wrong_kind(where, "a table", own)
        if not own:
            raise Fault(where, "is empty")
        settings.append(
            (name, tuple((key, _setting(at, value)) for at, key, value in _items(where, own, _setting_fault)))
        )
    return tuple(settings)


def _setting(location: str, value: object) -> SettingValue:
    return _texts(location, value, text_fault) if isinstance(value, list) else _text(location, value, text_fault)


def _option(location: str, value: object) -> OptionValue:
    match value:
        case bool():
            return value
        case int():
            if not 0 <= value <= MAX_INTEGER:
                raise Fault(location, "must be an integer from 0 to 2**63 - 1")
            return value
        case datetime():
            if value.tzinfo is None:
                raise _wrong_kind(location, "a date-time with its zone", value)
            reason = _moment_fault(value)
            if reason:
                raise Fault(location, reason)
            return value.astimezone(UTC)
        case _:
            return _setting(location, value)


class ToolTable(_Table, frozen=True, kw_only=True, rename="kebab"):
    """``tool.deep-lock``."""

    version: Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
    revision: Count
    inputs: InputTable = field(default_factory=InputTable)
    options: dict[str, Any] = {}
    indexes: dict[str, Any] = {}
    targets: tuple[LockedTarget, ...] = ()
    builds: tuple[LockedBuild, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.option_values()
        self.index_urls()
        names: set[str] = set()
        for position, target in enumerate(self.targets):
            check_values(target, f"targets[{position}].")
            if target.name in names:
                raise Fault(f"targets[{position}].name", f"{target.name!r} is declared twice")
            names.add(target.name)
        self._check_builds()

    def _check_builds(self) -> None:
        seen: set[tuple[str | bool | None, ...]] = set()
        for position, build in enumerate(self.builds):
            _check_build(build, f"builds[{position}]")
            for label in build.targets or ("",):
                # a folder that the project requires may require the project in turn: then it is built as a package too
                key = build.name, build.version, build.source, build.needed == "project", build.hook, label
                if key in seen:
                    target = f" for {label}" if label else ""
                    raise Fault(f"builds[{position}]", f"{called(build)} has a record{target} already")
                seen.add(key)

    def option_values(self) -> tuple[tuple[str, OptionValue], ...]:
        return tuple(
            (key, _option(where, value)) for where, key, value in _items("options", self.options, option_fault)
        )

    def index_urls(self) -> tuple[tuple[str, str], ...]:
        urls = []
        for where, name, value in _items("indexes", self.indexes, label_fault):
            url = _text(where, value, lambda _: "")
            _check_url(where, url)
            urls.append((name, url))
        return tuple(urls)


class DocumentTool(Struct, frozen=True, kw_only=True, rename="kebab"):
    """``tool``."""

    deep_lock: ToolTable


class Document(_Table, frozen=True, kw_only=True, rename="kebab"):
    """The whole file."""

    lock_version: str
    environments: Texts = ()
    requires_python: str | None = None
    extras: Texts = ()
    dependency_groups: Texts = ()
    default_groups: Texts = ()
    created_by: str
    packages: tuple[PackageTable, ...]
    tool: DocumentTool

    def __post_init__(self) -> None:
        super().__post_init__()
        seen: set[tuple[object, ...]] = set()
        for position, package in enumerate(self.packages):
            index = package.index if package.tool.deep_lock.by_index else None
            source = source_text(package.source)
            key = package.name, package.version and parsed_version(package.version), source, index
            if key in seen:
                raise Fault(f"packages[{position}]", f"{called(package.record())} is listed twice")
            seen.add(key)

    def record(self) -> Lock:
        tool = self.tool.deep_lock
        return _record(
            Lock,
            self,
            version=tool.version,
            revision=tool.revision,
            inputs=tool.inputs.record(),
            options=tool.option_values(),
            indexes=tool.index_urls(),
            targets=tool.targets,
            builds=tool.builds,
            packages=tuple(package.record() for package in self.packages),
        )


@lru_cache(maxsize=64)
def known_keys(kind: type[Struct]) -> tuple[frozenset[str], Mapping[str, type[Struct]]]:
    """Return the keys of a table, and the kinds of the tables in it: of a key's value, or of the items of its array."""
    tables = {each.encode_name: _table_in(each.type) for each in fields(kind)}
    return frozenset(tables), {key: inner for key, inner in tables.items() if inner is not None}


def _table_in(annotation: Any) -> type[Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        # what forbids unknown keys, does so in any revision
        return None if annotation.__struct_config__.forbid_unknown_fields else annotation
    return next((kind for kind in map(_table_in, get_args(annotation)) if kind is not None), None)


_RULES: Mapping[type[Struct], Mapping[str, Any]] = {
    Document: {
        "lock_version": text_fault,
        "environments": marker_fault,
        "requires_python": specifier_fault,
        "extras": name_fault,
        "dependency_groups": _group_fault,
        "default_groups": _group_fault,
        "created_by": text_fault,
    },
    ToolTable: {},
    InputTable: {
        "sources": path_fault,
        "requirements": requirement_fault,
        "constraints": requirement_fault,
        "overrides": requirement_fault,
        "build_constraints": requirement_fault,
        "build_requires": requirement_fault,
    },
    LockedTree: {
        "path": folder_fault,
        "requirements": requirement_fault,
        "build_requires": requirement_fault,
        "requires_python": specifier_fault,
    },
    Member: {"name": name_fault, "path": folder_fault, "extras": name_fault, "dependency_groups": name_fault},
    LockedTarget: {"name": label_fault, "marker": marker_fault, "python": label_fault, "platform": label_fault},
    PackageTable: {
        "name": name_fault,
        "version": version_fault,
        "marker": marker_fault,
        "requires_python": specifier_fault,
    },
    LockedMarks: {
        "build": text_fault,
        "build_on": label_fault,
        "license": license_fault,
        "license_classifiers": license_classifier_fault,
        "yanked": text_fault,
    },
    ReferenceTable: {"name": name_fault, "version": version_fault},
    LockedDirectory: {"path": folder_fault, "subdirectory": inner_path_fault},
    VcsTable: {
        "url": repository_fault,
        "path": folder_fault,
        "requested_revision": text_fault,
        "commit_id": commit_fault,
        "subdirectory": inner_path_fault,
    },
    ArchiveTable: {"path": folder_fault, "subdirectory": inner_path_fault},
    FileTable: {"name": filename_fault, "path": file_path_fault, "upload_time": _moment_fault},
    HashTable: {"sha256": digest_fault},
    LockedBuild: {
        "name": name_fault,
        "version": version_fault,
        "source": source_fault,
        "sdist": prefixed_digest_fault,
        "cargo_lock": prefixed_digest_fault,
        "targets": label_fault,
        "backend": object_fault,
        "backend_path": inner_path_fault,
        "requires": requirement_fault,
        "requires_user": requirement_fault,
        "requires_dynamic": requirement_fault,
        "conditional": text_fault,
        "observed_on": label_fault,
    },
    EnvironmentMember: {"name": name_fault, "version": version_fault, "dependencies": name_fault},
}
"""By table: the rule of each field that has one. None and absent need no rule."""
