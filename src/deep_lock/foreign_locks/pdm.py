"""pdm.lock, as ``pdm sync`` installs from it.

With the strategy "inherit_metadata" (PDM's default) each package says its groups and its marker itself. Without it only
PDM's own resolution over pyproject.toml tells them, so that such a lock is refused.
"""

import re
from collections.abc import Iterator, Mapping

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.reader import MAX_FILES, MAX_LOCK, Value, note_without_sha256, read_file, sha256_of
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, ForeignFile, ForeignLock, ForeignPin
from deep_lock.parsing.toml import read_toml
from deep_lock.targets.markers import BASE, Scope

_DEFAULT = "default"
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
    # as PDM names them, and as they name themselves
    "linux": {"x86": "i686"},
    "darwin": {},
    "win32": {"amd64": "AMD64", "arm64": "ARM64"},
}
_IMPLEMENTATIONS = frozenset(("cpython", "pypy", "pyston"))


def read_pdm_lock(text: str, source: str, project: str | None = None) -> ForeignLock:
    """Read a pdm.lock. ``project`` is the text of the pyproject.toml beside it: it tells extras from groups.

    Raises LockInvalid that names the place, or LimitExceeded.
    """
    document, _ = read_toml(text, source, LockInvalid, limit=MAX_LOCK)
    lock = Value(raw=document, source=source)
    metadata = lock.get("metadata")
    version = metadata.get("lock_version")
    if not version.text().startswith(_KNOWN):
        raise version.invalid(f"is {version.text()[:20]!r}; known is 4.x")
    strategy = metadata.find("strategy")
    if strategy is None or "inherit_metadata" not in [item.text() for item in strategy.items()]:
        raise metadata.invalid(
            "has not the strategy inherit_metadata: its packages do not say where they are installed",
            hint="lock once more with it: pdm lock --strategy inherit_metadata",
        )
    extras = _extras(project, source)
    pins = tuple(_pins(list(lock.rows("package")), extras))
    scopes = sorted({condition.scope for pin in pins for condition in pin.conditions})
    return ForeignLock(
        kind="pdm.lock",
        source=source,
        requires_python=_requires_python(metadata),
        environments=tuple(_environments(metadata)),
        extras=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "extra"),
        groups=tuple(NormalizedName(scope.name) for scope in scopes if scope.kind == "group"),
        pins=pins,
        notes=tuple(
            note_without_sha256(str(pin.name), source) for pin in pins if any(file.sha256 is None for file in pin.files)
        ),
    )


def _extras(project: str | None, source: str) -> frozenset[str]:
    """Return the names of the project's extras: PDM calls them groups too."""
    if project is None:
        return frozenset()
    tables, _ = read_toml(project, f"pyproject.toml beside {source}", LockInvalid)
    own = tables.get("project")
    optional = own.get("optional-dependencies") if isinstance(own, dict) else None
    return frozenset(map(canonicalize_name, optional)) if isinstance(optional, dict) else frozenset()


def _requires_python(metadata: Value) -> str | None:
    """Return the range of Pythons where all targets have the same one."""
    own = metadata.find("requires_python")
    texts = {value.specifier() for target in metadata.rows("targets") if (value := target.find("requires_python"))}
    texts |= {own.specifier()} if own is not None else set()
    return texts.pop() if len(texts) == 1 else None


def _environments(metadata: Value) -> Iterator[str]:
    for target in metadata.rows("targets"):
        clauses = []
        python, platform, implementation = map(target.find, ("requires_python", "platform", "implementation"))
        if python is not None:
            clauses += [f"python_full_version {part.operator} '{part.version}'" for part in python.specifiers()]
        if platform is not None:
            clauses += _platform(platform)
        if implementation is not None and implementation.text() in _IMPLEMENTATIONS:
            clauses.append(f"implementation_name == '{implementation.text()}'")
        if not clauses:
            return
        text = " and ".join(clauses)
        target.marker(text)
        yield text


def _platform(value: Value) -> list[str]:
    """Return what a name of PDM's means: "linux", "manylinux_2_28_x86_64", "macos_14_0_arm64", "windows_amd64"."""
    found = _PLATFORM.fullmatch(value.text())
    system = _SYSTEMS.get(found["system"]) if found is not None else None
    if found is None or system is None:
        raise value.invalid("is a platform that is not known")
    machine = found["machine"]
    spelled = [f"platform_machine == '{_MACHINES[system].get(machine, machine)}'"] if machine is not None else []
    return [f"sys_platform == '{system}'", *spelled]


def _pins(packages: list[Value], extras: frozenset[str]) -> Iterator[ForeignPin]:
    """Give the pins: what PDM lists once more for its extras is one of them."""
    wanted: dict[tuple[str, str], frozenset[NormalizedName]] = {}
    plain: list[Value] = []
    for value in packages:
        own = value.find("extras")
        if own is None:
            plain.append(value)
            continue
        key = _key(value)
        wanted[key] = wanted.get(key, frozenset()) | {extra.name("the extra") for extra in own.items()}
    for value in plain:
        yield replace(_pin(value, extras), extras=wanted.get(_key(value), frozenset()))


def _key(value: Value) -> tuple[str, str]:
    return value.get("name").name("the project"), value.get("version").text()


def _pin(value: Value, extras: frozenset[str]) -> ForeignPin:
    marker = value.find("marker")
    condition = marker.marker() if marker is not None else None
    url = _reference(value)
    return ForeignPin(
        name=value.get("name").name("the project"),
        version=value.get("version").version() if url is None else None,
        url=url,
        conditions=tuple(
            Condition(scope=_scope(group, extras), marker=condition) for group in value.get("groups").items()
        ),
        files=tuple(_files(value)) if url is None else (),
        origin=value.origin,
    )


def _scope(group: Value, extras: frozenset[str]) -> Scope:
    if group.text() == _DEFAULT:
        return BASE
    name = group.name("the group")
    return Scope(kind="extra" if name in extras else "group", name=name)


def _files(value: Value) -> Iterator[ForeignFile]:
    for file in value.rows("files", MAX_FILES):
        if file.has("file"):
            yield read_file(file, "file")
        else:
            url = file.get("url")
            name = url.text().partition("#")[0].rpartition("/")[2]
            if not name:
                raise url.invalid("names no file")
            digest = file.find("hash")
            yield ForeignFile(name=name, sha256=sha256_of(digest) if digest is not None else None)


def _reference(value: Value) -> str | None:
    git, path, url = value.find("git"), value.find("path"), value.find("url")
    inner = value.find("subdirectory")
    end = [f"subdirectory={inner.text()}"] if inner is not None else []
    if git is not None:
        commit = value.get("revision").text()
        start = git.text() if "://" in git.text() else f"ssh://{git.text().replace(':', '/', 1)}"
        return value.reference(f"git+{start}@{commit}" + _fragment(end))
    if path is not None:
        editable = value.find("editable")
        end += ["editable=true"] if editable is not None and editable.flag() else []
        return value.reference(quoted_path(path.text()) + _fragment(end))
    if url is not None:
        digests = [file.sha256 for file in _files(value) if file.sha256]
        end += [f"sha256={digests[0]}"] if len(digests) == 1 else []
        return value.reference(url.text().partition("#")[0] + _fragment(end))
    return None


def _fragment(parts: list[str]) -> str:
    return f"#{'&'.join(parts)}" if parts else ""
