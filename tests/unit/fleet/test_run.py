"""Which tasks are tried again, and how often."""

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from deep_lock.errors import NetworkError, UsageError
from deep_lock.events import Event, RepositoryRetried
from deep_lock.fleet import run as fleet_run
from deep_lock.fleet.engine import Engine
from deep_lock.fleet.records import Done, Repository, RepositoryResult, Result, Task, TaskOptions, TaskResult
from deep_lock.fleet.run import _run_tasks
from deep_lock.fleet.worker_process import killed

TASK = Task(
    repository=Repository(name="app", url="https://git.example/app"),
    commit="",
    options=TaskOptions(),
    now=datetime(2026, 11, 30, tzinfo=UTC),
)


def _engine(ends: Iterator[int | str | Exception], avoided: list[str]) -> Engine:
    """Return an engine whose tasks end with these exit codes, kills and faults of the engine."""

    def submit(raw: bytes, other: str) -> "Future[Done]":
        avoided.append(other)
        task, end = msgspec.json.decode(raw, type=Task), next(ends)
        future: Future[Done] = Future()
        if isinstance(end, Exception):
            future.set_exception(end)
        elif end == "cancelled":
            future.cancel()
            future.set_running_or_notify_cancel()
        elif end == "killed":
            future.set_result(("w1", msgspec.json.encode(TaskResult(result=killed(task, "signal SIGKILL"))), b""))
        else:
            result = RepositoryResult(
                repository="app",
                url="",
                commit="",
                configuration="",
                status="done",
                exit_code=int(str(end)),
                seconds=1.0,
            )
            future.set_result(("w1", msgspec.json.encode(TaskResult(result=result)), b""))
        return future

    return Engine(slots=1, submit=submit, submit_to_each=lambda _: [], has_workers=lambda: True)


@pytest.mark.parametrize(
    ("ends", "status", "code", "attempts", "kills"),
    [
        ([0], "done", 0, 1, 0),
        ([1], "done", 1, 1, 0),
        ([2], "done", 2, 1, 0),
        ([4], "done", 4, 1, 0),
        ([70], "done", 70, 1, 0),
        ([3, 3, 0], "done", 0, 3, 0),
        ([3, 3, 3, 3], "done", 3, 4, 0),
        (["killed", "killed", 0], "done", 0, 3, 2),
        (["killed", "killed", "killed"], "killed", 3, 3, 3),
        ([RuntimeError("KilledWorker"), 1], "done", 1, 2, 1),
        (["killed", 3, "killed", 3, 3, 3], "done", 3, 6, 2),
    ],
)
def test_what_is_tried_again(
    ends: list[int | str | Exception], status: str, code: int, attempts: int, kills: int
) -> None:
    left, avoided = iter(ends), list[str]()
    events = list[Event]()
    (made,) = _run_tasks((TASK,), _engine(left, avoided), (0.0,), 60.0, events.append)
    assert [own.attempt for own in events if isinstance(own, RepositoryRetried)] == list(range(1, attempts))
    own = made.result
    assert (own.status, own.exit_code, own.attempts, own.kills) == (status, code, attempts, kills)
    assert next(left, None) is None
    assert avoided[0] == ""
    assert all(other == "w1" for other, end in zip(avoided[1:], ends, strict=False) if not isinstance(end, Exception))


def test_a_result_is_of_the_repository_of_its_task() -> None:
    raw = msgspec.json.encode(
        TaskResult(
            result=RepositoryResult(
                repository="other",
                url="https://evil.example/other",
                commit="b" * 40,
                configuration="",
                status="done",
                projects=(Result(repository="other", commit="b" * 40, project=".", action="lock", status="changed"),),
            )
        )
    )
    future: Future[Done] = Future()
    future.set_result(("w1", raw, b""))
    task = replace(TASK, commit="a" * 40)
    (made,) = _run_tasks(
        (task,),
        Engine(slots=1, submit=lambda *_: future, submit_to_each=lambda _: [], has_workers=lambda: True),
        (0.0,),
        60.0,
    )
    own = made.result
    assert (own.repository, own.url, own.commit) == ("app", "https://git.example/app", "a" * 40)
    assert [(row.repository, row.commit) for row in own.projects] == [("app", "a" * 40)]


def test_what_is_no_result_and_a_worker_that_does_not_start_are_reported() -> None:
    future: Future[Done] = Future()
    future.set_result(("w1", b"{}", b""))
    (made,) = _run_tasks(
        (TASK,),
        Engine(slots=1, submit=lambda *_: future, submit_to_each=lambda _: [], has_workers=lambda: True),
        (0.0,),
        60.0,
    )
    assert (made.result.status, "ValidationError" in made.result.message) == ("killed", True)
    faults = [UsageError("a worker cannot be started: no memory") for _ in range(3)]
    (made,) = _run_tasks((TASK,), _engine(iter(faults), []), (0.0,), 60.0)
    assert "a worker cannot be started: no memory" in made.result.message


def test_a_lost_scheduler_ends_the_run() -> None:
    with pytest.raises(NetworkError, match="the connection to the scheduler is lost") as caught:
        list(_run_tasks((TASK,), _engine(iter(["cancelled"]), []), (0.0,), 60.0))
    assert "--resume" in caught.value.hint


def test_a_scheduler_without_workers_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_run, "POLL_SECONDS", 0.01)
    engine = Engine(slots=1, submit=lambda *_: Future(), submit_to_each=lambda _: [], has_workers=lambda: False)
    with pytest.raises(NetworkError, match="has had no worker"):
        list(_run_tasks((TASK,), engine, (0.0,), 0.05))
