"""pdm.lock, as ``pdm sync`` installs from it.

With the strategy "inherit_metadata" (PDM's default) each package has its groups and its marker. Without it only PDM's own
resolution over pyproject.toml finds them, so such a lock is refused.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.fields import (
    Files,
    Name,
    Position,
    Rows,
    Specifiers,
    names,
    notes_without_sha256,
    read_files,
    read_toml_lock,
)
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, ForeignLock, ForeignPin
from deep_lock.parsing.toml import read_toml
from deep_lock.targets.markers import BASE, Scope

_KNOWN = "4."
_PLATFORM = re.compile(r"(?P<system>[a-z]+)(?:_[0-9]{1,3}_[0-9]{1,3})?(?:_(?P<machine>[a-z][a-z0-9_]{1,20}))?")
_SYSTEMS: Mapping[str, str] = {
    "linux": "linux",
    "manylinux": "linux",
    "musllinux": "linux",
    "alpine": "linux",
    "macos": "darwin",
    "windows": "win32",
}
_MACHINES: Mapping[str, Mapping[str, str]] = {
    # PDM's name to that of the marker
    "linux": {"x86": "i686"},
    "darwin": {},
    "win32": {"amd64": "AMD64", "arm64": "ARM64"},
}
_IMPLEMENTATIONS = frozenset(("cpython", "pypy", "pyston"))


class _Target(Struct, frozen=True):
    requires_python: Specifiers | None = None
    platform: str | None = None
    implementation: str | None = None


class _Metadata(Struct, frozen=True):
    lock_version: str
    strategy: Rows[str] = ()
    requires_python: Specifiers | None = None
    targets: Rows[_Target] = ()


class _Package(Struct, frozen=True):
    name: Name
    version: Version
    extras: Rows[Name] | None = None
    groups: Rows[Name] | None = None
    marker: str = ""
    git: str | None = None
    revision: str | None = None
    path: str | None = None
    url: str | None = None
    editable: bool = False
    subdirectory: str | None = None
    files: Files = ()


class _Header(Struct, frozen=True):
    metadata: _Metadata


class _Lock(Struct, frozen=True):
    package: Rows[_Package] = ()


def read_pdm_lock(text: str, source: str, project: str | None = None) -> ForeignLock:
    """Read a pdm.lock. ``project`` is the text of the pyproject.toml in its folder: it names the extras.

    Raises LockInvalid that names the position, or LimitExceeded.
    """
    document, top = read_toml_lock(text, source)
    metadata = top.convert(document, _Header).metadata
    if not metadata.lock_version.startswith(_KNOWN):
        raise top.below("metadata", "lock_version").invalid(f"is {metadata.lock_version[:20]!r}; known is 4.x")
    if "inherit_metadata" not in metadata.strategy:
        raise top.below("metadata").invalid(
            "lacks the strategy inherit_metadata: its packages do not state on which targets they are installed",
            hint="run: pdm lock --strategy inherit_metadata",
        )
    pins = tuple(_pins(top.convert(document, _Lock), top, _project_extras(project, source)))
    scopes = sorted({condition.scope for pin in pins for condition in pin.conditions})
    return ForeignLock(
        kind="pdm.lock",
        source=source,
        requires_python=_requires_python(metadata),
        environments=tuple(_environments(metadata.targets, top.below("metadata", "targets"))),
        extras=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "extra"),
        groups=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "group"),
        pins=pins,
        notes=tuple(notes_without_sha256(pins, source)),
    )


def _project_extras(project: str | None, source: str) -> frozenset[str]:
    """Return the names of the project's extras: the lock has them among the groups."""
    if project is None:
        return frozenset()
    tables: dict[str, Any] = read_toml(project, f"pyproject.toml next to {source}", LockInvalid)[0]
    own = tables.get("project")
    optional = own.get("optional-dependencies") if isinstance(own, dict) else None
    return frozenset(map(canonicalize_name, optional)) if isinstance(optional, dict) else frozenset()


def _requires_python(metadata: _Metadata) -> str | None:
    """Return the range of Pythons where all targets have the same one."""
    own = (metadata.requires_python, *(target.requires_python for target in metadata.targets))
    ranges = {text or None for text in own if text is not None}
    return ranges.pop() if len(ranges) == 1 else None


def _environments(targets: tuple[_Target, ...], at: Position) -> Iterator[str]:
    for number, target in enumerate(targets):
        here = at.below(number)
        clauses = [
            f"python_full_version {part.operator} '{part.version}'"
            for part in SpecifierSet(target.requires_python or "")
        ]
        if target.platform is not None:
            clauses += _platform(target.platform, here.below("platform"))
        if target.implementation in _IMPLEMENTATIONS:
            clauses.append(f"implementation_name == '{target.implementation}'")
        if not clauses:
            return
        text = " and ".join(clauses)
        here.marker(text)
        yield text


def _platform(text: str, at: Position) -> list[str]:
    """Return PDM's platform as marker clauses: "linux", "manylinux_2_28_x86_64", "macos_14_0_arm64", "windows_amd64"."""
    found = _PLATFORM.fullmatch(text)
    system = _SYSTEMS.get(found["system"]) if found is not None else None
    if found is None or system is None:
        raise at.invalid("is a platform that is not known")
    machine = found["machine"]
    clauses = [f"platform_machine == '{_MACHINES[system].get(machine, machine)}'"] if machine is not None else []
    return [f"sys_platform == '{system}'", *clauses]


def _pins(lock: _Lock, top: Position, project_extras: frozenset[str]) -> Iterator[ForeignPin]:
    """Yield the pins. PDM lists a package once more for its extras: they are added to the one pin."""
    extras: dict[tuple[str, Version], frozenset[NormalizedName]] = {}
    for package in lock.package:
        key = (package.name, package.version)
        extras[key] = extras.get(key, frozenset()) | names(package.extras or ())
    for number, package in enumerate(lock.package):
        if package.extras is None:
            at = top.below("package", number)
            yield _pin(package, at, extras[package.name, package.version], project_extras)


def _pin(
    package: _Package, at: Position, extras: frozenset[NormalizedName], project_extras: frozenset[str]
) -> ForeignPin:
    url, marker = _reference(package, at), at.below("marker").marker(package.marker)
    scopes = [_scope(group, project_extras) for group in at.required(package.groups, "groups")]
    return ForeignPin(
        name=NormalizedName(package.name),
        version=package.version if url is None else None,
        url=url,
        conditions=tuple(Condition(scope=scope, marker=marker) for scope in scopes),
        extras=extras,
        files=read_files(package.files, at.below("files")) if url is None else (),
        origin=at.origin,
    )


def _scope(group: str, project_extras: frozenset[str]) -> Scope:
    if group == "default":
        return BASE
    return Scope(kind="extra" if group in project_extras else "group", name=group)


def _reference(package: _Package, at: Position) -> str | None:
    folder = package.subdirectory
    if package.git is not None:
        commit = at.required(package.revision, "revision")
        url = package.git if "://" in package.git else f"ssh://{package.git.replace(':', '/', 1)}"
        return at.reference(f"git+{url}@{commit}", subdirectory=folder)
    if package.path is not None:
        return at.reference(quoted_path(package.path), editable=package.editable, subdirectory=folder)
    if package.url is not None:
        digests = [file.hash for file in package.files if file.hash]
        digest = digests[0] if len(digests) == 1 else None
        return at.reference(package.url.partition("#")[0], sha256=digest, subdirectory=folder)
    return None
