"""The rules of a policy: what each finds in a lock, before its level and the exceptions apply."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from msgspec import Struct

from deep_lock.analysis.diff import every_change, identity_text, records_publishers
from deep_lock.analysis.downloading_packages import DOWNLOADERS
from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.typosquatting import is_alike, well_known
from deep_lock.lockfile.index import Key, LockIndex, called, files_of, is_gate, key_of, members, record_key, uses_of
from deep_lock.models.licenses import canonical_license, classified_licenses, is_met
from deep_lock.models.lock import Lock, LockedArchive, LockedBuild, LockedDirectory, LockedPackage, LockedVcs
from deep_lock.models.policy import AGAINST, LATE, WEEK, Policy
from deep_lock.models.resolution import ALL
from deep_lock.network.urls import host_and_port, is_signed, shown_url
from deep_lock.sanitize import listed

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class RuleMatch(Struct, frozen=True, kw_only=True):
    """One thing that a rule found."""

    code: str
    name: str
    """The project that an exception must name; "" where it is about none."""
    version: str = ""
    subject: str
    message: str
    hint: str = ""
    key: Key | None = None
    """Of the package: what brings it in is looked up once it is known that the match is reported."""
    chain: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    runtime: bool = False
    """Of a rule on the contents of wheels: the level is one lower, since no build uses the package."""


def matches(
    lock_index: LockIndex, explain: Explanations, policy: Policy, *, now: datetime, old: Lock | None
) -> Iterator[RuleMatch]:
    """Yield what the rules find in a lock, also those that are off: an exception may be for one of them."""
    lock = lock_index.lock
    yield from _foreign_hosts(lock, policy)
    yield from _foreign_indexes(lock, policy)
    yield from _shared_hashes(lock)
    yield from _denied(lock_index, policy.deny)
    yield from _foreign_builders(lock, policy.may_build)
    for entry in lock.packages:
        yield from _package_source(entry)
        yield from _package_license(entry, policy.licenses)
        yield from _late_file(entry)
    yield from _built_at_runtime(lock_index)
    for build in lock.builds:
        yield from _build(build, policy)
    yield from _too_deep(lock_index, explain, policy)
    yield from _ages(lock_index, policy, now)
    yield from _look_alikes(lock_index)
    yield from _publishers(lock, policy)
    if old is not None:
        yield from _changes(lock_index, old, policy, now)


def _on_package(
    code: str, entry: LockedPackage, message: str, *, hint: str = "", targets: tuple[str, ...] = ()
) -> RuleMatch:
    return RuleMatch(
        code=code,
        name=entry.name,
        version=entry.version or "",
        subject=called(entry),
        message=message,
        hint=hint,
        key=key_of(entry),
        targets=targets,
    )


def _on_build(code: str, build: LockedBuild, message: str) -> RuleMatch:
    return RuleMatch(
        code=code,
        name=build.name,
        version=build.version or "",
        subject=called(build),
        message=message,
        key=record_key(build) if build.needed != "project" else None,
        targets=build.targets,
    )


# -- where files come from, and what they are


def _foreign_hosts(lock: Lock, policy: Policy) -> Iterator[RuleMatch]:
    own = {} if policy.hosts is not None else _own_hosts(lock)
    for entry in lock.packages:
        if entry.source is not None and policy.hosts is None:
            continue  # the project itself names that place
        allowed = policy.hosts if policy.hosts is not None else own.get(entry.index, frozenset())
        foreign: dict[str, list[str]] = {}
        for what, url in _urls(entry):
            if host_and_port(url) not in allowed:
                foreign.setdefault(host_and_port(url), []).append(what)
        for host, files in sorted(foreign.items()):
            message = f"{listed(files, 1)} {'come' if len(files) > 1 else 'comes'} from {host}"
            hint = ""
            if policy.hosts is None:
                message += f"; its index uses {' and '.join(sorted(allowed))}"
                hint = 'to allow the host, add it to the policy: hosts = ["..."]'
            alike = sorted(known for known in allowed if is_alike(known, host))
            message += f" (it looks like {alike[0]})" if alike else ""
            yield _on_package("foreign-host", entry, message, hint=hint)


def _own_hosts(lock: Lock) -> dict[str | None, frozenset[str]]:
    """Return by index the hosts that its files come from: its own, those of find-links, and the one that most packages use.

    Where two are used by as many packages, and for as many files, neither counts.
    """
    links = dict(lock.options).get("find-links", ())
    linked = {host_and_port(link) for link in links if "://" in link} if isinstance(links, tuple) else set()
    uses: dict[str | None, dict[str, tuple[int, int]]] = {}
    for entry in lock.packages:
        if entry.source is None:
            counted = uses.setdefault(entry.index, {})
            for host, files in Counter(host_and_port(file.url) for file in files_of(entry) if file.url).items():
                entries, before = counted.get(host, (0, 0))
                counted[host] = (entries + 1, before + files)
    found: dict[str | None, frozenset[str]] = {}
    for index, counted in uses.items():
        most = [host for host, count in counted.items() if count == max(counted.values())]
        own = {host_and_port(index)} if index is not None else set()
        found[index] = frozenset(linked | own | (set(most) if len(most) == 1 else set()))
    return found


def _urls(entry: LockedPackage) -> Iterator[tuple[str, str]]:
    """Yield what of a package comes from a URL: (what, URL)."""
    for file in files_of(entry):
        if file.url is not None:
            yield file.name, file.url
    if isinstance(entry.source, LockedArchive | LockedVcs) and entry.source.url is not None:
        yield "it", entry.source.url


def _foreign_indexes(lock: Lock, policy: Policy) -> Iterator[RuleMatch]:
    whose, allowed = "policy", policy.indexes
    if allowed is None:
        whose, allowed = "lock", frozenset(url for _, url in lock.indexes)
    for entry in lock.packages:
        if entry.index is not None and entry.index not in allowed:
            message = f"comes from {entry.index}, which is not an index of the {whose}"
            yield _on_package("foreign-index", entry, message)


def _shared_hashes(lock: Lock) -> Iterator[RuleMatch]:
    """Find a sha256 of two files: the hash of one was copied to the other, and installing that installs the first."""
    owners: dict[str, tuple[LockedPackage, str]] = {}
    for entry in lock.packages:
        for file in files_of(entry):
            first, name = owners.setdefault(file.sha256, (entry, file.name))
            if first is not entry:
                message = f"{file.name} has the same sha256 as {name} of {called(first)}"
                yield _on_package("hash-shared", entry, message)


def _denied(lock_index: LockIndex, denied: tuple[str, ...]) -> Iterator[RuleMatch]:
    for entry in lock_index.lock.packages:
        pattern = _named(entry.name, denied)
        if pattern is not None:
            by = "" if pattern == entry.name else f" ({pattern})"
            yield _on_package("denied", entry, f"the policy denies this project{by}")


def _named(name: str, patterns: Iterable[str]) -> str | None:
    """Return the first pattern that names a project."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def _package_source(entry: LockedPackage) -> Iterator[RuleMatch]:
    urls = [url for _, url in _urls(entry)] + ([entry.index] if entry.index is not None else [])
    insecure = next(filter(_is_insecure, urls), None)
    if insecure is not None:
        yield _on_package("insecure-url", entry, f"uses a connection without TLS: {insecure}")
    signed = next((url for _, url in _urls(entry) if is_signed(url)), None)
    if signed is not None:
        yield _on_package("signed-url", entry, f"has a signed URL, which expires or is a secret: {shown_url(signed)}")
    if isinstance(entry.source, LockedArchive | LockedVcs) and entry.source.url is not None:
        yield _on_package("direct-url", entry, f"comes from {shown_url(entry.source.url)}, and not from an index")
    if entry.hash_origin == "computed":
        message = "its index states no sha256: the locked one was computed from the downloaded file"
        yield _on_package("hash-computed", entry, message)
    if entry.yanked is not None:
        reason = f": {entry.yanked}" if entry.yanked else ""
        message = f"was already yanked when it was locked{reason}"
        yield _on_package("yanked", entry, message, hint=f"deep-lock lock -P {entry.name}")
    if entry.metadata == "assumed":
        yield _on_package("assumed", entry, "its dependencies are assumed: only its build backend knows them")


def _is_insecure(url: str) -> bool:
    scheme = url.partition("://")[0].rpartition("+")[2]
    return scheme in {"http", "git", "ftp"} and host_and_port(url).partition(":")[0] not in LOCAL


def _package_license(entry: LockedPackage, allowed: frozenset[str] | None) -> Iterator[RuleMatch]:
    if is_gate(entry.marker):
        return  # what only builds use is not distributed
    expression = canonical_license(entry.license)
    if expression is None and not entry.license:
        yield from _classified_license(entry, allowed)
    elif expression is None:
        yield _on_package(
            "license-unknown", entry, f"its license is unknown: {entry.license} is not an SPDX expression"
        )
    elif allowed is not None and not is_met(expression, allowed):
        yield _on_package("license", entry, f"its license is {expression}, which is not allowed")


def _classified_license(entry: LockedPackage, allowed: frozenset[str] | None) -> Iterator[RuleMatch]:
    stated = listed([text.rpartition(" :: ")[2] for text in entry.license_classifiers], 3)
    meanings = classified_licenses(entry.license_classifiers)
    if not meanings:
        more = f", and its classifiers name none that is known: {stated}" if stated else ""
        yield _on_package("license-unknown", entry, f"its license is unknown: no license expression is stated{more}")
        return
    by = f"its license is known from classifiers only: {stated}"
    yield _on_package("license-from-classifiers", entry, by)
    foreign = sorted(meanings - allowed) if allowed is not None else []
    if foreign:
        which = listed(foreign, 5)
        message = f"{by}, which can mean {which}" if len(meanings) > 1 else f"{by}, which means {which}"
        yield _on_package("license", entry, f"{message}: not allowed")


# -- what runs


def _built_at_runtime(lock_index: LockIndex) -> Iterator[RuleMatch]:
    labels: dict[Key, set[str]] = {}
    for build in lock_index.lock.builds:
        if build.needed != "project":
            labels.setdefault(record_key(build), set()).update(build.targets or lock_index.labels)
    for entry in lock_index.lock.packages:
        if is_gate(entry.marker):
            continue
        own = labels.get(key_of(entry))
        if own is not None:
            everywhere = own == lock_index.labels
            where = "on all targets" if everywhere else "where no wheel fits"
            message = f"is built from source where it is installed, {where}: its own code runs there"
            targets = () if everywhere else tuple(sorted(own))
            yield _on_package("built-at-run-time", entry, message, targets=targets)
        elif entry.sdist is not None and not entry.wheels:
            yield _on_package("built-at-run-time", entry, "has no wheel, and its build is not locked")


def _build(build: LockedBuild, policy: Policy) -> Iterator[RuleMatch]:
    if build.backend_path:
        paths = ", ".join(build.backend_path)
        yield _on_build(
            "backend-path", build, f"is built by {build.backend}, a backend in its own source tree: {paths}"
        )
    if policy.backends is not None and (build.backend_path or build.backend not in policy.backends):
        why = (
            "which is a backend in its own source tree, with any name"
            if build.backend_path
            else "which is not an allowed backend"
        )
        yield _on_build("backend", build, f"is built by {build.backend}, {why}")
    if build.evidence == "assumed":
        known = f" and {', '.join(build.requires_dynamic)}" if build.requires_dynamic else ""
        message = f"only its declared build requirements{known} are locked: those that {build.backend} adds are assumed"
        yield _on_build("assumed", build, message)
    if build.cargo_lock is not None:
        message = "its build compiles the crates of its own Cargo.lock, which are not part of this lock"
        yield _on_build("cargo-lock", build, message)
    for name in sorted({member.name for member in members(build)} & DOWNLOADERS.keys()):
        message = f"its build environment has {name}, which {DOWNLOADERS[name]}: no lock covers these downloads"
        yield _on_build("downloader", build, message)


def _foreign_builders(lock: Lock, allowed: tuple[str, ...] | None) -> Iterator[RuleMatch]:
    """Find each project that runs in a build: all of an environment, and an sdist with its own backend."""
    if allowed is None:
        return
    builds: dict[tuple[str, str], list[LockedBuild]] = {}
    for build in lock.builds:
        for member in {(member.name, member.version): member for member in members(build)}.values():
            if _named(member.name, allowed) is None:
                builds.setdefault((member.name, member.version), []).append(build)
        # the backend of the project itself is reviewed with the project
        if build.backend_path and build.needed != "project" and _named(build.name, allowed) is None:
            yield _on_build("foreign-builder", build, "is built by its own backend, and may-build does not list it")
    for (name, version), own in sorted(builds.items()):
        where = listed([called(build) for build in own], 2)
        yield RuleMatch(
            code="foreign-builder",
            name=name,
            version=version,
            subject=f"{name} {version}",
            message=f"runs while {where} {'is' if len(own) == 1 else 'are'} built, and may-build does not list it",
            hint=f'to allow it: may-build = ["{name}", ...]',
            key=(name, version, ""),
            targets=() if any(not build.targets for build in own) else _targets_of(own),
        )


def _targets_of(builds: Iterable[LockedBuild]) -> tuple[str, ...]:
    return tuple(sorted({label for build in builds for label in build.targets}))


def _too_deep(lock_index: LockIndex, explain: Explanations, policy: Policy) -> Iterator[RuleMatch]:
    if policy.max_depth is None:
        return
    for entry in lock_index.lock.packages:
        node = explain.graph.nodes.get(key_of(entry))
        if node is not None and node.level > policy.max_depth:
            message = f"is on build level {node.level}, and the deepest allowed level is {policy.max_depth}"
            yield _on_package("too-deep", entry, message)


# -- who made it, and when


def _ages(lock_index: LockIndex, policy: Policy, now: datetime) -> Iterator[RuleMatch]:
    used = uses_of(lock_index)
    for entry in lock_index.lock.packages:
        least = _least_age(policy, installed=not is_gate(entry.marker), builds=key_of(entry) in used)
        if not least or entry.name in policy.ageless or isinstance(entry.source, LockedDirectory):
            continue
        times = {file.name: file.upload_time for file in files_of(entry)}
        unknown = [name for name, time in times.items() if time is None]
        if unknown or not times:
            message = f"the upload time of {listed(unknown or ['its source'], 1)} is unknown: {_why_timeless(entry)}"
            hint = f'to exempt it: min-age = {{exempt = ["{entry.name}"], ...}}'
            yield _on_package("no-upload-time", entry, message, hint=hint)
        newest = max((time for time in times.values() if time is not None), default=None)
        if newest is not None and now - newest < least:
            age = now - newest
            when = "has an upload time in the future" if age < timedelta() else f"was uploaded {_days(age)} ago"
            yield _on_package("too-new", entry, f"its newest file {when}; the minimum age is {_days(least)}")


def _why_timeless(entry: LockedPackage) -> str:
    if entry.source is not None:
        return "it is not from an index"
    if all(file.url is None for file in files_of(entry) if file.upload_time is None):
        return "a file in a folder has no upload time"
    return "its index states no upload time"


def _least_age(policy: Policy, *, installed: bool, builds: bool) -> timedelta:
    configured = policy.min_age is not None or policy.min_age_build is not None
    installed_age = policy.min_age if configured else WEEK
    build_age = policy.min_age_build if policy.min_age_build is not None else installed_age
    ages = [age for age, applies in ((installed_age, installed), (build_age, builds or not installed)) if applies]
    return max((age for age in ages if age is not None), default=timedelta())


def _days(age: timedelta) -> str:
    """Return an age in days; in hours where it is not whole days and less than two."""
    hours = int(age.total_seconds() // 3600)
    count, unit = (hours, "hour") if hours < 48 and hours % 24 else (hours // 24, "day")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _late_file(entry: LockedPackage) -> Iterator[RuleMatch]:
    times = sorted((file.upload_time, file.name) for file in files_of(entry) if file.upload_time is not None)
    if times and times[-1][0] - times[0][0] > LATE:
        message = f"{times[-1][1]} was uploaded {_days(times[-1][0] - times[0][0])} after {times[0][1]}"
        yield _on_package("late-file", entry, message)


def _look_alikes(lock_index: LockIndex) -> Iterator[RuleMatch]:
    for name in sorted(lock_index.versions):
        known = well_known(name)
        if known is not None:
            message = f"its name looks like {known}, a well-known project"
            key = key_of(lock_index.versions[name][0])
            yield RuleMatch(code="look-alike", name=name, subject=name, message=message, key=key)


def _publishers(lock: Lock, policy: Policy) -> Iterator[RuleMatch]:
    hint = "" if records_publishers(lock) else "the lock records no publishers: deep-lock lock --attestations record"
    for entry in lock.packages:
        identities = entry.attestation_identities
        have = " and ".join(map(identity_text, identities)) or "no publisher"
        named = policy.publishers.get(entry.name, ())
        if named and not any(policy.allows_publisher(entry.name, identity) for identity in identities):
            message = f"is attested by {have}, and the policy names {' or '.join(map(identity_text, named))}"
            yield _on_package("publisher", entry, message, hint=hint)
        is_own = isinstance(entry.source, LockedDirectory)
        if not identities and not is_own and policy.attested & {entry.name, ALL}:
            message = "has no attestation: a file is not from an index, or no publisher is attested for all its files"
            yield _on_package("not-attested", entry, message, hint=hint)


# -- against the previous lock


def _changes(lock_index: LockIndex, old: Lock, policy: Policy, now: datetime) -> Iterator[RuleMatch]:
    """Yield every change: a rule may be off where the same fact matches another one."""
    hosts, indexes = policy.hosts or frozenset(), policy.indexes or frozenset()
    for change in every_change(old, lock_index.lock, now=now):
        allowed = (
            (change.code == "host-new" and host_and_port(change.now) in hosts)
            or (change.code == "index-changed" and change.now in indexes)
            or (change.code in {"identity-changed", "identity-new"} and _is_named(lock_index, change.name, policy))
        )
        if change.code in AGAINST and not allowed:
            entries = lock_index.versions.get(change.name, ())
            yield RuleMatch(
                code=change.code,
                name=change.name,
                version=(entries[0].version or "") if len(entries) == 1 else "",
                subject=change.name or "the lock",
                message=change.message,
                chain=change.chain,
                targets=change.targets,
            )


def _is_named(lock_index: LockIndex, name: str, policy: Policy) -> bool:
    """Whether each version of a project has a publisher that the policy names."""
    return all(
        any(policy.allows_publisher(name, identity) for identity in entry.attestation_identities)
        for entry in lock_index.versions[name]
    )
