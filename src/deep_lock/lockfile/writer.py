"""A Lock as the text of `deep.lock`: PEP 751 in its own key order, one file a line, one requirement a line.

Invariant: the bytes depend on the content alone. There is no date, no tool version and no digest of the whole, which
would only make merge conflicts; and a line never breaks because it grew.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace
from packaging.version import Version

from deep_lock.errors import LockInvalid, UrlForbidden
from deep_lock.lockfile.fields import folder_fault, parsed_version, repository_fault, requirement_fault, url_fault
from deep_lock.models.lock import (
    CREATED_BY,
    LOCK_VERSION,
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
from deep_lock.parsing.toml import key_text, moment_text, quoted, value_text

Item = TypeVar("Item")
Record = TypeVar("Record", bound=Struct)

DEFAULT_INDEX = "default"
_MARKS = [key for key in LockedMarks.__struct_encode_fields__ if key != "unknown"]


@lru_cache(maxsize=16384)
def _version(text: str) -> Version:
    version = parsed_version(text)
    if version is None:
        raise LockInvalid(f"{text!r} is not a version, and cannot be written to a lock")
    return version


def ordered(lock: Lock) -> Lock:
    """Return the lock in canonical order, times in UTC.

    Packages and builds are sorted by name and version, files by name, arrays by text, environments as their targets.
    ``backend-path`` keeps its order: it is a search path. Raises LockInvalid on an invalid version.
    """
    targets = tuple(sorted(lock.targets, key=lambda target: target.name))
    positions = {target.marker: position for position, target in reversed(list(enumerate(targets)))}
    return replace(
        _with_sorted_texts(lock),
        environments=_sorted(lock.environments, lambda marker: (positions.get(marker, len(positions)), marker)),
        requires_python=lock.requires_python or None,
        inputs=_ordered_inputs(lock.inputs),
        options=_sorted((key, _ordered_option(value)) for key, value in lock.options),
        indexes=_sorted(lock.indexes, lambda index: (index[0] != DEFAULT_INDEX, index)),
        targets=targets,
        packages=_sorted(map(_ordered_package, lock.packages), _package_key),
        builds=_sorted(map(_ordered_build, lock.builds), _build_key),
    )


def _sorted(items: Iterable[Item], key: Callable[[Item], Any] | None = None) -> tuple[Item, ...]:
    return tuple(sorted(items, key=key))  # type: ignore[type-var, arg-type]  # without a key, each Item here is comparable


@lru_cache(maxsize=32)
def _text_arrays(kind: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a record that are arrays of texts, but for ``backend_path``, whose order has a meaning."""
    arrays = (tuple[str, ...], tuple[str, ...] | None)
    return tuple(field.name for field in fields(kind) if field.type in arrays and field.name != "backend_path")


def _with_sorted_texts(record: Record) -> Record:
    arrays = [(name, getattr(record, name)) for name in _text_arrays(type(record))]
    changed = {name: in_order for name, texts in arrays if texts and (in_order := _sorted(texts)) != texts}
    return replace(record, **changed) if changed else record


def _sorted_lists(lists: Iterable[tuple[str, tuple[Item, ...]]]) -> tuple[tuple[str, tuple[Item, ...]], ...]:
    return _sorted((name, _sorted(items)) for name, items in lists)


def _ordered_inputs(inputs: LockedInputs) -> LockedInputs:
    return replace(
        _with_sorted_texts(inputs),
        extras=_sorted_lists(inputs.extras),
        dependency_groups=_sorted_lists(inputs.dependency_groups),
        extra_build_requires=_sorted_lists(inputs.extra_build_requires),
        config_settings=_sorted_lists(inputs.config_settings),
        trees=_sorted(map(_with_sorted_texts, inputs.trees), lambda tree: tree.path),
    )


def _ordered_option(value: OptionValue) -> OptionValue:
    if isinstance(value, tuple):
        return _sorted(value)
    return _in_utc(value) if isinstance(value, datetime) else value


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        # astimezone() would take the zone of this machine
        raise LockInvalid(f"{moment.isoformat()}: a time without a zone cannot be written to a lock")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _ordered_file(file: LockedFile) -> LockedFile:
    if file.upload_time is None or file.upload_time.tzinfo is UTC:
        return file
    return replace(file, upload_time=_in_utc(file.upload_time))


def _package_key(entry: LockedPackage | LockedReference) -> tuple[str, bool, Version, str]:
    return entry.name, entry.version is not None, _version(entry.version or "0"), source_text(entry.source)


def _build_key(build: LockedBuild) -> tuple[str, bool, Version, str, str, tuple[str, ...]]:
    version = _version(build.version or "0")
    return build.name, build.version is not None, version, build.source or "", build.hook or "", build.targets


def _ordered_package(entry: LockedPackage) -> LockedPackage:
    return replace(
        _with_sorted_texts(entry),
        requires_python=entry.requires_python or None,
        dependencies=_sorted(entry.dependencies, _package_key),
        sdist=None if entry.sdist is None else _ordered_file(entry.sdist),
        wheels=_sorted(map(_ordered_file, entry.wheels), lambda file: file.name),
        attestation_identities=_sorted(map(_sorted, entry.attestation_identities)),
    )


def _ordered_build(build: LockedBuild) -> LockedBuild:
    declared = build.declared_packages
    return replace(
        _with_sorted_texts(build),
        packages=_ordered_members(build.packages),
        declared_packages=None if declared is None else _ordered_members(declared),
    )


def _ordered_members(members: tuple[EnvironmentMember, ...]) -> tuple[EnvironmentMember, ...]:
    return _sorted(map(_with_sorted_texts, members), lambda member: (member.name, _version(member.version)))


HEADER = '# Generated by deep-lock. Do not edit: run "deep-lock lock", verify with "deep-lock lock --check".'


def to_text(lock: Lock) -> str:
    """Return the whole file, in canonical order.

    Raises LockInvalid on what cannot be written, and UrlForbidden on a URL that must not be: above all credentials.
    """
    lock = ordered(lock)
    lines = [HEADER, *_top_lines(lock)]
    for package in lock.packages:
        lines += [*_package_lines(package), *_mark_lines(package)]
    lines += _tool_lines(lock)
    for build in lock.builds:
        lines += _build_lines(build)
    lines.append("")
    return "\n".join(lines)


def to_pylock(lock: Lock, comment: Iterable[str]) -> str:
    """Return the lock as a plain PEP 751 file, in canonical order: without ``tool`` tables.

    ``comment`` has the lines at the top, each safe to show. Raises as `to_text`.
    """
    lock = ordered(lock)
    lines = [*(f"# {line}" for line in comment), *_top_lines(lock)]
    for package in lock.packages:
        lines += _package_lines(package)
    lines.append("")
    return "\n".join(lines)


def _text(key: str, value: str | None) -> list[str]:
    return [f"{key} = {quoted(value)}"] if value else []


def _list(key: str, values: tuple[str, ...]) -> list[str]:
    """A short array of plain words, on one line."""
    return [f"{key} = {value_text(values)}"] if values else []


def _rows(key: str, values: Iterable[str]) -> list[str]:
    """An array with one value a line; nothing where it is empty."""
    rows = [f"    {value}," for value in values]
    return [f"{key} = [", *rows, "]"] if rows else []


def _rows_or_empty(key: str, values: Iterable[str] | None) -> list[str]:
    """An array that may be empty; nothing where it is None."""
    return [] if values is None else _rows(key, values) or [f"{key} = []"]


def _requirements(texts: tuple[str, ...]) -> list[str]:
    for text in texts:
        fault = requirement_fault(text)
        if fault:
            raise LockInvalid(f"a list of requirements {fault}")
    return [quoted(text) for text in texts]


def _requirements_or_none(texts: tuple[str, ...] | None) -> list[str] | None:
    return None if texts is None else _requirements(texts)


def _pairs(pairs: Iterable[tuple[str, object]]) -> list[str]:
    return [f"{key_text(key)} = {value_text(value)}" for key, value in pairs]


def _unknown(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    return [f"{key_text(key)} = {text}" for key, text in pairs]


def _section(name: str, lines: list[str]) -> list[str]:
    return ["", f"[tool.deep-lock.{name}]", *lines] if lines else []


def _top_lines(lock: Lock) -> list[str]:
    return [
        *_text("lock-version", LOCK_VERSION),
        *_rows("environments", map(quoted, lock.environments)),
        *_text("requires-python", lock.requires_python),
        *_pairs([("extras", lock.extras), ("dependency-groups", lock.dependency_groups)]),
        *_list("default-groups", lock.default_groups),
        *_text("created-by", CREATED_BY),
        # the key is required, and an array of tables cannot be empty
        *([] if lock.packages else ["packages = []"]),
    ]


def _tool_lines(lock: Lock) -> list[str]:
    lines = ["", "[tool.deep-lock]", f"version = {lock.version}", f"revision = {lock.revision}"]
    lines += _unknown(lock.unknown)
    lines += _inputs_lines(lock.inputs)
    lines += _section("options", _pairs(lock.options))
    indexes = [f"{key_text(name)} = {_url_text(url, f'index {name!r}')}" for name, url in lock.indexes]
    lines += _section("indexes", indexes)
    for target in lock.targets:
        lines += _target_lines(target)
    return lines


def _inputs_lines(inputs: LockedInputs) -> list[str]:
    lines = [
        *_list("sources", inputs.sources),
        *(["pinned = true"] if inputs.pinned else []),
        *_rows("requirements", _requirements(inputs.requirements)),
        *_rows("constraints", _requirements(inputs.constraints)),
        *_rows("overrides", _requirements(inputs.overrides)),
        *_rows("build-constraints", _requirements(inputs.build_constraints)),
        *_rows_or_empty("build-requires", _requirements_or_none(inputs.build_requires)),
        *_unknown(inputs.unknown),
    ]
    return [
        *_section("inputs", lines),
        *_section("inputs.extras", _named_requirements(inputs.extras)),
        *_section("inputs.dependency-groups", _named_requirements(inputs.dependency_groups)),
        *_section("inputs.extra-build-requires", _named_requirements(inputs.extra_build_requires)),
        *(
            line
            for name, own in inputs.config_settings
            for line in _section(f"inputs.config-settings.{key_text(name)}", _pairs(own))
        ),
        *(line for tree in inputs.trees for line in _tree_lines(tree)),
    ]


def _named_requirements(lists: tuple[tuple[str, tuple[str, ...]], ...]) -> list[str]:
    return [line for name, texts in lists for line in _rows_or_empty(key_text(name), _requirements(texts))]


def _tree_lines(tree: LockedTree) -> list[str]:
    return [
        "",
        "[[tool.deep-lock.inputs.trees]]",
        *_text("path", tree.path),
        *_text("requires-python", tree.requires_python),
        *_rows_or_empty("requirements", _requirements_or_none(tree.requirements)),
        *_rows_or_empty("build-requires", _requirements(tree.build_requires)),
        *_unknown(tree.unknown),
    ]


def _target_lines(target: LockedTarget) -> list[str]:
    return [
        "",
        "[[tool.deep-lock.targets]]",
        *_text("name", target.name),
        *_text("marker", target.marker),
        *_text("python", target.python),
        *_text("platform", target.platform),
        *_unknown(target.unknown),
    ]


def _package_lines(package: LockedPackage) -> list[str]:
    owner = f"{package.name} {package.version or ''}".rstrip()
    identities = [dict(identity) for identity in package.attestation_identities]
    return [
        "",
        "[[packages]]",
        *_text("name", package.name),
        *_text("version", package.version),
        *_text("marker", package.marker),
        *_text("requires-python", package.requires_python),
        *_rows("dependencies", map(_reference_text, package.dependencies)),
        *([] if package.source is None else [_source_text(package.source, owner)]),
        *([] if package.index is None else [f"index = {_url_text(package.index, owner)}"]),
        *([] if package.sdist is None else [f"sdist = {_file_text(package.sdist)}"]),
        *_rows("wheels", map(_file_text, package.wheels)),
        *(_pairs([("attestation-identities", identities)]) if identities else []),
    ]


def _mark_lines(package: LockedPackage) -> list[str]:
    values = [(key, getattr(package, key.replace("-", "_"))) for key in _MARKS]
    marks = [(key, value_text(value)) for key, value in values if value not in {None, False, ()}]
    return [f"tool.deep-lock.{key_text(key)} = {text}" for key, text in sorted([*marks, *package.unknown])]


def _reference_text(reference: LockedReference) -> str:
    version = f", version = {quoted(reference.version)}" if reference.version else ""
    source = f", {_source_text(reference.source, reference.name)}" if reference.source is not None else ""
    return f"{{name = {quoted(reference.name)}{version}{source}}}"


def _file_text(file: LockedFile) -> str:
    time = "" if file.upload_time is None else f", upload-time = {moment_text(file.upload_time)}"
    size = "" if file.size is None else f", size = {file.size}"
    location = _location_text(file.url, file.path, file.name)
    return f"{{name = {quoted(file.name)}, {location}{time}{size}, hashes = {{sha256 = {quoted(file.sha256)}}}}}"


def _source_text(source: LockedSource, owner: str) -> str:
    """Return the key of a source and its table, on one line."""
    subdirectory = [] if source.subdirectory is None else [f"subdirectory = {quoted(source.subdirectory)}"]
    match source:
        case LockedDirectory():
            key = "directory"
            parts = [_location_text(None, source.path, owner), *(["editable = true"] if source.editable else [])]
        case LockedVcs():
            key = "vcs"
            revision = source.requested_revision
            parts = [
                'type = "git"',
                _location_text(source.url, source.path, owner, repository=True),
                *([] if revision is None else [f"requested-revision = {quoted(revision)}"]),
                f"commit-id = {quoted(source.commit_id)}",
            ]
        case LockedArchive():
            key = "archive"
            size = [] if source.size is None else [f"size = {source.size}"]
            digest = f"hashes = {{sha256 = {quoted(source.sha256)}}}"
            parts = [_location_text(source.url, source.path, owner), *size, digest]
    return f"{key} = {{{', '.join([*parts, *subdirectory])}}}"


def _location_text(url: str | None, path: str | None, owner: str, *, repository: bool = False) -> str:
    """Return ``url`` or ``path``, of which exactly one is set, with its value."""
    match url, path:
        case str(), None:
            if not repository:
                return f"url = {_url_text(url, owner)}"
            if fault := repository_fault(url):
                raise UrlForbidden(f"the repository of {owner}: {fault}")
            return f"url = {quoted(url)}"
        case None, str():
            if fault := folder_fault(path):
                raise LockInvalid(f"the path of {owner}: {fault}")
            return f"path = {quoted(path)}"
    raise LockInvalid(f"{owner} must have a URL or a path, and not both")


def _url_text(url: str, owner: str) -> str:
    fault = url_fault(url)
    if fault is not None:
        raise fault[0](f"the URL of {owner}: {fault[1]}")
    return quoted(url)


def _member_text(member: EnvironmentMember) -> str:
    needs = f", dependencies = {value_text(member.dependencies)}" if member.dependencies else ""
    return f"{{name = {quoted(member.name)}, version = {quoted(member.version)}{needs}}}"


def _build_lines(build: LockedBuild) -> list[str]:
    declared = build.declared_packages
    return [
        "",
        "[[tool.deep-lock.builds]]",
        *_text("name", build.name),
        *_text("version", build.version),
        *_text("source", build.source),
        *_text("hook", build.hook),
        *_text("sdist", build.sdist),
        *_text("cargo-lock", build.cargo_lock),
        *_text("needed", build.needed),
        *_list("targets", build.targets),
        *_text("backend", build.backend),
        *_list("backend-path", build.backend_path),
        *_rows("requires", _requirements(build.requires)),
        *_rows("requires-user", _requirements(build.requires_user)),
        *_text("requires-from", build.requires_from),
        *_rows_or_empty("requires-dynamic", _requirements_or_none(build.requires_dynamic)),
        *_text("conditional", build.conditional),
        *_text("evidence", build.evidence),
        *_text("observed-on", build.observed_on),
        *_rows("packages", map(_member_text, build.packages)),
        *_rows_or_empty("declared-packages", None if declared is None else map(_member_text, declared)),
        *_text("ends", build.ends),
        *_unknown(build.unknown),
    ]
