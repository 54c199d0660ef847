"""What differs between two locks, ranked by what it means for who installs from them.

Law: pure; the same two locks have the same changes in the same order, and a lock has none against itself. One fact is
told once, at its highest rank.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache, lru_cache
from urllib.parse import urlsplit

from msgspec.structs import replace
from packaging.version import InvalidVersion, Version

from deep_lock.analysis.build_diff import build_changes
from deep_lock.analysis.graph import Chains, find_chains
from deep_lock.analysis.typosquatting import is_alike
from deep_lock.lockfile.index import LockIndex, files_of, is_gate, key_of, open_register, uses_of
from deep_lock.lockfile.staleness import changed_settings
from deep_lock.lockfile.writer import ordered
from deep_lock.models.changes import Change
from deep_lock.models.lock import Lock, LockedArchive, LockedPackage, LockedVcs, source_text

MAX_NAMES = 5


def file_changes(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Yield other bytes, other hosts, other indexes and other publishers."""
    yield from _hashes(before, after)
    yield from _hosts(before, after)
    yield from _indexes(before, after)
    for name in sorted(before.versions.keys() & after.versions.keys()):
        yield from _publishers(before.versions[name], after.versions[name])


def _indexes(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Projects that come from another index, told once for all that moved alike."""
    moved: dict[tuple[str, str], list[str]] = {}
    for name in sorted(before.versions.keys() & after.versions.keys()):
        was = {entry.index.rstrip("/") for entry in before.versions[name] if entry.index is not None}
        for entry in after.versions[name]:
            if entry.index is not None and was and entry.index.rstrip("/") not in was:
                moved.setdefault((" or ".join(sorted(was)), entry.index), []).append(name)
    for (old, new), names in sorted(moved.items()):
        told = list(dict.fromkeys(names))
        yield Change(
            code="index-changed",
            name=told[0] if len(told) == 1 else "",
            was=old,
            now=new,
            message=f"{_listed(told)} comes from {new}, not from {old}",
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def _hashes(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    for key in sorted(before.entries.keys() & after.entries.keys()):
        was, now = before.entries[key], after.entries[key]
        old = {file.name: file.sha256 for file in files_of(was)}
        for file in files_of(now):
            if old.get(file.name, file.sha256) != file.sha256:
                yield _other_bytes(now, file.name, old[file.name], file.sha256)
        match was.source, now.source:
            case LockedArchive() as one, LockedArchive() as other if one.sha256 != other.sha256:
                yield _other_bytes(now, other.url or other.path or "", one.sha256, other.sha256)
            case _:
                pass


def _other_bytes(entry: LockedPackage, what: str, was: str, now: str) -> Change:
    return Change(
        code="hash-changed",
        name=entry.name,
        was=was,
        now=now,
        message=f"{what}: sha256 {was[:16]}... became {now[:16]}..., and the version stayed {entry.version}",
    )


def _hosts(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Hosts that the old lock has no file and no index of, each with the entries that use it."""
    known = set(_host_uses(before)) | {host_of(url) for _, url in before.lock.indexes}
    if not known:
        return
    for host, names in sorted(_host_uses(after).items()):
        if host not in known:
            alike = sorted(other for other in known if is_alike(host, other))
            message = f"files of {_listed(names)} come from {host}, which is new"
            if alike:
                message += f"; it looks like {alike[0]}"
            yield Change(code="host-new", name=names[0] if len(names) == 1 else "", now=host, message=message)


def _host_uses(register: LockIndex) -> Mapping[str, list[str]]:
    uses: dict[str, list[str]] = {}
    for entry in register.lock.packages:
        urls = [file.url for file in files_of(entry) if file.url is not None]
        if isinstance(entry.source, LockedArchive | LockedVcs) and entry.source.url is not None:
            urls.append(entry.source.url)
        for host in dict.fromkeys(map(host_of, urls)):
            uses.setdefault(host, []).append(key_of(entry)[0])
    return {host: list(dict.fromkeys(names)) for host, names in uses.items()}


def host_of(url: str) -> str:
    """Return scheme, host and port of a URL: http where https was is another host."""
    end = url.find("/", len("https://"))
    return _origin(url[:end] if end > 0 else url)


@lru_cache(maxsize=1024)
def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}"


def _publishers(was: tuple[LockedPackage, ...], now: tuple[LockedPackage, ...]) -> Iterator[Change]:
    """PEP 740: who vouched for the release before, and who does for this one."""
    before = {identity for entry in was for identity in entry.attestation_identities}
    after = {identity for entry in now for identity in entry.attestation_identities}
    if before and not before & after:
        told = " and ".join(sorted(map(_publisher_identity, after))) or "nobody"
        message = f"{told} vouches for it; before it was {' and '.join(sorted(map(_publisher_identity, before)))}"
        yield Change(code="provenance-lost", name=now[0].name, message=message)


def _publisher_identity(identity: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{key} {value}" for key, value in identity)


def release_changes(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Yield other licences at run time, and yanked releases. A lock that states no licence at all has none to compare."""
    states = any(entry.license for entry in after.lock.packages)
    for name in sorted(before.versions.keys() & after.versions.keys()):
        was, now = _licenses(before, name), _licenses(after, name)
        stays = any(not is_gate(entry.marker) for entry in after.versions[name])
        if was and was != now and stays and states:
            told = " and ".join(now) or "none that is stated"
            yield Change(
                code="license-changed",
                name=name,
                was=" and ".join(was),
                now=" and ".join(now),
                message=f"its licence was {' and '.join(was)}, and is {told}",
            )
    for key, entry in after.entries.items():
        known = before.entries.get(key)
        if entry.yanked is not None and (known is None or known.yanked is None):
            told = f": {entry.yanked}" if entry.yanked else ""
            yield Change(
                code="yanked-new",
                name=entry.name,
                now=entry.version or "",
                message=f"{entry.version or ''} is yanked{told}".strip(),
            )


def _licenses(register: LockIndex, name: str) -> tuple[str, ...]:
    """Return the licences of a project at run time."""
    entries = register.versions[name]
    return tuple(sorted({entry.license for entry in entries if entry.license and not is_gate(entry.marker)}))


DAY_SECONDS = 86400


def changes(old: Lock, new: Lock, *, now: datetime | None = None) -> tuple[Change, ...]:
    """Return what differs, most important first. ``now`` (aware) is for ages of releases; without it none are told."""
    found = _told_once(every_change(old, new, now=now)) or list(_rest(old, new))
    return tuple(sorted(found, key=lambda change: (change.rank, change.name, change.code, change.message)))


def every_change(old: Lock, new: Lock, *, now: datetime | None = None) -> list[Change]:
    """Return what differs, also what `changes` leaves out because the same fact is told louder. Not sorted."""
    before, after = open_register(ordered(old)), open_register(ordered(new))
    chains = cache(lambda: find_chains(after))  # most comparisons have nothing to explain
    return [
        *_settings(before.lock, after.lock),
        *build_changes(before, after, chains),
        *file_changes(before, after),
        *_names(before, after, chains),
        *_versions(before, after, now),
        *release_changes(before, after),
        *_quiet(before, after),
    ]


def _rest(old: Lock, new: Lock) -> Iterator[Change]:
    """Say that locks differ where nothing else says it: a size, a time, a marker of the lock. No change means equal."""
    if old.targets and new.targets and ordered(old) != ordered(new):
        message = "details of entries, files or records differ: git diff shows them"
        yield Change(code="details-changed", name="", message=message)


def _settings(before: Lock, after: Lock) -> Iterator[Change]:
    """What the locks were made from and for. Pins of another tool's lock are told as the versions that they are."""
    if not before.targets or not after.targets:
        return  # one of them is another tool's lock, which has no such settings
    if before.inputs.pinned or after.inputs.pinned:
        before, after = (
            replace(lock, inputs=replace(lock.inputs, requirements=(), extras=(), dependency_groups=()))
            for lock in (before, after)
        )
    for told in changed_settings(before, after):
        yield Change(code="settings-changed", name="", message=told)


def _told_once(every: list[Change]) -> list[Change]:
    """Leave out that a project is new where it is told that its code runs, and that its version moved where it is new."""
    louder = {change.name for change in every if change.code in {"build-new", "build-dep-new", "became-sdist-only"}}
    return [change for change in every if change.code != "package-new" or change.name not in louder]


def _installed(register: LockIndex) -> dict[str, list[LockedPackage]]:
    entries: dict[str, list[LockedPackage]] = {}
    for entry in register.lock.packages:
        if not is_gate(entry.marker):
            entries.setdefault(entry.name, []).append(entry)
    return entries


def _names(before: LockIndex, after: LockIndex, chains: Callable[[], Chains]) -> Iterator[Change]:
    """Projects that came, went, or moved between the run time and the builds."""
    was, now = _installed(before), _installed(after)
    for name in sorted(now.keys() - before.versions.keys()):
        entry = now[name][0]
        yield Change(
            code="package-new",
            name=name,
            now=_versions_text(now[name]),
            message=f"{_versions_text(now[name])} is new at run time",
            chain=chains().chain(key_of(entry)),
        )
    for name in sorted(before.versions.keys() - after.versions.keys()):
        was_text = _versions_text(before.versions[name])
        yield Change(code="package-gone", name=name, was=was_text, message=f"{was_text} is gone")
    used_before, used_after = ({key[0] for key in uses_of(register)} for register in (before, after))
    for name in sorted(before.versions.keys() & after.versions.keys()):
        told = _roles(name in was, name in used_before), _roles(name in now, name in used_after)
        if told[0] != told[1]:
            yield Change(
                code="role-changed",
                name=name,
                was=told[0],
                now=told[1],
                message=f"was {told[0]}, is {told[1]}",
                chain=chains().chain(key_of(after.versions[name][-1])),
            )


def _roles(installed: bool, used: bool) -> str:  # noqa: FBT001 -- two facts of one thing, read side by side
    return "installed and used by builds" if installed and used else "installed" if installed else "build-only"


def _versions(before: LockIndex, after: LockIndex, now: datetime | None) -> Iterator[Change]:
    """Run-time versions that moved. Those of build environments are told by environment."""
    was, here = _installed(before), _installed(after)
    for name in sorted(was.keys() & here.keys()):
        left = [entry for entry in was[name] if all(_identity(entry) != _identity(other) for other in here[name])]
        come = [entry for entry in here[name] if all(_identity(entry) != _identity(other) for other in was[name])]
        if not left and not come:
            continue
        old_text, new_text = _versions_text(was[name]), _versions_text(here[name])
        if any((entry.source is None) != (other.source is None) for entry in left for other in come):
            told = f"was {_places(left)}, is {_places(come)}"
            yield Change(code="source-changed", name=name, was=_places(left), now=_places(come), message=told)
        elif old_text != new_text:
            code = "downgraded" if _top(here[name]) < _top(was[name]) else "version-changed"
            message = f"{old_text} to {new_text}{_age(come, now)}"
            yield Change(code=code, name=name, was=old_text, now=new_text, message=message)
        else:
            yield Change(
                code="source-changed",
                name=name,
                was=_places(left),
                now=_places(come),
                message=f"is {_places(come)} now",
            )


def _identity(entry: LockedPackage) -> tuple[str | None, str]:
    return entry.version, source_text(entry.source)


def _places(entries: Iterable[LockedPackage]) -> str:
    return " and ".join(source_text(entry.source) or f"release {entry.version}" for entry in entries)


def _versions_text(entries: Iterable[LockedPackage]) -> str:
    return " and ".join(entry.version or source_text(entry.source) for entry in entries)


def _top(entries: Iterable[LockedPackage]) -> Version:
    return max((_parsed(entry.version) for entry in entries), default=Version("0"))


def _parsed(version: str | None) -> Version:
    try:
        return Version(version or "0")
    except InvalidVersion:
        return Version("0")


def _age(entries: Iterable[LockedPackage], now: datetime | None) -> str:
    """Say how old the newest file of the releases is: what was published a moment ago nobody has looked at."""
    files = (file for entry in entries for file in (*entry.wheels, *((entry.sdist,) if entry.sdist else ())))
    times = [file.upload_time for file in files if file.upload_time is not None]
    if now is None or not times:
        return ""
    days = int((now - max(times)).total_seconds() // DAY_SECONDS)
    return f", published {'today' if days <= 0 else '1 day ago' if days == 1 else f'{days} days ago'}"


def _quiet(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Details of releases that are in both."""
    for key in sorted(before.entries.keys() & after.entries.keys()):
        was, now = before.entries[key], after.entries[key]
        for code, one, other, what in _details(was, now):
            if one != other:
                yield Change(code=code, name=now.name, message=f"{now.version or ''} {what}".strip())


def _details(was: LockedPackage, now: LockedPackage) -> Iterator[tuple[str, object, object, str]]:
    yield "files-changed", _filenames(was), _filenames(now), "lists other files"
    yield "edges-changed", was.dependencies, now.dependencies, "needs other projects"
    if is_gate(was.marker) == is_gate(now.marker):
        yield "marker-changed", was.marker, now.marker, "is installed elsewhere"


def _filenames(entry: LockedPackage) -> frozenset[str]:
    return frozenset(file.name for file in (*entry.wheels, *((entry.sdist,) if entry.sdist else ())))
