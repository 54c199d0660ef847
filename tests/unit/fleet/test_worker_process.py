"""The wall clock of a task."""

from datetime import UTC, datetime
from pathlib import Path

from deep_lock.fleet.records import Repository, Task, TaskOptions, TaskResult
from deep_lock.fleet.worker_process import Worker


def _task(folder: Path, seconds: float) -> Task:
    return Task(
        repository=Repository(name="app", url=folder.as_uri()),
        commit="",
        options=TaskOptions(),
        now=datetime(2026, 11, 30, tzinfo=UTC),
        seconds=seconds,
    )


def test_a_task_that_takes_too_long_is_ended_and_the_next_one_has_a_new_process(tmp_path: Path) -> None:
    worker = Worker()
    try:
        done = worker.run(_task(tmp_path, 0.01))
        assert isinstance(done, TaskResult)
        late = done.result
        assert (late.status, late.exit_code) == ("killed", 3)
        assert late.message.endswith("it took more than 0 s")
        done = worker.run(_task(tmp_path / "missing", 60.0))
        assert isinstance(done, TaskResult)
        result = done.result
        assert (result.status, result.code, result.kills) == ("failed", "repository-refused", 0)
    finally:
        worker.close()
