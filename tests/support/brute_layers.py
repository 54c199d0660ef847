"""Who brings in whom on one target, told from a lock's tables by sets alone: no walk, no bits, nothing of `model.layers`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deep_lock.models.lock import EnvironmentMember, Lock, LockedBuild, LockedPackage, source_text
from deep_lock.targets.target import Target

Key = tuple[str, str, str]
Line = tuple[Key | None, Key, str, int | None]
"""(above, below, kind, place of the record): None above is the project."""
PROJECT: None = None


def key(subject: LockedPackage | EnvironmentMember) -> Key:
    """Return the name of an entry."""
    source = source_text(subject.source) if isinstance(subject, LockedPackage) else ""
    return subject.name, subject.version or "", source


@dataclass(kw_only=True)
class Told:
    """One target."""

    runtime: set[Key] = field(default_factory=set)
    used: set[Key] = field(default_factory=set)
    built: set[Key] = field(default_factory=set)
    levels: dict[Key, int] = field(default_factory=dict)
    records: dict[int, int] = field(default_factory=dict)
    """Level by place."""
    lines: set[Line] = field(default_factory=set)


def tell(lock: Lock, target: Target, extras: Iterable[str], groups: Iterable[str]) -> Told:
    """Return all of it for one target."""
    chosen = {"extras": frozenset(extras), "dependency_groups": frozenset(groups)}
    told = Told()
    entries = {key(entry): entry for entry in lock.packages}
    for own, entry in entries.items():
        if entry.marker is None or Marker(entry.marker).evaluate({**target.environment, **chosen}, context="lock_file"):
            told.runtime.add(own)
    told.levels = dict.fromkeys(told.runtime, 0)
    here = {
        place: build for place, build in enumerate(lock.builds) if not build.targets or target.label in build.targets
    }
    # Bellman and Ford: relax until nothing moves
    for _ in range(len(here) + 1):
        for place, build in here.items():
            above = 0 if build.needed == "project" else told.levels.get(_subject(build))
            if above is not None:
                told.records[place] = above + 1
                for member in _members(build, entries):
                    told.levels[key(member)] = min(told.levels.get(key(member), above + 1), above + 1)
    told.lines |= _runtime_lines(told.runtime, entries)
    for place in told.records:
        build = here[place]
        told.used |= {key(member) for member in _members(build, entries)}
        if build.needed != "project":
            told.built.add(_subject(build))
        for stage in (build.packages, build.declared_packages or ()):
            told.lines |= _build_lines(place, build, [each for each in stage if key(each) in entries], target)
    return told


def _subject(build: LockedBuild) -> Key:
    return build.name, build.version or "", build.source or ""


def _members(build: LockedBuild, entries: Mapping[Key, object]) -> list[EnvironmentMember]:
    return [member for member in (*build.packages, *(build.declared_packages or ())) if key(member) in entries]


def _runtime_lines(runtime: set[Key], entries: Mapping[Key, LockedPackage]) -> set[Line]:
    lines: set[Line] = set()
    for own in runtime:
        for reference in entries[own].dependencies:
            wanted = (reference.version, source_text(reference.source))
            for other in runtime:
                fits = wanted == (None, "") or (other[1] or None, other[2]) == wanted
                if other[0] == reference.name and fits:
                    lines.add((own, other, "runtime", None))
    asked = {own for own in runtime if entries[own].direct}
    return lines | {(PROJECT, own, "runtime", None) for own in _tops(sorted(runtime), asked, lines)}


def _build_lines(place: int, build: LockedBuild, stage: list[EnvironmentMember], target: Target) -> set[Line]:
    names = {member.name: key(member) for member in stage}
    lines: set[Line] = {
        (key(member), names[name], "inside", place) for member in stage for name in member.dependencies if name in names
    }
    wanted = set()
    for text in (*build.requires, *build.requires_user, *(build.requires_dynamic or ())):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({**target.environment, "extra": ""}):
            wanted.add(str(canonicalize_name(requirement.name)))
    asked = {own for name, own in names.items() if name in wanted}
    above = PROJECT if build.needed == "project" else _subject(build)
    tops = _tops([key(member) for member in stage], asked, lines)
    return lines | {(above, own, "build", place) for own in tops}


def _tops(nodes: list[Key], asked: set[Key], lines: set[Line]) -> set[Key]:
    """What is asked for, what nobody needs, and one of each circle that is still loose."""
    needed = {below for above, below, _, _ in lines if above != below}
    tops = asked | {own for own in nodes if own not in needed}
    while loose := [own for own in nodes if own not in _reached(tops, lines)]:
        tops.add(loose[0])
    return tops


def _reached(tops: set[Key], lines: set[Line]) -> set[Key]:
    found = set(tops)
    while more := {below for above, below, _, _ in lines if above in found} - found:
        found |= more
    return found
