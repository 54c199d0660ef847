"""The views of a fleet, made from its journal: the database, the page and the metrics.

Locks without a journal can be looked at too: those below a folder, or files that are named.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import file_digest, sha256
from pathlib import Path

from deep_lock.errors import LockInvalid, UsageError, raise_machine_fault
from deep_lock.files import open_regular, write_atomically
from deep_lock.fleet import journal, metrics, page, query, update
from deep_lock.fleet.database import NAME, journal_of, reading
from deep_lock.fleet.records import JOURNAL, LOCKS, RepositoryResult, Result
from deep_lock.models.lock import LOCK_NAME
from deep_lock.project.files import MAX_LOCK_BYTES, read_bytes

MARK = 'created-by = "deep-lock"'
"""Other tools have files of this name too: a file without this line is a lock of another tool."""


def write(state: Path) -> "tuple[query.HashConflict, ...]":
    """Bring the database, the page and the metrics of a state folder to its journal.

    Return the files that have several sha256. Raises UsageError.
    """
    with opened(state) as connection:
        conflicts = query.hash_conflicts(connection)
        content, figures = page.page(connection), metrics.metrics(connection)
    for name, text in ((page.NAME, str(content)), (metrics.NAME, figures)):
        try:
            write_atomically(state / name, text.encode())
        except OSError as error:
            raise_machine_fault(error)
            raise UsageError(f"{state / name}: {error.strerror or error}") from None
    return conflicts


@contextmanager
def opened(state: Path) -> Iterator[sqlite3.Connection]:
    """Open the database of a state folder, after it is brought to the journal. Raises UsageError where there is no journal.

    In a folder that cannot be written it is brought to the journal in memory.
    """
    try:
        with open_regular(state / JOURNAL) as file:
            current = file_digest(file, "sha256").hexdigest()  # not its time: a state folder may be a copy
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(
            f"{state}: there is no state of a fleet ({JOURNAL}: {error.strerror or error})",
            hint="run deep-lock fleet lock first, name its --state folder, or look at locks alone with --locks",
        ) from None
    made = state / NAME
    own: AbstractContextManager[sqlite3.Connection] = reading(made)
    if journal_of(made) != current:
        contents = _contents(state, current)
        try:
            update.update(made, contents)
        except update.ReadOnly:
            own = closing(update.in_memory(contents))
    with own as connection:
        yield connection


def is_cut_off(state: Path) -> bool:
    """Whether the last line of the journal was cut off by a kill: its result is not known. Raises UsageError."""
    path = state / JOURNAL
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _contents(state: Path, current: str) -> "update.Contents":
    def text_of(digest: str) -> str | None:
        path = state / LOCKS / f"{digest}.lock"
        try:
            return _text(path)
        except FileNotFoundError:
            return None

    results = journal.read_journal(state).results
    return update.Contents(journal=current, results=[results[name] for name in sorted(results)], text_of=text_of)


def _text(path: Path) -> str:
    """Return the text of a lock as the journal knows it: the sha256 is that of the bytes. Raises FileNotFoundError and LockInvalid."""
    return read_bytes(path, LockInvalid, MAX_LOCK_BYTES).decode("utf-8", errors="replace")


# -- locks without a journal


def lock_files(folder: Path) -> list[Path]:
    """Return the lock files below a folder. Raises UsageError where it is none."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: is not a folder", hint="name a folder with locks; - reads their paths from standard input"
        )
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        found += [Path(parent, name) for name in sorted(names) if name.endswith(".lock")]
    return found


@contextmanager
def of_files(paths: Sequence[Path], base: Path, text: str = "") -> Iterator[sqlite3.Connection]:
    """Open a database of these locks; a repository is the folder of a lock, relative to ``base``.

    With a ``text`` only the locks that have it are read: others cannot be in an answer about it. Raises UsageError.
    """
    texts: dict[str, str] = {}
    results = []
    for path in paths:
        try:
            own = _text(path)
        except FileNotFoundError:
            raise UsageError(f"{path}: there is no such file") from None
        if path.name != LOCK_NAME and MARK not in own:
            continue
        digest = sha256(own.encode("utf-8", errors="replace")).hexdigest()
        texts[digest] = own
        results.append(_result(path, base, digest))
    without = _without(texts, text)
    connection = update.in_memory(update.Contents(journal="", results=results, text_of=texts.get, left_out=without))
    try:
        yield connection
    finally:
        connection.close()


def _without(texts: dict[str, str], text: str) -> Collection[str]:
    return (
        frozenset(digest for digest, own in texts.items() if text.lower() not in own.lower()) if text else frozenset()
    )


def _result(path: Path, base: Path, digest: str) -> RepositoryResult:
    try:
        relative = path.relative_to(base)
    except ValueError:
        relative = path
    name = relative.parent.as_posix() if path.name == LOCK_NAME else relative.as_posix().removesuffix(".lock")
    project = Result(
        repository=name,
        commit="",
        project=".",
        action="lock",
        status="up-to-date",
        lock_path=relative.as_posix(),
        lock_sha256=digest,
    )
    return RepositoryResult(repository=name, url="", commit="", configuration="", status="done", projects=(project,))
