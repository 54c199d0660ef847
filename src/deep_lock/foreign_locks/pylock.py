"""pylock.toml, as PEP 751 says that an installer reads it.

Law: packaging's own reader validates the file, and on each environment the pins are those that its ``select`` would take.
"""

from packaging.pylock import Package, Pylock, PylockUnsupportedVersionError, PylockValidationError
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.reader import MAX_LOCK, MAX_PINS, Value, note_without_sha256
from deep_lock.models.direct_url import quoted_path
from deep_lock.models.foreign_lock import Condition, ForeignFile, ForeignLock, ForeignPin
from deep_lock.models.requirement import Origin
from deep_lock.parsing.toml import read_toml
from deep_lock.targets.markers import BASE, Scope

_ONE_ENVIRONMENT = frozenset(("pip",))
"""Tools that write a lock for the environment in which they run, and do not say so in it."""


def read_pylock(text: str, source: str) -> ForeignLock:
    """Read a pylock.toml. Raises LockInvalid that names the place, or LimitExceeded."""
    document, _ = read_toml(text, source, LockInvalid, limit=MAX_LOCK)
    tool = document.get("tool")
    if isinstance(tool, dict) and "deep-lock" in tool:
        raise LockInvalid(
            f"{source}: is a deep lock already", hint="run deep-lock lock, or write its runtime part: deep-lock export"
        )
    lock = Value(raw=document, source=source)
    try:
        parsed = Pylock.from_dict(document)
    except PylockUnsupportedVersionError as error:
        raise LockInvalid(f"{source}: {error}") from None
    except (PylockValidationError, ValueError, TypeError, RecursionError) as error:
        raise LockInvalid(f"{source}: {str(error)[:500]}") from None
    if len(parsed.packages) > MAX_PINS:
        raise LockInvalid(f"{source}: {len(parsed.packages)} packages; at most {MAX_PINS} are taken")
    scopes = _scopes(parsed)
    pins = tuple(
        _pin(package, Value(raw={}, source=source, place=f"packages[{place}]"), scopes)
        for place, package in enumerate(parsed.packages)
        if not _is_project(package)
    )
    environments = tuple(map(str, parsed.environments or ()))
    return ForeignLock(
        kind="pylock.toml",
        source=source,
        requires_python=str(parsed.requires_python) if parsed.requires_python is not None else None,
        environments=environments,
        one_environment=not environments and lock.get("created-by").raw in _ONE_ENVIRONMENT,
        extras=tuple(sorted(map(canonicalize_name, parsed.extras or ()))),
        groups=_groups(parsed),
        default_groups=_default_groups(parsed),
        pins=pins,
        notes=tuple(
            note_without_sha256(str(pin.name), source) for pin in pins if any(file.sha256 is None for file in pin.files)
        ),
    )


def _is_project(package: Package) -> bool:
    """Whether it is the folder of the lock: what ``pip lock .`` writes first is the project, and no pin."""
    return (
        package.directory is not None and package.directory.path in {".", "./"} and not package.directory.subdirectory
    )


def _groups(lock: Pylock) -> tuple[NormalizedName, ...]:
    """Return the groups that one can ask for and does not have without asking."""
    return tuple(sorted({*map(canonicalize_name, lock.dependency_groups or ())} - {*_default_groups(lock)}))


def _default_groups(lock: Pylock) -> tuple[NormalizedName, ...]:
    return tuple(sorted({*map(canonicalize_name, lock.default_groups or ())}))


def _scopes(lock: Pylock) -> tuple[Scope, ...]:
    extras = tuple(Scope(kind="extra", name=canonicalize_name(name)) for name in lock.extras or ())
    return (BASE, *sorted(extras), *(Scope(kind="group", name=name) for name in _groups(lock)))


def _pin(package: Package, place: Value, scopes: tuple[Scope, ...]) -> ForeignPin:
    files = [*(package.wheels or ()), *((package.sdist,) if package.sdist is not None else ())]
    url = _reference(package, place)
    return ForeignPin(
        name=package.name,
        version=package.version if url is None else None,
        url=url,
        conditions=tuple(Condition(scope=scope, marker=package.marker) for scope in scopes),
        files=tuple(ForeignFile(name=file.filename, sha256=_digest(file.hashes)) for file in files),
        index=place.indexed(package.index) if package.index else None,
        origin=Origin(source=place.source, place=place.place),
    )


def _digest(hashes: object) -> str | None:
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    return digest.lower() if isinstance(digest, str) else None


def _reference(package: Package, place: Value) -> str | None:
    """Return what a package without an index names, as the URL of a requirement."""
    folder, archive, vcs = package.directory, package.archive, package.vcs
    if folder is not None:
        marks = ["editable=true"] if folder.editable else []
        marks += [f"subdirectory={folder.subdirectory}"] if folder.subdirectory else []
        return place.reference(quoted_path(folder.path) + (f"#{'&'.join(marks)}" if marks else ""))
    if vcs is not None:
        if vcs.type != "git":
            raise place.invalid(f"is kept in {vcs.type[:20]!r}; only git is known")
        start = f"git+{vcs.url}" if vcs.url else f"git+file:{quoted_path(vcs.path or '')}"
        end = f"#subdirectory={vcs.subdirectory}" if vcs.subdirectory else ""
        return place.reference(f"{start}@{vcs.commit_id}{end}")
    if archive is not None:
        digest = _digest(archive.hashes)
        marks = [f"sha256={digest}"] if digest else []
        marks += [f"subdirectory={archive.subdirectory}"] if archive.subdirectory else []
        return place.reference(
            (archive.url or quoted_path(archive.path or "")) + (f"#{'&'.join(marks)}" if marks else "")
        )
    return None
