"""One run of a fleet: the plan, the tasks and their repetition, and the journal.

Each result is in the journal once, before the next one is looked at. A repository is tried again where the network or a machine
failed, and where its worker was killed; a result of its content (exit codes 1, 2 and 4) is final.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import RunContext
from deep_lock.errors import UsageError
from deep_lock.events import Reporter, RepositoryRetried, silent
from deep_lock.fleet.engine import Engine, EngineOptions, open_engine
from deep_lock.fleet.journal import Journal, Known, Run, has_locks, read_journal, read_pages
from deep_lock.fleet.plan import Plan, is_of, make_plan, selection_digest
from deep_lock.fleet.records import Done, Repository, RepositoryResult, Result, Task, TaskOptions, TaskResult
from deep_lock.fleet.retries import (
    BACK_OFF_SECONDS,
    NOT_TRIED_AGAIN,
    POLL_SECONDS,
    TRY_AGAIN,
    WORKER_WAIT_SECONDS,
    no_workers,
    pause,
    result_of,
)
from deep_lock.fleet.task import worst
from deep_lock.fleet.worker_process import killed

AGAIN = "the same command with --resume goes on"


class FleetOptions(Struct, frozen=True, kw_only=True):
    """What one run does."""

    repositories: tuple[Repository, ...]
    """Those that the options select."""
    every: tuple[str, ...]
    """The names of all repositories of the fleet: results of others are removed from the journal."""
    state: Path
    """The folder of the journal."""
    task: TaskOptions
    engine: EngineOptions
    resume: bool = False
    limit: int | None = None
    """Repositories that run at most."""
    seconds: float = 1800.0
    """Wall clock of one repository."""
    memory: int = 4 * 1024**3
    back_off: tuple[float, ...] = BACK_OFF_SECONDS
    worker_wait: float = WORKER_WAIT_SECONDS
    """Seconds that a run waits for a new worker when the last one is gone."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far a run is."""

    done: int
    total: int
    seconds: float
    """Since the first task."""


class Summary(Struct, frozen=True, kw_only=True):
    """What a run did."""

    now: datetime
    """The clock of the run."""
    results: tuple[RepositoryResult, ...]
    """Of every repository of the run, also those that did not run again. By name."""
    ran: int
    skipped: int
    left: int
    """Repositories that --limit left for the next run."""
    seconds: float

    @property
    def exit_code(self) -> int:
        """The worst exit code."""
        return worst([own.exit_code for own in self.results])

    @property
    def counts(self) -> dict[str, int]:
        """The number of projects by status, and of repositories that failed as a whole or were set aside."""
        projects = Counter[str](row.status for own in self.results for row in own.projects)
        repositories = Counter(f"repositories {own.status}" for own in self.results if own.status != "done")
        return {**projects, **repositories}


class _Tried(Struct, kw_only=True):
    """A task, and how often it was tried."""

    task: Task
    attempts: int = 0
    kills: int = 0
    seconds: float = 0.0
    avoided: str = ""


OnResult = Callable[[RepositoryResult, Progress], None]


def plan_fleet(options: FleetOptions, context: RunContext, reporter: Reporter = silent) -> Plan:
    """Return what a run would do. Raises UsageError where the journal cannot be read."""
    return _plan(options, read_journal(options.state), context, reporter)


def _plan(options: FleetOptions, known: Known, context: RunContext, reporter: Reporter) -> Plan:
    pages_of = partial(read_pages, options.state)
    return make_plan(
        options.repositories,
        options.task,
        known.results,
        context,
        pages_of,
        has_locks=partial(has_locks, options.state),
        reporter=reporter,
        seconds=options.seconds,
    )


def run_fleet(
    options: FleetOptions,
    journal: Journal,
    context: RunContext,
    on_result: OnResult,
    clock: Callable[[], datetime],
    *,
    reporter: Reporter = silent,
) -> Summary:
    """Work on every repository whose result can have changed. ``clock`` gives the times at which results are complete.

    ``journal`` is the one of ``options.state``.

    An interruption leaves a journal with which ``resume`` continues. Raises UsageError, and NetworkError where the scheduler is lost.
    """
    started = time.monotonic()
    known = read_journal(options.state)
    listed = {own.name: own for own in options.repositories}
    if options.resume and known.run is not None:
        context = replace(context, now=known.run.now)
    plan = _plan(options, known, context, reporter)
    run = _resumed(known, plan, options) if options.resume else Run(now=context.now, configuration=plan.configuration)
    done = {
        name: own
        for name, own in (known.done.items() if options.resume else ())
        if name in listed and is_of(own, listed[name]) and has_locks(options.state, own)
    }
    if options.resume:
        journal.resume()
    else:
        journal.begin(run, [own for name, own in sorted(known.results.items()) if name in set(options.every)])
    planned = plan.tasks(options.task, now=run.now, seconds=options.seconds, memory=options.memory)
    tasks = tuple(task for task in planned if task.repository.name not in done)
    left = 0
    if options.limit is not None:
        tasks, left = tasks[: options.limit], max(0, len(tasks) - options.limit)
    results = {own.repository: own for own in plan.skipped} | done
    ran = 0
    if tasks:
        workers = min(options.engine.workers, len(tasks))  # a worker takes seconds to start
        with open_engine(replace(options.engine, workers=workers)) as engine:
            for made in _run_tasks(tasks, engine, options.back_off, options.worker_wait, reporter):
                last = known.results.get(made.result.repository)
                own = replace(
                    made.result, configuration=plan.configuration, finished=clock(), known=_known(made.result, last)
                )
                journal.add(own, made.locks, made.pages)
                results[own.repository] = own
                ran += 1
                on_result(own, Progress(done=ran, total=len(tasks), seconds=time.monotonic() - started))
    return Summary(
        now=run.now,
        results=tuple(results[name] for name in sorted(results)),
        ran=ran,
        skipped=len(results) - ran,
        left=left,
        seconds=time.monotonic() - started,
    )


def _known(result: RepositoryResult, last: RepositoryResult | None) -> tuple[Result, ...]:
    """Return the last results of the projects of which a repository that failed has none now.

    They are of the same URL, ref and patterns in the list.
    """
    if result.status == "done" or last is None:
        return ()
    if (last.url, last.ref, last.selection) != (result.url, result.ref, result.selection):
        return ()
    found = {own.project for own in result.projects}
    return tuple(own for own in (*last.projects, *last.known) if own.project not in found)


def _resumed(known: Known, plan: Plan, options: FleetOptions) -> Run:
    """Return the run that continues. Raises UsageError where there is none, or it had other options."""
    if known.run is None:
        raise UsageError(f"{options.state}: there is no run to resume", hint="run the command without --resume")
    if known.run.configuration != plan.configuration:
        raise UsageError(
            f"{options.state}: the run to resume had other options, or another version of deep-lock",
            hint="use its options, or run without --resume: what cannot have changed is not done again",
        )
    return known.run


def _run_tasks(
    tasks: tuple[Task, ...],
    engine: Engine,
    back_off: tuple[float, ...],
    worker_wait: float,
    reporter: Reporter = silent,
) -> Iterator[TaskResult]:
    """Yield the final result of each task. Raises NetworkError where the scheduler, or each of its workers, is lost."""
    order = count()
    waiting = [(0.0, next(order), _Tried(task=task)) for task in tasks]
    running: dict[Future[Done], _Tried] = {}
    had_workers = time.monotonic()
    while waiting or running:
        now = time.monotonic()
        while waiting and len(running) < engine.slots and waiting[0][0] <= now:
            tried = heapq.heappop(waiting)[2]
            tried.attempts += 1
            task = replace(tried.task, attempt=tried.attempts)
            running[engine.submit(msgspec.json.encode(task), tried.avoided)] = tried
        if not running:
            had_workers = now  # none is needed
            time.sleep(max(0.0, min(POLL_SECONDS, waiting[0][0] - now)))
            continue
        ended, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        if ended or engine.has_workers():
            had_workers = time.monotonic()
        elif time.monotonic() - had_workers > worker_wait:
            raise no_workers(worker_wait, again=AGAIN)
        for future in ended:
            tried = running.pop(future)
            made = _ended(future, tried)
            seconds = _pause(made.result, tried, back_off)
            if seconds is None:
                yield replace(
                    made, result=replace(made.result, attempts=tried.attempts, kills=tried.kills, seconds=tried.seconds)
                )
            else:
                reporter(_retried(made.result, tried, seconds))
                heapq.heappush(waiting, (time.monotonic() + seconds, next(order), tried))


def _ended(future: "Future[Done]", tried: _Tried) -> TaskResult:
    """Return what a worker returned; a worker that is gone was killed. Raises NetworkError where the scheduler is gone."""
    task = tried.task
    done = result_of(future, again=AGAIN)
    worker = done[0] if isinstance(done, tuple) else ""
    try:
        made = (
            msgspec.json.decode(done[1], type=TaskResult)
            if isinstance(done, tuple)
            else TaskResult(result=killed(task, done))
        )
    except ValueError as error:  # it is of another version, or no worker of deep-lock
        made, worker = TaskResult(result=killed(task, type(error).__name__)), ""
    tried.avoided = worker or tried.avoided
    # a worker does not decide of which repository its result is
    own = replace(
        made.result,
        repository=task.repository.name,
        url=task.repository.url,
        ref=task.repository.ref,
        selection=selection_digest(task.repository),
        commit=task.commit or made.result.commit,
        worker=worker or made.result.worker,
    )
    projects = tuple(replace(row, repository=own.repository, commit=own.commit) for row in own.projects)
    return replace(made, result=replace(own, projects=projects))


def _pause(result: RepositoryResult, tried: _Tried, back_off: tuple[float, ...]) -> float | None:
    """Return after how many seconds a task is tried again; None where its result is final."""
    tried.seconds += result.seconds
    is_killed = result.status == "killed"
    tried.kills += is_killed
    return pause(tried.attempts, tried.kills, is_killed=is_killed, is_fault=bool(_faults(result)), back_off=back_off)


def _faults(result: RepositoryResult) -> list[RepositoryResult | Result]:
    """Return what another attempt may not have: faults of the network or of a machine, of the repository and of its projects."""
    every: list[RepositoryResult | Result] = [*result.projects]
    every += [result] if result.code or not result.projects else []
    return [own for own in every if own.exit_code == TRY_AGAIN and own.code not in NOT_TRIED_AGAIN]


def _retried(result: RepositoryResult, tried: _Tried, seconds: float) -> RepositoryRetried:
    messages = [result.message, *(own.message for own in _faults(result))]
    reason = next((own for own in messages if own), f"exit code {result.exit_code}")
    return RepositoryRetried(name=result.repository, attempt=tried.attempts, pause=seconds, reason=reason)
