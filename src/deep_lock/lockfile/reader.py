"""The text of `deep.lock` as a Lock. Hostile until checked: every value, every key, and the place is named.

Law: what is returned could have been written by `to_text`; nothing but DeepLockError comes out. What tables say of
each other is `laws.py`: a lock that was read is well-formed, not yet true.
"""

import re
from typing import get_args

from deep_lock.errors import LockInvalid
from deep_lock.events import Reporter, Warned, silent
from deep_lock.lockfile.fields import (
    Check,
    digest_fault,
    file_path_fault,
    filename_fault,
    folder_fault,
    inner_path_fault,
    label_fault,
    license_fault,
    marker_fault,
    name_fault,
    object_fault,
    option_fault,
    parsed_version,
    path_fault,
    prefixed_digest_fault,
    requirement_fault,
    sdist_fault,
    source_fault,
    specifier_fault,
    text_fault,
    url_filename,
    version_fault,
    wheel_fault,
)
from deep_lock.lockfile.index import called
from deep_lock.lockfile.sources import read_source
from deep_lock.lockfile.tables import Reading, Table
from deep_lock.lockfile.writer import ordered
from deep_lock.models.build_system import ConfigSettings, Evidence
from deep_lock.models.lock import (
    BUILD_GROUP,
    LOCK_VERSION,
    REVISION,
    VERSION,
    Ending,
    EnvironmentMember,
    HashOrigin,
    Lock,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedHook,
    LockedInputs,
    LockedPackage,
    LockedReference,
    LockedTarget,
    LockedTree,
    LockedVcs,
    Needed,
    OptionValue,
    RequiresFrom,
    source_text,
)
from deep_lock.parsing.toml import parse_toml
from deep_lock.sanitize import quote, show

_EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)
_HASH_ORIGINS: tuple[HashOrigin, ...] = get_args(HashOrigin)
_NEEDED: tuple[Needed, ...] = get_args(Needed)
_REQUIRES_FROM: tuple[RequiresFrom, ...] = get_args(RequiresFrom)
_HOOKS: tuple[LockedHook, ...] = get_args(LockedHook)
_ENDS: tuple[Ending, ...] = get_args(Ending)


def read_package(table: Table) -> LockedPackage:
    """Read one ``[[packages]]`` entry."""
    name = table.text("name", name_fault)
    version = table.optional("version", version_fault)
    source = read_source(table)
    if version is None and source is None:
        table.refuse("version", "is missing")
    if version is not None and isinstance(source, LockedDirectory | LockedVcs):
        table.refuse("version", "does not go with a source tree, whose version may change (PEP 751)")
    sdist = table.table("sdist")
    wheels = table.tables("wheels") or []
    tool = table.inner("tool")
    marks = tool.inner("deep-lock")
    package = LockedPackage(
        name=name,
        version=version,
        marker=table.optional("marker", marker_fault),
        requires_python=table.optional("requires-python", specifier_fault),
        dependencies=tuple(map(_read_reference, table.tables("dependencies") or ())),
        index=table.optional_url("index"),
        source=source,
        sdist=None if sdist is None else _read_file(sdist, name, version or "", sdist=True),
        wheels=tuple(_read_file(wheel, name, version or "", sdist=False) for wheel in wheels),
        attestation_identities=tuple(map(_read_identity, table.tables("attestation-identities") or ())),
        also_build=marks.flag("also-build"),
        build=marks.optional("build", text_fault),
        build_on=marks.texts("build-on", label_fault),
        build_only=marks.flag("build-only"),
        direct=marks.flag("direct"),
        hash_origin=marks.choice("hash-origin", _HASH_ORIGINS),
        license=marks.optional("license", license_fault),
        metadata=marks.choice("metadata", _EVIDENCE),
        no_source=marks.flag("no-source"),
        sdist_only=marks.flag("sdist-only"),
        yanked=marks.optional("yanked", text_fault),
        unknown=marks.rest(),
    )
    tool.rest()
    table.rest()
    _refuse_twice(table, "wheels", [wheel.name for wheel in package.wheels])
    if source is not None and (sdist is not None or wheels or package.index is not None):
        table.refuse("index" if package.index is not None else "", "does not go with a source that was named directly")
    if source is None and package.sdist is None and not package.wheels:
        table.refuse("", "has neither an sdist nor a wheel")
    if package.index is None and any(file.url is not None for file in _files(package)):
        table.refuse("index", "is missing: only where every file has a path is there none")
    return package


def _files(package: LockedPackage) -> tuple[LockedFile, ...]:
    return package.wheels if package.sdist is None else (package.sdist, *package.wheels)


def _refuse_twice(table: Table, key: str, names: list[str]) -> None:
    if len(set(names)) == len(names):
        return
    for position, name in enumerate(names):
        if name in names[:position]:
            table.refuse(f"{key}[{position}]", f"{name!r} stands here for a second time")


def _read_reference(table: Table) -> LockedReference:
    reference = LockedReference(
        name=table.text("name", name_fault),
        version=table.optional("version", version_fault),
        source=read_source(table),
    )
    table.rest()
    return reference


def _read_file(table: Table, name: str, version: str, *, sdist: bool) -> LockedFile:
    named = table.text("name", filename_fault)
    fault = sdist_fault(named, name, version) if sdist else wheel_fault(named, name, version)
    if fault:
        table.refuse("name", fault)
    url, path = _read_place(table, named)
    file = LockedFile(
        name=named,
        url=url,
        path=path,
        sha256=_read_digest(table),
        upload_time=table.moment("upload-time"),
        size=table.number("size"),
    )
    table.rest()
    return file


def _read_place(table: Table, named: str) -> tuple[str | None, str | None]:
    """PEP 751: a file has a URL or a path. Which of two wins would be the installer's choice: both are refused."""
    path = table.optional("path", file_path_fault)
    if path is None:
        url = table.url("url")
        if url_filename(url) != named:
            table.refuse("url", f"does not end in the file's name, {named!r}")
        return url, None
    if table.optional_url("url") is not None:
        table.refuse("path", "does not go with 'url': a file lies in one place")
    if path.rpartition("/")[2] != named:
        table.refuse("path", f"does not end in the file's name, {named!r}")
    return None, path


def _read_digest(table: Table) -> str:
    hashes = table.table("hashes")
    if hashes is None:
        table.refuse("hashes", "is missing: a file without a sha256 is not locked")
    for algorithm in hashes.names():
        if algorithm != "sha256":
            hashes.refuse(algorithm, "only sha256 is taken")
    return hashes.text("sha256", digest_fault)


def _read_identity(table: Table) -> tuple[tuple[str, str], ...]:
    kind = table.text("kind", text_fault)
    return tuple(sorted([("kind", kind), *((key, table.text(key, text_fault)) for key in table.names())]))


def read_build(table: Table) -> LockedBuild:
    """Read one ``[[tool.deep-lock.builds]]`` record."""
    members = table.tables("packages") or []
    declared = table.tables("declared-packages")
    build = LockedBuild(
        name=table.text("name", name_fault),
        version=table.optional("version", version_fault),
        source=table.optional("source", source_fault),
        hook=table.choice("hook", _HOOKS),
        sdist=table.optional("sdist", prefixed_digest_fault),
        cargo_lock=table.optional("cargo-lock", prefixed_digest_fault),
        needed=table.chosen("needed", _NEEDED),
        targets=table.texts("targets", label_fault),
        backend=table.text("backend", object_fault),
        backend_path=table.sequence("backend-path", inner_path_fault) or (),
        requires=table.texts("requires", requirement_fault),
        requires_user=table.texts("requires-user", requirement_fault),
        requires_from=table.chosen("requires-from", _REQUIRES_FROM),
        requires_dynamic=table.maybe_texts("requires-dynamic", requirement_fault),
        conditional=table.optional("conditional", text_fault) or "",
        evidence=table.chosen("evidence", _EVIDENCE),
        observed_on=table.optional("observed-on", label_fault),
        packages=_read_members(table, "packages", members),
        declared_packages=None if declared is None else _read_members(table, "declared-packages", declared),
        ends=table.choice("ends", _ENDS),
        unknown=table.rest(),
    )
    _refuse_half_source(table, build)
    return build


def _read_members(table: Table, key: str, rows: list[Table]) -> tuple[EnvironmentMember, ...]:
    members = tuple(map(_read_member, rows))
    _refuse_twice(table, key, [member.name for member in members])
    return members


def _read_member(table: Table) -> EnvironmentMember:
    member = EnvironmentMember(
        name=table.text("name", name_fault),
        version=table.text("version", version_fault),
        dependencies=table.texts("dependencies", name_fault),
    )
    table.rest()
    return member


def _refuse_half_source(table: Table, build: LockedBuild) -> None:
    """A record is of an sdist, with version and digest, of the project, or of a source that was named directly."""
    if build.hook is not None and build.needed != "project":
        table.refuse("hook", "is told of the project only: everything else is built as a wheel")
    if build.needed == "direct":
        if build.source is None:
            table.refuse("source", "is missing")
        return
    if build.source is None and (build.sdist is None or build.version is None):
        table.refuse("sdist" if build.sdist is None else "version", "is missing")
    if build.source is not None and build.sdist is not None:
        table.refuse("sdist", "does not go with 'source': the project is built from its tree")
    if build.source is not None and build.cargo_lock is not None:
        table.refuse("cargo-lock", "does not go with 'source': it is told of sdists, whose bytes are locked")
    if (build.source is not None) != (build.needed == "project"):
        table.refuse("needed", "must be 'project' where 'source' stands, and only there")


_UPGRADE = "upgrade deep-lock"
_RELOCK = 'take either side of the merge (git checkout --ours or --theirs), then run "deep-lock lock": it keeps every pin that still fits'

MAX_LOCK_BYTES = 64 * 1024 * 1024
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|\Z)", re.MULTILINE)


def from_text(text: str, source: str, report: Reporter = silent) -> Lock:
    """Read a lock, in canonical order; ``source`` names the file in messages.

    A newer revision is told to ``report``, and its unknown keys are kept where `Lock` has a place for them.
    Raises LockInvalid, or UrlForbidden on a URL with credentials or of another scheme than http(s).
    """
    source = show(source)
    document = _parse(text, source)
    try:
        return ordered(_read_lock(document, source, report))
    except RecursionError:
        raise LockInvalid(f"{source}: is nested too deeply") from None


def _parse(text: str, source: str) -> dict[str, object]:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_LOCK_BYTES:
        raise LockInvalid(f"{source}: is larger than {MAX_LOCK_BYTES // 2**20} MiB; no more is read")
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise LockInvalid(
            f"{source}:{line}: has conflict markers ({conflict.group()!r}): a merge was left unfinished", hint=_RELOCK
        )
    return parse_toml(text, source, LockInvalid, limit=MAX_LOCK_BYTES)


def _read_lock(document: dict[str, object], source: str, report: Reporter) -> Lock:
    revision = _check_versions(document, source, report)
    reading = Reading(source=source, newer=revision > REVISION)
    top = Table(document, "", reading)
    _ = top.text("lock-version", text_fault), top.text("created-by", text_fault)
    packages = top.tables("packages")
    if packages is None:
        top.refuse("packages", "is missing: the file is not whole")
    tools = top.inner("tool")
    tool = tools.inner("deep-lock")
    lock = Lock(
        environments=top.texts("environments", marker_fault),
        requires_python=top.optional("requires-python", specifier_fault),
        extras=top.texts("extras", name_fault),
        dependency_groups=top.texts("dependency-groups", _group_fault),
        default_groups=top.texts("default-groups", _group_fault),
        version=tool.number("version") or VERSION,
        revision=tool.number("revision") or 0,
        inputs=_read_inputs(tool.inner("inputs")),
        options=_read_options(tool.inner("options")),
        indexes=_read_indexes(tool.inner("indexes")),
        targets=_read_targets(tool),
        packages=_read_packages(packages),
        builds=_read_builds(tool),
        unknown=tool.rest(),
    )
    tools.rest()
    top.rest()
    if reading.newer:
        _tell_newer(reading, revision, report)
    return lock


def _group_fault(text: str) -> str:
    """A group that is listed is one that installers select: the build layer must never be."""
    return f"{BUILD_GROUP!r} is the gate of the build layer, and no group" if text == BUILD_GROUP else name_fault(text)


def _check_versions(document: dict[str, object], source: str, report: Reporter) -> int:
    """Return the revision of a file that can be read. First of all: a message about a key would mislead otherwise."""
    reading = Reading(source=source)
    _check_lock_version(Table(dict(document), "", reading).text("lock-version", text_fault), source, report)
    tools = document.get("tool")
    ours = tools.get("deep-lock") if isinstance(tools, dict) else None
    if not isinstance(ours, dict):
        raise LockInvalid(
            f"{source}: was not written by deep-lock: it has no [tool.deep-lock] table",
            hint='"deep-lock deepen FILE" takes the lock of another tool and adds the build layer',
        )
    tool = Table(dict(ours), "tool.deep-lock", reading)
    version = tool.number("version", least=1)
    if version is None:
        tool.refuse("version", "is missing")
    if version > VERSION:
        raise LockInvalid(f"{source}: is of version {version}; this deep-lock reads version {VERSION}", hint=_UPGRADE)
    revision = tool.number("revision")
    if revision is None:
        tool.refuse("revision", "is missing")
    return revision


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


def _tell_newer(reading: Reading, revision: int, report: Reporter) -> None:
    ignored = f"; not understood: {show(', '.join(reading.ignored))}" if reading.ignored else ""
    message = f"was written by a later deep-lock (revision {revision}, this one knows {REVISION}){ignored}"
    report(Warned(code="lock-newer", subject=reading.source, message=message))


def _read_inputs(table: Table) -> LockedInputs:
    return LockedInputs(
        sources=table.texts("sources", path_fault),
        pinned=table.flag("pinned"),
        requirements=table.texts("requirements", requirement_fault),
        extras=_read_lists(table.inner("extras")),
        dependency_groups=_read_lists(table.inner("dependency-groups")),
        constraints=table.texts("constraints", requirement_fault),
        overrides=table.texts("overrides", requirement_fault),
        build_constraints=table.texts("build-constraints", requirement_fault),
        extra_build_requires=_read_lists(table.inner("extra-build-requires")),
        config_settings=_read_settings(table.inner("config-settings")),
        build_requires=table.maybe_texts("build-requires", requirement_fault),
        trees=tuple(map(_read_tree, table.tables("trees") or ())),
        unknown=table.rest(),
    )


def _read_tree(table: Table) -> LockedTree:
    return LockedTree(
        path=table.text("path", folder_fault),
        requirements=table.maybe_texts("requirements", requirement_fault),
        build_requires=table.texts("build-requires", requirement_fault),
        requires_python=table.optional("requires-python", specifier_fault),
        unknown=table.rest(),
    )


def _refuse_key(table: Table, key: str, check: Check) -> None:
    fault = check(key)
    if fault:
        table.refuse(key, fault)


def _read_lists(table: Table) -> tuple[tuple[str, tuple[str, ...]], ...]:
    lists: list[tuple[str, tuple[str, ...]]] = []
    for name in table.names():
        _refuse_key(table, name, name_fault)
        lists.append((name, table.texts(name, requirement_fault)))
    return tuple(lists)


def _read_settings(table: Table) -> tuple[tuple[str, ConfigSettings], ...]:
    found: list[tuple[str, ConfigSettings]] = []
    for name in table.names():
        _refuse_key(table, name, name_fault)
        own = table.inner(name)
        keys = own.names()
        if not keys:
            table.refuse(name, "is empty, and says nothing")
        for key in keys:
            _refuse_key(own, key, _setting_fault)
        found.append((name, tuple((key, own.setting(key, text_fault)) for key in keys)))
    return tuple(found)


def _setting_fault(text: str) -> str:
    return text_fault(text) if text else "is no name of a setting"


def _read_options(table: Table) -> tuple[tuple[str, OptionValue], ...]:
    options: list[tuple[str, OptionValue]] = []
    for key in table.names():
        _refuse_key(table, key, option_fault)
        options.append((key, table.option(key, text_fault)))
    return tuple(options)


def _read_indexes(table: Table) -> tuple[tuple[str, str], ...]:
    indexes: list[tuple[str, str]] = []
    for name in table.names():
        _refuse_key(table, name, label_fault)
        indexes.append((name, table.url(name)))
    return tuple(indexes)


def _read_targets(tool: Table) -> tuple[LockedTarget, ...]:
    targets: dict[str, LockedTarget] = {}
    for table in tool.tables("targets") or ():
        target = LockedTarget(
            name=table.text("name", label_fault),
            marker=table.text("marker", marker_fault),
            python=table.text("python", label_fault),
            platform=table.text("platform", label_fault),
            unknown=table.rest(),
        )
        if target.name in targets:
            table.refuse("name", f"{target.name!r} is declared twice")
        targets[target.name] = target
    return tuple(targets.values())


def _read_packages(tables: list[Table]) -> tuple[LockedPackage, ...]:
    packages: dict[tuple[str, object, str], LockedPackage] = {}
    for table in tables:
        package = read_package(table)
        version = package.version
        key = package.name, version and parsed_version(version), source_text(package.source)
        if key in packages:
            table.refuse("", f"{called(package)} has an entry already")
        packages[key] = package
    return tuple(packages.values())


def _read_builds(tool: Table) -> tuple[LockedBuild, ...]:
    builds: list[LockedBuild] = []
    seen: set[tuple[str, str | None, str | None, str | None, str]] = set()
    for table in tool.tables("builds") or ():
        build = read_build(table)
        for label in build.targets or ("",):
            key = build.name, build.version, build.source, build.hook, label
            if key in seen:
                table.refuse(
                    "", f"{build.name} {build.version or ''} has a record{f' for {label}' if label else ''} already"
                )
            seen.add(key)
        builds.append(build)
    return tuple(builds)
