"""The database of a fleet: one SQLite file with its repositories, projects and locks, which `update` makes from the journal."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from deep_lock.errors import UsageError

NAME = "fleet.sqlite"
VERSION = 2
"""Of the tables, as `PRAGMA user_version`. A file of another version is made again."""
LOCKED_SECONDS = 60.0
"""How long another program may write."""
REMEDY = "the file is made again from the journal if you delete it"


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for reading. Raises UsageError where that is not possible."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCKED_SECONDS)
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        raise UsageError(f"{path}: {error}", hint=REMEDY) from None


def journal_of(path: Path) -> str:
    """Return the state of the journal from which a file was made; empty where there is no such file of this version."""
    if not path.is_file():
        return ""
    with suppress(UsageError), reading(path) as connection:
        if connection.execute("PRAGMA user_version").fetchone() == (VERSION,):
            return str(connection.execute("SELECT journal FROM state").fetchone()[0])
    return ""
