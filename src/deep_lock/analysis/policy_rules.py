"""What a rule says, before it is known how loud the rule is and whether it is excepted."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.analysis.graph import Chains
from deep_lock.analysis.typosquatting import is_alike
from deep_lock.lockfile.index import Key, LockIndex, called, files_of, is_gate, key_of, members, record_key
from deep_lock.models.downloading_packages import DOWNLOADERS
from deep_lock.models.licenses import canonical_license, is_met
from deep_lock.models.lock import Lock, LockedArchive, LockedBuild, LockedPackage, LockedVcs
from deep_lock.models.policy import Policy


class Remark(Struct, frozen=True, kw_only=True):
    """One thing that a rule found."""

    code: str
    name: str
    """The project that an exception must name; "" where it is about none."""
    version: str = ""
    subject: str
    message: str
    hint: str = ""
    key: Key | None = None
    """Of the entry that it is about: what brings it in is looked for once it is known that somebody will be told."""
    chain: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def remark_on(
    code: str, subject: LockedPackage | LockedBuild, message: str, *, hint: str = "", targets: tuple[str, ...] = ()
) -> Remark:
    """Return a remark on an entry, or on a build: its own targets are then those of the remark."""
    key: Key | None = None
    if isinstance(subject, LockedPackage):
        key = key_of(subject)
    else:
        targets = subject.targets
        if subject.needed != "project":
            key = record_key(subject)
    return Remark(
        code=code,
        name=subject.name,
        version=subject.version or "",
        subject=called(subject),
        message=message,
        hint=hint,
        key=key,
        targets=targets,
    )


def release_remarks(register: LockIndex, policy: Policy) -> Iterator[Remark]:
    """Yield what the rules about licences and yanked releases find."""
    for entry in register.lock.packages:
        if not is_gate(entry.marker):  # what only builds use is not part of what is passed on
            yield from _licenses(entry, policy.licenses)
        if entry.yanked is not None:
            told = f": {entry.yanked}" if entry.yanked else ""
            hint = f"deep-lock lock -P {entry.name}"
            yield remark_on("yanked", entry, f"it was yanked when it was locked{told}", hint=hint)


def _licenses(entry: LockedPackage, allowed: frozenset[str] | None) -> Iterator[Remark]:
    expression = canonical_license(entry.license)
    if expression is None:
        told = f"{entry.license} is no SPDX expression" if entry.license else "it states no expression"
        yield remark_on("license-unknown", entry, f"its licence is not known: {told}")
    elif allowed is not None and not is_met(expression, allowed):
        yield remark_on("license", entry, f"its licence is {expression}, which the allowed ones do not meet")


def run_remarks(register: LockIndex, chains: Chains, policy: Policy) -> Iterator[Remark]:
    """Yield what the rules about builds find."""
    yield from _built_at_run_time(register)
    for build in register.lock.builds:
        yield from _backend(build, policy)
        yield from _evidence(build)
        if build.cargo_lock is not None:
            message = "its build compiles the crates of a Cargo.lock of its own, and this lock does not hold them"
            yield remark_on("cargo-lock", build, message)
        for name in sorted({member.name for member in members(build)} & DOWNLOADERS.keys()):
            message = f"its build environment holds {name}, which {DOWNLOADERS[name]}: no lock holds what it fetches"
            yield remark_on("downloader", build, message)
    for entry in register.lock.packages:
        if entry.metadata == "assumed":
            message = "only its build backend knows its dependencies, and they are assumed"
            yield remark_on("assumed", entry, message)
    yield from _too_deep(register, chains, policy)


def _built_at_run_time(register: LockIndex) -> Iterator[Remark]:
    labels: dict[Key, set[str]] = {}
    built: set[Key] = set()
    for build in register.lock.builds:
        if build.needed != "project":
            built.add(record_key(build))
            labels.setdefault(record_key(build), set()).update(build.targets or register.labels)
    for entry in register.lock.packages:
        if is_gate(entry.marker):
            continue
        if key_of(entry) in built:
            everywhere = labels[key_of(entry)] == register.labels
            where = "everywhere" if everywhere else "where no wheel fits"
            targets = () if everywhere else tuple(sorted(labels[key_of(entry)]))
            told = f"is built where it is installed, {where}: its own code runs there"
            yield remark_on("built-at-run-time", entry, told, targets=targets)
        elif entry.sdist is not None and not entry.wheels:
            told = "has no wheel, and no build of it is locked"
            yield remark_on("built-at-run-time", entry, told)


def _backend(build: LockedBuild, policy: Policy) -> Iterator[Remark]:
    if build.backend_path:
        message = f"is built by {build.backend}, a backend of its own, out of {', '.join(build.backend_path)}"
        yield remark_on("backend-path", build, message)
    if policy.backends is None:
        return
    if build.backend_path:
        message = f"is built by {build.backend} of its own sources: no name of a backend says what that does"
        yield remark_on("backend", build, message)
    elif build.backend not in policy.backends:
        message = f"is built by {build.backend}, which is not one of the policy's backends"
        yield remark_on("backend", build, message)


def _evidence(build: LockedBuild) -> Iterator[Remark]:
    if build.evidence == "assumed":
        message = f"only the build requirements that it declares are locked; what {build.backend} adds is assumed"
        yield remark_on("assumed", build, message)


def _too_deep(register: LockIndex, chains: Chains, policy: Policy) -> Iterator[Remark]:
    if policy.max_depth is None:
        return
    for entry in register.lock.packages:
        level = chains.level(key_of(entry))
        if level is not None and level > policy.max_depth:
            told = f"stands below {level} builds, and {policy.max_depth} are allowed"
            yield remark_on("too-deep", entry, told)


LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def source_remarks(lock: Lock, policy: Policy) -> Iterator[Remark]:
    """Yield what the rules about sources find."""
    yield from _foreign_hosts(lock, policy)
    yield from _foreign_indexes(lock, policy)
    for entry in lock.packages:
        yield from _insecure(entry)
        if isinstance(entry.source, LockedArchive | LockedVcs) and entry.source.url is not None:
            message = f"comes from {entry.source.url}: no index vouches for it"
            yield remark_on("direct-url", entry, message)
        if entry.hash_origin == "computed":
            message = "its index promises no sha256: the one in the lock is of what was fetched that day"
            yield remark_on("hash-computed", entry, message)
    yield from _shared_hashes(lock)


def host_and_port(url: str) -> str:
    """Return the host of a URL, with its port where it is not the scheme's; "" where it has none."""
    return _host_of("/".join(url.split("/", 3)[:3]))


@lru_cache(maxsize=256)
def _host_of(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return origin
    return host if port is None or port == {"http": 80, "https": 443}.get(parts.scheme) else f"{host}:{port}"


def _urls(entry: LockedPackage) -> Iterator[tuple[str, str]]:
    """What of an entry comes from a URL: (what, URL)."""
    for file in files_of(entry):
        if file.url is not None:
            yield file.name, file.url
    if isinstance(entry.source, LockedArchive | LockedVcs) and entry.source.url is not None:
        yield "it", entry.source.url


def _foreign_hosts(lock: Lock, policy: Policy) -> Iterator[Remark]:
    own = {} if policy.hosts is not None else _own_hosts(lock)
    for entry in lock.packages:
        if entry.source is not None and policy.hosts is None:
            continue  # the project itself named that place
        allowed = policy.hosts if policy.hosts is not None else own.get(entry.index, frozenset())
        strange: dict[str, list[str]] = {}
        for what, url in _urls(entry):
            if host_and_port(url) not in allowed:
                strange.setdefault(host_and_port(url), []).append(what)
        for host, whats in sorted(strange.items()):
            alike = sorted(known for known in allowed if is_alike(known, host))
            where = f"; that looks like {alike[0]}" if alike else ""
            more = f" and {len(whats) - 1} more" if len(whats) > 1 else ""
            told = f"{whats[0]}{more} {'come' if more else 'comes'} from {host}"
            usual = f", and its index uses {' and '.join(sorted(allowed))}" if policy.hosts is None else ""
            hint = 'if that is right, say so in the policy: hosts = ["..."]' if policy.hosts is None else ""
            yield remark_on("foreign-host", entry, told + usual + where, hint=hint)


def _own_hosts(lock: Lock) -> dict[str | None, frozenset[str]]:
    """Return by index the hosts that its files come from: its own, those of find-links, and the one that most entries use.

    Where two are used by as many entries, and for as many files, neither is taken for granted.
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


def _foreign_indexes(lock: Lock, policy: Policy) -> Iterator[Remark]:
    of_lock = {url for _, url in lock.indexes}
    allowed = policy.indexes if policy.indexes is not None else of_lock
    for entry in lock.packages:
        if entry.index is not None and entry.index not in allowed:
            told = "is not one of the policy's" if policy.indexes is not None else "is none of the lock's"
            yield remark_on("foreign-index", entry, f"comes from {entry.index}, which {told}")


def _insecure(entry: LockedPackage) -> Iterator[Remark]:
    urls = [url for _, url in _urls(entry)] + ([entry.index] if entry.index is not None else [])
    for url in urls:
        parts = url.partition("://")
        if parts[0].rpartition("+")[2] in {"http", "git", "ftp"} and host_and_port(url).partition(":")[0] not in LOCAL:
            told = f"is reached at {url}: whoever is on the way can read which, and hold it back"
            yield remark_on("insecure-url", entry, told)
            return


def _shared_hashes(lock: Lock) -> Iterator[Remark]:
    """A sha256 under two names: the line of one was copied to the other, and whoever installs it gets the other."""
    owners: dict[str, tuple[LockedPackage, str]] = {}
    for entry in lock.packages:
        for file in files_of(entry):
            first, name = owners.setdefault(file.sha256, (entry, file.name))
            if first is not entry:
                told = f"{file.name} has the sha256 of {name}, of {called(first)}"
                yield remark_on("hash-shared", entry, told)
