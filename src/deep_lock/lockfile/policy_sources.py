"""Rules of a policy about where the files of a lock come from, and what they are."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

from deep_lock.lockfile.file_changes import files_of
from deep_lock.lockfile.remarks import Remark, remark_on
from deep_lock.model.likeness import is_alike
from deep_lock.model.lock import Lock, LockedArchive, LockedPackage, LockedVcs
from deep_lock.model.policy import Policy
from deep_lock.model.register import called

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
