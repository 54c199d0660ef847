"""The tables of a lock, one by one: files, `[[packages]]`, `[[tool.deep-lock.builds]]`.

A table is checked for what it says by itself; what tables say of each other is checked in `laws.py`.
"""

from typing import get_args

from deep_lock.lockfile.fields import (
    digest_fault,
    file_path_fault,
    filename_fault,
    inner_path_fault,
    label_fault,
    license_fault,
    marker_fault,
    name_fault,
    object_fault,
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
from deep_lock.lockfile.sources import read_source
from deep_lock.lockfile.tables import Table
from deep_lock.model.build_system import Evidence
from deep_lock.model.lock import (
    Ending,
    EnvironmentMember,
    HashOrigin,
    LockedBuild,
    LockedDirectory,
    LockedFile,
    LockedHook,
    LockedPackage,
    LockedReference,
    LockedVcs,
    Needed,
    RequiresFrom,
)

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
