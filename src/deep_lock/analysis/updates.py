"""Which versions a new lock changes, for the summary of a run and its warnings."""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import Struct

from deep_lock.analysis.versions import joined, newest, oldest
from deep_lock.lockfile.index import LockIndex, index_lock, is_gate, members, names_in, parsed
from deep_lock.models.lock import Lock, LockedPackage, source_text

Kind = Literal["added", "updated", "downgraded", "removed"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Update(Struct, frozen=True, kw_only=True):
    """A project whose versions changed, at run time or in builds."""

    name: str
    kind: Kind
    """"downgraded": the newest or the oldest version went back on some target, whatever else changed."""
    was: str
    """Versions in words; empty where it is new."""
    now: str
    in_builds: bool
    named: bool
    """Whether the project itself requires it there."""


def updates(old: Lock, new: Lock) -> tuple[Update, ...]:
    """Return what changed: the run time first, then the builds, each by name."""
    before, after = index_lock(old), index_lock(new)
    inputs = new.inputs
    direct = names_in(inputs) if not inputs.pinned else frozenset[str]()
    built = frozenset(requirement.name for requirement in parsed(inputs.build_requires or ()))
    return (
        *_updates(_runtime(before), _runtime(after), direct, in_builds=False),
        *_updates(_in_builds(before), _in_builds(after), built, in_builds=True),
    )


Versions = Mapping[str, frozenset[str]]


def _runtime(lock_index: LockIndex) -> Versions:
    return _by_name((entry.name, _text(entry)) for entry in lock_index.lock.packages if not is_gate(entry.marker))


def _text(entry: LockedPackage) -> str:
    source = source_text(entry.source)
    return f"{entry.version} from {source}" if entry.version and source else entry.version or source


def _in_builds(lock_index: LockIndex) -> Versions:
    return _by_name((member.name, member.version) for build in lock_index.lock.builds for member in members(build))


def _by_name(pairs: Iterable[tuple[str, str]]) -> Versions:
    found: dict[str, set[str]] = {}
    for name, version in pairs:
        found.setdefault(name, set()).add(version)
    return {name: frozenset(versions) for name, versions in found.items()}


def _updates(before: Versions, after: Versions, named: frozenset[str], *, in_builds: bool) -> Iterable[Update]:
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, frozenset()), after.get(name, frozenset())
        if was != now:
            yield Update(
                name=name,
                kind=_kind(was, now),
                was=joined(was),
                now=joined(now),
                in_builds=in_builds,
                named=name in named,
            )


def _kind(was: frozenset[str], now: frozenset[str]) -> Kind:
    if not was or not now:
        return "removed" if was else "added"
    return "downgraded" if newest(now) < newest(was) or oldest(now) < oldest(was) else "updated"
