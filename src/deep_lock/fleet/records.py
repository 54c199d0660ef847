"""Records of a fleet: its repositories, the tasks that workers get, and what the tasks return. They have plain values only.

All of them can be written as JSON (`msgspec.json`) and sent to a worker on another machine.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from deep_lock.config.options import AdvisoryOptions, HookOptions, Hooks, NetworkOptions, ResolveOptions, UpgradeOptions
from deep_lock.events import Warned
from deep_lock.lockfile.index import Key
from deep_lock.reports.document import Failure

SANDBOX = "sandbox"
"""The resource of a worker that runs hooks: a task takes one."""
JOURNAL = "fleet.jsonl"
LOCKS = "locks"
PAGES = "pages"
"""In the state folder: a line for each result, the texts of the locks, and the lists of pages that results depend on."""

LOOK_UP_SECONDS = 60.0
"""The longest time of a look-up of a commit."""

Action = Literal["lock", "check", "audit"]
"""What a run does with each project."""

ProjectStatus = Literal["changed", "up-to-date", "stale", "failed"]
"""``changed``: `lock` made a new lock. ``stale``: `check` found one. ``failed``: any other error, and findings of an audit."""

RepositoryStatus = Literal["done", "failed", "killed"]
"""``done``: each project has a result. ``failed``: there is no checkout, or no project. ``killed``: too many workers were killed."""


class Repository(Struct, frozen=True, kw_only=True):
    """A git repository of the fleet."""

    name: str
    """Unique in the fleet; letters, digits, ``.``, ``_``, ``-`` and ``/``, so that it can be a path."""
    url: str
    """What git fetches from: ``https``, ``ssh`` or ``file``. It has no password."""
    ref: str | None = None
    """A branch, a tag or a full commit id; None: the default branch."""
    projects: tuple[str, ...] = ()
    """Patterns of the relative paths of projects; empty: all."""
    exclude: tuple[str, ...] = ()
    """Patterns of relative paths that are not entered."""


class TaskOptions(Struct, frozen=True, kw_only=True):
    """What is the same for each task of a run: it is the configuration of the run."""

    action: Action = "lock"
    all_projects: bool = False
    """Also those projects that have neither a deep.lock nor [tool.deep-lock]."""
    resolve: ResolveOptions = ResolveOptions()
    upgrade: UpgradeOptions = UpgradeOptions()
    hooks: Hooks | None = None
    trust_hooks: tuple[str, ...] = ()
    network: NetworkOptions = NetworkOptions()
    advisories: AdvisoryOptions = AdvisoryOptions()


class Task(Struct, frozen=True, kw_only=True, tag="repository"):
    """The work on one repository."""

    repository: Repository
    commit: str
    """The full id."""
    options: TaskOptions
    now: datetime
    """The clock of the run: the same for all its tasks. Aware, UTC."""
    attempt: int = 1
    seconds: float = 1800.0
    """Wall clock of the task."""
    memory: int = 4 * 1024**3
    """Resident bytes of the process that resolves. A build hook has limits of its own."""

    @property
    def look_up_seconds(self) -> float:
        """The longest time of a look-up of the commit: less than ``seconds``, so that the reason is the one of git."""
        return min(LOOK_UP_SECONDS, self.seconds / 2)


class Result(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What a task did with one project."""

    repository: str
    commit: str
    project: str
    """Its path in the repository; "." for the top folder."""
    action: Action
    status: ProjectStatus
    exit_code: int = 0
    """That of the same command in a checkout."""
    code: str = ""
    """The kind of the error, as ``unsatisfiable``; empty without one."""
    message: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    lock_path: str = ""
    """The path of the lock in the repository; empty where there is none."""
    lock_sha256: str = ""
    """Of the lock after the task: the state folder has it as ``locks/SHA256.lock``. Empty where there is none."""
    previous_sha256: str = ""
    """Of the lock in the commit."""
    changes: tuple[dict[str, Any], ...] = ()
    """The rows of ``diff --format json`` from the lock in the commit to the new one, the most dangerous first."""
    dangerous: int = 0
    """How many of the changes are dangerous."""
    findings: tuple[dict[str, Any], ...] = ()
    """What an audit found: rows of ``audit --format json``."""
    packages: int = 0
    builds: int = 0
    targets: tuple[str, ...] = ()
    pages: str = ""
    """The sha256 of the list of pages that were read: the state folder has it as ``pages/SHA256.txt``. Empty: not known."""
    may_change: tuple[str, ...] = ()
    """What else was read, and may differ in the next run though each page is the same (`events.MayChange`)."""
    seconds: float = 0.0
    requests: int = 0


class RepositoryResult(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What became of one repository: a line of the journal (``fleet.jsonl``)."""

    repository: str
    url: str
    commit: str
    configuration: str
    """The digest of the options and of the version of deep-lock (`plan.configuration_digest`)."""
    selection: str = ""
    """The digest of the repository's ``projects`` and ``exclude`` in the list (`plan.selection_digest`)."""
    ref: str | None = None
    """The branch, tag or commit in the list; None: the default branch."""
    status: RepositoryStatus
    exit_code: int = 0
    """The worst of its projects, or that of the failure."""
    code: str = ""
    message: str = ""
    hint: str = ""
    projects: tuple[Result, ...] = ()
    """Sorted by path."""
    known: tuple[Result, ...] = ()
    """Of a repository that failed: what is known of its other projects, from older runs. ``Result.commit`` is theirs."""
    attempts: int = 1
    kills: int = 0
    """How many workers were killed while they had its task."""
    seconds: float = 0.0
    requests: int = 0
    worker: str = ""
    finished: datetime | None = None
    """The clock of the machine that keeps the journal."""


class TaskResult(Struct, frozen=True, kw_only=True, tag="repository"):
    """What a worker returns: the line of the journal, and the texts of the locks and the lists of pages, by their digest."""

    result: RepositoryResult
    locks: dict[str, str] = {}
    pages: dict[str, str] = {}


class BuiltWheel(Struct, frozen=True, kw_only=True):
    """A wheel that was built before, and that a build needs."""

    key: Key
    name: str
    sha256: str


class BuildTask(Struct, frozen=True, kw_only=True, tag="build"):
    """The build of one wheel. Files are read from the remote cache, by their sha256."""

    remote_cache: str
    """The URL."""
    lock: str
    """The sha256 of the text of the lock."""
    lock_name: str
    """For messages."""
    package: str
    """The member of the workspace whose part of the lock is used; empty: the whole lock."""
    target: str
    """The label."""
    key: Key | None = None
    """The package. None: the worker states its interpreter, and that it has what builds need."""
    wheels: tuple[BuiltWheel, ...] = ()
    """Those of the build environment that were built."""
    python_full_version: str = ""
    """The version that the interpreter must have; empty: any."""
    hooks: HookOptions
    source_date_epoch: int | None
    now: datetime
    """Aware, UTC."""
    seconds: float
    """Wall clock of the task."""
    memory: int = 4 * 1024**3
    """Resident bytes of the process that starts the hooks, which have limits of their own."""
    folder: str = ""
    """Where the process puts the wheel, on the machine of the worker."""


class BuildResult(Struct, frozen=True, kw_only=True, tag="build"):
    """What a worker returns for a `BuildTask`. The bytes of the wheel are next to it."""

    python_full_version: str = ""
    name: str = ""
    """The file name of the wheel; empty where there is none."""
    sha256: str = ""
    """Of the wheel."""
    failure: Failure | None = None
    is_killed: bool = False
    output: str = ""
    """Of the backend."""
    warnings: tuple[Warned, ...] = ()


AnyTask = Task | BuildTask
AnyResult = TaskResult | BuildResult
Done = tuple[str, bytes, bytes]
"""What an engine returns: the worker, an `AnyResult` in JSON, and the bytes of the file that belongs to it."""
