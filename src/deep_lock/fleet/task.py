"""The work on one repository: a checkout of its own, and the action in each of its projects.

`run_task` raises nothing for a fault of a repository: the fault is in the result, with the exit code that the command has.
"""

import fnmatch
import time
import traceback
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis import diff as lock_diff
from deep_lock.builds import temp_dirs
from deep_lock.config.options import AuditOptions, HookOptions, InputOptions, LockOptions, RunContext
from deep_lock.errors import DeepLockError, LockInvalid, UsageError, UserError, machine_fault
from deep_lock.events import Event, Fetched, MayChange, PageRead, Warned, silent
from deep_lock.files import is_there
from deep_lock.fleet.page_lists import page_list
from deep_lock.fleet.records import ProjectStatus, RepositoryResult, Result, Task, TaskOptions, TaskResult
from deep_lock.lockfile.reader import from_text
from deep_lock.locking import recorded_inputs
from deep_lock.locking.lock import check_lock, lock
from deep_lock.locking.read_inputs import at_workspace_root, lock_path
from deep_lock.models.lock import LOCK_NAME, Lock
from deep_lock.network import git
from deep_lock.operations import audit
from deep_lock.project import checkout, discovery, folder_config
from deep_lock.project.files import MAX_LOCK_BYTES, read_bytes
from deep_lock.reports import audit as audit_report
from deep_lock.reports import diff as diff_report
from deep_lock.reports import document
from deep_lock.reports.document import Failure

INTERNAL = 70
"""The exit code of a fault of deep-lock itself: EX_SOFTWARE of sysexits.h."""
WORST_FIRST = (INTERNAL, 4, 2, 3, 1, 0)
TREE = "tree"
"""The name of the checkout's folder: it is the same in each run, since names of folders are in messages."""


class _Made(Struct, frozen=True, kw_only=True):
    """What an action did with a project."""

    status: ProjectStatus
    exit_code: int = 0
    message: str = ""
    lock: Lock | None = None
    text: str = ""
    """Of the lock."""
    path: Path | None = None
    """Of the lock."""
    changes: tuple[dict[str, object], ...] = ()
    findings: tuple[dict[str, object], ...] = ()


class _Work(Struct, frozen=True, kw_only=True):
    """The work on one checkout."""

    tree: Path
    task: Task
    commit: str
    context: RunContext
    locks: dict[str, str]
    """The texts of the locks, by digest: results are added."""
    pages: dict[str, str]
    """The lists of pages, by digest: results are added."""


class _Events:
    """Counts the requests of one project, and keeps its warnings and what its result depends on."""

    def __init__(self) -> None:
        self.requests = 0
        self.warnings: set[str] = set()
        self.pages: dict[str, str] = {}
        """The digests of the pages that were read, by their URL."""
        self.may_change: set[str] = set()

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, Fetched):
            self.requests += 1
        elif isinstance(event, Warned):
            self.warnings.add(f"{event.subject}: {event.message}")
        elif isinstance(event, PageRead):
            self.pages[event.url] = event.digest
        elif isinstance(event, MayChange):
            self.may_change.add(event.name)


def run_task(task: Task, context: RunContext) -> TaskResult:
    """Do the work on one repository. ``context`` is of this machine: its cache, and its environment with the credentials."""
    started = time.monotonic()
    context = replace(context, now=task.now)
    locks: dict[str, str] = {}
    pages: dict[str, str] = {}
    commit, failure, tree = task.commit, None, None
    rows: list[Result] = []
    try:
        with temp_dirs.own_temporary_folder() as folder:
            repositories = git.Repositories(context.cache_folder, context.environ, offline=task.options.network.offline)
            url, ref = task.repository.url, task.repository.ref
            commit = commit or repositories.commit_of(url, ref, seconds=task.look_up_seconds)
            tree = repositories.checkout(url, commit, ref, folder / TREE)
            checkout.refuse_links(tree, task.repository.exclude, task.repository.name)
            context = replace(context, checkout=tree)
            work = _Work(tree=tree, task=task, commit=commit, context=context, locks=locks, pages=pages)
            for project in _projects(tree, task, context):
                rows.append(_result(work, project))  # noqa: PERF401 - a fault keeps those before it
    except Exception as error:  # noqa: BLE001 - a fault of one repository is its result
        failure = failure_of(error)
        if tree is not None:
            failure = replace(failure, message=_without(failure.message, tree), hint=_without(failure.hint, tree))
    return TaskResult(
        result=RepositoryResult(
            repository=task.repository.name,
            url=task.repository.url,
            commit=commit,
            configuration="",
            status="done" if failure is None else "failed",
            exit_code=worst([row.exit_code for row in rows] + ([failure.exit_code] if failure is not None else [])),
            code=failure.code if failure is not None else "",
            message=failure.message if failure is not None else "",
            hint=failure.hint if failure is not None else "",
            projects=tuple(rows),
            attempts=task.attempt,
            seconds=time.monotonic() - started,
            requests=sum(row.requests for row in rows),
        ),
        locks=locks,
        pages=pages,
    )


def worst(codes: list[int]) -> int:
    """Return the worst exit code, in the order of `deep-lock lock --all-projects`."""
    return min(codes, key=WORST_FIRST.index, default=0)


def failure_of(error: Exception) -> Failure:
    """Return an error as documents have it. One that deep-lock does not raise on purpose is internal, or a fault of the machine."""
    known = error if isinstance(error, DeepLockError) else machine_fault(error)
    if known is None and isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename is not None else ""
        known = UserError(f"{named}{error.strerror or error}")
    if known is not None:
        return document.failure_of(known)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    message = f"internal error, please report it: {type(error).__name__}: {error} ({where})"
    return Failure(code="internal-error", exit_code=INTERNAL, message=message)


# -- projects


def _projects(tree: Path, task: Task, context: RunContext) -> list[discovery.FoundProject]:
    """Return the projects of a checkout on which the task works. Raises UsageError where there is none."""
    found = discovery.find_projects(tree, task.repository.exclude, context.environ, silent)
    if any(".." in own.parts for own in found):
        raise UsageError(
            f"{task.repository.name}: not used, since a pyproject.toml above the folder of temporary files has its projects as"
            " members of a workspace",
            hint="remove that file, or set TMPDIR to another folder",
        )
    kept = [own for own in found if _is_wanted(tree, own, task)]
    if not kept:
        raise UsageError(
            f"{task.repository.name}: it has no project with a deep.lock or [tool.deep-lock]"
            + (" that the patterns of the fleet's file name" if task.repository.projects else ""),
            hint="--all-projects includes the other projects; deep-lock init begins to use deep-lock in a project",
        )
    return kept


def _is_wanted(tree: Path, project: discovery.FoundProject, task: Task) -> bool:
    patterns = task.repository.projects
    if patterns and not any(fnmatch.fnmatchcase(project.path, pattern) for pattern in patterns):
        return False
    folder = tree.joinpath(*project.parts)
    return task.options.all_projects or is_there(folder / LOCK_NAME) or folder_config.has_own_table(folder)


def _result(work: _Work, project: discovery.FoundProject) -> Result:
    """Do the action in one project; the texts of its locks are added to those of the work."""
    task, tree = work.task, work.tree
    started, events = time.monotonic(), _Events()
    options = _lock_options(tree, project, task.options, work.context)
    fault: Failure | None = None
    before = path = ""
    try:
        own = lock_path(at_workspace_root(options.inputs))
        before = _text_of_lock(own, tree)
        if project.recorded:
            options = replace(options, inputs=recorded_inputs.with_recorded_inputs(options.inputs))
        made = _ACTIONS[task.options.action](options, task, events)
        path = "" if made.path is None else _relative(made.path, tree)
    except Exception as error:  # noqa: BLE001 - a fault of one project does not stop the others
        fault = failure_of(error)
        made = _Made(status="failed", exit_code=fault.exit_code, message=fault.message)
    after = made.text or before
    read = page_list(dict(events.pages)) if fault is None and task.options.action == "lock" else None
    if read is not None:
        work.pages[digest_of(read)] = read
    for text in filter(None, (before, after)):
        work.locks[digest_of(text)] = text
    return Result(
        repository=task.repository.name,
        commit=work.commit,
        project=project.path,
        action=task.options.action,
        status=made.status,
        exit_code=made.exit_code,
        code=fault.code if fault is not None else "",
        message=_without(made.message, tree),
        hint=_without(fault.hint, tree) if fault is not None else "",
        warnings=tuple(_without(text, tree) for text in sorted(events.warnings)),
        lock_path=path,
        lock_sha256=digest_of(after) if after else "",
        previous_sha256=digest_of(before) if before else "",
        changes=made.changes,
        dangerous=sum(row["weight"] == "danger" for row in made.changes),
        findings=made.findings,
        packages=len(made.lock.packages) if made.lock is not None else 0,
        builds=len(made.lock.builds) if made.lock is not None else 0,
        targets=tuple(target.name for target in made.lock.targets) if made.lock is not None else (),
        pages=digest_of(read) if read is not None else "",
        may_change=tuple(sorted(_without(text, tree) for text in set(events.may_change))),
        seconds=time.monotonic() - started,
        requests=events.requests,
    )


def _text_of_lock(path: Path, tree: Path) -> str:
    """Return the text of the lock in the commit; "" where there is none. It is no link, since no link is delivered.

    Raises LockInvalid, LimitExceeded and OutsideCheckout.
    """
    checkout.require_inside(path, tree, "its lock")
    if path.is_symlink():
        raise LockInvalid(f"{path}: is a link: it is not read", hint="replace it by the file itself")
    if not is_there(path):
        return ""
    return read_bytes(path, LockInvalid, MAX_LOCK_BYTES).decode("utf-8", errors="replace")


def digest_of(text: str) -> str:
    """Return the sha256 of a lock, as ``Result.lock_sha256`` has it."""
    return sha256(text.encode("utf-8", errors="replace")).hexdigest()


def _without(text: str, tree: Path) -> str:
    """Return a message without the path of the checkout, which is another one in each run."""
    for path in (tree.resolve(), tree):
        text = text.replace(f"{path}/", "").replace(str(path), ".")
    return text


def _relative(path: Path, tree: Path) -> str:
    return path.resolve().relative_to(tree.resolve()).as_posix()


def _lock_options(
    tree: Path, project: discovery.FoundProject, options: TaskOptions, context: RunContext
) -> LockOptions:
    return LockOptions(
        inputs=InputOptions(folder=tree.joinpath(*project.parts)),
        resolve=options.resolve,
        hooks=HookOptions(hooks=options.hooks, trust_hooks=options.trust_hooks),
        upgrade=replace(options.upgrade, may_be_unused=True),
        network=options.network,
        context=context,
    )


# -- actions


def _lock(options: LockOptions, task: Task, events: _Events) -> _Made:  # noqa: ARG001 - one signature for all actions
    outcome = lock(options, events)
    changes: tuple[dict[str, object], ...] = ()
    if outcome.changed and outcome.previous is not None:
        changes = _rows(outcome.previous, outcome.lock, options.context)
    return _Made(
        status="changed" if outcome.changed else "up-to-date",
        lock=outcome.lock,
        text=outcome.text,
        path=outcome.path,
        changes=changes,
    )


def _rows(old: Lock, new: Lock, context: RunContext) -> tuple[dict[str, object], ...]:
    """Return the changes as `diff --format json` has them."""
    return tuple(diff_report.change_row(change) for change in lock_diff.changes(old, new, now=context.now))


def _check(options: LockOptions, task: Task, events: _Events) -> _Made:  # noqa: ARG001 - one signature for all actions
    checked = check_lock(options)
    if checked.lock is not None:
        return _Made(
            status="stale" if checked.reasons else "up-to-date",
            exit_code=1 if checked.reasons else 0,
            message="; ".join(checked.reasons),
            lock=checked.lock,
            path=checked.path,
        )
    return _Made(status="stale", exit_code=1, message="; ".join(checked.reasons) or "the lock cannot be read")


def _audit(options: LockOptions, task: Task, events: _Events) -> _Made:
    path = lock_path(at_workspace_root(options.inputs))
    if not is_there(path):
        return _Made(status="stale", exit_code=1, message="there is no lock")
    text = read_bytes(path, LockInvalid, MAX_LOCK_BYTES).decode("utf-8", errors="replace")
    locked = from_text(text, path.name)
    wanted = AuditOptions(
        lock=path, sources=task.options.advisories, network=task.options.network, context=options.context
    )
    found = audit.audit_made(locked, text, wanted, events)
    rows = tuple(row for row in msgspec.json.decode(audit_report.audit_json(found))["findings"] if not row["ignored"])
    code = 4 if found.malware else 1 if found.failing else 0
    return _Made(
        status="failed" if code else "up-to-date",
        exit_code=code,
        message=audit_report.claim(found) if code else "",
        lock=locked,
        text=text,
        path=path,
        findings=rows,
    )


_ACTIONS = {"lock": _lock, "check": _check, "audit": _audit}
