"""The work of `outdated --apply`: bounds of the project's own requirements that exclude the newest version, raised."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.errors import DeepLockError, UsageError
from deep_lock.events import Warned
from deep_lock.models.lock import Lock
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.operations.outdated import Newer, applies
from deep_lock.project import bounds, edit
from deep_lock.sanitize import show


class RaisedBound(Struct, frozen=True, kw_only=True):
    """One requirement that was changed."""

    name: str
    keys: edit.Keys
    """Of the list that has the requirement."""
    before: str
    after: str


class Raised(Struct, frozen=True, kw_only=True):
    """The file of the project with raised bounds, unwritten."""

    document: edit.Document
    bounds: tuple[RaisedBound, ...]
    upgrades: tuple[str, ...]
    """What ``-P`` gets: NAME==VERSION, or NAME where targets can use different versions."""
    notes: tuple[Warned, ...]
    """What stays held back, with the reason."""


def raise_bounds(document: edit.Document, found: Iterable[Newer], names: Collection[str], *, is_script: bool) -> Raised:
    """Raise the bounds that exclude the newest version of these projects, or of all where no name is given.

    Raises ProjectInvalid where the file cannot be edited.
    """
    held = [own for own in found if own.of_project and not own.row.admitted and (not names or own.row.name in names)]
    raised: list[RaisedBound] = []
    notes: list[Warned] = []
    for keys, texts in _lists(document.data, is_script=is_script):
        scope = "build" if keys[0] == "build-system" else "runtime"
        for number, text in enumerate(texts):
            requirement = _parsed(text)
            own = [
                one
                for one in held
                if requirement is not None
                and (one.row.name, one.row.scope) == (requirement.name, scope)
                and applies(requirement, one.targets)
                and not requirement.specifier.contains(one.row.newest, prereleases=True)
            ]
            if requirement is None or not own:
                continue
            newest = max(Version(one.row.newest) for one in own)
            after = bounds.admitting(text, newest)
            if after is None:
                message = f"{'.'.join(keys)} has {show(text)}: no higher bound of it admits {newest}"
                notes.append(Warned(code="bound-kept", subject=requirement.name, message=message))
            else:
                document = edit.with_replaced(document, keys, number, after)
                raised.append(RaisedBound(name=requirement.name, keys=keys, before=text, after=after))
    changed = {own.name for own in raised} | {note.subject for note in notes}
    notes += [
        Warned(
            code="bound-kept",
            subject=name,
            message="is held back by a constraint, or by a requirement that is in no list of the file: edit it by hand",
        )
        for name in sorted({own.row.name for own in held} - changed)
    ]
    return Raised(
        document=document,
        bounds=tuple(raised),
        upgrades=_upgrades({own.name for own in raised}, held),
        notes=tuple(notes),
    )


def require_locked(names: Sequence[str], lock: Lock) -> frozenset[str]:
    """Return the normalized names. Raises UsageError for one that is not in the lock."""
    known = {canonicalize_name(entry.name) for entry in lock.packages}
    for name in map(canonicalize_name, names):
        if name not in known:
            near = get_close_matches(name[:100], known, n=1)
            raise UsageError(
                f"{show(name)} is not in the lock",
                hint=f"did you mean {near[0]}?" if near else "deep-lock tree shows it",
            )
    return frozenset(map(canonicalize_name, names))


def _lists(data: dict[str, Any], *, is_script: bool) -> Iterator[tuple[edit.Keys, list[Any]]]:
    """Yield the lists of requirements of a project or a script. The reader of the project has checked them."""
    if is_script:
        yield ("dependencies",), data.get("dependencies", [])
        return
    project = data.get("project", {})
    yield ("project", "dependencies"), project.get("dependencies", [])
    for extra, texts in project.get("optional-dependencies", {}).items():
        yield ("project", "optional-dependencies", extra), texts
    for group, texts in data.get("dependency-groups", {}).items():
        yield ("dependency-groups", group), texts
    yield ("build-system", "requires"), data.get("build-system", {}).get("requires", [])


def _parsed(text: object) -> Requirement | None:
    """Return a requirement; None for the include of a group."""
    try:
        return parse_requirement(text) if isinstance(text, str) else None
    except DeepLockError:
        return None


def _upgrades(names: Collection[str], held: Iterable[Newer]) -> tuple[str, ...]:
    versions: dict[str, set[str]] = {}
    for own in held:
        if own.row.name in names:
            versions.setdefault(own.row.name, set()).add(own.row.newest)
    return tuple(
        f"{name}=={next(iter(found))}" if len(found) == 1 else name for name, found in sorted(versions.items())
    )
