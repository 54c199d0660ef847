"""How far the run of a fleet is: the rate, and the time that is left at this rate."""

import pytest

from deep_lock.cli.fleet_progress import fleet_progress
from deep_lock.cli.progress import Progress
from deep_lock.events import RepositoryEnded


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
    assert progress.line() == f"{text}; team/\\[app]"
