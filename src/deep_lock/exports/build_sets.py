"""What is pinned while something is built, to full depth, and the fewest files that can pin it.

pip and uv hand their build constraints down to the builds inside a build. So what one file serves is never an
environment but all of those below it: the pins of one thing that is built are those of its own environment, and of the
environments in which members of that one are built, and so on. The environments are the final ones: the first stage is
a part of them as soon as they are pinned.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

from msgspec import Struct

from deep_lock.errors import NotLocked, TargetsAlike
from deep_lock.exports.grouping import group
from deep_lock.exports.pins import files_on, pin_lines
from deep_lock.exports.view import View
from deep_lock.model.installed import present
from deep_lock.model.lock import LockedBuild, LockedFile, LockedPackage
from deep_lock.model.register import Key, called, covers, key_of, record_key
from deep_lock.model.target_markers import enlarge, label_marker

Subject = tuple[Key, str]
"""What is built, and as what: the hook of its record, "" for a wheel."""
Pin = tuple[str, str, str]
"""(label of a target, name, version)."""


class BuildSet(Struct, frozen=True, kw_only=True):
    """The pins of one thing that is built."""

    build: LockedBuild
    """One of its records: they tell it by the same name."""
    pins: frozenset[Pin]
    below: tuple[str, ...]
    """What is built for it, as messages call it."""
    direct: bool
    """Whether an installer is asked for it, and does not only need it to build something else."""
    quarrel: str = ""
    """Why no one file serves all of its builds: then the pins are those of its own environment only."""


class BuildFile(Struct, frozen=True, kw_only=True):
    """Things that can be built with the same pins."""

    sets: tuple[BuildSet, ...]

    @property
    def pins(self) -> frozenset[Pin]:
        return frozenset[Pin]().union(*(own.pins for own in self.sets))


class _Walk(Struct, frozen=True, kw_only=True):
    """Who pins what in the builds of a subject, and what is built there, on which targets."""

    pinned: Mapping[Pin, LockedBuild]
    built: Mapping[Subject, set[str]]
    names: tuple[str, ...]
    """Of what is built, as messages call it."""


def build_sets(view: View, *, each: bool) -> tuple[BuildSet, ...]:
    """Return what is built: by an installer that is given the run time, or the project; with ``each``, all of it.

    What an installer builds on the way to that is told apart only where no one file would serve. In the lock's order.
    Raises NotLocked on a lock that is not closed.
    """
    records: dict[Subject, list[LockedBuild]] = {}
    for build in view.lock.builds:
        records.setdefault(_subject(build), []).append(build)
    labels = _direct(view)
    direct = frozenset(labels)
    made: dict[Subject, BuildSet] = {}
    waiting = list(labels)
    while waiting:
        subject = waiting.pop()
        own = [(label, build) for label in labels[subject] for build in records[subject] if covers(build, label)]
        walk = _walk(view, own)
        made[subject] = _made(own, walk, direct=subject in direct)
        if each or made[subject].quarrel:
            for below, there in walk.built.items():
                if not there <= labels.setdefault(below, set()):
                    labels[below] |= there
                    waiting.append(below)
    places = {id(build): place for place, build in enumerate(view.lock.builds)}
    return tuple(sorted(made.values(), key=lambda own: places[id(own.build)]))


def _direct(view: View) -> dict[Subject, set[str]]:
    """Return what an installer builds by itself, and on which targets."""
    labels: dict[Subject, set[str]] = {}
    for target in view.targets:
        installed = {key_of(entry) for entry in present(view.register, target, view.chosen)}
        for build in view.lock.builds:
            if covers(build, target.label) and (build.needed == "project" or record_key(build) in installed):
                labels.setdefault(_subject(build), set()).add(target.label)
    return labels


def _subject(build: LockedBuild) -> Subject:
    return record_key(build), build.hook or ""


def _walk(view: View, roots: list[tuple[str, LockedBuild]]) -> _Walk:
    pinned: dict[Pin, LockedBuild] = {}
    built: dict[Subject, set[str]] = {}
    names: dict[Subject, str] = {}
    seen: set[tuple[str, int]] = set()
    waiting = list(roots)
    while waiting:
        label, build = waiting.pop()
        if (label, id(build)) in seen:
            continue
        seen.add((label, id(build)))
        for member in build.packages:
            pinned.setdefault((label, member.name, member.version), build)
            for below in view.register.records.get(key_of(member), ()):
                if covers(below, label):
                    built.setdefault(_subject(below), set()).add(label)
                    names[_subject(below)] = called(below)
                    waiting.append((label, below))
    return _Walk(pinned=pinned, built=built, names=tuple(sorted(names.values())))


def _made(own: list[tuple[str, LockedBuild]], walk: _Walk, *, direct: bool) -> BuildSet:
    quarrel = _quarrel(walk)
    shallow = {(label, member.name, member.version) for label, build in own for member in build.packages}
    return BuildSet(
        build=own[0][1],
        pins=frozenset(shallow if quarrel else walk.pinned),
        below=walk.names,
        direct=direct,
        quarrel=quarrel,
    )


def _quarrel(walk: _Walk) -> str:
    """Say where builds of one subject need different versions of a name on a target; "" where they do not."""
    first: dict[tuple[str, str], tuple[str, LockedBuild]] = {}
    for (label, name, version), build in sorted(walk.pinned.items(), key=lambda item: item[0]):
        other, by = first.setdefault((label, name), (version, build))
        if other != version:
            return f"{called(by)} is built with {name} {other}, {called(build)} with {name} {version}"
    return ""


# -- files


def build_files(view: View, sets: tuple[BuildSet, ...]) -> tuple[tuple[BuildFile, ...], bool]:
    """Share the sets out to the fewest files that pin one version of a name on a target; False where that is not proven."""
    distinct = list(dict.fromkeys(own.pins for own in sets))
    versions = [_versions(view, pins) for pins in distinct]
    quarrels: list[set[int]] = [set() for _ in distinct]
    for one, other in combinations(range(len(distinct)), 2):
        if any(not found <= versions[other].get(place, found) for place, found in versions[one].items()):
            quarrels[one].add(other)
            quarrels[other].add(one)
    grouped = group([frozenset(own) for own in quarrels])
    number = dict(zip(distinct, grouped.groups, strict=True))
    files = tuple(
        BuildFile(sets=tuple(own for own in sets if number[own.pins] == place))
        for place in range(max(grouped.groups, default=-1) + 1)
    )
    return files, grouped.fewest


def _versions(view: View, pins: frozenset[Pin]) -> dict[tuple[str, str], frozenset[str]]:
    """Return the versions by name and by what a marker can tell of a target."""
    alike = {target.label: min(enlarge([target.label], view.targets)) for target in view.targets}
    found: dict[tuple[str, str], frozenset[str]] = {}
    for label, name, version in pins:
        place = (alike[label], name)
        found[place] = found.get(place, frozenset()) | {version}
    return found


def file_lines(view: View, pins: frozenset[Pin]) -> list[str]:
    """Return the lines that pin these, in the lock's order; a marker only where a name has several versions.

    Raises NotLocked on a pin that has no entry, and TargetsAlike where targets that no marker tells apart need
    different versions.
    """
    found = pinned(view, pins)
    versions: dict[str, list[frozenset[str]]] = {}
    for entry, labels in found:
        versions.setdefault(entry.name, []).append(labels)
    return [
        line
        for entry, labels in found
        for line in pin_lines(entry, _marker(view, labels, versions[entry.name]), pinned_files(view, entry, labels))
    ]


def pinned(view: View, pins: Iterable[Pin]) -> list[tuple[LockedPackage, frozenset[str]]]:
    """Return the entries that are pinned, and on which targets, in the lock's order. Raises NotLocked."""
    labels: dict[Key, set[str]] = {}
    for label, name, version in pins:
        labels.setdefault((name, version, ""), set()).add(label)
    for name, version, _ in sorted(labels.keys() - view.register.entries.keys()):
        raise NotLocked(f"a build uses {name} {version}, which has no entry in the lock", hint="run deep-lock lock")
    return [(entry, frozenset(labels[key_of(entry)])) for entry in view.lock.packages if key_of(entry) in labels]


def pinned_files(view: View, entry: LockedPackage, labels: frozenset[str]) -> list[LockedFile]:
    """Return the files of a release that may be taken on these targets."""
    return files_on(view.register, entry, [target for target in view.targets if target.label in labels])


def _marker(view: View, own: frozenset[str], versions: list[frozenset[str]]) -> str | None:
    """Say where one of several versions of a name holds: on its targets, and at most on such as need none of them."""
    if len(versions) == 1:
        return None
    needing = frozenset[str]().union(*versions)
    alike = enlarge(needing, view.targets) - needing
    try:
        return label_marker(own, tuple(target for target in view.targets if target.label not in alike))
    except TargetsAlike as error:
        raise TargetsAlike(error.message, hint="export for one of them: --target LABEL") from None
