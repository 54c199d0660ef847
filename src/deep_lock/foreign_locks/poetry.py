"""poetry.lock, as Poetry installs from it.

Since lock version 2.1 each package says its groups and markers itself. Before that a lock is a set of packages whose
roots stand in pyproject.toml; Poetry solves again within the set, and `foreign_poetry_graph` makes the edges for it.
What Poetry reads of such a lock is law here: groups, markers, extras; not "optional" or "category".
"""

from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LockInvalid, RequirementInvalid
from deep_lock.foreign_locks import poetry_legacy
from deep_lock.foreign_locks.poetry_legacy import PoetryProject, asked_names, read_poetry_project
from deep_lock.foreign_locks.poetry_packages import LockedPackage, Placed, read_packages
from deep_lock.foreign_locks.reader import MAX_LOCK, Value, extras_selected
from deep_lock.models.foreign_lock import Condition, ForeignLock, ForeignNote
from deep_lock.parsing.toml import read_toml
from deep_lock.project.poetry_constraints import to_python_marker, to_python_specifier
from deep_lock.targets.markers import BASE, Scope

_WITH_GROUPS = "2.1"
_AS_GRAPH = frozenset(("1.0", "1.1", "2.0"))
_MAIN = canonicalize_name("main")
_NEVER = "<empty>"
"""How Poetry writes a marker that holds nowhere."""


def read_poetry_lock(text: str, source: str, project: str | None) -> ForeignLock:
    """Read a poetry.lock. ``project`` is the text of the pyproject.toml beside it, if there is one.

    Raises LockInvalid that names the place, or LimitExceeded.
    """
    document, _ = read_toml(text, source, LockInvalid, limit=MAX_LOCK)
    lock = Value(raw=document, source=source)
    version = _lock_version(lock)
    packages, notes = read_packages(lock, {} if project is None else asked_names(project))
    requires_python, environments = _read_pythons(lock)
    if version == _WITH_GROUPS:
        found = _with_conditions(packages)
    else:
        found = poetry_legacy.with_edges(packages, _asked(project, version, source))
    return ForeignLock(
        kind="poetry.lock",
        source=source,
        requires_python=requires_python,
        environments=environments,
        extras=_extras(lock),
        groups=found.groups,
        pins=found.pins,
        roots=found.roots,
        notes=(*notes, *found.notes),
    )


def _lock_version(lock: Value) -> str:
    version = lock.get("metadata").get("lock-version").text()
    if version != _WITH_GROUPS and version not in _AS_GRAPH:
        known = ", ".join(sorted({*_AS_GRAPH, _WITH_GROUPS}))
        raise lock.invalid(f"is of lock version {version!r:.20}; known are {known}")
    return version


def _read_pythons(lock: Value) -> tuple[str | None, tuple[str, ...]]:
    """Read the Pythons that the project admits: a specifier set, or where none can say it, a marker."""
    value = lock.get("metadata").find("python-versions")
    if value is None:
        return None, ()
    try:
        try:
            return to_python_specifier(value.text()) or None, ()
        except RequirementInvalid:
            return None, (to_python_marker(value.text()),)
    except RequirementInvalid as error:
        raise value.invalid(f"cannot be read: {error.message}", error.hint) from None


def _extras(lock: Value) -> tuple[NormalizedName, ...]:
    extras = lock.find("extras")
    return () if extras is None else tuple(value.as_name(key, "the extra") for key, value in extras.entries())


def _asked(project: str | None, version: str, source: str) -> PoetryProject:
    if project is None:
        raise LockInvalid(
            f"{source}: a lock of version {version} does not say what the project asks for",
            hint="Put the pyproject.toml beside it that it was made for, or run poetry lock with Poetry 2.",
        )
    return read_poetry_project(project)


def _with_conditions(packages: list[LockedPackage]) -> Placed:
    notes: list[ForeignNote] = []
    groups: set[NormalizedName] = set()
    pins = []
    for package in packages:
        conditions: list[Condition] = []
        for group in package.value.get("groups").items():
            conditions += _conditions(package, group, notes)
            groups.add(group.name("the group"))
        pins.append(replace(package.pin, conditions=tuple(conditions)))
    return Placed(pins=tuple(pins), groups=tuple(sorted(groups - {_MAIN})), notes=tuple(notes))


def _conditions(package: LockedPackage, group: Value, notes: list[ForeignNote]) -> list[Condition]:
    """Read when a group brings a package in; the main group has the extras in its markers."""
    markers = package.value.find("markers")
    if markers is not None and isinstance(markers.raw, dict):
        markers = markers.find(group.text())
    text = "" if markers is None else markers.text()
    if text.strip() == _NEVER:
        return []
    written, named = extras_selected(text)
    marker = None if markers is None else markers.marker(written)
    name = group.name("the group")
    if name != _MAIN:
        return [Condition(scope=Scope(kind="group", name=name), marker=marker)]
    if markers is None:
        return [Condition(scope=BASE)]
    if " not in extras" in written:
        notes.append(_without_extra(package))
    extras = sorted({markers.as_name(extra, "the extra") for extra in named})
    scopes = [BASE, *(Scope(kind="extra", name=extra) for extra in extras)]
    return [Condition(scope=scope, marker=marker) for scope in scopes]


def _without_extra(package: LockedPackage) -> ForeignNote:
    return ForeignNote(
        code="foreign-extra-excludes",
        subject=str(package.pin.name),
        message="is installed only while an extra is not selected: with that extra the lock has something else for it",
    )
