"""Which repositories must run, and why. The refs are full commit ids: nothing is looked up."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.config.options import RunContext
from deep_lock.fleet.plan import configuration_digest, is_of, make_plan, selection_digest
from deep_lock.fleet.records import Action, Repository, RepositoryResult, Result, TaskOptions

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
    (planned,) = make_plan((repository,), options, {"app": known}, context, lambda _: None).rows
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
