"""The journal of a fleet, ``fleet.jsonl``: the result of each repository, in the order of the results.

Next to it are the locks, and the lists of pages that results depend on, each in a file with its sha256 as name.

A line is a `Run`, which begins a run, or a `RepositoryResult`. Each line is on the disk before the run continues, so that a kill
loses nothing that is done. The line at the end that a kill cut off is left out.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from deep_lock.errors import UsageError, raise_machine_fault
from deep_lock.files import hold, is_left, sweep, write_atomically
from deep_lock.fleet.page_lists import read_page_list
from deep_lock.fleet.records import JOURNAL, LOCKS, PAGES, RepositoryResult
from deep_lock.fleet.task import digest_of

SCHEMA = "deep-lock/fleet-journal"
VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Run(Struct, frozen=True, kw_only=True, tag="run", tag_field="kind"):
    """The line that begins a run."""

    schema: str = SCHEMA
    version: int = VERSION
    now: datetime
    """The clock of all tasks."""
    configuration: str
    """As in `RepositoryResult`."""


class Known(Struct, frozen=True, kw_only=True):
    """The content of a journal."""

    run: Run | None = None
    """The last one."""
    done: dict[str, RepositoryResult] = {}
    """What that run did, by the name of the repository."""
    results: dict[str, RepositoryResult] = {}
    """The last result of each repository, of any run."""


def read_journal(folder: Path) -> Known:
    """Read the journal in a state folder; an empty one where there is none. Raises UsageError."""
    path = folder / JOURNAL
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return Known()
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path}: {error.strerror or error}") from None
    run: Run | None = None
    done: dict[str, RepositoryResult] = {}
    results: dict[str, RepositoryResult] = {}
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line break was cut off
        if not line:
            continue
        try:
            if line.startswith(b'{"kind":"run"'):
                run, done = msgspec.json.decode(line, type=Run), {}
            else:
                own = msgspec.json.decode(line, type=RepositoryResult)
                done[own.repository] = results[own.repository] = own
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{path}, line {number}: is not a line of a journal of this version: {error}",
                hint="remove the file: the next run then works on every repository",
            ) from None
    return Known(run=run, done=done, results=results)


def pages_path(folder: Path, digest: str) -> Path:
    """Return the file of the list of pages with this sha256."""
    return folder / PAGES / f"{digest}.txt"


def read_pages(folder: Path, digest: str) -> dict[str, str] | None:
    """Return the list of pages with this sha256: their digests by URL. None where it is missing or damaged."""
    if not _SHA256.fullmatch(digest):  # a worker made it, and it would be a path
        return None
    try:
        text = pages_path(folder, digest).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise_machine_fault(error)
        return None
    return read_page_list(text) if digest_of(text) == digest else None


def has_locks(folder: Path, result: RepositoryResult) -> bool:
    """Whether the state folder has the lock of each project of a result, whole. Raises MachineFault."""
    digests = {own.lock_sha256 for own in result.projects} - {""}
    return all(_has_lock(folder, digest) for digest in digests)


def _has_lock(folder: Path, digest: str) -> bool:
    try:
        # a worker made the digest, and it would be a path
        return bool(_SHA256.fullmatch(digest)) and _has_digest(folder / LOCKS / f"{digest}.lock", digest)
    except OSError as error:
        raise_machine_fault(error)
        return False


class Journal:
    """Writes the journal, the locks and the lists of pages. Only one program at a time has the journal of a folder."""

    def __init__(self, folder: Path) -> None:
        """Open the state folder. Raises UsageError where it cannot be written, or another run has it."""
        self._folder = folder
        self._written: set[str] = set()
        try:
            for name in (LOCKS, PAGES):
                (folder / name).mkdir(parents=True, exist_ok=True)
            self._guard = os.open(folder / "running", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        if os.name == "posix" and not is_left(self._guard):
            os.close(self._guard)
            raise UsageError(f"{folder}: another run of the fleet uses this folder", hint="use another --state folder")
        hold(self._guard)
        sweep(folder)
        sweep(folder / LOCKS)
        sweep(folder / PAGES)
        self._file: int | None = None

    def begin(self, run: Run, kept: Iterable[RepositoryResult]) -> None:
        """Begin a run: the journal then has the results that are kept, and those of the run."""
        kept = tuple(kept)
        lines = [*map(msgspec.json.encode, kept), msgspec.json.encode(run), b""]
        try:
            write_atomically(self._folder / JOURNAL, b"\n".join(lines))
        except OSError as error:
            raise self._unwritable(error) from None
        self._remove_pages(without=frozenset(own.pages for result in kept for own in result.projects))
        self.resume()

    def resume(self) -> None:
        """Append to the journal as it is, without a line that was cut off."""
        path = self._folder / JOURNAL
        try:
            handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            content = path.read_bytes()
            os.ftruncate(handle, content.rfind(b"\n") + 1)
            os.lseek(handle, 0, os.SEEK_END)
        except OSError as error:
            raise self._unwritable(error) from None
        self._file = handle

    def _remove_pages(self, *, without: Collection[str]) -> None:
        """Remove the lists of pages that no result has."""
        with suppress(OSError):
            for path in (self._folder / PAGES).iterdir():
                if path.stem not in without:
                    path.unlink()

    def add(self, result: RepositoryResult, locks: Mapping[str, str], pages: Mapping[str, str] = {}) -> None:
        """Write the locks of a repository and its lists of pages, then its line, and wait for the disk. Raises UsageError."""
        if self._file is None:
            raise ValueError("the journal is not started")
        try:
            for digest, text in locks.items():
                self._write(self._folder / LOCKS / f"{digest}.lock", digest, text, durable=True)
            for digest, text in pages.items():
                self._write(pages_path(self._folder, digest), digest, text, durable=False)
            rest = memoryview(msgspec.json.encode(result) + b"\n")
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write(self, path: Path, digest: str, text: str, *, durable: bool) -> None:
        if digest_of(text) == digest and digest not in self._written and not _has_digest(path, digest):
            write_atomically(path, text.encode("utf-8", errors="replace"), durable=durable)
        self._written.add(digest)

    def _unwritable(self, error: OSError) -> UsageError:
        raise_machine_fault(error)
        return UsageError(f"{self._folder}: the state of the fleet cannot be written: {error.strerror or error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        os.close(self._guard)


def _has_digest(path: Path, digest: str) -> bool:
    """Whether the file is there and whole: a lock that was written before the machine failed may be empty."""
    try:
        return sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False
