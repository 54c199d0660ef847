"""How far the run of a fleet is: the rate, and the time that is left at this rate."""

import pytest

from deep_lock.cli.fleet_progress import Lines, fleet_progress
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


def test_the_plan_and_each_retry_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Planning(subject="looking up commits", done=120, total=500)
    retry = RepositoryRetried(name="app", attempt=2, pause=25.0, reason="git took more than 60 s\nmore")
    progress = Progress()
    progress(plan)
    assert progress.line() == "looking up commits: 120 of 500"
    for has_progress in (False, True):
        lines = Lines(Printer(), has_progress=has_progress)
        lines._next = 0.0
        for event in (plan, plan, retry):
            lines(event)
        seen = capsys.readouterr().err.splitlines()
        assert seen[:-1] == ([] if has_progress else ["looking up commits: 120 of 500"])
        assert seen[-1] == "app: attempt 2 failed, the next one is in 25 s: git took more than 60 s"
