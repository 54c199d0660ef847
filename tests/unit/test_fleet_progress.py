"""How far the run of a fleet is: the rate, and the time that is left at this rate."""

import queue
import threading
import time

import pytest

from deep_lock.cli import progress_line
from deep_lock.cli.fleet_progress import fleet_progress, retry_lines
from deep_lock.cli.output import Printer
from deep_lock.cli.progress import Progress
from deep_lock.events import Planning, RepositoryEnded, RepositoryRetried


@pytest.mark.parametrize(
    ("done", "failed", "seconds", "text"),
    [
        (1, 0, 0.0, "1 of 500 repositories"),
        (100, 0, 50.0, "100 of 500 repositories, 2.0/s, 3 min left"),
        (100, 2, 10.0, "100 of 500 repositories, 2 failed, 10.0/s, 40 s left"),
        (10, 0, 60.0, "10 of 500 repositories, 10.0/min, 49 min left"),
        (1, 1, 60.0, "1 of 500 repositories, 1 failed, 1.0/min, 8.3 h left"),
        (500, 0, 100.0, "500 of 500 repositories, 5.0/s"),
    ],
)
def test_rate_and_time_left(done: int, failed: int, seconds: float, text: str) -> None:
    event = RepositoryEnded(name="team/[app]", done=done, total=500, failed=failed, seconds=seconds)
    assert fleet_progress(event) == text
    progress = Progress()
    progress(event)
    assert progress.line() == f"{text}; team/[app]"


def test_each_retry_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    retry = RepositoryRetried(name="app", attempt=2, pause=25.0, reason="git took more than 60 s\nmore")
    printer = Printer()
    retry_lines(printer)(retry)
    assert capsys.readouterr().err == "app: attempt 2 failed, the next one is in 25 s: git took more than 60 s\n"
    printer.log_format = "json"
    retry_lines(printer)(retry)
    assert capsys.readouterr().err == ""


def test_the_line_of_each_phase() -> None:
    progress = Progress()
    progress(Planning(subject="looking up commits", done=120, total=500))
    assert progress.line() == "looking up commits: 120 of 500"
    progress(Planning(subject="requesting pages", done=80, total=80))
    assert progress.line() == "no repository is done yet, 0 s"


def test_a_log_is_not_silent_while_no_repository_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line follows each interval in which no repository ended, in the plan and in the work."""
    monkeypatch.setattr(progress_line, "SECONDS_BETWEEN_LINES", 0.02)
    written: queue.SimpleQueue[str] = queue.SimpleQueue()
    with progress_line.LoggedProgress(written.put) as logged:
        logged(Planning(subject="requesting pages", done=1, total=2))
        assert written.get(timeout=10) == "still working: requesting pages: 1 of 2"
        logged(RepositoryEnded(name="app", done=1, total=2, failed=0, seconds=0.0))
        while (line := written.get(timeout=10)).startswith("still working: requesting"):
            pass
    assert line == "still working: 1 of 2 repositories; app"


def test_a_log_has_no_other_line_while_repositories_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "SECONDS_BETWEEN_LINES", 0.02)
    written: list[str] = []
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)  # a repository has just ended, all the time
    with progress_line.LoggedProgress(written.append) as logged:
        logged(RepositoryEnded(name="app", done=1, total=2, failed=0, seconds=0.0))
        assert not threading.Event().wait(0.2)
    assert written == []
