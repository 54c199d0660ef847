"""What differs between two locks, ranked by what it means for those who install from them.

Invariant: the same two locks have the same changes in the same order, and a lock has none against itself. Each fact is reported
once, at its highest rank.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec.structs import replace

from deep_lock.analysis.build_diff import build_changes
from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.typosquatting import is_alike
from deep_lock.analysis.versions import newest, published
from deep_lock.lockfile.index import Key, LockIndex, files_of, index_lock, is_gate, key_of, uses_of
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.selection import best_wheel, fits
from deep_lock.lockfile.staleness import changed_settings
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.changes import Change, Part
from deep_lock.models.lock import Identity, Lock, LockedArchive, LockedFile, LockedPackage, LockedVcs, source_text
from deep_lock.sanitize import listed
from deep_lock.targets.target import Target

MAX_NAMES = 5
DAY = timedelta(days=1)
TIME = "%Y-%m-%d %H:%M UTC"


RUNS = frozenset({"build-new", "build-dep-new", "became-sdist-only"})
"""Codes of what runs in builds and did not before."""
VERSIONS = frozenset({"version-changed", "downgraded", "source-changed"})


def changes(old: Lock, new: Lock, *, now: datetime | None = None) -> tuple[Change, ...]:
    """Return what differs, most important first. ``now`` (aware) is for ages of releases; without it none are shown.

    Raises LockInvalid and UsageError where the new lock has a target that is none.
    """
    return ranked(every_change(old, new, now=now))


def ranked(every: Sequence[Change]) -> tuple[Change, ...]:
    """Return what `every_change` found, most important first, and each fact once."""
    return tuple(sorted(_once(every), key=lambda change: (change.rank, change.name, change.code, change.message)))


def not_compared(old: Lock, new: Lock) -> tuple[Part, ...]:
    """Return what one of the locks does not have, so that nothing is known about it."""
    both = bool(old.targets and new.targets)
    before, after = index_lock(old), index_lock(new)
    parts: dict[Part, bool] = {
        "builds": both and before.locks_builds and after.locks_builds,
        "settings": both,
        "hosts": bool(_known_hosts(before) or not _host_uses(after)),
        "publishers": records_publishers(old) or not records_publishers(new),
    }
    return tuple(part for part, is_compared in parts.items() if not is_compared)


def _once(every: Sequence[Change]) -> list[Change]:
    """Leave out what has a higher rank elsewhere: that a project is new, or has another version, where its code runs."""
    runs = {change.name for change in every if change.code in RUNS}
    built = {(change.name, change.was, change.now) for change in every if change.code == "built-release-changed"}
    tools = {(change.name, change.message) for change in every if change.code == "build-tool-changed"}
    return [
        change
        for change in every
        if not (change.code == "package-new" and change.name in runs)
        and not (change.code in VERSIONS and (change.name, change.was, change.now) in built)
        and not (change.code == "downgraded" and (change.name, change.message) in tools)
    ]


def every_change(old: Lock, new: Lock, *, now: datetime | None = None) -> list[Change]:
    """Return what differs, not sorted, with what `changes` leaves out because the same fact has a higher rank elsewhere."""
    before, after = index_lock(ordered(old)), index_lock(ordered(new))
    explain, later = Explanations(after), _later_files(before, after)
    found = [
        *_settings(before.lock, after.lock),
        *build_changes(before, after, explain, now),
        *_file_hashes(before, after),
        *_added_later(after, later),
        *_hosts(before, after),
        *_indexes(before, after),
        *_publishers(before, after, explain),
        *_projects(before, after, explain),
        *_versions(before, after, now),
        *_licenses(before, after),
        *_yanked(before, after),
        *_release_details(before, after, later),
    ]
    return found or list(_details(old, new))


def _details(old: Lock, new: Lock) -> Iterator[Change]:
    """Report that locks differ where no other change does: a size, a time, a marker of the lock. No change means equal."""
    if old.targets and new.targets and ordered(old) != ordered(new):
        message = "only details of packages, files or build records differ: git diff shows them"
        yield Change(code="details-changed", name="", message=message)


def _settings(before: Lock, after: Lock) -> Iterator[Change]:
    """Report other settings and inputs. The pins of another tool's lock are no inputs: they are compared as versions."""
    if not before.targets or not after.targets:
        return  # one of them is another tool's lock, which has no such settings
    if before.inputs.pinned or after.inputs.pinned:
        before, after = (
            replace(lock, inputs=replace(lock.inputs, requirements=(), extras=(), dependency_groups=()))
            for lock in (before, after)
        )
    for message in changed_settings(before, after):
        yield Change(code="settings-changed", name="", message=message)


# -- files: other bytes, hosts, indexes and publishers


def _same_releases(before: LockIndex, after: LockIndex) -> Iterator[tuple[Key, LockedPackage, LockedPackage]]:
    """Yield each package of the new lock that the old one has too: its key, the old one, and the new one.

    Only one of the locks may have the same version of another index too.
    """
    releases = {(own.name, own.version, own.index): own for own in before.lock.packages if own.source is None}
    for key, now in sorted(after.entries.items(), key=lambda item: item[0]):
        same_release = releases.get((now.name, now.version, now.index)) if now.source is None else None
        was = before.entries.get(key, same_release)
        if was is not None:
            yield key, was, now


def _file_hashes(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    for _, was, now in _same_releases(before, after):
        old = {file.name: file.sha256 for file in files_of(was)}
        for file in files_of(now):
            if old.get(file.name, file.sha256) != file.sha256:
                yield _hash_changed(now, file.name, old[file.name], file.sha256)
        match was.source, now.source:
            case LockedArchive() as one, LockedArchive() as other if one.sha256 != other.sha256:
                yield _hash_changed(now, other.url or other.path or "", one.sha256, other.sha256)
            case _:
                pass


def _hash_changed(entry: LockedPackage, what: str, was: str, now: str) -> Change:
    message = f"{what}: sha256 {was[:16]}... -> {now[:16]}..., and the version is still {entry.version}"
    return Change(code="hash-changed", name=entry.name, was=was, now=now, message=message)


_Later = Mapping[Key, Mapping[str, str]]
"""For each package with files that were added later: their names, and the times."""


def _added_later(after: LockIndex, later: _Later) -> Iterator[Change]:
    """Report files that were added to a release after those that the old lock has."""
    for key, files in later.items():
        entry = after.entries[key]
        for name, reason in files.items():
            message = f"{name} was added to {entry.version or 'it'}: {reason}"
            yield Change(code="file-added-later", name=entry.name, now=name, message=message)


def _later_files(before: LockIndex, after: LockIndex) -> _Later:
    """Return the files that are later than those of the old lock.

    The old lock lists each wheel that fits one of its targets. A new one that fits a target of the old lock appeared after
    it was made. Files that only other targets take may have been there: then a day must be between the times.
    """
    targets: tuple[Target, ...] | None = None
    later: dict[Key, dict[str, str]] = {}
    for key, was, now in _same_releases(before, after):
        known = _filenames(was)
        new = [file for file in files_of(now) if known and file.name not in known]
        if new and targets is None:
            targets = chosen_targets(before.lock, (), "the old lock")
        times = [file.upload_time for file in files_of(was) if file.upload_time is not None]
        for file in new:
            was_missing = _was_missing(was, file, targets or ())
            if file.upload_time is None or not times:
                reason = "the old lock has wheels for the same target; the upload times are not known"
                is_later = was_missing
            else:
                reason = f"uploaded {file.upload_time:{TIME}}, and the locked files until {max(times):{TIME}}"
                is_later = file.upload_time - max(times) > (timedelta() if was_missing else DAY)
            if is_later:
                later.setdefault(key, {})[file.name] = reason
    return later


def _was_missing(was: LockedPackage, file: LockedFile, targets: tuple[Target, ...]) -> bool:
    """Whether a file is a wheel for a target of the old lock which took another wheel of the release."""
    if not file.name.endswith(".whl"):
        return False
    return any(fits(file, target) and best_wheel(was.wheels, target) is not None for target in targets)


def _hosts(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Report hosts that the old lock has no file and no index of, each with the projects that use it."""
    known = _known_hosts(before)
    if not known:
        return
    for host, names in sorted(_host_uses(after).items()):
        if host not in known:
            alike = sorted(other for other in known if is_alike(host, other))
            message = f"files of {listed(names, MAX_NAMES)} come from a new host: {host}"
            message += f" (it looks like {alike[0]})" if alike else ""
            yield Change(code="host-new", name=names[0] if len(names) == 1 else "", now=host, message=message)


def _known_hosts(lock_index: LockIndex) -> set[str]:
    return set(_host_uses(lock_index)) | {host_of(url) for _, url in lock_index.lock.indexes}


def _host_uses(lock_index: LockIndex) -> Mapping[str, list[str]]:
    """Return the projects by the host of their files."""
    uses: dict[str, dict[str, None]] = {}
    for entry in lock_index.lock.packages:
        urls = [file.url for file in files_of(entry)]
        urls += [entry.source.url] if isinstance(entry.source, LockedArchive | LockedVcs) else []
        for url in urls:
            if url is not None:
                uses.setdefault(host_of(url), {})[entry.name] = None
    return {host: list(names) for host, names in uses.items()}


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


def _indexes(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Report projects that come from another index, once for all with the same two indexes."""
    moved: dict[tuple[str, str], dict[str, None]] = {}
    for name in _in_both(before, after):
        was = {entry.index.rstrip("/"): entry.index for entry in before.versions[name] if entry.index is not None}
        for entry in after.versions[name]:
            if entry.index is not None and was and entry.index.rstrip("/") not in was:
                moved.setdefault((" or ".join(sorted(was.values())), entry.index), {})[name] = None
    for (old, new), found in sorted(moved.items()):
        names = list(found)
        yield Change(
            code="index-changed",
            name=names[0] if len(names) == 1 else "",
            was=old,
            now=new,
            message=f"index of {listed(names, MAX_NAMES)}: {old} -> {new}",
        )


def _publishers(before: LockIndex, after: LockIndex, explain: Explanations) -> Iterator[Change]:
    """Report releases that no publisher of the releases before attests (PEP 740), and those that have their first one."""
    for name in _in_both(before, after):
        was, now = (
            {identity for entry in lock_index.versions[name] for identity in entry.attestation_identities}
            for lock_index in (before, after)
        )
        code = "provenance-lost" if not now else "identity-changed" if was else "identity-new"
        if was & now or not (was or (now and records_publishers(before.lock))):
            continue
        old, new = (" and ".join(sorted(map(identity_text, identities))) or "none" for identities in (was, now))
        chain = explain.package(key_of(after.versions[name][-1]))
        yield Change(code=code, name=name, was=old, now=new, message=f"publisher: {old} -> {new}", chain=chain)


def records_publishers(lock: Lock) -> bool:
    """Whether a lock was made with publishers: then a package without one has none."""
    return "attestations" in dict(lock.options) or any(entry.attestation_identities for entry in lock.packages)


def identity_text(identity: Identity) -> str:
    """Return a publisher as text: its kind first."""
    rest = ", ".join(f"{key} {value}" for key, value in identity if key != "kind")
    return f"{dict(identity)['kind']} ({rest})" if rest else dict(identity)["kind"]


# -- projects and their versions


def _in_both(before: LockIndex, after: LockIndex) -> list[str]:
    return sorted(before.versions.keys() & after.versions.keys())


def _installed(lock_index: LockIndex) -> dict[str, list[LockedPackage]]:
    """Return the packages of the runtime by name."""
    entries: dict[str, list[LockedPackage]] = {}
    for entry in lock_index.lock.packages:
        if not is_gate(entry.marker):
            entries.setdefault(entry.name, []).append(entry)
    return entries


def _projects(before: LockIndex, after: LockIndex, explain: Explanations) -> Iterator[Change]:
    """Report projects that are new, that are gone, or that moved between the runtime and the builds."""
    was, now = _installed(before), _installed(after)
    for name in sorted(now.keys() - before.versions.keys()):
        text = _versions_text(now[name])
        chain = explain.package(key_of(now[name][0]))
        yield Change(code="package-new", name=name, now=text, message=f"{text} is new at run time", chain=chain)
    for name in sorted(before.versions.keys() - after.versions.keys()):
        text = _versions_text(before.versions[name])
        yield Change(code="package-gone", name=name, was=text, message=f"{text} is no longer in the lock")
    used_before, used_after = ({key[0] for key in uses_of(lock_index)} for lock_index in (before, after))
    for name in _in_both(before, after):
        old, new = _role(name in was, name in used_before), _role(name in now, name in used_after)
        if old != new:
            chain = explain.package(key_of(after.versions[name][-1]))
            message = f"role: {old} -> {new}"
            yield Change(code="role-changed", name=name, was=old, now=new, message=message, chain=chain)


def _role(installed: bool, used: bool) -> str:  # noqa: FBT001 -- two facts of one thing, read side by side
    return "installed and used by builds" if installed and used else "installed" if installed else "build-only"


def _versions(before: LockIndex, after: LockIndex, now: datetime | None) -> Iterator[Change]:
    """Report runtime versions that changed. `build_changes` reports those of build environments."""
    was, here = _installed(before), _installed(after)
    for name in sorted(was.keys() & here.keys()):
        old, new = ({(entry.version, source_text(entry.source)) for entry in entries[name]} for entries in (was, here))
        left = [entry for entry in was[name] if (entry.version, source_text(entry.source)) not in new]
        come = [entry for entry in here[name] if (entry.version, source_text(entry.source)) not in old]
        if not left and not come:
            continue
        old_text, new_text = _versions_text(was[name]), _versions_text(here[name])
        other_kind = any((entry.source is None) != (other.source is None) for entry in left for other in come)
        if other_kind or old_text == new_text:
            one, other = _sources_text(left), _sources_text(come)
            message = f"source: {one} -> {other}"
            yield Change(code="source-changed", name=name, was=one, now=other, message=message)
        else:
            age = published(come, now)
            lower = newest(entry.version for entry in here[name]) < newest(entry.version for entry in was[name])
            yield Change(
                code="downgraded" if lower else "version-changed",
                name=name,
                was=old_text,
                now=new_text,
                message=f"{old_text} -> {new_text}{f', {age}' if age else ''}",
            )


def _sources_text(entries: Iterable[LockedPackage]) -> str:
    return " and ".join(source_text(entry.source) or f"release {entry.version}" for entry in entries) or "none"


def _versions_text(entries: Iterable[LockedPackage]) -> str:
    return " and ".join(entry.version or source_text(entry.source) for entry in entries)


# -- details of releases


def _licenses(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    """Report other licenses at runtime. A lock that states no license at all has none to compare."""
    if not any(entry.license or entry.license_classifiers for entry in after.lock.packages):
        return
    was, now = _installed(before), _installed(after)
    for name in sorted(was.keys() & now.keys()):
        old, new = (
            " and ".join(sorted({entry.license for entry in side[name] if entry.license})) for side in (was, now)
        )
        missing = "no license expression"
        if not old and not new:
            missing = "no license expression and no classifier"
            # by classifiers alone; where one side has an expression, the two cannot be compared
            old, new = (
                " and ".join(
                    sorted({text.rpartition(" :: ")[2] for entry in side[name] for text in entry.license_classifiers})
                )
                for side in (was, now)
            )
        if old and old != new:
            message = f"license: {old} -> {new or missing}"
            yield Change(code="license-changed", name=name, was=old, now=new, message=message)


def _yanked(before: LockIndex, after: LockIndex) -> Iterator[Change]:
    for key, entry in after.entries.items():
        known = before.entries.get(key)
        if entry.yanked is not None and (known is None or known.yanked is None):
            reason = f": {entry.yanked}" if entry.yanked else ""
            version = entry.version or ""
            message = f"{version} is yanked{reason}".strip()
            yield Change(code="yanked-new", name=entry.name, now=version, message=message)


def _release_details(before: LockIndex, after: LockIndex, later: _Later) -> Iterator[Change]:
    for key, was, now in _same_releases(before, after):
        same_part = is_gate(was.marker) == is_gate(now.marker)
        for code, differs, what in (
            ("files-changed", _filenames(was) != _filenames(now) - later.get(key, {}).keys(), "other files"),
            ("edges-changed", was.dependencies != now.dependencies, "other dependencies"),
            ("marker-changed", same_part and was.marker != now.marker, "another marker"),
        ):
            if differs:
                yield Change(code=code, name=now.name, message=f"{now.version or ''} has {what}".strip())


def _filenames(entry: LockedPackage) -> frozenset[str]:
    return frozenset(file.name for file in files_of(entry))
