"""Which repositories must run, and why. The refs are full commit ids: nothing is looked up."""

import os
import socket
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.config.options import RunContext
from deep_lock.events import Event, Planning
from deep_lock.fleet.plan import configuration_digest, is_of, make_plan, selection_digest
from deep_lock.fleet.records import Action, Repository, RepositoryResult, Result, TaskOptions
from deep_lock.fleet.run import _faults
from deep_lock.fleet.task import run_task

NOW = datetime(2026, 11, 30, tzinfo=UTC)
REPOSITORY = Repository(name="app", url="https://git.example/app", ref="a" * 40, projects=("api",))


def _reason(action: Action, repository: Repository = REPOSITORY) -> str:
    options = TaskOptions(action=action)
    row = Result(repository="app", commit="a" * 40, project="api", action=action, status="up-to-date")
    known = RepositoryResult(
        repository="app",
        url=REPOSITORY.url,
        ref=REPOSITORY.ref,
        commit="a" * 40,
        configuration=configuration_digest(options, NOW.date()),
        selection=selection_digest(REPOSITORY),
        status="done",
        projects=(row,),
    )
    context = RunContext(cache_folder=Path("cache"), now=NOW)
    (planned,) = make_plan(
        (repository,), options, {"app": known}, context, lambda _: None, has_locks=lambda _: True
    ).rows
    assert is_of(known, repository) == (repository == REPOSITORY)
    return planned.reason if planned.known is None else ""


def test_the_pythons_that_are_locked_by_default_are_of_the_configuration() -> None:
    options = TaskOptions()
    before, last, after = (
        configuration_digest(options, day) for day in (date(2026, 10, 30), date(2026, 10, 31), date(2026, 11, 1))
    )
    assert before == last != after  # the last day of Python 3.10


def test_a_lock_that_fits_does_not_run_again_and_a_check_does() -> None:
    assert _reason("lock") == ""
    assert _reason("check") == "the policy depends on the time"
    assert _reason("audit") == "advisories may have changed"


@pytest.mark.parametrize("other", [{"projects": ("api", "web")}, {"exclude": ("docs",)}])
def test_other_patterns_of_the_list_run_again(other: dict[str, tuple[str, ...]]) -> None:
    assert _reason("lock", replace(REPOSITORY, **other)) == "its projects or exclude in the list are others"


def test_a_remote_that_does_not_answer_has_a_bound_of_its_own(tmp_path: Path) -> None:
    """The look-up ends, the progress is reported, and the task states the reason and is not tried again for what is final."""
    hanging = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{hanging.getsockname()[1]}/x.git"
    own = Repository(name="hanging", url=url)
    missing = Repository(name="missing", url=(tmp_path / "missing.git").as_uri())
    context = RunContext(cache_folder=tmp_path / "cache", now=NOW, environ=dict(os.environ))
    events = list[Event]()
    with hanging:
        started = time.monotonic()
        made = make_plan(
            (own, missing),
            TaskOptions(),
            {},
            context,
            lambda _: None,
            has_locks=lambda _: True,
            reporter=events.append,
            seconds=0.5,
        )
        assert time.monotonic() - started < 5

        def interrupt(_: Event) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_plan(
                (own, missing), TaskOptions(), {}, context, lambda _: None, has_locks=lambda _: True, reporter=interrupt
            )
        assert time.monotonic() - started < 10
        assert [row.commit for row in made.rows] == ["", ""]
        assert events == [Planning(subject="looking up commits", done=done, total=2) for done in (1, 2)]
        hung, refused = (
            run_task(task, context).result for task in made.tasks(TaskOptions(), now=NOW, seconds=1.0, memory=2**30)
        )
    assert (hung.code, hung.message) == ("network-error", "git took more than 0.5 s")
    assert (refused.exit_code, refused.code) == (3, "repository-refused")
    faults = [hung, refused, replace(refused, code="", projects=(_failed("repository-refused"),))]
    assert [bool(_faults(result)) for result in faults] == [True, False, False]


def _failed(code: str) -> Result:
    return Result(
        repository="app", commit="", project=".", action="lock", status="failed", exit_code=3, code=code, message="why"
    )
