"""The run time of a lock, or one build environment, as a plain lock of PEP 751 that any installer reads.

Law: on each target of the view, and for each selection that is left open, an installer selects from it what it would
select from the lock.
"""

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.errors import NotLocked
from deep_lock.exports.environment import environment
from deep_lock.exports.view import Installed, View, lost_builds
from deep_lock.lockfile.index import Key, called, is_gate, key_of, meant
from deep_lock.lockfile.selection import Selection, full_selection, installed_packages, taken_files
from deep_lock.models.lock import (
    Lock,
    LockedArchive,
    LockedDirectory,
    LockedFile,
    LockedInputs,
    LockedPackage,
    LockedReference,
    LockedSource,
    LockedVcs,
)
from deep_lock.targets.markers import BASE, Scope, environments, with_scopes
from deep_lock.targets.target import Target


class Open(Struct, frozen=True, kw_only=True):
    """What an installer may still select; all else is chosen now, and becomes ordinary or is left out."""

    extras: bool
    groups: bool


class Plain(Struct, frozen=True, kw_only=True):
    """A lock with nothing in it but what PEP 751 knows."""

    lock: Lock
    name: str
    """The file name that installers know it by."""
    about: str
    """What it holds, for its head."""
    targets: tuple[Target, ...]
    """On which it is right."""
    members: tuple[Installed, ...]
    losses: tuple[str, ...]


class _Part(Struct, frozen=True, kw_only=True):
    """An entry to be, and all that is not its own."""

    entry: LockedPackage
    marker: str | None
    labels: frozenset[str]
    needs: frozenset[Key]


# -- the run time


def run_time(view: View, left: Open) -> Plain:
    """Return what is installed at run time. Raises NotLocked where a target has no file of something."""
    whole = _is_whole(view)
    parts = tuple(_as_locked(view) if whole and left.extras and left.groups else _chosen(view, left))
    members = tuple(Installed(entry=part.entry, labels=part.labels, marker=part.marker) for part in parts)
    old = view.lock
    return Plain(
        lock=Lock(
            inputs=LockedInputs(),
            environments=_environments(view, view.targets),
            requires_python=old.requires_python,
            extras=old.extras if left.extras else (),
            dependency_groups=old.dependency_groups if left.groups else (),
            default_groups=old.default_groups if left.groups else (),
            packages=_packages(parts, _every_file if whole else _files_for(view)),
        ),
        name="pylock.toml",
        about="what is installed at run time",
        targets=view.targets,
        members=members,
        losses=lost_builds(view, members),
    )


def _is_whole(view: View) -> bool:
    return len(view.targets) == len(view.lock.targets)


def _environments(view: View, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """Return the lock's own environments where all of its targets are meant."""
    if len(targets) == len(view.lock.targets):
        return view.lock.environments
    return environments(targets, view.lock.requires_python)


def _as_locked(view: View) -> Iterator[_Part]:
    labels = _labels(view, Selection(extras=view.chosen.extras, groups=view.chosen.groups))
    for entry in view.lock.packages:
        if not is_gate(entry.marker):
            own = frozenset(labels.get(key_of(entry), ()))
            yield _Part(entry=entry, marker=entry.marker, labels=own, needs=_needs(view, entry))


def _chosen(view: View, left: Open) -> Iterator[_Part]:
    """Yield what is there with what was chosen, and with what may still be; markers say on which of the targets."""
    every = full_selection(view.register)
    fixed = Selection(
        extras=frozenset() if left.extras else view.chosen.extras,
        groups=frozenset() if left.groups else view.chosen.groups,
    )
    wanted = {BASE: _labels(view, fixed)}
    for name in sorted(every.extras) if left.extras else ():
        more = Selection(extras=fixed.extras | {name}, groups=fixed.groups)
        wanted[Scope(kind="extra", name=name)] = _labels(view, more)
    for name in sorted(every.groups) if left.groups else ():
        more = Selection(extras=fixed.extras, groups=fixed.groups | {name})
        wanted[Scope(kind="group", name=name)] = _labels(view, more)
    for entry in view.lock.packages:
        scopes = [
            (frozenset(labels[key_of(entry)]), scope) for scope, labels in wanted.items() if key_of(entry) in labels
        ]
        if scopes:
            yield _Part(
                entry=entry,
                marker=with_scopes(scopes, view.targets),
                labels=frozenset[str]().union(*(labels for labels, _ in scopes)),
                needs=_needs(view, entry),
            )


def _labels(view: View, selection: Selection) -> dict[Key, set[str]]:
    """Return the targets of each entry that is there with this selection."""
    labels: dict[Key, set[str]] = {}
    for target in view.targets:
        for entry in installed_packages(view.register, target, selection):
            labels.setdefault(key_of(entry), set()).add(target.label)
    return labels


def _needs(view: View, entry: LockedPackage) -> frozenset[Key]:
    return frozenset(key_of(each) for reference in entry.dependencies for each in meant(reference, view.register))


# -- one build environment


def build_environment(view: View, asked: str) -> Plain:
    """Return one build environment as a lock of its own. Raises as `environment`."""
    own = environment(view, asked)
    parts = tuple(
        _Part(
            entry=member.entry,
            marker=member.marker,
            labels=member.labels,
            needs=own.needs[key_of(member.entry)],
        )
        for member in own.members
    )
    return Plain(
        lock=Lock(
            inputs=LockedInputs(),
            environments=_environments(view, own.targets),
            requires_python=view.lock.requires_python,
            packages=_packages(parts, _files_for(view)),
        ),
        name=f"pylock.build-{own.name}.toml",
        about=f"what {own.called} is built with",
        targets=own.targets,
        members=own.members,
        losses=(*own.losses, *lost_builds(view, own.members)),
    )


# -- entries

Files = Callable[[_Part], Collection[LockedFile] | None]
"""Which files of an entry are kept; None is all."""


def _every_file(_: _Part) -> None:
    return None


def _files_for(view: View) -> Files:
    def files(part: _Part) -> Collection[LockedFile] | None:
        if part.entry.source is not None:
            return None
        found: set[LockedFile] = set()
        for target in view.targets:
            if target.label in part.labels:
                own = set(taken_files(view.register, part.entry, target))
                if not own:
                    raise NotLocked(
                        f"{called(part.entry)} has no file that fits {target.label}", hint="run deep-lock lock"
                    )
                found |= own
        return found

    return files


def _packages(parts: Iterable[_Part], files: Files) -> tuple[LockedPackage, ...]:
    kept = {key_of(part.entry): part for part in parts}
    named: dict[str, int] = {}
    for name, _, _ in kept:
        named[name] = named.get(name, 0) + 1
    return tuple(_package(part, kept, named, files(part)) for part in kept.values())


def _package(
    part: _Part, kept: Mapping[Key, _Part], named: Mapping[str, int], files: Collection[LockedFile] | None
) -> LockedPackage:
    old = part.entry
    return LockedPackage(
        name=old.name,
        version=old.version,
        marker=part.marker,
        requires_python=old.requires_python,
        dependencies=tuple(_reference(kept[key].entry, named) for key in sorted(part.needs) if key in kept),
        index=old.index,
        source=old.source,
        sdist=old.sdist if files is None or old.sdist in files else None,
        wheels=tuple(wheel for wheel in old.wheels if files is None or wheel in files),
        attestation_identities=old.attestation_identities,
    )


def _reference(entry: LockedPackage, named: Mapping[str, int]) -> LockedReference:
    """Name an entry by as much as tells it from the others (PEP 751)."""
    if named[entry.name] == 1:
        return LockedReference(name=entry.name)
    return LockedReference(name=entry.name, version=entry.version, source=entry.source)


# -- where it stands


def has_paths(lock: Lock) -> bool:
    """Whether anything in the lock is named by where it lies, as seen from the lock's folder."""
    return any(_paths(entry) for entry in lock.packages)


def _paths(entry: LockedPackage) -> bool:
    files = (*entry.wheels, *([entry.sdist] if entry.sdist is not None else []))
    return bool(entry.source is not None and entry.source.path) or any(file.path is not None for file in files)


def moved(lock: Lock, old: str) -> Lock:
    """Return the lock as it stands in another folder, from which its own is seen as ``old``."""

    def path(text: str) -> str:
        return posixpath.normpath(posixpath.join(old, text))

    def file(each: LockedFile) -> LockedFile:
        return each if each.path is None else replace(each, path=path(each.path))

    def source(each: LockedSource | None) -> LockedSource | None:
        match each:
            case LockedDirectory():
                return replace(each, path=path(each.path))
            case LockedVcs(path=str(text)) | LockedArchive(path=str(text)):
                return replace(each, path=path(text))
            case _:
                return each

    return replace(
        lock,
        packages=tuple(
            replace(
                entry,
                source=source(entry.source),
                sdist=None if entry.sdist is None else file(entry.sdist),
                wheels=tuple(map(file, entry.wheels)),
                dependencies=tuple(replace(each, source=source(each.source)) for each in entry.dependencies),
            )
            for entry in lock.packages
        ),
    )
