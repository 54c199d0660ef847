"""What a run must work on: every repository but those whose result cannot have changed."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from hashlib import sha256
from importlib.metadata import version

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.config.options import NetworkOptions, RunContext, UpgradeOptions
from deep_lock.errors import DeepLockError
from deep_lock.events import Reporter, silent
from deep_lock.fleet.page_lists import map_reported, present_digests, project_of
from deep_lock.fleet.records import LOOK_UP_SECONDS, Repository, RepositoryResult, Result, Task, TaskOptions
from deep_lock.network import git
from deep_lock.targets.factory import CPYTHON

LOOK_UPS = 8
"""Repositories whose commit is looked up at a time."""
MAX_SHOWN = 3
"""Projects whose pages are newer, in one reason."""


class Planned(Struct, frozen=True, kw_only=True):
    """A repository of the plan."""

    repository: Repository
    commit: str
    """Empty where it could not be looked up: the task tries it again, and reports why."""
    known: RepositoryResult | None
    """The result that is still right; None: the repository must run."""
    reason: str
    """Why it runs, or why it does not."""
    newer: tuple[str, ...] = ()
    """The projects whose pages are newer than those of the last result."""


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


def configuration_digest(options: TaskOptions, today: date) -> str:
    """Return the digest of all that decides on a result, but the commit and the pages.

    That are the options, the version of deep-lock, and which Pythons are maintained: they are the default ones.
    """
    network = replace(
        options.network, remote_cache=None, remote_cache_read_only=False, requests_per_second=None, max_requests=None
    )
    pythons = [(own.released <= today, own.end_of_life >= today) for own in CPYTHON.values()]
    parts = msgspec.json.encode((version("deep-lock"), replace(options, network=network), pythons))
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


PagesOf = Callable[[str], Mapping[str, str] | None]
"""Returns a list of pages (digests by URL) by its sha256; None where there is none."""
HasLocks = Callable[[RepositoryResult], bool]
"""Whether the lock of each project of a result is there and whole."""


def make_plan(
    repositories: Iterable[Repository],
    options: TaskOptions,
    known: Mapping[str, RepositoryResult],
    context: RunContext,
    pages_of: PagesOf,
    *,
    has_locks: HasLocks,
    reporter: Reporter = silent,
    seconds: float = LOOK_UP_SECONDS,
) -> Plan:
    """Look up the commit of each repository, and compare it and the pages of indexes with the last result.

    ``context`` has the clock of the run: its tasks use the pages that are requested here. A page is requested once, and only
    where it decides whether a repository runs. ``seconds`` is the longest time of a look-up of a commit. Raises CacheInvalid and ConfigError.
    """
    repositories = tuple(repositories)
    configuration = configuration_digest(options, context.now.date())
    store = git.Repositories(context.cache_folder, context.environ, offline=options.network.offline)

    def look_up(repository: Repository) -> str:
        try:
            return store.commit_of(repository.url, repository.ref, seconds=min(seconds, LOOK_UP_SECONDS))
        except (DeepLockError, OSError):
            return ""

    with ThreadPoolExecutor(LOOK_UPS) as threads:
        try:
            commits = map_reported(threads, look_up, repositories, "looking up commits", reporter)
        except BaseException:  # Ctrl-C does not wait for a remote that does not answer
            store.end()
            raise
    compared = [
        _compared_pages(
            _compared(repository, commit, known.get(repository.name), options, configuration),
            options,
            pages_of,
            has_locks,
        )
        for repository, commit in zip(repositories, commits, strict=True)
    ]
    urls = {url for own in compared if not own.reason for url in own.pages}
    present = present_digests(urls, options.network, context, reporter)
    return Plan(rows=tuple(_planned(own, present) for own in compared), configuration=configuration)


class _Compared(Struct, frozen=True, kw_only=True):
    """A repository, compared with its last result but for pages."""

    repository: Repository
    commit: str
    last: RepositoryResult | None
    reason: str
    """Why it must run; empty: only its pages can be a reason."""
    pages: Mapping[str, str] = {}
    """Those that the last result depends on: their digests by URL."""


def _compared(
    repository: Repository, commit: str, last: RepositoryResult | None, options: TaskOptions, configuration: str
) -> _Compared:
    reason = _reason_to_run(repository, commit, last, options, configuration)
    return _Compared(repository=repository, commit=commit, last=last, reason=reason)


def _compared_pages(own: _Compared, options: TaskOptions, pages_of: PagesOf, has_locks: HasLocks) -> _Compared:
    """Return with the pages that decide, or with the reason why they cannot."""
    if own.last is not None and not own.reason and not has_locks(own.last):
        return replace(own, reason="its lock is missing")
    pages: dict[str, str] = {}
    for project in _by_pages(own.last, options) if own.last is not None and not own.reason else ():
        reason = _reason_not_to_compare(project, options.network)
        listed = pages_of(project.pages) if not reason else {}
        if listed is None:
            reason = f"the pages of {_named(project)} are not known"
        elif any(pages.get(url, digest) != digest for url, digest in listed.items()):
            reason = "its projects were locked with different pages"
        if reason or listed is None:
            return replace(own, reason=reason)
        pages |= listed
    return replace(own, pages=pages)


def _planned(own: _Compared, present: Mapping[str, str | None]) -> Planned:
    reason, newer = own.reason, list[str]()
    if not reason:
        unknown = [url for url in own.pages if present[url] is None]
        newer = sorted({project_of(url) for url, digest in own.pages.items() if present[url] not in {None, digest}})
        if newer:
            reason = f"newer in the index: {_shown(newer)}"
        elif unknown:
            reason = f"pages that cannot be requested: {_shown(sorted(map(project_of, unknown)))}"
    same = f"its {len(own.pages)} pages are the same" if own.pages else "nothing can have changed"
    return Planned(
        repository=own.repository,
        commit=own.commit,
        known=None if reason else own.last,
        reason=reason or same,
        newer=tuple(newer),
    )


def _shown(names: Collection[str]) -> str:
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"{', '.join(list(names)[:MAX_SHOWN])}{more}"


def _reason_to_run(
    repository: Repository, commit: str, last: RepositoryResult | None, options: TaskOptions, configuration: str
) -> str:
    """Return why a repository must run, with any pages; empty where nothing else can have changed its last result."""
    if last is None or last.url != repository.url:
        return "it has no result"
    other = [own for own in last.projects if own.status not in {"up-to-date", "changed"}]
    reasons = {
        "its commit is not known": not commit,
        f"its commit is {commit[:12]}, and was {last.commit[:12]}": last.commit != commit,
        "the options, the default Pythons or the version of deep-lock are others": last.configuration != configuration,
        "its projects or exclude in the list are others": last.selection != selection_digest(repository),
        "it failed": last.status != "done",
        "advisories may have changed": options.action == "audit",
        "the policy depends on the time": options.action == "check",
        f"the last result of {_named(other[0])} is {other[0].status}" if other else "": bool(other),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _by_pages(last: RepositoryResult, options: TaskOptions) -> Iterator[Result]:
    """Yield the projects whose result depends on pages. A lock that fits its inputs stays as it is, if nothing is renewed."""
    network = options.network
    renews = options.upgrade != UpgradeOptions() or network.refresh or bool(network.refresh_packages)
    return (own for own in last.projects if renews or own.status != "up-to-date")


def _reason_not_to_compare(own: Result, network: NetworkOptions) -> str:
    """Return why a project must run, though its pages may be the same."""
    if network.refresh or network.refresh_packages:
        return "--refresh uses nothing that is known"
    if network.offline:
        return "no page is requested with --offline"
    if own.may_change:
        return f"{_named(own)} depends on {own.may_change[0]}"
    return "" if own.pages else f"the pages of {_named(own)} are not known"


def _named(own: Result) -> str:
    return "the project" if own.project == "." else own.project
