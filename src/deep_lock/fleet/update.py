"""Writes the database of a fleet from the journal and the locks alone.

Invariant: an update is one transaction, and what it makes does not depend on what was in the file: a file that is lost, or of
another version, is made again. The journal is the truth.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.errors import DeepLockError, UsageError, raise_machine_fault
from deep_lock.fleet.database import LOCKED_SECONDS, REMEDY, VERSION
from deep_lock.fleet.lock_contents import Release, Usage, contents_of
from deep_lock.fleet.records import RepositoryResult, Result
from deep_lock.lockfile.reader import from_text
from deep_lock.sanitize import show

_TABLES = """
CREATE TABLE state (journal TEXT NOT NULL);
CREATE TABLE repository (
    name TEXT PRIMARY KEY, url TEXT, commit_id TEXT, status TEXT, exit_code INTEGER, code TEXT, message TEXT, hint TEXT,
    attempts INTEGER, kills INTEGER, seconds REAL, requests INTEGER, finished TEXT
) WITHOUT ROWID;
CREATE TABLE project (
    id INTEGER PRIMARY KEY, repository TEXT NOT NULL, path TEXT NOT NULL, commit_id TEXT, action TEXT, status TEXT, exit_code INTEGER, code TEXT,
    message TEXT, hint TEXT, warnings TEXT, lock_path TEXT, lock TEXT NOT NULL, packages INTEGER, builds INTEGER, targets TEXT,
    changes TEXT, dangerous INTEGER, findings TEXT, seconds REAL, requests INTEGER
);
CREATE INDEX project_lock ON project (lock);
CREATE TABLE lock (sha256 TEXT PRIMARY KEY, fault TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE release (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, name TEXT NOT NULL, version TEXT NOT NULL, index_url TEXT NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX release_name ON release (name);
CREATE TABLE file (release INTEGER NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE INDEX file_sha256 ON file (sha256);
CREATE INDEX file_name ON file (name, sha256);
CREATE INDEX file_release ON file (release);
CREATE TABLE publisher (release INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, identity TEXT NOT NULL);
CREATE INDEX publisher_value ON publisher (value COLLATE NOCASE);
CREATE INDEX publisher_release ON publisher (release);
CREATE TABLE usage (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, role TEXT NOT NULL, build TEXT NOT NULL, backend TEXT NOT NULL,
    targets TEXT NOT NULL, all_targets INTEGER NOT NULL, chain TEXT NOT NULL
);
CREATE TABLE used (
    lock TEXT NOT NULL, release INTEGER NOT NULL, usage INTEGER NOT NULL, PRIMARY KEY (release, lock, usage)
) WITHOUT ROWID;
CREATE INDEX used_lock ON used (lock);
"""
_UNUSED = """
DELETE FROM release WHERE id NOT IN (SELECT release FROM used);
DELETE FROM usage WHERE id NOT IN (SELECT usage FROM used);
DELETE FROM file WHERE release NOT IN (SELECT id FROM release);
DELETE FROM publisher WHERE release NOT IN (SELECT id FROM release);
"""


class Contents(Struct, frozen=True, kw_only=True):
    """What a database is made from."""

    journal: str
    """Distinguishes this state of the journal from others."""
    results: Sequence[RepositoryResult]
    """The last one of each repository."""
    text_of: Callable[[str], str | None]
    """Returns the text of the lock with this sha256; None where there is none."""
    left_out: Collection[str] = frozenset()
    """The sha256 of locks that are not read: they cannot be in an answer."""


_PRIMARY_CODE = 0xFF
"""The part of an error code of SQLite that says what it is; the rest is the detail."""


class ReadOnly(UsageError):
    """The file is in a folder that cannot be written, or cannot be written itself."""


def update(path: Path, contents: Contents) -> None:
    """Bring the file to these contents. Raises UsageError where it cannot be written: ReadOnly where nothing may be written there."""
    try:
        with closing(_connect(path)) as connection:
            _update(connection, contents)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise_machine_fault(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)))
        if error.sqlite_errorcode & _PRIMARY_CODE in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
            raise ReadOnly(f"{path}: cannot be written: {error}", hint="make its folder writable") from None
        if isinstance(error, sqlite3.OperationalError):
            raise UsageError(f"{path}: {error}", hint=REMEDY) from None
        path.unlink(missing_ok=True)  # not a database: it has nothing that the journal has not
        with closing(_connect(path)) as connection:
            _update(connection, contents)


def in_memory(contents: Contents) -> sqlite3.Connection:
    """Return a database of these contents that is in no file."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _update(connection, contents)
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path.parent}: {error.strerror or error}") from None
    return sqlite3.connect(path, timeout=LOCKED_SECONDS, isolation_level=None)


def _update(connection: sqlite3.Connection, contents: Contents) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
            _make_tables(connection)
        _write_results(connection, contents)
        _write_locks(connection, contents)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # on a full disk SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        raise


def _make_tables(connection: sqlite3.Connection) -> None:
    """Make all tables again."""
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        connection.execute('DROP TABLE "{}"'.format(name.replace('"', '""')))
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


# -- repositories and projects: all of them are written at each update


def _write_results(connection: sqlite3.Connection, contents: Contents) -> None:
    for table in ("state", "repository", "project"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names above
    connection.execute("INSERT INTO state VALUES (?)", (contents.journal,))
    _insert(connection, "repository", map(_repository_row, contents.results))
    rows = (_project_row(own) for result in contents.results for own in _projects(result))
    _insert(connection, "project", rows)


def _projects(result: RepositoryResult) -> Iterator[Result]:
    """Yield the results of the projects. What is known from older runs is of another commit, and failed now."""
    yield from result.projects
    for own in result.known:
        message = f"its lock is that of the commit {own.commit[:12]}: {result.message}"
        yield replace(own, status="failed", exit_code=result.exit_code, message=message)


def _repository_row(own: RepositoryResult) -> tuple[Any, ...]:
    return (
        own.repository,
        own.url,
        own.commit,
        own.status,
        own.exit_code,
        own.code,
        own.message,
        own.hint,
        own.attempts,
        own.kills,
        own.seconds,
        own.requests,
        None if own.finished is None else own.finished.isoformat(),
    )


def _project_row(own: Result) -> tuple[Any, ...]:
    return (
        None,
        own.repository,
        own.project,
        own.commit,
        own.action,
        own.status,
        own.exit_code,
        own.code,
        own.message,
        own.hint,
        _json(own.warnings),
        own.lock_path,
        own.lock_sha256,
        own.packages,
        own.builds,
        _json(own.targets),
        _json(own.changes),
        own.dangerous,
        _json(own.findings),
        own.seconds,
        own.requests,
    )


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        values = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} VALUES ({values})", tuple(map(_storable, row)))  # noqa: S608 - a table of ours


def _storable(value: Any) -> Any:
    """Return a value that SQLite can store: text with half a surrogate pair is no UTF-8."""
    return value.encode("utf-8", errors="replace").decode() if isinstance(value, str) else value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# -- locks: those that are not in the database yet are read


def _write_locks(connection: sqlite3.Connection, contents: Contents) -> None:
    current = {own for (own,) in connection.execute("SELECT DISTINCT lock FROM project WHERE lock != ''")}
    known = {own for (own,) in connection.execute("SELECT sha256 FROM lock WHERE fault = ''")}
    removed = {own for (own,) in connection.execute("SELECT sha256 FROM lock")} - (current & known)
    for digest in removed:
        connection.execute("DELETE FROM used WHERE lock = ?", (digest,))
        connection.execute("DELETE FROM lock WHERE sha256 = ?", (digest,))
    numbers: dict[tuple[str, str], int] = {}
    for digest in sorted(current - known):
        fault, rows = ("", []) if digest in contents.left_out else _read(digest, contents.text_of(digest))
        connection.execute("INSERT INTO lock VALUES (?, ?)", (digest, _storable(fault)))
        for release, usage in rows:
            connection.execute(
                "INSERT OR IGNORE INTO used VALUES (?, ?, ?)",
                (digest, _release_number(connection, release, numbers), _usage_number(connection, usage, numbers)),
            )
    if removed:
        for statement in _UNUSED.split(";"):
            connection.execute(statement)


def _read(digest: str, text: str | None) -> tuple[str, list[tuple[Release, Usage]]]:
    """Return why a lock cannot be read, or "" and its contents."""
    if text is None:
        return "its file is missing", []
    if sha256(text.encode("utf-8", errors="replace")).hexdigest() != digest:
        return "the sha256 of its file differs from that in the journal", []
    try:
        return "", list(contents_of(from_text(text, "deep.lock"), "deep.lock"))
    except DeepLockError as error:
        return show(error.message), []


def _release_number(connection: sqlite3.Connection, release: Release, numbers: dict[tuple[str, str], int]) -> int:
    number, is_new = _number(connection, "release", release, numbers)
    if is_new:
        row = (number, _digest(release), release.name, release.version, release.index, release.source)
        _insert(connection, "release", [row])
        _insert(connection, "file", ((number, own.name, own.sha256) for own in release.files))
        _insert(
            connection,
            "publisher",
            ((number, key, value, _json(dict(own))) for own in release.publishers for key, value in own),
        )
    return number


def _usage_number(connection: sqlite3.Connection, usage: Usage, numbers: dict[tuple[str, str], int]) -> int:
    number, is_new = _number(connection, "usage", usage, numbers)
    if is_new:
        targets, chain = _json(usage.targets), _json(usage.chain)
        row = (number, _digest(usage), usage.role, usage.build, usage.backend, targets, int(usage.all_targets), chain)
        _insert(connection, "usage", [row])
    return number


def _number(
    connection: sqlite3.Connection, table: str, record: Release | Usage, numbers: dict[tuple[str, str], int]
) -> tuple[int, bool]:
    """Return the number of a record in its table, and whether it must be inserted with it."""
    digest = _digest(record)
    if (table, digest) in numbers:
        return numbers[table, digest], False
    row = connection.execute(f"SELECT id FROM {table} WHERE digest = ?", (digest,)).fetchone()  # noqa: S608 - a table of ours
    number = row[0] if row else connection.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}").fetchone()[0]  # noqa: S608
    numbers[table, digest] = number
    return number, row is None


def _digest(record: Release | Usage) -> str:
    return sha256(msgspec.json.encode(record)).hexdigest()
