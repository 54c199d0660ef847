"""What differs in the builds of two locks: what runs, where, by which backend, and in which environment."""

from collections.abc import Callable, Iterable, Iterator

from packaging.version import InvalidVersion, Version

from deep_lock.analysis.graph import Chains, words
from deep_lock.lockfile.index import LockIndex, called, members, parsed
from deep_lock.models.changes import Change
from deep_lock.models.lock import LockedBuild

RecordName = tuple[str, str]
"""(name, hook) of what is built: the same over versions."""

MAX_BUILDS = 3


def build_changes(before: LockIndex, after: LockIndex, chains: Callable[[], Chains]) -> Iterator[Change]:
    """Yield what differs in what runs when something is built."""
    was, now = _records(before), _records(after)
    yield from _new_members(before, after, chains)
    for name, hook in sorted(now.keys() - was.keys()):
        yield from _new_build(name, now[name, hook], before, after, chains())
    if after.lock.targets:  # another tool's lock has no records to miss
        yield from (
            _gone_build(key[0], was[key], after) for key in sorted(was.keys() - now.keys()) if _stays(key[0], after)
        )
    for key in sorted(was.keys() & now.keys()):
        yield from _more_targets(key, was[key], now[key], before, after)
        yield from _same_build(key[0], was[key], now[key])
    yield from _moved_members(before, after)


def _records(register: LockIndex) -> dict[RecordName, tuple[LockedBuild, ...]]:
    found: dict[RecordName, list[LockedBuild]] = {}
    for build in register.lock.builds:
        found.setdefault((build.name, build.hook or ""), []).append(build)
    return {key: tuple(builds) for key, builds in found.items()}


def _new_members(before: LockIndex, after: LockIndex, chains: Callable[[], Chains]) -> Iterator[Change]:
    """Projects that run while something is built, and that the old lock does not hold at all."""
    builds: dict[str, list[int]] = {}
    for place, build in enumerate(after.lock.builds):
        for name in {member.name for member in members(build)}:
            builds.setdefault(name, []).append(place)
    for name in sorted(builds.keys() - before.versions.keys()):
        using = [after.lock.builds[place] for place in builds[name]]
        versions = sorted({member.version for build in using for member in members(build) if member.name == name})
        yield Change(
            code="build-dep-new",
            name=name,
            now=" and ".join(versions),
            message=f"{' and '.join(versions)} runs during {_listed(using)}",
            chain=_way(after, chains(), name, builds[name]),
            targets=_targets(using, after),
        )


def _way(after: LockIndex, chains: Chains, name: str, places: Iterable[int]) -> tuple[str, ...]:
    """Return the shortest chain that ends at the project as a member of one of these builds."""
    wanted = frozenset(places)
    nodes = (node for node in chains.before if node.kind == "member" and node.key[0] == name and node.build in wanted)
    first = next(nodes, None)
    return words(after, chains.to(first)) if first is not None else ()


def _new_build(
    name: str, builds: tuple[LockedBuild, ...], before: LockIndex, after: LockIndex, chains: Chains
) -> Iterator[Change]:
    build = builds[0]
    entries = [entry for entry in after.versions.get(name, ()) if entry.sdist_only]
    known = before.versions.get(name, ())
    had_wheel = any(entry.wheels for entry in known)
    sdist_only = bool(entries) and had_wheel
    place = after.lock.builds.index(build)
    node = next((node for node in chains.before if node.kind == "build" and node.build == place), None)
    what = "has no wheel any more" if sdist_only else "is new" if not known else "is built now"
    yield Change(
        code="became-sdist-only" if sdist_only else "build-new",
        name=name,
        was=" and ".join(entry.version or "" for entry in known),
        now=build.version or "",
        message=f"{build.version or ''} {what}: {build.backend} and its own code run{_assumed(build)}".strip(),
        chain=words(after, chains.to(node)) if node is not None else (),
        targets=_targets(builds, after),
    )


def _stays(name: str, after: LockIndex) -> bool:
    """Whether there is an entry of this name still, or the project itself is built under it."""
    return name in after.versions or any(build.name == name for build in after.lock.builds)


def _gone_build(name: str, builds: tuple[LockedBuild, ...], after: LockIndex) -> Change:
    version = builds[0].version or ""
    entries = after.versions.get(name, ())
    if not entries:
        what = f"no record says any more how the project is built{' as an editable installation' if builds[0].hook else ''}"
        return Change(code="build-gone", name=name, was=version, message=what)
    bare = any(not entry.wheels for entry in entries)
    what = (
        "no record says any more how it is built, and it lists no wheel"
        if bare
        else "is not built any more: it has wheels"
    )
    return Change(code="build-gone", name=name, was=version, message=what)


def _assumed(build: LockedBuild) -> str:
    return "; what it asks for is assumed" if build.evidence == "assumed" else ""


def _more_targets(
    key: RecordName, was: tuple[LockedBuild, ...], now: tuple[LockedBuild, ...], before: LockIndex, after: LockIndex
) -> Iterator[Change]:
    had, has = _labels(was, before), _labels(now, after)
    more = sorted((has - had) & before.labels)
    entries = after.versions.get(key[0], ())
    if (
        more
        and any(entry.sdist_only for entry in entries)
        and not any(e.sdist_only for e in before.versions.get(key[0], ()))
    ):
        code, what = "became-sdist-only", "has no wheel any more"
    else:
        code, what = "build-new", "is built there now"
    if more:
        message = f"{now[0].version or ''} {what}: {now[0].backend} and its own code run".strip()
        yield Change(code=code, name=key[0], now=now[0].version or "", message=message, targets=tuple(more))


def _same_build(name: str, was: tuple[LockedBuild, ...], now: tuple[LockedBuild, ...]) -> Iterator[Change]:
    """What is built in both locks: by what, and what it asks for."""
    before, after = sorted({_backend(build) for build in was}), sorted({_backend(build) for build in now})
    old, new = was[0], now[0]
    if set(after) - set(before):
        yield Change(
            code="backend-changed",
            name=name,
            was=" and ".join(before),
            now=" and ".join(after),
            message=f"is built by {' and '.join(after)}, before by {' and '.join(before)}",
            targets=tuple(sorted({label for build in now if _backend(build) not in before for label in build.targets})),
        )
    gone, come = _asked(was) - _asked(now), _asked(now) - _asked(was)
    if gone or come:
        told = [f"asks for {', '.join(sorted(come))}"] if come else []
        told += [f"{'' if come else 'asks '}no longer for {', '.join(sorted(gone))}"] if gone else []
        yield Change(
            code="requires-changed",
            name=name,
            was=", ".join(sorted(gone)),
            now=", ".join(sorted(come)),
            message=f"the build of {called(new)} {', '.join(told)}",
        )
    if any(build.evidence == "assumed" for build in now) and all(build.evidence != "assumed" for build in was):
        message = f"what the backend of {called(new)} asks for was {old.evidence}, and is assumed"
        yield Change(code="evidence-lowered", name=name, was=old.evidence, now="assumed", message=message)


def _backend(build: LockedBuild) -> str:
    return f"{build.backend} in {', '.join(build.backend_path)}" if build.backend_path else build.backend


def _asked(builds: Iterable[LockedBuild]) -> frozenset[str]:
    texts = (
        text for build in builds for text in (*build.requires, *build.requires_user, *(build.requires_dynamic or ()))
    )
    return frozenset(str(requirement) for requirement in parsed(texts))


def _moved_members(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Versions that moved inside build environments, told once for all environments in which they moved alike."""
    moved: dict[tuple[str, str, str], list[str]] = {}
    total: dict[str, int] = {}
    was, now = _environments(before), _environments(after)
    for key in sorted(was.keys() & now.keys()):
        for name in was[key].keys() & now[key].keys():
            total[name] = total.get(name, 0) + 1
            if was[key][name] != now[key][name]:
                old, new = _joined(was[key][name]), _joined(now[key][name])
                moved.setdefault((name, old, new), []).append(key[0])
    for (name, old, new), builds in sorted(moved.items()):
        everywhere = len(builds) == total[name]
        where = "in every build environment" if everywhere and total[name] > 1 else f"in the build of {_names(builds)}"
        code = "downgraded" if _version(new) < _version(old) else "version-changed"
        yield Change(code=code, name=name, was=old, now=new, message=f"{old} to {new} {where}")


def _environments(register: LockIndex) -> dict[RecordName, dict[str, frozenset[str]]]:
    found: dict[RecordName, dict[str, frozenset[str]]] = {}
    for build in register.lock.builds:
        own = found.setdefault((build.name, build.hook or ""), {})
        for member in members(build):
            own[member.name] = own.get(member.name, frozenset()) | {member.version}
    return found


def _joined(versions: Iterable[str]) -> str:
    return " and ".join(sorted(versions, key=_version))


def _version(text: str) -> Version:
    try:
        return max(map(Version, text.split(" and ")))
    except InvalidVersion:
        return Version("0")


def _names(builds: list[str]) -> str:
    more = f" and {len(builds) - MAX_BUILDS} more" if len(builds) > MAX_BUILDS else ""
    return ", ".join(builds[:MAX_BUILDS]) + more


def _listed(builds: list[LockedBuild]) -> str:
    told = sorted({called(build) for build in builds})
    more = f" and {len(told) - MAX_BUILDS} more" if len(told) > MAX_BUILDS else ""
    return f"the build of {', '.join(told[:MAX_BUILDS])}{more}"


def _labels(builds: Iterable[LockedBuild], register: LockIndex) -> frozenset[str]:
    found: set[str] = set()
    for build in builds:
        found |= set(build.targets) or register.labels
    return frozenset(found)


def _targets(builds: Iterable[LockedBuild], register: LockIndex) -> tuple[str, ...]:
    """Return the labels that the builds are for; () where that is all of the lock's."""
    labels = _labels(builds, register)
    return () if labels == register.labels else tuple(sorted(labels))
