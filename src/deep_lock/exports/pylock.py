"""The run time of a lock, or one build environment, as a plain lock of PEP 751 that any installer reads.

Invariant: on each target of the view, and for each selection that stays possible, an installer selects from it what it
would select from the lock.
"""

import posixpath
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.errors import NotLocked
from deep_lock.exports.environment import environment
from deep_lock.exports.view import (
    ExportedPackage,
    View,
    installed_labels,
    is_tree,
    unsupported_builds,
    unsupported_by_pip,
)
from deep_lock.lockfile.index import Key, called, files_of, is_gate, key_of, reference_to, referenced
from deep_lock.lockfile.selection import every_name, part_in_lock, selection_of, taken_files
from deep_lock.models.conflicts import Choice, Implied, choices, combined, conflicting_scopes
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
from deep_lock.models.workspace import implied_scopes
from deep_lock.targets.markers import BASE, Scope, environments, with_parts
from deep_lock.targets.open_markers import TargetPart
from deep_lock.targets.target import Target

Dependencies = Mapping[Key, frozenset[Key]]


class Selectable(Struct, frozen=True, kw_only=True):
    """What an installer can still select; everything else is either always installed or left out."""

    extras: bool
    groups: bool


class PlainLock(Struct, frozen=True, kw_only=True):
    """A lock with nothing but the keys of PEP 751."""

    lock: Lock
    name: str
    """The file name that installers expect."""
    about: str
    """What it holds, for its head."""
    targets: tuple[Target, ...]
    """The targets for which it is right."""
    needs_uv: bool
    """Whether pip refuses it: ``unsupported`` says why."""
    unsupported: tuple[str, ...]


def runtime_lock(view: View, selectable: Selectable) -> PlainLock:
    """Return what is installed at run time. Raises NotLocked where a target has no file of a package."""
    whole = len(view.targets) == len(view.lock.targets)
    packages = tuple(
        _as_locked(view) if whole and selectable.extras and selectable.groups else _selected(view, selectable)
    )
    old = view.lock
    lock = Lock(
        inputs=LockedInputs(),
        environments=_environments(view, view.targets),
        requires_python=old.requires_python,
        extras=old.extras if selectable.extras else (),
        dependency_groups=old.dependency_groups if selectable.groups else (),
        default_groups=old.default_groups if selectable.groups else (),
        packages=_packages(view, packages, _dependencies(view, packages), every_file=whole),
    )
    return PlainLock(
        lock=lock,
        name="pylock.toml",
        about="the runtime packages",
        targets=view.targets,
        needs_uv=any(is_tree(own.entry) for own in packages),
        unsupported=(*unsupported_builds(view, packages), *unsupported_by_pip(packages)),
    )


def build_environment(view: View, requested: str) -> PlainLock:
    """Return one build environment as a lock of its own. Raises as `environment`."""
    own = environment(view, requested)
    lock = Lock(
        inputs=LockedInputs(),
        environments=_environments(view, own.targets),
        requires_python=view.lock.requires_python,
        packages=_packages(view, own.members, own.dependencies, every_file=False),
    )
    return PlainLock(
        lock=lock,
        name=f"pylock.build-{own.name}.toml",
        about=f"the build environment of {own.title}",
        targets=own.targets,
        needs_uv=any(is_tree(member.entry) for member in own.members),
        unsupported=(*own.unsupported, *unsupported_builds(view, own.members), *unsupported_by_pip(own.members)),
    )


def _environments(view: View, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """Return the lock's own environments if it is exported for all of its targets."""
    if len(targets) == len(view.lock.targets):
        return view.lock.environments
    return environments(targets, view.lock.requires_python)


# -- packages of the run time


def _as_locked(view: View) -> Iterator[ExportedPackage]:
    labels = installed_labels(view, view.selections)
    for entry in view.lock.packages:
        if not is_gate(entry.marker):
            yield ExportedPackage(entry=entry, labels=frozenset(labels.get(key_of(entry), ())), marker=entry.marker)


def _selected(view: View, selectable: Selectable) -> Iterator[ExportedPackage]:
    """Yield the packages of the fixed selection and of every possible one, with markers for the view's targets."""
    implied = implied_scopes(view.lock.inputs.members)
    fixed, every = _choices(view, selectable, implied)
    in_conflicts = conflicting_scopes(every)
    scopes = {scope for scope in every_name(view.lock).scopes - in_conflicts if _is_selectable(scope, selectable)}
    selections = {
        (choice, scope): selection_of(fixed | choice | ({scope} - {BASE}))
        for choice in every
        for scope in (BASE, *scopes)
    }
    labels = {key: installed_labels(view, [selection]) for key, selection in selections.items()}
    for entry in view.lock.packages:
        parts: dict[str, Mapping[Scope, TargetPart]] = {}
        for target in view.targets:
            by_choice: dict[Choice, dict[Scope, TargetPart]] = {}
            for (choice, scope), selection in selections.items():
                if target.label in labels[choice, scope].get(key_of(entry), ()):
                    part = part_in_lock(entry.marker, target, selection)
                    by_choice.setdefault(choice, {})[scope] = part
            parts[target.label] = combined(by_choice, every, implied)
        if any(parts.values()):
            yield ExportedPackage(
                entry=entry,
                labels=frozenset(label for label, own in parts.items() if own),
                marker=with_parts(parts, view.targets),
            )


def _is_selectable(scope: Scope, selectable: Selectable) -> bool:
    return selectable.extras if scope.kind == "extra" else selectable.groups


def _choices(view: View, selectable: Selectable, implied: Implied) -> tuple[frozenset[Scope], tuple[Choice, ...]]:
    """Return the scopes that every selection has, and the choices that these leave open."""
    selected = frozenset[Scope]().union(*(own.scopes for own in view.selections))
    fixed = frozenset(scope for scope in selected if not _is_selectable(scope, selectable))
    open_scopes = {scope for scope in every_name(view.lock).scopes if _is_selectable(scope, selectable)}
    every = choices(view.lock.inputs.conflicts, open_scopes | fixed, implied)
    in_conflicts = conflicting_scopes(every)
    return fixed, tuple(choice for choice in every if fixed & in_conflicts <= choice)


def _dependencies(view: View, packages: Iterable[ExportedPackage]) -> Dependencies:
    return {
        key_of(own.entry): frozenset(
            key_of(each) for reference in own.entry.dependencies for each in referenced(reference, view.lock_index)
        )
        for own in packages
    }


# -- entries


def _packages(
    view: View, packages: Iterable[ExportedPackage], dependencies: Dependencies, *, every_file: bool
) -> tuple[LockedPackage, ...]:
    entries = {key_of(own.entry): own.entry for own in packages}
    names = Counter(name for name, _, _ in entries)
    return tuple(
        _package(
            own,
            [
                reference_to(entries[key], by_name=names[key[0]] == 1)
                for key in sorted(dependencies[key_of(own.entry)])
                if key in entries
            ],
            files_of(own.entry) if every_file or own.entry.source is not None else _files(view, own),
        )
        for own in packages
    )


def _files(view: View, own: ExportedPackage) -> set[LockedFile]:
    """Return the files of a release that the targets take: its wheels too where the lock builds it. Raises NotLocked."""
    found: set[LockedFile] = set()
    for target in view.targets:
        if target.label in own.labels:
            taken = set(taken_files(view.lock_index, own.entry, target))
            if not taken:
                raise NotLocked(f"{called(own.entry)} has no file that fits {target.label}", hint="run deep-lock lock")
            found |= taken
    return found


def _package(
    own: ExportedPackage, dependencies: Iterable[LockedReference], files: Collection[LockedFile]
) -> LockedPackage:
    old = own.entry
    return LockedPackage(
        name=old.name,
        version=old.version,
        marker=own.marker,
        requires_python=old.requires_python,
        dependencies=tuple(dependencies),
        index=old.index,
        source=old.source,
        sdist=old.sdist if old.sdist in files else None,
        wheels=tuple(wheel for wheel in old.wheels if wheel in files),
        attestation_identities=old.attestation_identities,
    )


# -- paths


def has_paths(lock: Lock) -> bool:
    """Whether the lock has paths, which are relative to its folder."""
    return any(
        (entry.source is not None and bool(entry.source.path)) or any(file.path is not None for file in files_of(entry))
        for entry in lock.packages
    )


def moved(lock: Lock, old: str) -> Lock:
    """Return the lock with paths for another folder; ``old`` is the path of its own folder from there."""

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
