"""The journal: what a kill leaves, and who may write it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.errors import UsageError
from deep_lock.fleet.journal import Journal, Known, Run, read_journal, read_pages
from deep_lock.fleet.page_lists import page_list
from deep_lock.fleet.records import JOURNAL, RepositoryResult, Result
from deep_lock.fleet.task import digest_of

RUN = Run(now=datetime(2026, 11, 30, tzinfo=UTC), configuration="c")


def _result(name: str, code: int = 0) -> RepositoryResult:
    return RepositoryResult(repository=name, url="u", commit="c", configuration="c", status="done", exit_code=code)


def test_a_folder_without_a_journal_has_no_results(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == Known()


def test_results_are_read_again_and_a_line_that_was_cut_off_is_not(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.begin(RUN, [_result("old"), _result("a", 1)])
        journal.add(_result("a"), {digest_of("lock"): "lock", "0" * 64: "has another digest"})
    (written,) = (tmp_path / "locks").iterdir()
    assert written.name == f"{digest_of('lock')}.lock"
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"repository":"b"')
    known = read_journal(tmp_path)
    assert known == Known(run=RUN, done={"a": _result("a")}, results={"old": _result("old"), "a": _result("a")})
    with Journal(tmp_path) as journal:
        journal.resume()
        written.write_bytes(b"")  # as after a failure of the machine
        journal.add(_result("b"), {digest_of("lock"): "lock"})
    assert written.read_bytes() == b"lock"
    assert list(read_journal(tmp_path).done) == ["a", "b"]
    assert b'{"repository":"b"{' not in (tmp_path / JOURNAL).read_bytes()


def test_the_line_of_a_run_has_no_options_since_they_may_have_passwords(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.begin(RUN, [])
    line = json.loads((tmp_path / JOURNAL).read_bytes())
    assert set(line) == {"kind", "schema", "version", "now", "configuration"}


def test_a_line_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'{"kind":"run","later":1}\n')
    with pytest.raises(UsageError, match=r"fleet\.jsonl, line 1: is not a line of a journal"):
        read_journal(tmp_path)


def test_lists_of_pages_are_read_by_their_digest_and_removed_with_their_results(tmp_path: Path) -> None:
    text, other = page_list({"https://index.example/simple/a/": "ab", "https://index.example/simple/b/": ""}), "cd x\n"
    project = Result(repository="a", commit="c", project=".", action="lock", status="changed", pages=digest_of(text))
    result = replace(_result("a"), projects=(project,))
    with Journal(tmp_path) as journal:
        journal.begin(RUN, [])
        journal.add(result, {}, {digest_of(text): text, digest_of(other): other, "0" * 64: "has another digest"})
    read = read_pages(tmp_path, digest_of(text))
    assert read == {"https://index.example/simple/a/": "ab", "https://index.example/simple/b/": ""}
    assert read_pages(tmp_path, digest_of(other)) == {"x": "cd"}
    (tmp_path / "x.txt").write_bytes(text.encode())
    assert read_pages(tmp_path, "../x") is read_pages(tmp_path, "0" * 64) is None
    with Journal(tmp_path) as journal:
        journal.begin(RUN, [result])
    assert [path.stem for path in (tmp_path / "pages").iterdir()] == [digest_of(text)]


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_one_run_at_a_time_has_the_folder(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(UsageError, match="another run of the fleet uses this folder"):
        Journal(tmp_path)
    with Journal(tmp_path):
        pass
