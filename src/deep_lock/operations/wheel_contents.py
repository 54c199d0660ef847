"""Reads the wheels of a lock, for the rules on their contents: those at hand, and those that are fetched for it.

At hand is a wheel in the cache or in a folder of the project. What was read once is known by the sha256 of the wheel.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from deep_lock.analysis.wheel_rules import WheelsRead
from deep_lock.builds import temp_dirs
from deep_lock.config.options import NetworkOptions, RunContext, VerifyOptions
from deep_lock.errors import NotCached, SafetyError
from deep_lock.events import Reporter
from deep_lock.index.cache import Cache
from deep_lock.index.download import Downloads
from deep_lock.index.wheel_contents import cache_contents, cached_contents, read_contents
from deep_lock.index.workers import OnceMap, Workers
from deep_lock.lazy import load_all
from deep_lock.lockfile.index import wheels_of
from deep_lock.locking.clients import open_downloads
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.contents import FileContents
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.operations.fetch import WORKERS, wanted_file
from deep_lock.operations.lock_hosts import open_hosts


def read_wheels(
    lock: Lock,
    path: Path,
    *,
    network: NetworkOptions | None,
    context: RunContext,
    reporter: Reporter,
    old: Lock | None = None,
) -> WheelsRead:
    """Return the contents of the wheels of the lock at ``path``; without ``network`` nothing is fetched.

    Wheels of ``old`` are ``others``, as far as they are at hand. Raises CacheInvalid and ConfigError; IndexFault and HashMismatch for a wheel that cannot be
    fetched.
    """
    known = _wheels(old) if old is not None else {}
    every = _wheels(lock)
    files = {sha256: file for sha256, file in every.items() if sha256 not in known}
    if not files or (network is None and not context.cache_folder.is_dir()):
        return WheelsRead(total=len(files))
    folder = path.parent.resolve()
    options, config = network or NetworkOptions(offline=True), read_project_config(folder)
    hosts = open_hosts(lock, VerifyOptions(lock=path, network=options, context=context), config, reporter)
    downloads = open_downloads(options, config, lock.indexes, context, reporter, folder=folder, namer_of=hosts.namer_of)
    with closing(hosts), closing(downloads):
        reading = _Reading(Cache(context.cache_folder, reporter), downloads, folder)
        missing = [file for file in files.values() if not reading.at_hand(file)]
        if network is not None and missing:
            reading.fetch(missing)
        others = [file for sha256, file in every.items() if sha256 in known and reading.at_hand(file)]
    found = reading.contents
    return WheelsRead(
        contents={sha256: found[sha256] for sha256 in files if sha256 in found},
        unreadable={sha256: why for sha256, why in reading.unreadable.items() if sha256 in files},
        total=len(files),
        others={file.sha256: found[file.sha256] for file in others if file.sha256 in found},
    )


def _wheels(lock: Lock) -> dict[str, LockedFile]:
    return {file.sha256: file for entry in lock.packages for file in wheels_of(entry)}


class _Reading:
    """The wheels of one run."""

    def __init__(self, cache: Cache, downloads: Downloads, folder: Path) -> None:
        self.contents: dict[str, FileContents] = {}
        self.unreadable: dict[str, str] = {}
        self._cache = cache
        self._downloads = downloads
        self._folder = folder

    def at_hand(self, file: LockedFile) -> bool:
        """Read a wheel if it was read before or is on this machine; return whether that is so."""
        known = cached_contents(self._cache, file.sha256)
        if known is not None:
            self.contents[file.sha256] = known
            return True
        path = self._downloads.at_hand(wanted_file(file, self._folder))
        if path is not None:
            self._read(file, path)
        return path is not None

    def fetch(self, files: Sequence[LockedFile]) -> None:
        """Fetch and read wheels, several at once. What is not in the cache of an offline run is left out."""
        done: OnceMap[str, None] = OnceMap()
        with (
            temp_dirs.disposable_folder("wheels-") as folder,
            closing(Workers(min(WORKERS, len(files)))) as workers,
        ):
            tasks = {file.sha256: lambda file=file: self._fetch(file, folder) for file in files}
            for sha256, task in tasks.items():
                workers.submit(lambda sha256=sha256, task=task: done.get(sha256, task))  # type: ignore[misc]  # mypy cannot infer a lambda's default
            for sha256, task in tasks.items():
                done.get(sha256, task)

    def _fetch(self, file: LockedFile, folder: Path) -> None:
        path = folder / file.sha256
        try:
            self._downloads.put(wanted_file(file, self._folder), path)
        except NotCached:
            return
        self._read(file, path)
        path.unlink()

    def _read(self, file: LockedFile, path: Path) -> None:
        load_all()
        try:
            with path.open("rb") as opened:
                own = read_contents(opened, file.name)
        except (SafetyError, OSError) as error:
            self.unreadable[file.sha256] = str(error)
            return
        self.contents[file.sha256] = own
        cache_contents(self._cache, file.sha256, own)


def claim(read: WheelsRead, wheels: str = "wheels") -> str:
    """Return how many wheels were read, in words."""
    return f"the contents of {len(read.contents)} of {read.total} {wheels} were read"
