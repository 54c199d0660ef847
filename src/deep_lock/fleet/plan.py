"""What a run must work on: every repository but those whose result cannot have changed."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import RunContext, UpgradeOptions
from deep_lock.errors import DeepLockError
from deep_lock.fleet.records import Repository, RepositoryResult, Task, TaskOptions
from deep_lock.network import git

LOOK_UPS = 8
"""Repositories whose commit is looked up at a time."""


class Planned(Struct, frozen=True, kw_only=True):
    """A repository of the plan."""

    repository: Repository
    commit: str
    """Empty where it could not be looked up: the task tries it again, and reports why."""
    known: RepositoryResult | None
    """The result that is still right; None: the repository must run."""
    reason: str
    """Why it runs, or why it does not."""


class Plan(Struct, frozen=True, kw_only=True):
    """All repositories of a run, by name."""

    rows: tuple[Planned, ...]
    configuration: str

    @property
    def skipped(self) -> tuple[RepositoryResult, ...]:
        """The results that are kept."""
        return tuple(row.known for row in self.rows if row.known is not None)

    def tasks(self, options: TaskOptions, *, now: datetime, seconds: float, memory: int) -> tuple[Task, ...]:
        """Return the tasks of the repositories that must run."""
        return tuple(
            Task(
                repository=row.repository,
                commit=row.commit,
                options=options,
                now=now,
                seconds=seconds,
                memory=memory,
            )
            for row in self.rows
            if row.known is None
        )


def configuration_digest(options: TaskOptions) -> str:
    """Return the digest of all that decides on a result, but the commit: options and the version of deep-lock."""
    network = replace(
        options.network, remote_cache=None, remote_cache_read_only=False, requests_per_second=None, max_requests=None
    )
    parts = msgspec.json.encode((version("deep-lock"), replace(options, network=network)))
    return sha256(parts).hexdigest()


def selection_digest(repository: Repository) -> str:
    """Return the digest of the patterns that select the projects of a repository."""
    return sha256(msgspec.json.encode((repository.projects, repository.exclude))).hexdigest()


def is_of(result: RepositoryResult, repository: Repository) -> bool:
    """Whether URL, ref and patterns of a repository in the list are those of the result."""
    return (result.url, result.ref, result.selection) == (
        repository.url,
        repository.ref,
        selection_digest(repository),
    )


def make_plan(
    repositories: Iterable[Repository],
    options: TaskOptions,
    known: Mapping[str, RepositoryResult],
    context: RunContext,
) -> Plan:
    """Look up the commit of each repository, and compare it with the last result."""
    repositories = tuple(repositories)
    configuration = configuration_digest(options)
    store = git.Repositories(context.cache_folder, context.environ, offline=options.network.offline)

    def look_up(repository: Repository) -> str:
        try:
            return store.commit_of(repository.url, repository.ref)
        except (DeepLockError, OSError):
            return ""

    with ThreadPoolExecutor(LOOK_UPS) as threads:
        commits = list(threads.map(look_up, repositories))
    rows = (
        _planned(repository, commit, known.get(repository.name), options, configuration)
        for repository, commit in zip(repositories, commits, strict=True)
    )
    return Plan(rows=tuple(rows), configuration=configuration)


def _planned(
    repository: Repository, commit: str, last: RepositoryResult | None, options: TaskOptions, configuration: str
) -> Planned:
    reason = _reason_to_run(repository, commit, last, options, configuration)
    kept = last if not reason else None
    return Planned(repository=repository, commit=commit, known=kept, reason=reason or "nothing can have changed")


def _reason_to_run(
    repository: Repository, commit: str, last: RepositoryResult | None, options: TaskOptions, configuration: str
) -> str:
    """Return why a repository must run; empty where its last result cannot have changed."""
    if last is None or last.url != repository.url:
        return "it has no result"
    other = [own for own in last.projects if own.status not in _SAME_AGAIN[options.action]]
    renews = options.upgrade != UpgradeOptions() or options.network.refresh
    reasons = {
        "its commit is not known": not commit,
        f"its commit is {commit[:12]}, and was {last.commit[:12]}": last.commit != commit,
        "the options, or the version of deep-lock, are others": last.configuration != configuration,
        "its projects or exclude in the list are others": last.selection != selection_digest(repository),
        "it failed": last.status != "done",
        "advisories may have changed": options.action == "audit",
        "the policy depends on the time": options.action == "check",
        f"the last result of {'the project' if other[0].project == '.' else other[0].project} is {other[0].status}"
        if other
        else "": bool(other),
        "pages of the index may have changed": renews,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


_SAME_AGAIN: Mapping[str, frozenset[str]] = {
    "lock": frozenset({"up-to-date"}),  # a lock that fits its inputs stays as it is, whatever the index has
    "check": frozenset(),  # the policy depends on the clock: a version can be too new, and an exception can end
    "audit": frozenset(),
}
