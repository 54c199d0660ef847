"""What differs between two locks, ranked by what it means for who installs from them.

Law: pure; the same two locks have the same changes in the same order, and a lock has none against itself. One fact is
told once, at its highest rank.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache

from msgspec.structs import replace
from packaging.version import InvalidVersion, Version

from deep_lock.lockfile.build_changes import build_changes
from deep_lock.lockfile.file_changes import file_changes
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.release_changes import release_changes
from deep_lock.lockfile.stale import changed_settings
from deep_lock.model.chains import Chains, find_chains
from deep_lock.model.changes import Change
from deep_lock.model.lock import Lock, LockedPackage, source_text
from deep_lock.model.register import Register, is_gate, key_of, open_register, uses_of

DAY_SECONDS = 86400


def changes(old: Lock, new: Lock, *, now: datetime | None = None) -> tuple[Change, ...]:
    """Return what differs, most important first. ``now`` (aware) is for ages of releases; without it none are told."""
    found = _told_once(every_change(old, new, now=now)) or list(_rest(old, new))
    return tuple(sorted(found, key=lambda change: (change.rank, change.name, change.code, change.message)))


def every_change(old: Lock, new: Lock, *, now: datetime | None = None) -> list[Change]:
    """Return what differs, also what `changes` leaves out because the same fact is told louder. Not sorted."""
    before, after = open_register(ordered(old)), open_register(ordered(new))
    chains = cache(lambda: find_chains(after))  # most comparisons have nothing to explain
    return [
        *_settings(before.lock, after.lock),
        *build_changes(before, after, chains),
        *file_changes(before, after),
        *_names(before, after, chains),
        *_versions(before, after, now),
        *release_changes(before, after),
        *_quiet(before, after),
    ]


def _rest(old: Lock, new: Lock) -> Iterator[Change]:
    """Say that locks differ where nothing else says it: a size, a time, a marker of the lock. No change means equal."""
    if old.targets and new.targets and ordered(old) != ordered(new):
        message = "details of entries, files or records differ: git diff shows them"
        yield Change(code="details-changed", name="", message=message)


def _settings(before: Lock, after: Lock) -> Iterator[Change]:
    """What the locks were made from and for. Pins of another tool's lock are told as the versions that they are."""
    if not before.targets or not after.targets:
        return  # one of them is another tool's lock, which has no such settings
    if before.inputs.pinned or after.inputs.pinned:
        before, after = (
            replace(lock, inputs=replace(lock.inputs, requirements=(), extras=(), dependency_groups=()))
            for lock in (before, after)
        )
    for told in changed_settings(before, after):
        yield Change(code="settings-changed", name="", message=told)


def _told_once(every: list[Change]) -> list[Change]:
    """Leave out that a project is new where it is told that its code runs, and that its version moved where it is new."""
    louder = {change.name for change in every if change.code in {"build-new", "build-dep-new", "became-sdist-only"}}
    return [change for change in every if change.code != "package-new" or change.name not in louder]


def _installed(register: Register) -> dict[str, list[LockedPackage]]:
    entries: dict[str, list[LockedPackage]] = {}
    for entry in register.lock.packages:
        if not is_gate(entry.marker):
            entries.setdefault(entry.name, []).append(entry)
    return entries


def _names(before: Register, after: Register, chains: Callable[[], Chains]) -> Iterator[Change]:
    """Projects that came, went, or moved between the run time and the builds."""
    was, now = _installed(before), _installed(after)
    for name in sorted(now.keys() - before.versions.keys()):
        entry = now[name][0]
        yield Change(
            code="package-new",
            name=name,
            now=_versions_text(now[name]),
            message=f"{_versions_text(now[name])} is new at run time",
            chain=chains().chain(key_of(entry)),
        )
    for name in sorted(before.versions.keys() - after.versions.keys()):
        was_text = _versions_text(before.versions[name])
        yield Change(code="package-gone", name=name, was=was_text, message=f"{was_text} is gone")
    used_before, used_after = ({key[0] for key in uses_of(register)} for register in (before, after))
    for name in sorted(before.versions.keys() & after.versions.keys()):
        told = _roles(name in was, name in used_before), _roles(name in now, name in used_after)
        if told[0] != told[1]:
            yield Change(
                code="role-changed",
                name=name,
                was=told[0],
                now=told[1],
                message=f"was {told[0]}, is {told[1]}",
                chain=chains().chain(key_of(after.versions[name][-1])),
            )


def _roles(installed: bool, used: bool) -> str:  # noqa: FBT001 -- two facts of one thing, read side by side
    return "installed and used by builds" if installed and used else "installed" if installed else "build-only"


def _versions(before: Register, after: Register, now: datetime | None) -> Iterator[Change]:
    """Run-time versions that moved. Those of build environments are told by environment."""
    was, here = _installed(before), _installed(after)
    for name in sorted(was.keys() & here.keys()):
        left = [entry for entry in was[name] if all(_identity(entry) != _identity(other) for other in here[name])]
        come = [entry for entry in here[name] if all(_identity(entry) != _identity(other) for other in was[name])]
        if not left and not come:
            continue
        old_text, new_text = _versions_text(was[name]), _versions_text(here[name])
        if any((entry.source is None) != (other.source is None) for entry in left for other in come):
            told = f"was {_places(left)}, is {_places(come)}"
            yield Change(code="source-changed", name=name, was=_places(left), now=_places(come), message=told)
        elif old_text != new_text:
            code = "downgraded" if _top(here[name]) < _top(was[name]) else "version-changed"
            message = f"{old_text} to {new_text}{_age(come, now)}"
            yield Change(code=code, name=name, was=old_text, now=new_text, message=message)
        else:
            yield Change(
                code="source-changed",
                name=name,
                was=_places(left),
                now=_places(come),
                message=f"is {_places(come)} now",
            )


def _identity(entry: LockedPackage) -> tuple[str | None, str]:
    return entry.version, source_text(entry.source)


def _places(entries: Iterable[LockedPackage]) -> str:
    return " and ".join(source_text(entry.source) or f"release {entry.version}" for entry in entries)


def _versions_text(entries: Iterable[LockedPackage]) -> str:
    return " and ".join(entry.version or source_text(entry.source) for entry in entries)


def _top(entries: Iterable[LockedPackage]) -> Version:
    return max((_parsed(entry.version) for entry in entries), default=Version("0"))


def _parsed(version: str | None) -> Version:
    try:
        return Version(version or "0")
    except InvalidVersion:
        return Version("0")


def _age(entries: Iterable[LockedPackage], now: datetime | None) -> str:
    """Say how old the newest file of the releases is: what was published a moment ago nobody has looked at."""
    files = (file for entry in entries for file in (*entry.wheels, *((entry.sdist,) if entry.sdist else ())))
    times = [file.upload_time for file in files if file.upload_time is not None]
    if now is None or not times:
        return ""
    days = int((now - max(times)).total_seconds() // DAY_SECONDS)
    return f", published {'today' if days <= 0 else '1 day ago' if days == 1 else f'{days} days ago'}"


def _quiet(before: Register, after: Register) -> Iterator[Change]:
    """Details of releases that are in both."""
    for key in sorted(before.entries.keys() & after.entries.keys()):
        was, now = before.entries[key], after.entries[key]
        for code, one, other, what in _details(was, now):
            if one != other:
                yield Change(code=code, name=now.name, message=f"{now.version or ''} {what}".strip())


def _details(was: LockedPackage, now: LockedPackage) -> Iterator[tuple[str, object, object, str]]:
    yield "files-changed", _filenames(was), _filenames(now), "lists other files"
    yield "edges-changed", was.dependencies, now.dependencies, "needs other projects"
    if is_gate(was.marker) == is_gate(now.marker):
        yield "marker-changed", was.marker, now.marker, "is installed elsewhere"


def _filenames(entry: LockedPackage) -> frozenset[str]:
    return frozenset(file.name for file in (*entry.wheels, *((entry.sdist,) if entry.sdist else ())))
