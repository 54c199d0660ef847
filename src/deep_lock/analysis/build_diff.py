"""What differs in the builds of two locks: what runs, where, by which backend, and in which environment."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec.structs import replace

from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.versions import joined, newest, published
from deep_lock.lockfile.index import LockIndex, called, members, parsed, record_key
from deep_lock.models.changes import Change
from deep_lock.models.lock import LockedBuild, LockedPackage
from deep_lock.sanitize import listed

MAX_BUILDS = 3
BuildName = tuple[str, str]
"""(name, hook) of what is built: the same over versions."""


def build_changes(
    before: LockIndex, after: LockIndex, explain: Explanations, time: datetime | None
) -> Iterator[Change]:
    """Yield what differs in what runs when something is built. ``explain`` is of the new lock; ``time`` is for ages."""
    was, now = _records(before), _records(after)
    yield from _new_members(before, after, explain, time)
    for key in sorted(now.keys() - was.keys()):
        yield _new_build(now[key], before, after, explain, time)
    if after.lock.targets:  # another tool's lock has no build records
        names = after.versions.keys() | {build.name for build in after.lock.builds}
        yield from (
            _removed_build(key[0], was[key], after) for key in sorted(was.keys() - now.keys()) if key[0] in names
        )
    for key in sorted(was.keys() & now.keys()):
        yield from _more_targets(key[0], was[key], now[key], before, after)
        yield from _same_build(key[0], was[key], now[key])
        yield from _built_release(was[key], now[key], after, time)
    yield from _tool_versions(before, after, explain, time)


def _records(lock_index: LockIndex) -> dict[BuildName, tuple[LockedBuild, ...]]:
    found: dict[BuildName, tuple[LockedBuild, ...]] = {}
    for build in lock_index.lock.builds:
        key = build.name, build.hook or ""
        found[key] = (*found.get(key, ()), build)
    return found


def _new_members(before: LockIndex, after: LockIndex, explain: Explanations, time: datetime | None) -> Iterator[Change]:
    """Report projects that run during builds, and that the old lock does not have at all."""
    builds: dict[str, list[LockedBuild]] = {}
    for build in after.lock.builds:
        for name in {member.name for member in members(build)}:
            builds.setdefault(name, []).append(build)
    for name in sorted(builds.keys() - before.versions.keys()):
        using = builds[name]
        versions = joined({member.version for build in using for member in members(build) if member.name == name})
        names = sorted({called(build) for build in using})
        yield Change(
            code="build-dep-new",
            name=name,
            now=versions,
            message=f"{versions}{_age(after.versions.get(name, ()), time)} runs during the build of {listed(names, MAX_BUILDS)}",
            chain=explain.member(name, using),
            targets=_targets(using, after),
        )


def _new_build(
    builds: tuple[LockedBuild, ...],
    before: LockIndex,
    after: LockIndex,
    explain: Explanations,
    time: datetime | None,
) -> Change:
    build, name = builds[0], builds[0].name
    known = before.versions.get(name, ())
    lost_wheels = any(entry.wheels for entry in known) and any(e.sdist_only for e in after.versions.get(name, ()))
    what = (
        "no longer has a wheel"
        if lost_wheels
        else "is now built from source"
        if known
        else "is new and built from source"
    )
    assumed = "; its build requirements are assumed" if build.evidence == "assumed" else ""
    return Change(
        code="became-sdist-only" if lost_wheels else "build-new",
        name=name,
        was=" and ".join(entry.version or "" for entry in known),
        now=build.version or "",
        message=_runs(build, what, _age(_packages(builds, after), time)) + assumed,
        chain=explain.build(build),
        targets=_targets(builds, after),
    )


def _runs(build: LockedBuild, what: str, age: str = "") -> str:
    return f"{build.version or ''}{age} {what}: the build runs {build.backend} and its own code".strip()


def _removed_build(name: str, builds: tuple[LockedBuild, ...], after: LockIndex) -> Change:
    entries = after.versions.get(name, ())
    if not entries:
        kind = "editable build" if builds[0].hook else "build"
        message = f"the {kind} of the project no longer has a record"
    elif any(not entry.wheels for entry in entries):
        message = "its build no longer has a record, and it has no wheel"
    else:
        message = "is no longer built from source: it has wheels"
    return Change(code="build-gone", name=name, was=builds[0].version or "", message=message)


def _more_targets(
    name: str, was: tuple[LockedBuild, ...], now: tuple[LockedBuild, ...], before: LockIndex, after: LockIndex
) -> Iterator[Change]:
    more = sorted((_labels(now, after) - _labels(was, before)) & before.labels)
    if not more:
        return
    had, has = (any(e.sdist_only for e in lock_index.versions.get(name, ())) for lock_index in (before, after))
    lost_wheels = has and not had
    yield Change(
        code="became-sdist-only" if lost_wheels else "build-new",
        name=name,
        now=now[0].version or "",
        message=_runs(now[0], "no longer has a wheel" if lost_wheels else "is now built from source on more targets"),
        targets=tuple(more),
    )


def _same_build(name: str, was: tuple[LockedBuild, ...], now: tuple[LockedBuild, ...]) -> Iterator[Change]:
    """Report another backend, other build requirements and weaker evidence of what is built in both locks."""
    before, after = ({_backend(build) for build in builds} for builds in (was, now))
    if after - before:
        old, new = (" and ".join(sorted(backends)) for backends in (before, after))
        labels = {label for build in now if _backend(build) not in before for label in build.targets}
        yield Change(
            code="backend-changed",
            name=name,
            was=old,
            now=new,
            message=f"backend: {old} -> {new}",
            targets=tuple(sorted(labels)),
        )
    removed, added = (
        ", ".join(sorted(one - other))
        for one, other in ((_requirements(was), _requirements(now)), (_requirements(now), _requirements(was)))
    )
    if removed or added:
        parts = [f"requires {added}"] if added else []
        parts += [f"no longer requires {removed}"] if removed else []
        message = f"the build of {called(now[0])} {' and '.join(parts)}"
        yield Change(code="requires-changed", name=name, was=removed, now=added, message=message)
    if any(build.evidence == "assumed" for build in now) and all(build.evidence != "assumed" for build in was):
        old = was[0].evidence
        message = f"evidence for the build requirements of {called(now[0])}: {old} -> assumed"
        yield Change(code="evidence-lowered", name=name, was=old, now="assumed", message=message)


def _backend(build: LockedBuild) -> str:
    return f"{build.backend} in {', '.join(build.backend_path)}" if build.backend_path else build.backend


def _requirements(builds: Iterable[LockedBuild]) -> frozenset[str]:
    return frozenset(str(requirement) for build in builds for requirement in parsed(build.all_requires))


def _built_release(
    was: tuple[LockedBuild, ...], now: tuple[LockedBuild, ...], after: LockIndex, time: datetime | None
) -> Iterator[Change]:
    """Report another version of what is built in both locks: other code of its own runs. The project itself is known."""
    old, new = ({(build.version or "", build.source or "") for build in builds} for builds in (was, now))
    fresh = [build for build in now if (build.version or "", build.source or "") not in old]
    if not fresh or all(build.needed == "project" for build in now):
        return
    texts = [joined({version or source for version, source in side}) for side in (old, new)]
    if texts[0] == texts[1]:
        texts = [
            " and ".join(sorted(source or f"release {version}" for version, source in side)) for side in (old, new)
        ]
    age = _age(_packages(fresh, after), time)
    yield Change(
        code="built-release-changed",
        name=now[0].name,
        was=texts[0],
        now=texts[1],
        message=f"{texts[0]} -> {texts[1]}{age} is built from source: its own code runs",
        targets=_targets(fresh, after),
    )


def _packages(builds: Iterable[LockedBuild], lock_index: LockIndex) -> list[LockedPackage]:
    """Return the packages that these builds are of."""
    keys = dict.fromkeys(record_key(build) for build in builds if build.needed != "project")
    return [lock_index.entries[key] for key in keys if key in lock_index.entries]


def _age(entries: Iterable[LockedPackage], time: datetime | None) -> str:
    """Return the age of what is new in a build; "not known" is an answer too."""
    entries = list(entries)
    if time is None or not entries:
        return ""
    return f" ({published(entries, time) or 'its age is not known'})"


def _tool_versions(
    before: LockIndex, after: LockIndex, explain: Explanations, time: datetime | None
) -> Iterator[Change]:
    """Report other versions inside build environments, once for all environments with the same two versions.

    A build on a target is compared with the same build on that target. What is new there, the build or the target, is
    compared with all builds, or all targets of the build, of the old lock.
    """
    was, now = _records(before), _records(after)
    anywhere = _environment(before.lock.builds, before)
    changed: dict[tuple[str, frozenset[str], frozenset[str]], list[tuple[LockedBuild, ...]]] = {}
    labels: dict[tuple[str, frozenset[str], frozenset[str]], set[str]] = {}
    total: dict[str, int] = {}
    for key in sorted(now):
        old = _environment(was[key], before) if key in was else anywhere
        compared = _labels(was[key], before) if key in was else frozenset[str]()
        for name, versions in _environment(now[key], after).items():
            total[name] = total.get(name, 0) + 1
            known = old.get(name, {})
            union = frozenset[str]().union(*known.values())
            differing = {
                label
                for label, there in versions.items()
                if there - (known.get(label, set()) if label in compared else union)
            }
            if differing and name in before.versions:  # else it is a build-dep-new
                fact = name, union, frozenset[str]().union(*versions.values())
                changed.setdefault(fact, []).append(now[key])
                labels.setdefault(fact, set()).update(differing)
    for (name, was_there, there), builds in changed.items():
        in_all = len(builds) == total[name] > 1
        names = [called(own[0]) for own in builds]
        where = f"in the build of {listed(names, MAX_BUILDS)}"
        if in_all:
            where = f"in {'both' if len(builds) == 2 else f'all {len(builds)}'} builds that use it"
        age = _age([entry for entry in after.versions.get(name, ()) if entry.version in there - was_there], time)
        differing = labels[name, was_there, there]
        change = Change(
            code="build-tool-changed",
            name=name,
            was=joined(was_there),
            now=joined(there),
            message=f"{joined(was_there)} -> {joined(there)}{age} {where}"
            if was_there
            else f"{joined(there)}{age} now runs {where}",
            chain=explain.member(name, [build for own in builds for build in own]),
            targets=() if differing == after.labels else tuple(sorted(differing)),
        )
        yield change
        if was_there and newest(there) < newest(was_there):
            yield replace(change, code="downgraded")


def _environment(builds: Iterable[LockedBuild], lock_index: LockIndex) -> dict[str, dict[str, set[str]]]:
    """Return the versions in the environments of these builds, by name and by target."""
    found: dict[str, dict[str, set[str]]] = {}
    for build in builds:
        for label in build.targets or lock_index.labels:
            for member in members(build):
                found.setdefault(member.name, {}).setdefault(label, set()).add(member.version)
    return found


def _labels(builds: Iterable[LockedBuild], lock_index: LockIndex) -> frozenset[str]:
    return frozenset(label for build in builds for label in (build.targets or lock_index.labels))


def _targets(builds: Iterable[LockedBuild], lock_index: LockIndex) -> tuple[str, ...]:
    """Return the labels that the builds are for; () where that is all of the lock's."""
    labels = _labels(builds, lock_index)
    return () if labels == lock_index.labels else tuple(sorted(labels))
