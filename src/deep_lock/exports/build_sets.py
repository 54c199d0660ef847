"""What is pinned while something is built, to full depth, and the fewest files that can pin it.

pip and uv hand their build constraints down to the builds inside a build. So what one file serves is never an
environment but all of those below it: the pins of one thing that is built are those of its own environment, and of the
environments in which members of that one are built, and so on. The environments are the final ones: the first stage is
a part of them as soon as they are pinned.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct

from deep_lock.errors import NotLocked, TargetsAlike
from deep_lock.exports.view import View, files_on, pin_lines
from deep_lock.lockfile.index import Key, called, covers, key_of, record_key
from deep_lock.lockfile.selection import installed_packages
from deep_lock.models.lock import LockedBuild, LockedFile, LockedPackage
from deep_lock.targets.markers import enlarge, label_marker

MOST_STEPS = 50_000
"""Of the exact search, for each number of groups that is tried in one connected part: well below a second."""

Quarrels = Sequence[frozenset[int]]
"""Of each member, with which others it cannot be together."""


class Grouped(Struct, frozen=True, kw_only=True):
    """To which group each member belongs, from 0."""

    groups: tuple[int, ...]
    fewest: bool
    """Whether it is proven that fewer do not suffice."""


class _TooLong(Exception):
    pass


def group(quarrels: Quarrels) -> Grouped:
    """Put the members into the fewest groups, each part of the graph that hangs together by itself.

    Among the answers with the fewest it is the one in which early members are in low groups. Where the search takes
    too long, each member goes into the first group that has a place for it.
    """
    groups = [0] * len(quarrels)
    fewest = True
    for part in _parts(quarrels):
        answer, proven = _part_groups(part, quarrels)
        fewest = fewest and proven
        for member, own in answer.items():
            groups[member] = own
    return Grouped(groups=tuple(groups), fewest=fewest)


def _parts(quarrels: Quarrels) -> list[list[int]]:
    """Return the connected parts, the members of each in order."""
    parts: list[list[int]] = []
    seen: set[int] = set()
    for first in range(len(quarrels)):
        waiting, part = [first], []
        while waiting:
            member = waiting.pop()
            if member not in seen:
                seen.add(member)
                part.append(member)
                waiting += quarrels[member]
        if part:
            parts.append(sorted(part))
    return parts


def _part_groups(part: list[int], quarrels: Quarrels) -> tuple[Mapping[int, int], bool]:
    greedy = _first_fit(part, quarrels)
    most = max(greedy.values()) + 1
    try:
        for count in range(_least(part, quarrels), most):
            found = _search(part, quarrels, count)
            if found is not None:
                return found, True
    except _TooLong:
        return greedy, False
    return greedy, True


def _least(part: list[int], quarrels: Quarrels) -> int:
    """Return a number of members that all quarrel with each other: fewer groups cannot do."""
    best = 1
    for member in part:
        clique = {member}
        for other in sorted(quarrels[member], key=lambda other: (-len(quarrels[other]), other)):
            if clique <= quarrels[other]:
                clique.add(other)
        best = max(best, len(clique))
    return best


def _first_fit(part: list[int], quarrels: Quarrels) -> dict[int, int]:
    answer: dict[int, int] = {}
    for member in part:
        taken = {answer[other] for other in quarrels[member] if other in answer}
        answer[member] = next(number for number in range(len(part)) if number not in taken)
    return answer


def _search(part: list[int], quarrels: Quarrels, count: int) -> Mapping[int, int] | None:
    """Return the first answer in the order of members and groups that has no more groups than ``count``.

    A walk with a stack of its own: at each depth, the group that the member there has.
    """
    chosen: list[int] = []
    place = {member: depth for depth, member in enumerate(part)}
    number, steps = 0, 0
    while len(chosen) < len(part):
        steps += 1
        if steps > MOST_STEPS:
            raise _TooLong
        depth = len(chosen)
        taken = {chosen[place[other]] for other in quarrels[part[depth]] if place[other] < depth}
        open_to = min(count, max(chosen, default=-1) + 2)
        found = next((own for own in range(number, open_to) if own not in taken), None)
        if found is not None:
            chosen.append(found)
            number = 0
        elif not chosen:
            return None
        else:
            number = chosen.pop() + 1
    return dict(zip(part, chosen, strict=True))


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
        installed = {key_of(entry) for entry in installed_packages(view.register, target, view.chosen)}
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
