"""Reads the contents of the wheels and sdists of a lock, from the cache, from folders, or after a download.

At hand is a file in the cache or in a folder of the project. What was read once is known by the sha256 of the file.
"""

from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from deep_lock.analysis.wheel_rules import FilesRead
from deep_lock.builds import temp_dirs
from deep_lock.config.options import ContentsOptions, NetworkOptions, RunContext, VerifyOptions
from deep_lock.errors import IndexFault, NotCached, SafetyError
from deep_lock.events import Reporter, Warned
from deep_lock.index.cache import Cache
from deep_lock.index.download import Downloads
from deep_lock.index.wheel_contents import cache_contents, cached_contents, read_contents
from deep_lock.index.workers import OnceMap, Workers
from deep_lock.lazy import load_all
from deep_lock.lockfile.index import files_of, wheels_of
from deep_lock.lockfile.selection import tags_of
from deep_lock.locking.clients import open_downloads
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.contents import FileContents
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.operations.fetch import WORKERS, wanted_file
from deep_lock.operations.lock_hosts import open_hosts
from deep_lock.sanitize import show
from deep_lock.sdist.archive_tree import read_tree, sdist_contents


def read_wheels(
    lock: Lock,
    path: Path,
    *,
    network: NetworkOptions | None,
    context: RunContext,
    reporter: Reporter,
    old: Lock | None = None,
) -> FilesRead:
    """Return the contents of the wheels of the lock at ``path``; without ``network`` nothing is fetched.

    Wheels of ``old`` too are ``others``, as far as they are at hand. Those of ``old`` alone are ``before``: with ``network`` each
    wheel is fetched that a new one of the same tags replaces; one that cannot be fetched any more is left out.
    Raises CacheInvalid and ConfigError; IndexFault and HashMismatch for a wheel that cannot be fetched.
    """
    known = _wheels(old) if old is not None else {}
    every = _wheels(lock)
    # the hosts of files of the old lock are checked as those of the new one
    whole = lock if old is None else replace(lock, packages=(*old.packages, *lock.packages))
    return _read(
        [file for sha256, file in every.items() if sha256 not in known],
        whole,
        path,
        network=network,
        context=context,
        reporter=reporter,
        others=[file for sha256, file in every.items() if sha256 in known],
        before=_replaced(old, lock) if old is not None else (),
    )


def read_files(lock: Lock, path: Path, options: ContentsOptions | None, reporter: Reporter) -> FilesRead | None:
    """Return the contents of the wheels and the sdists of a lock; None without ``options``. Raises as `read_wheels`."""
    if options is None:
        return None
    files = {file.sha256: file for entry in lock.packages for file in files_of(entry)}
    read = _read(files.values(), lock, path, network=options.network, context=options.context, reporter=reporter)
    for sha256, why in read.unreadable.items():
        reporter(Warned(code="contents-unreadable", subject=files[sha256].name, message=show(why)))
    if len(read.contents) + len(read.unreadable) < read.total:
        message = f"{claim(read, 'files')}: the others are not in the cache, and nothing is known about them"
        reporter(Warned(code="contents-not-read", subject=path.name, message=message))
    return read


def _read(
    files: Collection[LockedFile],
    lock: Lock,
    path: Path,
    *,
    network: NetworkOptions | None,
    context: RunContext,
    reporter: Reporter,
    others: Sequence[LockedFile] = (),
    before: Sequence[LockedFile] = (),
) -> FilesRead:
    if not files or (network is None and not context.cache_folder.is_dir()):
        return FilesRead(total=len(files))
    folder = path.parent.resolve()
    options, config = network or NetworkOptions(offline=True), read_project_config(folder)
    hosts = open_hosts(lock, VerifyOptions(lock=path, network=options, context=context), config, reporter)
    downloads = open_downloads(options, config, lock.indexes, context, reporter, folder=folder, namer_of=hosts.namer_of)
    with closing(hosts), closing(downloads):
        reading = _Reading(Cache(context.cache_folder, reporter), downloads, folder)
        missing = [file for file in files if not reading.at_hand(file)]
        lost = [file for file in before if not reading.at_hand(file)]
        if network is not None and missing:
            reading.fetch(missing)
        if network is not None and lost:
            reading.fetch(lost, optional=True)
        there = [file for file in others if reading.at_hand(file)]
    found = reading.contents
    own = [file.sha256 for file in files]
    return FilesRead(
        contents={sha256: found[sha256] for sha256 in own if sha256 in found},
        unreadable={sha256: reading.unreadable[sha256] for sha256 in own if sha256 in reading.unreadable},
        total=len(files),
        others={file.sha256: found[file.sha256] for file in there if file.sha256 in found},
        before={file.sha256: found[file.sha256] for file in before if file.sha256 in found},
    )


def _replaced(old: Lock, new: Lock) -> list[LockedFile]:
    """Return the wheels that are in the old lock only, and have the project and the tags of a new one."""
    before, after = _wheels(old), _wheels(new)
    fresh = {
        (entry.name, tags_of(file.name))
        for entry in new.packages
        for file in wheels_of(entry)
        if file.sha256 not in before
    }
    return [
        file
        for entry in old.packages
        for file in wheels_of(entry)
        if file.sha256 not in after and (entry.name, tags_of(file.name)) in fresh
        if file.url or file.path  # the lock of another tool may have neither
    ]


def _wheels(lock: Lock) -> dict[str, LockedFile]:
    return {file.sha256: file for entry in lock.packages for file in wheels_of(entry)}


class _Reading:
    """The files of one run."""

    def __init__(self, cache: Cache, downloads: Downloads, folder: Path) -> None:
        self.contents: dict[str, FileContents] = {}
        self.unreadable: dict[str, str] = {}
        self._cache = cache
        self._downloads = downloads
        self._folder = folder

    def at_hand(self, file: LockedFile) -> bool:
        """Read a file if it was read before or is on this machine; return whether that is so."""
        known = cached_contents(self._cache, file.sha256)
        if known is not None:
            self.contents[file.sha256] = known
            return True
        path = self._downloads.at_hand(wanted_file(file, self._folder))
        if path is not None:
            self._read(file, path)
        return path is not None

    def fetch(self, files: Sequence[LockedFile], *, optional: bool = False) -> None:
        """Fetch and read files, several at once. What is not in the cache of an offline run is left out.

        An ``optional`` file that cannot be fetched is left out too.
        """
        done: OnceMap[str, None] = OnceMap()
        with (
            temp_dirs.disposable_folder("wheels-") as folder,
            closing(Workers(min(WORKERS, len(files)))) as workers,
        ):
            tasks = {file.sha256: lambda file=file: self._fetch(file, folder, optional=optional) for file in files}
            for sha256, task in tasks.items():
                workers.submit(lambda sha256=sha256, task=task: done.get(sha256, task))  # type: ignore[misc]  # mypy cannot infer a lambda's default
            for sha256, task in tasks.items():
                done.get(sha256, task)

    def _fetch(self, file: LockedFile, folder: Path, *, optional: bool) -> None:
        path = folder / file.sha256
        try:
            self._downloads.put(wanted_file(file, self._folder), path)
        except NotCached:
            return
        except (IndexFault, SafetyError):
            if optional:
                return
            raise
        self._read(file, path)
        path.unlink()

    def _read(self, file: LockedFile, path: Path) -> None:
        load_all()
        try:
            with path.open("rb") as opened:
                own = contents_of(opened, file.name)
        except (SafetyError, OSError) as error:
            self.unreadable[file.sha256] = str(error)
            return
        self.contents[file.sha256] = own
        cache_contents(self._cache, file.sha256, own)


def contents_of(file: BinaryIO, filename: str) -> FileContents:
    """Read what a wheel or an sdist brings. Raises ArchiveError and LimitExceeded."""
    if filename.endswith(".whl"):
        return read_contents(file, filename)
    return sdist_contents(read_tree(file, filename))


def claim(read: FilesRead, wheels: str = "wheels") -> str:
    """Return how many wheels were read, as text."""
    return f"the contents of {len(read.contents)} of {read.total} {wheels} were read"
