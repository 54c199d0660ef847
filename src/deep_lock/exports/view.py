"""What of a lock is exported: its entries and build records, on some of its targets, for some extras and groups.

Law: an export says exactly what the lock says of the chosen targets, and tells what its form has no place for.
"""

from collections.abc import Iterable

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.errors import UsageError
from deep_lock.lockfile.index import Key, LockIndex, called, covers, key_of, needs_record, open_register
from deep_lock.lockfile.selection import Selection, full_selection, installed_packages, is_built, tags_of, taken_files
from deep_lock.models.lock import Lock, LockedBuild, LockedDirectory, LockedFile, LockedPackage, LockedVcs
from deep_lock.targets.markers import label_marker
from deep_lock.targets.target import Target, rank


class View(Struct, frozen=True, kw_only=True):
    """A lock, and what of it is asked for."""

    register: LockIndex
    source: str
    """The lock's file name, for messages and for how an export is used."""
    targets: tuple[Target, ...]
    """Those that are asked for, in the lock's order."""
    chosen: Selection
    """The extras and groups that are installed besides the project's own dependencies."""

    @property
    def lock(self) -> Lock:
        return self.register.lock


class Installed(Struct, frozen=True, kw_only=True):
    """One entry of the run time, and where it is installed."""

    entry: LockedPackage
    labels: frozenset[str]
    """Of the view's targets."""
    marker: str | None
    """Holds on exactly these of the view's targets, with no word of extras and groups; None on all of them."""


class Exported(Struct, frozen=True, kw_only=True):
    """A finished export."""

    files: tuple[tuple[str, str], ...]
    """(name, text): the names that the tools which read them expect. The first is the main one."""
    usage: str
    """One line: the exact command that uses it."""
    losses: tuple[str, ...] = ()
    """What the lock says and this form does not, a sentence each."""


def make_view(
    lock: Lock,
    source: str,
    targets: tuple[Target, ...],
    *,
    extras: frozenset[str] | None,
    groups: frozenset[str] | None,
) -> View:
    """Return the view of a lock; None is all extras, or all groups. Raises UsageError on one that it does not have."""
    register = open_register(lock)
    every = full_selection(register)
    return View(
        register=register,
        source=source,
        targets=targets,
        chosen=Selection(
            extras=_known("extra", extras, every.extras, source), groups=_known("group", groups, every.groups, source)
        ),
    )


def _known(kind: str, asked: frozenset[str] | None, there: frozenset[str], source: str) -> frozenset[str]:
    names = there if asked is None else frozenset(canonicalize_name(name) for name in asked)
    for name in sorted(names - there):
        raise UsageError(f"{source} has no {kind} {name!r}", hint=f"it has: {', '.join(sorted(there)) or 'none'}")
    return names


def installed(view: View) -> tuple[Installed, ...]:
    """Return what the run time holds on the view's targets, in the lock's order.

    Raises TargetsAlike where targets that no marker tells apart need different entries.
    """
    labels: dict[Key, set[str]] = {}
    for target in view.targets:
        for entry in installed_packages(view.register, target, view.chosen):
            labels.setdefault(key_of(entry), set()).add(target.label)
    return tuple(
        Installed(entry=entry, labels=frozenset(own), marker=label_marker(frozenset(own), view.targets))
        for entry in view.lock.packages
        if (own := labels.get(key_of(entry)))
    )


def builds_of(view: View) -> tuple[LockedBuild, ...]:
    """Return the records of all that is built on a target of the view, to full depth, in the lock's order.

    The project's own are among them. What only extras and groups bring in that are not chosen is not.
    """
    register = view.register
    found: set[int] = set()
    for target in view.targets:
        waiting = [build for build in view.lock.builds if build.needed == "project" and covers(build, target.label)]
        for entry in installed_packages(register, target, view.chosen):
            waiting += _covering(register, key_of(entry), target)
        seen: set[int] = set()
        while waiting:
            build = waiting.pop()
            if id(build) not in seen:
                seen.add(id(build))
                for member in build.packages:
                    waiting += _covering(register, key_of(member), target)
        found |= seen
    return tuple(build for build in view.lock.builds if id(build) in found)


def _covering(register: LockIndex, key: Key, target: Target) -> list[LockedBuild]:
    return [build for build in register.records.get(key, ()) if covers(build, target.label)]


NAMED = 5
"""So many names are told one by one."""


def is_tree(entry: LockedPackage) -> bool:
    """Whether the entry is a source tree, of which no sha256 tells what is in it."""
    return isinstance(entry.source, LockedDirectory | LockedVcs)


def lost_builds(view: View, own: Iterable[Installed]) -> tuple[str, ...]:
    """Say what an installer builds itself, with build requirements that a list of what is installed does not hold."""
    built = [called(each.entry) for each in own if _is_built(view, each)]
    if not built:
        return ()
    told = "an installer takes the newest for that, if it is not told: deep-lock export -f build-constraints"
    return (f"build requirements: {_counted(built)} built from source, and {told}",)


def _is_built(view: View, own: Installed) -> bool:
    entry = own.entry
    if entry.source is not None:
        return needs_record(entry)
    return entry.sdist is not None and any(
        entry.sdist in taken_files(view.register, entry, target)
        for target in view.targets
        if target.label in own.labels
    )


def lost_to_pip(own: Iterable[Installed]) -> tuple[str, ...]:
    """Say what makes pip refuse a file in which anything has a hash: that all of it must have one."""
    trees = [called(each.entry) for each in own if is_tree(each.entry)]
    return (f"pip: {_counted(trees)} without a sha256, beside which pip takes none; uv does",) if trees else ()


def _counted(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"


def pin_lines(entry: LockedPackage, marker: str | None, files: Iterable[LockedFile]) -> list[str]:
    """Return the lines that pin a release of an index; each but the last ends in a backslash."""
    return hashed(f"{entry.name}=={entry.version}", marker, (file.sha256 for file in files))


def hashed(requirement: str, marker: str | None, digests: Iterable[str]) -> list[str]:
    """Return the lines of a requirement with its sha256 digests, sorted."""
    first = f"{requirement} ; {marker}" if marker else requirement
    parts = [first, *(f"    --hash=sha256:{digest}" for digest in sorted(set(digests)))]
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]


def files_on(register: LockIndex, entry: LockedPackage, targets: Iterable[Target]) -> list[LockedFile]:
    """Return the files of a release that these targets take: where a record holds its sdist, elsewhere what fits."""
    found: dict[str, LockedFile] = {}
    for target in targets:
        own = [entry.sdist] if is_built(register, entry, target) else [w for w in entry.wheels if _fits(w, target)]
        found |= {file.name: file for file in own if file is not None}
    return list(found.values())


def _fits(wheel: LockedFile, target: Target) -> bool:
    return rank(tags_of(wheel.name), target) is not None
