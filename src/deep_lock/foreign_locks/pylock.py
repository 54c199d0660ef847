"""pylock.toml (PEP 751), validated by packaging's own reader.

Invariant: on each environment the pins are those that `packaging.pylock.Pylock.select` would take.
"""

from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.utils import canonicalize_name

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.fields import (
    MAX_PINS,
    Position,
    notes_without_sha256,
    read_toml_lock,
)
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, ForeignFile, ForeignLock, ForeignPin
from deep_lock.pep440 import has_huge_number
from deep_lock.targets.markers import BASE, Scope

_ONE_ENVIRONMENT = frozenset(("pip",))
"""Tools that write a lock for the environment in which they run, without naming it in the lock."""


def read_pylock(text: str, source: str) -> ForeignLock:
    """Read a pylock.toml. Raises LockInvalid that names the position, or LimitExceeded."""
    document, top = read_toml_lock(text, source)
    tool = document.get("tool")
    if isinstance(tool, dict) and "deep-lock" in tool:
        raise LockInvalid(
            f"{source}: is a deep lock already", hint="run deep-lock lock, or write its runtime part: deep-lock export"
        )
    if has_huge_number(text):  # packaging would fail when a marker or a specifier is used
        raise LockInvalid(f"{source}: has a number of 1000 digits or more")
    try:
        lock = Pylock.from_dict(document)
    except (PylockValidationError, ValueError, TypeError, RecursionError) as error:
        raise LockInvalid(f"{source}: {str(error)[:500]}") from None
    if len(lock.packages) > MAX_PINS:
        raise LockInvalid(f"{source}: {len(lock.packages)} packages; at most {MAX_PINS} are allowed")
    default_groups = frozenset(map(canonicalize_name, lock.default_groups or ()))
    groups = sorted(frozenset(map(canonicalize_name, lock.dependency_groups or ())) - default_groups)
    extras = sorted(map(canonicalize_name, lock.extras or ()))
    scopes = (
        BASE,
        *(Scope(kind="extra", name=name) for name in extras),
        *(Scope(kind="group", name=name) for name in groups),
    )
    packages = top.below("packages")
    pins = tuple(
        _pin(package, packages.below(number), scopes)
        for number, package in enumerate(lock.packages)
        if not _is_project(package)
    )
    return ForeignLock(
        kind="pylock.toml",
        source=source,
        requires_python=str(lock.requires_python) if lock.requires_python is not None else None,
        environments=tuple(map(str, lock.environments or ())),
        one_environment=not lock.environments and lock.created_by in _ONE_ENVIRONMENT,
        extras=tuple(extras),
        groups=tuple(groups),
        default_groups=tuple(sorted(default_groups)),
        pins=pins,
        notes=tuple(notes_without_sha256(pins, source)),
    )


def _is_project(package: Package) -> bool:
    """Whether it is the folder of the lock: ``pip lock .`` writes the project as the first package."""
    folder = package.directory
    return folder is not None and folder.path in {".", "./"} and not folder.subdirectory


def _pin(package: Package, at: Position, scopes: tuple[Scope, ...]) -> ForeignPin:
    files = [*(package.wheels or ()), *((package.sdist,) if package.sdist is not None else ())]
    url = _reference(package, at)
    return ForeignPin(
        name=package.name,
        version=package.version if url is None else None,
        url=url,
        conditions=tuple(Condition(scope=scope, marker=package.marker) for scope in scopes),
        files=tuple(ForeignFile(name=file.filename, sha256=_sha256(file.hashes)) for file in files),
        index=at.index(package.index) if package.index else None,
        origin=at.origin,
    )


def _sha256(hashes: object) -> str | None:
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    return digest.lower() if isinstance(digest, str) else None


def _reference(package: Package, at: Position) -> str | None:
    """Return what a package without an index names, as the URL of a requirement."""
    folder, archive, vcs = package.directory, package.archive, package.vcs
    if folder is not None:
        path = quoted_path(folder.path)
        return at.reference(path, editable=bool(folder.editable), subdirectory=folder.subdirectory)
    if vcs is not None:
        if vcs.type != "git":
            raise at.invalid(f"is kept in {vcs.type[:20]!r}; only git is supported")
        url = f"git+{vcs.url}" if vcs.url else f"git+file:{quoted_path(vcs.path or '')}"
        return at.reference(f"{url}@{vcs.commit_id}", subdirectory=vcs.subdirectory)
    if archive is not None:
        url = archive.url or quoted_path(archive.path or "")
        return at.reference(url, sha256=_sha256(archive.hashes), subdirectory=archive.subdirectory)
    return None
