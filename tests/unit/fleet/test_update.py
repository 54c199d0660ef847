"""The database of a fleet: what it has does not depend on what was in it, and an update that fails changes nothing."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from deep_lock.errors import MachineFault, UsageError
from deep_lock.fleet import view
from deep_lock.fleet.database import NAME
from deep_lock.fleet.records import RepositoryResult
from deep_lock.fleet.update import Contents, in_memory, update
from tests.support.fleet_state import CLICK, CLOSED, EXAMPLE, project, repository, write_state

TEXTS = {sha256(text.encode()).hexdigest(): text for text in (CLOSED, EXAMPLE, CLOSED.replace(CLICK, "0" * 64))}
_ALL = """
SELECT project.repository, path, release.name, version, index_url, source, role, build, backend, usage.targets, chain,
    (SELECT group_concat(name || sha256) FROM (SELECT name, sha256 FROM file WHERE release = release.id ORDER BY 1)),
    (SELECT group_concat(identity) FROM (SELECT identity FROM publisher WHERE release = release.id ORDER BY 1))
FROM project JOIN used ON used.lock = project.lock JOIN release ON release.id = used.release JOIN usage ON usage.id = used.usage
"""
_SIZES = " UNION ALL ".join(
    f"SELECT '{table}', COUNT(*) FROM {table}"  # noqa: S608 - names of tables
    for table in ("repository", "project", "lock", "release", "file", "publisher", "usage", "used")
)


def _contents(connection: sqlite3.Connection) -> list[object]:
    return [sorted(connection.execute(_ALL).fetchall(), key=repr), connection.execute(_SIZES).fetchall()]


def _read(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return _contents(connection)


def _of(*digests: str) -> Contents:
    results = [repository(f"r{number}", project(f"r{number}", TEXTS[own])) for number, own in enumerate(digests)]
    return Contents(journal=" ".join(digests), results=results, text_of=TEXTS.get)


def test_an_update_gives_what_a_new_file_has(tmp_path: Path) -> None:
    one, two, three = TEXTS
    path = tmp_path / NAME
    for digests in ((one,), (one, two, one), (three, two), (), (three, one), (two,)):
        update(path, _of(*digests))
        with closing(in_memory(_of(*digests))) as fresh:
            assert _read(path) == _contents(fresh)


@pytest.mark.parametrize("before", [b"no database", b"", b"SQLite format 3\0" + b"x" * 4000])
def test_a_file_that_is_no_database_is_made_again(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(before)
    update(path, _of(*TEXTS))
    with closing(in_memory(_of(*TEXTS))) as fresh:
        assert _read(path) == _contents(fresh)


def test_a_file_of_another_version_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE release (x)")
        connection.execute('CREATE TABLE "of ""later"" versions" (x)')
        connection.execute("PRAGMA user_version = 99")
    update(path, _of(*TEXTS))
    with closing(in_memory(_of(*TEXTS))) as fresh:
        assert _read(path) == _contents(fresh)


def test_an_update_that_fails_changes_nothing(tmp_path: Path) -> None:
    one, two, _ = TEXTS
    path = tmp_path / NAME
    update(path, _of(one))
    before = _read(path)

    def fails(digest: str) -> str:
        raise KeyboardInterrupt(digest)

    with pytest.raises(KeyboardInterrupt):
        update(path, Contents(journal="2", results=_of(two).results, text_of=fails))
    assert _read(path) == before


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(path: Path, **settings: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(path, **settings)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(MachineFault, match=r"No space left on device"):
        update(tmp_path / NAME, _of(*TEXTS))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="state"):
        update(tmp_path / "state" / NAME, _of(*TEXTS))


def test_the_views_follow_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[RepositoryResult] = [repository("r", project("r", CLOSED))]
    write_state(tmp_path, first, CLOSED)
    assert view.write(tmp_path) == ()
    made = {name: (tmp_path / name).read_bytes() for name in ("fleet.html", "fleet.prom", NAME)}
    assert b"click" in made["fleet.html"]
    (tmp_path / "fleet.jsonl").touch()  # a copy has other times
    with monkeypatch.context() as patched:  # the journal is as it was: no lock is read
        patched.setattr("deep_lock.fleet.update.update", lambda *_: pytest.fail("the database is current"))
        view.write(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in made} == made
    write_state(tmp_path, [repository("r", project("r", EXAMPLE))], EXAMPLE)
    view.write(tmp_path)
    assert b"maturin" in (tmp_path / "fleet.html").read_bytes()
    with view.opened(tmp_path) as connection:
        assert connection.execute("SELECT name FROM release WHERE name = 'scipydemo'").fetchall() == []
