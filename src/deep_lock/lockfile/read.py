"""The text of `deep.lock` as a Lock. Hostile until checked: every value, every key, and the place is named.

Law: what is returned could have been written by `to_text`; nothing but DeepLockError comes out. What tables say of
each other is `laws.py`: a lock that was read is well-formed, not yet true.
"""

from deep_lock.display import quote, show
from deep_lock.errors import LockInvalid
from deep_lock.events import Reporter, Warned, silent
from deep_lock.lockfile.entries import read_build, read_package
from deep_lock.lockfile.fields import (
    Check,
    folder_fault,
    label_fault,
    marker_fault,
    name_fault,
    option_fault,
    parsed_version,
    path_fault,
    requirement_fault,
    specifier_fault,
    text_fault,
)
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.tables import Reading, Table
from deep_lock.lockfile.toml import parse_toml
from deep_lock.model.build_system import ConfigSettings
from deep_lock.model.lock import (
    BUILD_GROUP,
    LOCK_VERSION,
    REVISION,
    VERSION,
    Lock,
    LockedBuild,
    LockedInputs,
    LockedPackage,
    LockedTarget,
    LockedTree,
    OptionValue,
    source_text,
)
from deep_lock.model.register import called

_UPGRADE = "upgrade deep-lock"


def from_text(text: str, source: str, report: Reporter = silent) -> Lock:
    """Read a lock, in canonical order; ``source`` names the file in messages.

    A newer revision is told to ``report``, and its unknown keys are kept where `Lock` has a place for them.
    Raises LockInvalid, or UrlForbidden on a URL with credentials or of another scheme than http(s).
    """
    source = show(source)
    document = parse_toml(text, source)
    try:
        return ordered(_read_lock(document, source, report))
    except RecursionError:
        raise LockInvalid(f"{source}: is nested too deeply") from None


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
