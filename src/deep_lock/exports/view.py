"""What an export covers: packages and build records of a lock, for some targets, extras and dependency groups.

Invariant: an export says exactly what the lock says for these targets, and reports what its format cannot express.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import or_

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.errors import NotLocked, TargetsAlike
from deep_lock.lockfile.index import Key, LockIndex, called, covers, index_lock, key_of, needs_record, record_key
from deep_lock.lockfile.selection import (
    InstallSelection,
    installed_packages,
    is_built,
    part_in_lock,
    select,
    selections,
    taken_files,
)
from deep_lock.models.lock import Lock, LockedBuild, LockedDirectory, LockedFile, LockedPackage, LockedVcs
from deep_lock.sanitize import Safe
from deep_lock.targets.markers import BASE, label_marker, with_parts
from deep_lock.targets.target import Target

TargetBuild = tuple[str, LockedBuild]
"""(label of a target, a record that holds there)."""


class View(Struct, frozen=True, kw_only=True):
    """A lock, and the part of it that is exported."""

    lock_index: LockIndex
    source: str
    """The file name of the lock, for messages and commands."""
    targets: tuple[Target, ...]
    """The exported targets, in the lock's order."""
    selections: tuple[InstallSelection, ...]
    """The extras and groups that are installed in addition to the project's own dependencies.

    Several where some of them exclude each other: the export then covers each.
    """
    package: str = ""
    """The member of the workspace whose part of the lock it is."""

    @property
    def extras(self) -> frozenset[str]:
        """The extras of any selection."""
        return frozenset[str]().union(*(own.extras for own in self.selections))

    @property
    def groups(self) -> frozenset[str]:
        """The groups of any selection."""
        return frozenset[str]().union(*(own.groups for own in self.selections))

    @property
    def project(self) -> str | None:
        """The name of the member, or of the project."""
        return self.package or project_of(self.lock)

    @property
    def lock(self) -> Lock:
        return self.lock_index.lock


def project_of(lock: Lock) -> str | None:
    """Return the name of the project, if the lock has it; of a workspace that of the member in its root."""
    built = next((build.name for build in lock.builds if build.needed == "project"), None)
    return built or next((member.name for member in lock.inputs.members if member.root), None)


class ExportedPackage(Struct, frozen=True, kw_only=True):
    """A package, and the targets on which it is installed."""

    entry: LockedPackage
    labels: frozenset[str]
    """Labels of targets of the view."""
    marker: str | None
    """Holds on exactly these of the exported targets, and names no extras or groups; None on all of them."""


class Exported(Struct, frozen=True, kw_only=True):
    """A finished export."""

    files: tuple[tuple[str, Safe], ...]
    """(name, text): the names that the tools which read them expect. The first is the main one."""
    usage: str
    """The exact command that uses it, on one line."""
    unsupported: tuple[str, ...] = ()
    """What the lock says and this format cannot express, one sentence each."""


def make_view(
    lock: Lock,
    source: str,
    targets: tuple[Target, ...],
    *,
    extras: frozenset[str] | None,
    groups: frozenset[str] | None,
    package: str = "",
) -> View:
    """Return the view of a lock, or of the part of a member; None is all extras, or all groups.

    Raises UsageError on a name that the lock lacks.
    """
    lock_index = index_lock(lock)
    return View(
        lock_index=lock_index,
        source=source,
        targets=targets,
        selections=selections(lock, source, extras=extras, groups=groups),
        package=canonicalize_name(package),
    )


# -- packages


def installed(view: View) -> tuple[ExportedPackage, ...]:
    """Return the packages that are installed at run time, in the lock's order. Raises TargetsAlike."""
    labels = installed_labels(view, view.selections)
    return tuple(
        ExportedPackage(entry=entry, labels=own, marker=_installed_marker(view, entry, own))
        for entry, own in locked_entries(view, labels)
    )


def _installed_marker(view: View, entry: LockedPackage, labels: frozenset[str]) -> str | None:
    """Return the marker for the targets of the view. What a target leaves open stays a condition of it."""
    with _hint_for_alike():
        return with_parts(
            {
                target.label: {BASE: reduce(or_, (part_in_lock(entry.marker, target, own) for own in view.selections))}
                for target in view.targets
                if target.label in labels
            },
            view.targets,
        )


def installed_labels(view: View, selections: Iterable[InstallSelection]) -> dict[Key, set[str]]:
    """Return the targets on which each package is installed at run time with any of these selections."""
    labels: dict[Key, set[str]] = {}
    for target in view.targets:
        for entry in (entry for own in selections for entry in installed_packages(view.lock_index, target, own)):
            labels.setdefault(key_of(entry), set()).add(target.label)
    return labels


def require_one_selection(view: View) -> None:
    """Raise UsageError where a format has no conditions for extras and groups, and some of them exclude each other."""
    select(view.lock_index, view.source, extras=view.extras, groups=view.groups)


def with_markers(
    view: View, labels: Mapping[Key, set[str]], targets: tuple[Target, ...]
) -> tuple[ExportedPackage, ...]:
    """Return these packages with markers that distinguish the targets, in the lock's order.

    Raises NotLocked where a package has no entry, TargetsAlike where no marker distinguishes targets that need
    different packages.
    """
    return tuple(
        ExportedPackage(entry=entry, labels=own, marker=target_marker(own, targets))
        for entry, own in locked_entries(view, labels)
    )


def locked_entries(view: View, labels: Mapping[Key, set[str]]) -> list[tuple[LockedPackage, frozenset[str]]]:
    """Return the entries of these packages with their targets, in the lock's order. Raises NotLocked."""
    for name, version, _ in sorted(labels.keys() - view.lock_index.entries.keys()):
        raise NotLocked(f"a build uses {name} {version}, which has no entry in the lock", hint="run deep-lock lock")
    return [(entry, frozenset(own)) for entry in view.lock.packages if (own := labels.get(key_of(entry)))]


def target_marker(labels: frozenset[str], targets: tuple[Target, ...]) -> str | None:
    """Return the marker that holds on these of the targets; None on all of them. Raises TargetsAlike."""
    with _hint_for_alike():
        return label_marker(labels, targets)


@contextmanager
def _hint_for_alike() -> Iterator[None]:
    try:
        yield
    except TargetsAlike as error:
        raise TargetsAlike(error.message, hint="export for one of them: --target LABEL") from None


# -- builds


def direct_builds(view: View) -> list[TargetBuild]:
    """Return what an installer builds for the run time, and the builds of the project itself, target by target."""
    found: list[TargetBuild] = []
    for target in view.targets:
        own = {
            key_of(entry)
            for selection in view.selections
            for entry in installed_packages(view.lock_index, target, selection)
        }
        found += [
            (target.label, build)
            for build in view.lock.builds
            if covers(build, target.label) and (build.needed == "project" or record_key(build) in own)
        ]
    return found


def with_inner_builds(view: View, roots: Iterable[TargetBuild]) -> Iterator[TargetBuild]:
    """Yield these builds, and the builds of the members of their environments, to full depth, each once."""
    seen: set[tuple[str, int]] = set()
    waiting = list(roots)
    while waiting:
        label, build = waiting.pop()
        if (label, id(build)) in seen:
            continue
        seen.add((label, id(build)))
        yield label, build
        for member in build.packages:
            inner = view.lock_index.records.get(key_of(member), ())
            waiting += [(label, record) for record in inner if covers(record, label)]


def builds_of(view: View) -> tuple[LockedBuild, ...]:
    """Return the records of everything that is built on a target of the view, to full depth, in the lock's order.

    The project's own are among them; those that only extras and groups outside the selection need are not.
    """
    found = {id(build) for _, build in with_inner_builds(view, direct_builds(view))}
    return tuple(build for build in view.lock.builds if id(build) in found)


# -- files


def files_on(view: View, entry: LockedPackage, labels: frozenset[str]) -> set[LockedFile]:
    """Return the files of a release that an installer may take on these targets.

    A build record decides: where the lock builds a release, its wheels are not among them.
    """
    found: set[LockedFile] = set()
    for target in view.targets:
        if target.label not in labels:
            continue
        if entry.sdist is not None and is_built(view.lock_index, entry, target):
            found.add(entry.sdist)
        else:
            found.update(taken_files(view.lock_index, entry, target))
    return found


# -- what a format cannot express

MAX_NAMES = 5
"""Names that a message lists."""


def is_tree(entry: LockedPackage) -> bool:
    """Whether the entry is a source tree, whose content has no sha256."""
    return isinstance(entry.source, LockedDirectory | LockedVcs)


def unsupported_builds(view: View, packages: Iterable[ExportedPackage]) -> tuple[str, ...]:
    """Report the packages that an installer builds, with build requirements that a list of packages cannot pin."""
    built = [called(own.entry) for own in packages if _is_built(view, own)]
    rule = "an installer takes the newest releases for that, unless it uses deep-lock export -f build-constraints"
    return (f"build requirements: {_counted(built)} built from source; {rule}",) if built else ()


def _is_built(view: View, own: ExportedPackage) -> bool:
    if own.entry.source is not None:
        return needs_record(own.entry)
    return own.entry.sdist is not None and own.entry.sdist in files_on(view, own.entry, own.labels)


def unsupported_by_pip(packages: Iterable[ExportedPackage]) -> tuple[str, ...]:
    """Report the packages without a sha256: pip refuses them in a file in which any package has one."""
    trees = [called(own.entry) for own in packages if is_tree(own.entry)]
    return (f"pip: {_counted(trees)} without a sha256; pip refuses such a file, uv accepts it",) if trees else ()


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES])
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"
