"""Which hosts a lock may name: those of its indexes, those that the project names itself, and those that the user allows.

Many indexes have their files on another host. A lock does not prove that such a host is the index's: it could have been edited.
So the index is queried, once for each such host: its page of a project with locked files there must name the host, too.
"""

from collections.abc import Callable
from contextlib import suppress

from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.config.config import Config
from deep_lock.config.options import NetworkOptions, VerifyOptions
from deep_lock.errors import NameMismatch, UrlForbidden
from deep_lock.events import Reporter
from deep_lock.index.client import IndexClient
from deep_lock.index.download import Wanted
from deep_lock.index.workers import OnceMap
from deep_lock.lockfile.index import archive_file, called, files_of, parsed
from deep_lock.locking.clients import Network
from deep_lock.models.lock import Lock, LockedFile, LockedPackage
from deep_lock.network.urls import host_and_port
from deep_lock.operations.inputs import locked_indexes, open_indexes
from deep_lock.sanitize import show

MAX_PAGES = 3
"""How many pages are read for one host, in case a project is no longer there."""


def project_hosts(lock: Lock) -> frozenset[str]:
    """Return the hosts of direct references that the inputs of a lock state."""
    inputs = lock.inputs
    lists = [texts for _, texts in (*inputs.extras, *inputs.dependency_groups)]
    lists += [inputs.requirements, inputs.constraints, inputs.overrides]
    lists += [tree.requirements or () for tree in inputs.trees]
    return frozenset(
        host_and_port(own.url.partition("+")[2] if own.url.startswith("git+") else own.url)
        for texts in lists
        for own in parsed(texts)
        if own.url is not None
    )


def allowed_hosts(lock: Lock, options: NetworkOptions, config: Config) -> frozenset[str]:
    """Return the hosts that files of every index may be on: those of find-links, of the options, and of the policy."""
    links = dict(lock.options).get("find-links", ())
    linked = {host_and_port(link) for link in links if "://" in link} if isinstance(links, tuple) else set()
    policy = config.policy.hosts if config.policy is not None else None
    return frozenset({*linked, *options.plain_allowed_hosts, *(policy or ())})


def open_hosts(lock: Lock, options: VerifyOptions, config: Config, reporter: Reporter) -> "LockHosts":
    """Return the hosts of a lock. An index is opened, as `verify` does, where one must be queried."""
    allowed = allowed_hosts(lock, options.network, config)
    return LockHosts(lock, allowed, lambda: open_indexes(lock, options, reporter, refresh=False))


class LockHosts:
    """Decides for each file of a lock who names its URL. May be used by several threads."""

    def __init__(self, lock: Lock, allowed: frozenset[str], open_indexes: Callable[[], Network]) -> None:
        """``open_indexes`` is called for the first host that is not an index's."""
        self._lock = lock
        self._allowed = allowed
        self._project = project_hosts(lock)
        self._indexes = frozenset(url for _, url in lock.indexes)
        self._open_indexes = open_indexes
        self._opened: OnceMap[None, Network] = OnceMap()
        self._known: OnceMap[tuple[str, str], frozenset[str]] = OnceMap()
        self._owners = {(file.name, file.sha256): entry for entry in lock.packages for file in _every(entry)}

    def namer_of(self, wanted: Wanted) -> str:
        """Return the URL of who names a file, as in `Fetcher.get`. Raises UrlForbidden, and IndexFault where an index fails."""
        entry, url = self._owners[wanted.name, wanted.sha256], wanted.url or ""
        host = host_and_port(url)
        if entry.source is not None:
            if host in self._project or host in self._allowed:
                return url
            raise _refused(entry, wanted, host, "the project's inputs in the lock name no such host")
        index = entry.index
        if index is None or index not in self._indexes:
            if host in self._allowed:
                return url if index is None else index
            raise _refused(entry, wanted, host, f"{show(index or 'its index')} is not an index of the lock")
        if host == host_and_port(index) or host in self._allowed:
            return index
        if host not in self._known.get((index, host), lambda: self._hosts_of_pages(index, host)):
            raise _refused(entry, wanted, host, f"{show(index)} names no such host")
        return index

    def close(self) -> None:
        """Close the connections to indexes."""
        if self._opened.has(None):
            self._opened.get(None, self._open_indexes).close()

    def _hosts_of_pages(self, index: str, host: str) -> frozenset[str]:
        """Return the hosts that the index names for projects that have locked files on this one; few files, small page."""
        there = [
            entry
            for entry in self._lock.packages
            if entry.index == index and any(host_and_port(file.url or "") == host for file in files_of(entry))
        ]
        client = self._opened.get(None, self._open_indexes).client
        indexes = locked_indexes(self._lock, client)
        found: set[str] = set()
        for entry in sorted(there, key=lambda entry: (len(files_of(entry)), entry.name))[:MAX_PAGES]:
            with suppress(NameMismatch):
                found |= page_hosts(client, entry, indexes.of(entry))
            if host in found:
                break
        return frozenset(found)


def page_hosts(client: IndexClient, entry: LockedPackage, index: str) -> frozenset[str]:
    """Return the hosts that the page of a project names for the locked release; of its newest ones where it is gone.

    ``index`` as in `IndexClient`.
    """
    name = canonicalize_name(entry.name)
    versions = client.versions(name, index)
    locked = Version(entry.version or "0")
    chosen = [locked] if locked in versions else versions[:MAX_PAGES]
    return frozenset(host_and_port(file.url) for version in chosen for file in client.files(name, version, index))


def _every(entry: LockedPackage) -> tuple[LockedFile, ...]:
    archive = archive_file(entry)
    return (*files_of(entry), *((archive,) if archive is not None else ()))


def _refused(entry: LockedPackage, wanted: Wanted, host: str, why: str) -> UrlForbidden:
    return UrlForbidden(
        f"{called(entry)}: {show(wanted.name)} is on {show(host)} by the lock, and {why}: not requested",
        hint=f"deep-lock verify compares the lock with the index; if the host is right: --allow-host {show(host)}",
    )
