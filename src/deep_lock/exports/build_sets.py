"""The pins of builds, at every depth, and a small number of files that contain them without conflicts.

pip and uv pass their build constraints on to the builds inside a build. So the pins of a build are those of its own
environment, of the environments in which members of that one are built, and so on. The environments are the final
ones: the first stage is a part of them as soon as they are pinned.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from deep_lock.exports.requirements import pin_lines
from deep_lock.exports.view import (
    TargetBuild,
    View,
    direct_builds,
    files_on,
    locked_entries,
    target_marker,
    with_inner_builds,
)
from deep_lock.lockfile.index import Key, called, covers, record_key
from deep_lock.models.lock import LockedBuild, LockedPackage
from deep_lock.targets.markers import enlarge

Subject = tuple[Key, str]
"""What is built, and the hook of its record; "" for a wheel."""
Pin = tuple[str, str, str]
"""(label of a target, name, version)."""


class BuildSet(Struct, frozen=True, kw_only=True):
    """The pins of one thing that is built."""

    build: LockedBuild
    """One of its records: messages call all of them by the same name."""
    pins: frozenset[Pin]
    inner: tuple[str, ...]
    """What is built for it, as messages call it."""
    direct: bool
    """Whether an installer builds it for the run time or for the project, and not only for another build."""
    conflict: str = ""
    """Why no single file serves all of its builds; then the pins are those of its own environment only."""


class BuildFile(Struct, frozen=True, kw_only=True):
    """Builds that can share one file of pins."""

    sets: tuple[BuildSet, ...]

    @property
    def pins(self) -> frozenset[Pin]:
        return frozenset[Pin]().union(*(own.pins for own in self.sets))


def build_sets(view: View, *, per_sdist: bool) -> tuple[BuildSet, ...]:
    """Return the pins of what an installer builds for the run time, and of the project, in the lock's order.

    What is built for another build has a set of its own where no single file serves that build, and, with
    ``per_sdist``, always.
    """
    records: dict[Subject, list[LockedBuild]] = {}
    for build in view.lock.builds:
        records.setdefault(_subject(build), []).append(build)
    labels: dict[Subject, set[str]] = {}
    for label, build in direct_builds(view):
        labels.setdefault(_subject(build), set()).add(label)
    direct = frozenset(labels)
    found: dict[Subject, BuildSet] = {}
    waiting = list(labels)
    while waiting:
        subject = waiting.pop()
        own = records[subject]
        roots = [(label, build) for label in sorted(labels[subject]) for build in own if covers(build, label)]
        inner = [pair for pair in with_inner_builds(view, roots) if _subject(pair[1]) != subject]
        found[subject] = _build_set(roots, inner, direct=subject in direct)
        if per_sdist or found[subject].conflict:
            for label, build in inner:
                known = labels.setdefault(_subject(build), set())
                if label not in known:
                    known.add(label)
                    waiting.append(_subject(build))
    order = {id(build): number for number, build in enumerate(view.lock.builds)}
    return tuple(sorted(found.values(), key=lambda own: order[id(own.build)]))


def _subject(build: LockedBuild) -> Subject:
    return record_key(build), build.hook or ""


def _build_set(roots: Sequence[TargetBuild], inner: Sequence[TargetBuild], *, direct: bool) -> BuildSet:
    pinned = _pinned([*roots, *inner])
    conflict = _conflict(pinned)
    return BuildSet(
        build=roots[0][1],
        pins=frozenset(_pinned(roots) if conflict else pinned),
        inner=tuple(sorted({called(build) for _, build in inner})),
        direct=direct,
        conflict=conflict,
    )


def _pinned(builds: Sequence[TargetBuild]) -> dict[Pin, LockedBuild]:
    """Return the members of build environments, each with the first build that uses it."""
    pins: dict[Pin, LockedBuild] = {}
    for label, build in builds:
        for member in build.packages:
            pins.setdefault((label, member.name, member.version), build)
    return pins


def _conflict(pinned: Mapping[Pin, LockedBuild]) -> str:
    """Return which builds need different versions of a package on one target; "" where none do."""
    first: dict[tuple[str, str], tuple[str, LockedBuild]] = {}
    for (label, name, version), build in sorted(pinned.items(), key=lambda item: item[0]):
        other, by = first.setdefault((label, name), (version, build))
        if other != version:
            return f"{called(by)} is built with {name} {other}, and {called(build)} with {name} {version}"
    return ""


# -- files


def build_files(view: View, sets: Sequence[BuildSet]) -> tuple[BuildFile, ...]:
    """Distribute the sets over few files, none of which pins two versions of a package on one target.

    First fit: the largest set comes first, because it conflicts with the most others; equal ones keep the lock's order,
    by name. Each set joins the first file that it does not conflict with. The result depends on the lock alone.
    The number of files is small, but not always the smallest.
    """
    alike = {target.label: min(enlarge([target.label], view.targets)) for target in view.targets}
    members: list[list[int]] = []
    pinned: list[dict[tuple[str, str], set[str]]] = []
    for number in sorted(range(len(sets)), key=lambda number: -len(sets[number].pins)):
        versions: dict[tuple[str, str], set[str]] = {}
        for label, name, version in sets[number].pins:
            # a file cannot pin different versions for targets that no marker distinguishes
            versions.setdefault((alike[label], name), set()).add(version)
        fitting = (
            file
            for file, known in enumerate(pinned)
            if all(known.get(key, own) == own for key, own in versions.items())
        )
        file = next(fitting, len(pinned))
        if file == len(pinned):
            members.append([])
            pinned.append({})
        members[file].append(number)
        pinned[file].update(versions)
    return tuple(BuildFile(sets=tuple(sets[number] for number in sorted(numbers))) for numbers in members)


def file_lines(view: View, file: BuildFile) -> list[str]:
    """Return the lines of a file, in the lock's order; a marker only where a package has several versions.

    Raises NotLocked on a pin that has no entry, and TargetsAlike where no marker distinguishes targets that need
    different versions.
    """
    found = pinned_entries(view, file)
    versions: dict[str, list[frozenset[str]]] = {}
    for entry, labels in found:
        versions.setdefault(entry.name, []).append(labels)
    return [
        line
        for entry, labels in found
        for line in pin_lines(entry, _marker(view, labels, versions[entry.name]), files_on(view, entry, labels))
    ]


def pinned_entries(view: View, file: BuildFile) -> list[tuple[LockedPackage, frozenset[str]]]:
    """Return the entries that a file pins, and on which targets, in the lock's order. Raises NotLocked."""
    labels: dict[Key, set[str]] = {}
    for label, name, version in file.pins:
        labels.setdefault((name, version, ""), set()).add(label)
    return locked_entries(view, labels)


def _marker(view: View, own: frozenset[str], versions: list[frozenset[str]]) -> str | None:
    """Return the marker of one of several versions: it may hold on targets too that need none of them."""
    if len(versions) == 1:
        return None
    needing = frozenset[str]().union(*versions)
    alike = enlarge(needing, view.targets) - needing
    return target_marker(own, tuple(target for target in view.targets if target.label not in alike))
