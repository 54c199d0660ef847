"""Which versions a new lock changes, for the summary of a run and its warnings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from msgspec import Struct

from deep_lock.analysis.versions import joined, newest
from deep_lock.lockfile.index import covers, is_gate, members, names_in, parsed
from deep_lock.lockfile.selection import installed_ever
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import Lock, LockedPackage, source_text
from deep_lock.targets.target import Target

Kind = Literal["added", "updated", "downgraded", "removed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Versions = Mapping[str, frozenset[str]]
"""Versions by name."""


class Update(Struct, frozen=True, kw_only=True):
    """A project whose versions changed, at run time or in builds."""

    name: str
    kind: Kind
    """"downgraded": on some target of both locks, the newest version there went back."""
    was: str
    """Versions as text; empty where it is new."""
    now: str
    in_builds: bool
    named: bool
    """Whether the project itself requires it there."""


def updates(old: Lock, new: Lock) -> tuple[Update, ...]:
    """Return what changed: the run time first, then the builds, each by name.

    Raises LockInvalid and UsageError where the new lock has a target that is none.
    """
    labels = {target.name for target in old.targets}
    targets = [target for target in chosen_targets(new, (), "deep.lock") if target.label in labels]
    inputs = new.inputs
    direct = names_in(inputs) if not inputs.pinned else frozenset[str]()
    built = frozenset(requirement.name for requirement in parsed(inputs.build_requires or ()))
    before, after = _runtime(old), _runtime(new)
    names = _changed(before, after)
    lower = _lower(_runtime_by_target(old, targets, names), _runtime_by_target(new, targets, names))
    tools_before, tools_after = _in_builds(old), _in_builds(new)
    lower_tools = _lower(*([_in_builds(lock, target) for target in targets] for lock in (old, new)))
    return (
        *_updates(before, after, lower, direct, in_builds=False),
        *_updates(tools_before, tools_after, lower_tools, built, in_builds=True),
    )


def _runtime(lock: Lock) -> Versions:
    return _by_name((entry.name, _text(entry)) for entry in lock.packages if not is_gate(entry.marker))


def _runtime_by_target(lock: Lock, targets: Sequence[Target], names: frozenset[str]) -> list[Versions]:
    entries = [entry for entry in lock.packages if entry.name in names and not is_gate(entry.marker)]
    return [
        _by_name((entry.name, entry.version or "") for entry in entries if installed_ever(lock, entry.marker, target))
        for target in targets
    ]


def _text(entry: LockedPackage) -> str:
    source = source_text(entry.source)
    return f"{entry.version} from {source}" if entry.version and source else entry.version or source


def _in_builds(lock: Lock, target: Target | None = None) -> Versions:
    builds = [build for build in lock.builds if target is None or covers(build, target.label)]
    return _by_name((member.name, member.version) for build in builds for member in members(build))


def _by_name(pairs: Iterable[tuple[str, str]]) -> Versions:
    found: dict[str, set[str]] = {}
    for name, version in pairs:
        found.setdefault(name, set()).add(version)
    return {name: frozenset(versions) for name, versions in found.items()}


def _changed(before: Versions, after: Versions) -> frozenset[str]:
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _lower(before: Sequence[Versions], after: Sequence[Versions]) -> frozenset[str]:
    """Return the names of which the newest version went back on a target. Both are by target."""
    return frozenset(
        name
        for was, now in zip(before, after, strict=True)
        for name in was.keys() & now.keys()
        if newest(now[name]) < newest(was[name])
    )


def _updates(
    before: Versions, after: Versions, lower: frozenset[str], named: frozenset[str], *, in_builds: bool
) -> Iterator[Update]:
    for name in sorted(_changed(before, after)):
        was, now = before.get(name, frozenset()), after.get(name, frozenset())
        yield Update(
            name=name,
            kind="added" if not was else "removed" if not now else "downgraded" if name in lower else "updated",
            was=joined(was),
            now=joined(now),
            in_builds=in_builds,
            named=name in named,
        )
