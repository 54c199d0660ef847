"""Whether a lock is closed, judged by packaging alone: it shares no code with what resolves, walks or assembles.

On each target: every requirement of every member that is installed is met by exactly one member, nothing is there that
nothing asks for, and the same holds in every build environment; what has no fitting wheel has a record, made from the
sdist's own declarations; a record that nothing needs is a fault too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from deep_lock.models.lock import BUILD_MARKER, Lock, LockedBuild, LockedPackage, source_text
from deep_lock.targets.target import Target

Key = tuple[str, str, str]
"""Name, version and source; "" where there is none."""


class Truth(Protocol):
    """What the files really say."""

    def requires_dist(self, filename: str) -> Sequence[str]:
        """Return the Requires-Dist texts of a file, or of a source ("@" and where it leads)."""

    def build_requires(self, filename: str) -> Sequence[str]:
        """Return ``[build-system] requires`` of an sdist."""


def key_of(entry: LockedPackage) -> Key:
    """Return the key of an entry."""
    return entry.name, entry.version or "", source_text(entry.source)


def installed_entries(lock: Lock, target: Target) -> list[LockedPackage]:
    """Return the entries that are installed on a target with every extra and group selected."""
    selected: dict[str, str | AbstractSet[str]] = {
        **target.environment,
        "extras": frozenset(lock.extras),
        "dependency_groups": frozenset((*lock.dependency_groups, *lock.default_groups)),
    }
    return [
        entry
        for entry in lock.packages
        if entry.marker is None
        or (entry.marker != BUILD_MARKER and Marker(entry.marker).evaluate(selected, context="lock_file"))
    ]


@dataclass(frozen=True, kw_only=True)
class _View:
    """A lock on one target."""

    lock: Lock
    target: Target
    truth: Truth

    def evaluates(self, requirement: Requirement, extra: str) -> bool:
        marker = requirement.marker
        return marker is None or marker.evaluate({**self.target.environment, "extra": extra})

    def asked(self, texts: Iterable[str], extra: str = "") -> Iterator[Requirement]:
        for text in texts:
            requirement = Requirement(text)
            if self.evaluates(requirement, extra) and not (extra and self.evaluates(requirement, "")):
                yield requirement

    def here(self) -> list[LockedBuild]:
        here = [build for build in self.lock.builds if not build.targets or self.target.label in build.targets]
        assert len({(build.name, build.version, build.source, build.hook) for build in here}) == len(here), (
            "two records of one build"
        )
        return here

    def records(self) -> dict[Key, LockedBuild]:
        """Return what is built as a wheel."""
        wheels = (build for build in self.here() if build.hook is None)
        return {(build.name, build.version or "", build.source or ""): build for build in wheels}

    def file(self, entry: LockedPackage) -> str:
        """Return the name of the file that the target takes; empty where there is none."""
        if entry.source is not None:
            return f"@{source_text(entry.source)}"
        if entry.sdist is not None and key_of(entry) in self.records():
            return entry.sdist.name
        tags = {str(tag): place for place, tag in enumerate(self.target.tags)}
        fitting = [
            (min(tags.get(str(tag), len(tags)) for tag in parse_wheel_filename(wheel.name)[3]), wheel.name)
            for wheel in entry.wheels
        ]
        best = min(fitting, default=(len(tags), ""))
        return best[1] if best[0] < len(tags) else ""


def faults(
    lock: Lock, targets: Sequence[Target], truth: Truth, *, scope: str = "needed", project: bool = False
) -> list[str]:
    """Return a sentence for each way in which the lock is not closed."""
    found: list[str] = []
    for target in targets:
        view = _View(lock=lock, target=target, truth=truth)
        found += [f"{target.label}: {fault}" for fault in _on(view, scope, project=project)]
    return found


def _on(view: _View, scope: str, *, project: bool) -> Iterator[str]:
    inputs = view.lock.inputs
    texts = [*inputs.requirements]
    for _, own in (*inputs.extras, *inputs.dependency_groups):
        texts += own
    installed = installed_entries(view.lock, view.target)
    names = [entry.name for entry in installed]
    yield from (f"{name} is installed twice" for name in sorted({name for name in names if names.count(name) > 1}))
    yield from _closed("runtime", {entry.name: entry for entry in installed}, texts, inputs.overrides, view)
    yield from _bounded("runtime", installed, inputs.constraints, view)
    if scope == "none":
        return
    entries = {key_of(entry): entry for entry in view.lock.packages}
    records = view.records()
    needed: set[Key] = {key_of(entry) for entry in installed}
    for build in view.here():
        key = (build.name, build.version or "", build.source or "")
        members = {member.name: entries[member.name, member.version, ""] for member in build.packages}
        declared = [*build.requires, *build.requires_user]
        asked = [*declared, *(build.requires_dynamic or ())]
        what = f"build of {build.name} {build.version} {build.hook or ''}".rstrip()
        wheel = records.get(key)
        if build.hook is not None and (wheel is None or wheel.requires != build.requires):
            yield f"{what}: its build as a wheel is not beside it, or is another"
        yield from _closed(what, members, asked, (), view)
        yield from _bounded(what, members.values(), inputs.build_constraints, view)
        needed |= {(member.name, member.version, "") for member in build.packages}
        if build.declared_packages is not None:
            first = {member.name: entries[member.name, member.version, ""] for member in build.declared_packages}
            yield from _closed(f"{what}, first stage", first, declared, (), view)
            needed |= {(member.name, member.version, "") for member in build.declared_packages}
        overlay = dict(inputs.extra_build_requires).get(build.name, ()) if build.source is None else ()
        if {*map(Requirement, build.requires_user)} != {*map(Requirement, overlay)}:
            yield f"{what}: the user added {overlay}, the record says {build.requires_user}"
        sdist = entries[key].sdist if build.source is None else None
        if sdist is not None and sorted(build.requires) != sorted(view.truth.build_requires(sdist.name)):
            yield f"{what}: it asks for {view.truth.build_requires(sdist.name)}, the record says {build.requires}"
    yield from _all_built(needed, entries, records, view, project=project)


def _all_built(
    needed: set[Key],
    entries: Mapping[Key, LockedPackage],
    records: Mapping[Key, LockedBuild],
    view: _View,
    *,
    project: bool,
) -> Iterator[str]:
    for key in sorted(needed):
        if view.file(entries[key]) == "":
            yield f"{key}: no file, and no record of a build"
    for key, build in records.items():
        if build.needed != "project" and key not in needed:
            yield f"{key}: a record of a build that nothing needs here"
    if project != any(build.needed == "project" for build in records.values()):
        yield "the project's own build is recorded or not, and should be the other way"


def _closed(
    what: str,
    members: Mapping[str, LockedPackage],
    texts: Iterable[str],
    overrides: Iterable[str],
    view: _View,
) -> Iterator[str]:
    replaced: dict[str, list[Requirement]] = {}
    for text in overrides:
        replaced.setdefault(canonicalize_name(Requirement(text).name), []).append(Requirement(text))
    queue = list(view.asked(texts))
    seen: set[tuple[str, str]] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        meant = [requirement]
        if name in replaced:
            meant = [own for own in replaced[name] if view.evaluates(own, "")]
            if not meant:
                continue
        entry = members.get(name)
        if entry is None:
            yield f"{what}: nothing for {requirement}"
            continue
        yield from (
            f"{what}: {name} {entry.version} does not satisfy {own}"
            for own in meant
            if entry.version is not None and not own.specifier.contains(entry.version, prereleases=True)
        )
        for extra in ("", *(canonicalize_name(extra) for extra in requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                file = view.file(entry)
                queue += view.asked(view.truth.requires_dist(file) if file else (), extra)
    reached = {name for name, _ in seen}
    yield from (f"{what}: nothing asks for {name}" for name in sorted(set(members) - reached))


def _bounded(what: str, members: Iterable[LockedPackage], constraints: Iterable[str], view: _View) -> Iterator[str]:
    limits = [limit for limit in map(Requirement, constraints) if view.evaluates(limit, "")]
    for entry in members:
        for limit in limits:
            if canonicalize_name(limit.name) != entry.name or entry.version is None:
                continue
            if not limit.specifier.contains(entry.version, prereleases=True):
                yield f"{what}: {entry.name} {entry.version} is outside of the constraint {limit}"
