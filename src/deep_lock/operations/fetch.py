"""Downloads what a lock names, each file checked against it. Nothing is resolved, and no index page is asked for.

Laws: what the lock says of places is input of somebody else's: its URLs get a login only if flags, settings or netrc give
one to their origin. A fault of one file does not stop the others; what was fetched stays.
"""

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct, field

from deep_lock.config.options import FetchOptions
from deep_lock.errors import DeepLockError, IndexFault, LockInvalid, NetworkError, NotFound, SafetyError, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_temporary
from deep_lock.index.download import Downloads, Wanted, Way
from deep_lock.index.workers import OnceMap, Workers
from deep_lock.lockfile.selection import every_file, picked_files, source_trees
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.indexes import open_downloads
from deep_lock.locking.read_inputs import read_settings, require_lock
from deep_lock.models.lock import Lock, LockedFile, source_text
from deep_lock.sanitize import show

WORKERS = 16
"""Connections at once: files are large, and a server is not ours alone."""

LEFT_SECONDS = 3600
"""A temporary file not written to for so long is of a run that was killed."""

MAX_TOLD = 10
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")


class FetchOutcome(Struct, frozen=True, kw_only=True):
    """What a run did, by the way that files came. ``sizes`` in bytes."""

    files: dict[Way, int] = field(default_factory=dict)
    sizes: dict[Way, int] = field(default_factory=dict)


def fetch(flags: FetchOptions, reporter: Reporter) -> FetchOutcome:
    """Put every file that is asked for into the folder.

    Raises LockInvalid and UsageError before anything is fetched; IndexFault and SafetyError, the gravest one, after all
    that can be fetched is there.
    """
    lock = require_lock(flags.lock, reporter)
    folder = flags.lock.parent.resolve()
    wanted = [wanted_file(file, folder) for file in distinct_files(_asked_for(flags, lock))]
    make_ready(flags.destination, flags.surroundings.now.timestamp())
    downloads = open_downloads(flags, read_settings(folder), lock.indexes, reporter)
    with closing(downloads):
        outcome = put_all(wanted, flags.destination, downloads)
    for entry in source_trees(lock):
        message = f"is a source tree and no file: {show(source_text(entry.source))}"
        reporter(Warned(code="fetch-tree", subject=entry.name, message=message))
    tell_others(flags.destination, {file.name for file in every_file(lock)}, reporter)
    return outcome


# -- what is asked for


def _asked_for(flags: FetchOptions, lock: Lock) -> Sequence[LockedFile]:
    """Choose the files. Source trees and repositories (`directory`, `vcs`) are not files."""
    targets = chosen_targets(lock, flags.targets, flags.lock.name)
    if not flags.runtime and not flags.build and not flags.targets:
        return every_file(lock)
    both = flags.runtime == flags.build
    return picked_files(lock, targets, runtime=flags.runtime or both, build=flags.build or both)


def distinct_files(files: Sequence[LockedFile]) -> list[LockedFile]:
    """Return each file once. Raises LockInvalid where two of them cannot lie in one folder.

    Some file systems tell no upper from lower case: names must differ by more than that.
    """
    known: dict[str, LockedFile] = {}
    for file in files:
        first = known.setdefault(file.name.lower(), file)
        if first.sha256 != file.sha256:
            raise LockInvalid(
                f"two different files cannot lie in one folder: {_told(first)} and {_told(file)}",
                hint="fetch fewer of them at a time: --runtime, --build, --target",
            )
    return list(known.values())


def _told(file: LockedFile) -> str:
    return f"{file.name} (sha256 {file.sha256[:16]}..., from {show(file.url or file.path or '')})"


def wanted_file(file: LockedFile, folder: Path) -> Wanted:
    """Return a file of the lock as something to be fetched; ``folder`` is the lock's."""
    local = None if file.path is None else folder / file.path
    return Wanted(name=file.name, url=file.url, local=local, sha256=file.sha256, size=file.size)


# -- the folder


def make_ready(folder: Path, now: float) -> None:
    """Make the folder, and take away what a killed run left in it: a run that is at work writes to its files.

    ``now`` in seconds since 1970. Raises UsageError.
    """
    before = now - LEFT_SECONDS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if is_temporary(path.name) and path.lstat().st_mtime < before:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}") from None


def tell_others(folder: Path, names: Collection[str], reporter: Reporter) -> None:
    """Say what an installer would find there besides these: it takes the newest release, locked or not."""
    others = sorted(
        path.name for path in folder.iterdir() if path.name.endswith(_DISTRIBUTIONS) and path.name not in names
    )
    if others:
        more = f" and {len(others) - MAX_TOLD} more" if len(others) > MAX_TOLD else ""
        shown = ", ".join(show(name) for name in others[:MAX_TOLD])
        reporter(
            Warned(
                code="fetch-others", subject=str(folder), message=f"files that the lock does not name: {shown}{more}"
            )
        )


# -- the work


class _Round:
    """One go at all files, by several threads at once."""

    def __init__(self, downloads: Downloads, folder: Path) -> None:
        self._downloads = downloads
        self._folder = folder
        self._stopped = threading.Event()
        self._done: OnceMap[str, Way | DeepLockError | None] = OnceMap()

    def do(self, wanted: Wanted) -> Way | DeepLockError | None:
        """Return how the file came, or why it did not; None where it was not tried any more."""
        return self._done.get(wanted.name, lambda: self._put(wanted))

    def _put(self, wanted: Wanted) -> Way | DeepLockError | None:
        if self._stopped.is_set():
            return None
        try:
            return self._downloads.put(wanted, self._folder / wanted.name)
        except DeepLockError as error:
            if _is_of_all(error):
                self._stopped.set()
            return error


def _is_of_all(error: DeepLockError) -> bool:
    """Whether the next file would meet the same: a server that is not there, a disk that is full."""
    alone = isinstance(error, NotFound | SafetyError)
    return not alone and (isinstance(error, NetworkError) or not isinstance(error, IndexFault))


def put_all(wanted: Sequence[Wanted], folder: Path, downloads: Downloads) -> FetchOutcome:
    """Put all files into the folder, the largest first: the last one to end is then a small one.

    Raises the gravest error, after all that can be had is there.
    """
    largest_first = sorted(wanted, key=lambda file: -(file.size or 0))
    turn = _Round(downloads, folder)
    workers = Workers(min(WORKERS, len(wanted)))
    with closing(workers):
        for file in largest_first:
            workers.submit(lambda file=file: turn.do(file))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        results = [(file, turn.do(file)) for file in largest_first]
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
        raise _gravest(faults, done=files.total(), of=len(wanted))
    return FetchOutcome(files=dict(files), sizes=dict(sizes))


def _gravest(faults: Sequence[DeepLockError], *, done: int, of: int) -> DeepLockError:
    """Return one error for all: a safety error before a fault of the network, and the rest told in its message."""
    first, *others = sorted(faults, key=lambda error: (-error.exit_code, error.message))
    lines = [first.message, *(f"also: {error.message}" for error in others[:MAX_TOLD])]
    if len(others) > MAX_TOLD:
        lines.append(f"and {len(others) - MAX_TOLD} more")
    lines.append(f"{done} of {of} files are there; what is there stays")
    return type(first)("\n".join(lines), hint=first.hint)
