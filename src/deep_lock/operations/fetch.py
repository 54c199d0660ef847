"""The work of `fetch`: downloads the files of a lock, each checked against it. Nothing is resolved.

Invariants: the URLs of a lock are untrusted input: they get a login only if options, settings or netrc have one for their origin,
and they are requested only on hosts that the lock may name (`lock_hosts`).
A fault of one file does not stop the others; what was fetched stays.
"""

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct, field

from deep_lock.config.options import FetchOptions, SelectionOptions, VerifyOptions
from deep_lock.errors import DeepLockError, IndexFault, LockInvalid, NetworkError, NotFound, SafetyError, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_temporary, sweep
from deep_lock.index.download import Downloads, Wanted, Way
from deep_lock.index.workers import OnceMap, Workers
from deep_lock.lockfile.member import is_of_member
from deep_lock.lockfile.selection import every_file, picked_files, source_trees
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.clients import open_downloads
from deep_lock.locking.read_inputs import read_project_config, require_lock
from deep_lock.models.distribution import SDIST_SUFFIXES
from deep_lock.models.lock import Lock, LockedFile, source_text
from deep_lock.operations.inputs import chosen_selection, part_of
from deep_lock.operations.lock_hosts import open_hosts
from deep_lock.sanitize import listed, show

WORKERS = 16
"""Connections at once: files are large, and a server is not ours alone."""

STALE_SECONDS = 3600
"""A temporary file that was not written to for this long is of a run that was killed."""

MAX_NAMES = 10
_DISTRIBUTIONS = (".whl", *SDIST_SUFFIXES)


class FetchOutcome(Struct, frozen=True, kw_only=True):
    """What a run did, by how files were obtained. ``sizes`` in bytes."""

    files: dict[Way, int] = field(default_factory=dict)
    sizes: dict[Way, int] = field(default_factory=dict)


def fetch(options: FetchOptions, reporter: Reporter) -> FetchOutcome:
    """Put every requested file into the folder.

    Raises LockInvalid and UsageError before anything is fetched; IndexFault and SafetyError, the worst one, after everything
    that can be fetched was fetched.
    """
    whole = require_lock(options.lock, reporter)
    lock = part_of(whole, options.package, options.lock)
    folder = options.lock.parent.resolve()
    wanted = [wanted_file(file, folder) for file in distinct_files(_requested(options, lock))]
    prepare_folder(options.destination, options.context.now.timestamp())
    config = read_project_config(folder)
    hosts = open_hosts(
        lock, VerifyOptions(lock=options.lock, network=options.network, context=options.context), config, reporter
    )
    downloads = open_downloads(
        options.network, config, lock.indexes, options.context, reporter, folder=folder, namer_of=hosts.namer_of
    )
    with closing(hosts), closing(downloads):
        outcome = put_all(wanted, options.destination, downloads)
    for entry in (own for own in source_trees(lock) if not is_of_member(own, whole)):
        message = f"is a source tree, and not a file: {show(source_text(entry.source))}"
        reporter(Warned(code="fetch-tree", subject=entry.name, message=message))
    warn_of_other_files(options.destination, {file.name for file in every_file(lock)}, reporter)
    return outcome


# -- the files


def _requested(options: FetchOptions, lock: Lock) -> Sequence[LockedFile]:
    """Select the files. Source trees and repositories (`directory`, `vcs`) are not files."""
    targets = chosen_targets(lock, options.targets, options.lock.name)
    if not options.runtime and not options.build and not options.targets and options.selection is None:
        return every_file(lock)
    both = options.runtime == options.build
    selection = chosen_selection(lock, options.selection or SelectionOptions(), options.lock)
    return picked_files(lock, targets, selection, runtime=options.runtime or both, build=options.build or both)


def distinct_files(files: Sequence[LockedFile]) -> list[LockedFile]:
    """Return each file once. Raises LockInvalid where two of them cannot be in one folder.

    Some file systems ignore case: names must differ by more than that.
    """
    known: dict[str, LockedFile] = {}
    for file in files:
        first = known.setdefault(file.name.lower(), file)
        if first.sha256 != file.sha256:
            raise LockInvalid(
                f"two different files cannot be in one folder: {_described(first)} and {_described(file)}",
                hint="fetch fewer of them at a time: --runtime, --build, --target, --extra, --group",
            )
    return list(known.values())


def _described(file: LockedFile) -> str:
    return f"{file.name} (sha256 {file.sha256[:16]}..., from {show(file.url or file.path or '')})"


def wanted_file(file: LockedFile, folder: Path) -> Wanted:
    """Return the request for a file of the lock; ``folder`` is the lock's."""
    local = None if file.path is None else folder / file.path
    return Wanted(name=file.name, url=file.url, local=local, sha256=file.sha256, size=file.size)


# -- the folder


def prepare_folder(folder: Path, now: float) -> None:
    """Make the folder, and remove what a killed run left in it: a run that is alive writes to its files.

    ``now`` in seconds since 1970. Raises UsageError.
    """
    before = now - STALE_SECONDS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if is_temporary(path.name) and path.lstat().st_mtime < before:  # also of another user's run, and on Windows
                path.unlink(missing_ok=True)
        sweep(folder)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}") from None


def warn_of_other_files(folder: Path, names: Collection[str], reporter: Reporter) -> None:
    """Warn of other distributions in the folder: an installer takes the newest release, locked or not."""
    others = sorted(
        path.name for path in folder.iterdir() if path.name.endswith(_DISTRIBUTIONS) and path.name not in names
    )
    if others:
        message = f"files that are not in the lock: {listed([show(name) for name in others], MAX_NAMES)}"
        reporter(Warned(code="fetch-others", subject=str(folder), message=message))


# -- the downloads


class _Run:
    """The downloads of one run, by several threads."""

    def __init__(self, downloads: Downloads, folder: Path) -> None:
        self._downloads = downloads
        self._folder = folder
        self._stopped = threading.Event()
        self._done: OnceMap[str, Way | DeepLockError | None] = OnceMap()

    def get(self, wanted: Wanted) -> Way | DeepLockError | None:
        """Return how the file was obtained, or why not; None where the run was already stopped."""
        return self._done.get(wanted.name, lambda: self._put(wanted))

    def _put(self, wanted: Wanted) -> Way | DeepLockError | None:
        if self._stopped.is_set():
            return None
        try:
            way = self._downloads.put(wanted, self._folder / wanted.name)
            self._downloads.require_same_metadata(wanted, self._folder / wanted.name)
        except DeepLockError as error:
            if _stops_all(error):
                self._stopped.set()
            return error
        return way


def _stops_all(error: DeepLockError) -> bool:
    """Whether the next file would fail too: the server cannot be reached, the disk is full."""
    alone = isinstance(error, NotFound | SafetyError)
    return not alone and (isinstance(error, NetworkError) or not isinstance(error, IndexFault))


def put_all(wanted: Sequence[Wanted], folder: Path, downloads: Downloads) -> FetchOutcome:
    """Put all files into the folder, the largest first, so that the last one to end is small.

    Raises the worst error, after everything that can be fetched was fetched.
    """
    largest_first = sorted(wanted, key=lambda file: -(file.size or 0))
    run = _Run(downloads, folder)
    workers = Workers(min(WORKERS, len(wanted)))
    with closing(workers):
        for file in largest_first:
            workers.submit(lambda file=file: run.get(file))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        results = [(file, run.get(file)) for file in largest_first]
    files: Counter[Way] = Counter()
    sizes: Counter[Way] = Counter()
    faults: list[DeepLockError] = []
    for file, result in results:
        if isinstance(result, DeepLockError):
            faults.append(result)
        elif result is not None:
            files[result] += 1
            sizes[result] += (folder / file.name).stat().st_size
    if faults:
        raise _worst(faults, done=files.total(), of=len(wanted))
    return FetchOutcome(files=dict(files), sizes=dict(sizes))


def _worst(faults: Sequence[DeepLockError], *, done: int, of: int) -> DeepLockError:
    """Return one error for all: a safety error before a network fault, with the others in its message."""
    first, *others = sorted(faults, key=lambda error: (-error.exit_code, error.message))
    lines = [first.message, *(f"also: {error.message}" for error in others[:MAX_NAMES])]
    if len(others) > MAX_NAMES:
        lines.append(f"and {len(others) - MAX_NAMES} more")
    lines.append(f"{done} of {of} files were fetched, and are kept")
    return type(first)("\n".join(lines), hint=first.hint)
