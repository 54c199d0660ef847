"""What a fleet does with new locks: nothing, a patch, a branch, or a branch and a command that opens the pull request.

Invariants:

- The name of a branch depends on the content of the locks and on the ref in the list alone, and a branch that exists is never
  changed. So a second run with the same result delivers nothing, and two branches of a repository get a branch each.
- No file of a repository decides anything: a commit is made without a work tree, and no hook, filter or configuration of it is used.
- Each delivery is in ``deliveries.jsonl`` before the next one begins.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis import diff as lock_diff
from deep_lock.config.options import RunContext
from deep_lock.errors import DeepLockError, LockInvalid, UsageError, raise_machine_fault
from deep_lock.files import write_atomically
from deep_lock.fleet import delivery_command
from deep_lock.fleet.records import LOCKS, RepositoryResult, Result
from deep_lock.fleet.repositories import is_chosen
from deep_lock.lockfile.reader import from_text
from deep_lock.network.git import Identity, Repositories
from deep_lock.project.files import MAX_LOCK_BYTES
from deep_lock.reports import diff as diff_report
from deep_lock.reports.document import document
from deep_lock.sanitize import Markdown, Safe, joined, markdown, shortened, show

Mode = Literal["none", "patch", "branch", "command"]
Status = Literal["would-deliver", "delivered", "exists", "postponed", "failed"]
"""``exists``: an earlier run delivered the same locks for the same commit, or the branch exists. ``postponed``: a limit of this run, or of the hour, is met."""

RECORD = "deliveries.jsonl"
PATCHES = "patches"
LOCK_SUFFIX = "deep.lock"
DIGITS = 12
"""Of the digest in the name of a branch."""
MAX_BODY = 60_000
"""Characters of the text of a pull request: common hosts refuse more than 65,536."""
HOUR = timedelta(hours=1)


class DeliveryOptions(Struct, frozen=True, kw_only=True):
    """How new locks are delivered."""

    mode: Mode = "none"
    patches: Path | None = None
    """The folder of patches; None: ``patches`` in the state folder."""
    command: tuple[str, ...] = ()
    """The program that opens a pull request, and its arguments."""
    command_seconds: float = 300.0
    passed: tuple[str, ...] = ()
    """Names of variables that the command gets, in addition to those of the system."""
    prefix: str = "deep-lock/"
    """What the names of branches begin with."""
    author: Identity = Identity(name="deep-lock", address="deep-lock@localhost")
    committer: Identity | None = None
    """None: the author."""
    limit_branches: int | None = None
    """Branches with the prefix that one repository may have."""
    per_hour: int | None = None
    """Branches that are pushed within an hour, over all runs with this state folder."""
    only: tuple[str, ...] = ()
    """Patterns of names of repositories; empty: all."""
    excepted: tuple[str, ...] = ()


class Delivery(Struct, frozen=True, kw_only=True):
    """What was delivered to one repository, or why nothing was."""

    repository: str
    url: str
    base: str
    """The commit that was locked."""
    branch: str
    title: str
    status: Status
    mode: Mode
    reason: str = ""
    hint: str = ""
    """What the user can do after a failure."""
    commit: str = ""
    """Of the new locks."""
    patch: str = ""
    """The path of the patch."""
    finished: datetime | None = None


class _Change(Struct, frozen=True, kw_only=True):
    """The new locks of one repository."""

    result: RepositoryResult
    projects: tuple[Result, ...]
    """Those with a new lock, the most dangerous first."""
    files: Mapping[str, bytes]
    title: str
    body: Markdown


class _Run(Struct, frozen=True, kw_only=True):
    """What is the same for each repository."""

    state: Path
    options: DeliveryOptions
    context: RunContext
    deliveries: "Deliveries"
    clock: Callable[[], datetime]
    """Gives the time of each delivery."""
    repositories: Repositories


def deliver(
    results: Iterable[RepositoryResult],
    deliveries: "Deliveries",
    options: DeliveryOptions,
    context: RunContext,
    on_delivery: Callable[[Delivery], None],
    *,
    clock: Callable[[], datetime],
) -> tuple[Delivery, ...]:
    """Deliver the new locks of each repository, and return the results. The state folder has the texts of the locks.

    ``clock`` gives the time of each delivery. A failure in one repository does not stop the others. Raises UsageError for options that do not fit, and a state folder that
    cannot be read or written.
    """
    require_usable(options)
    run = _Run(
        state=deliveries.state,
        options=options,
        context=context,
        deliveries=deliveries,
        clock=clock,
        repositories=Repositories(context.cache_folder, context.environ, offline=False),
    )
    found = []
    for result in results:
        projects = [own for own in result.projects if own.action == "lock" and own.status == "changed"]
        if not projects or not is_chosen(result.repository, options.only, options.excepted):
            continue
        made = _delivered(result, projects, run)
        if made.status == "delivered" or (made.status == "failed" and made.commit):
            run.deliveries.add(made)
        found.append(made)
        on_delivery(made)
    return tuple(found)


def require_usable(options: DeliveryOptions) -> None:
    """Raise UsageError for options that do not fit."""
    if (options.mode == "command") != bool(options.command):
        raise UsageError(
            "--deliver command needs --deliver-command, and no other --deliver has it",
            hint="name the program that opens the pull request",
        )
    if not options.prefix or not _is_branch(f"{options.prefix}0"):
        raise UsageError(f"--branch-prefix {show(options.prefix)!r}: is not the beginning of a branch name")
    for own in (options.author, options.committer or options.author):
        if not own.name or not own.address or any(sign in own.name + own.address for sign in "<>\n\0"):
            raise UsageError("an author is written as 'NAME <ADDRESS>'")


def _is_branch(name: str) -> bool:
    """Whether git accepts a name of a branch (git check-ref-format), of a careful subset."""
    parts = name.split("/")
    allowed = all(
        part.isascii() and part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in parts
    )
    return (
        allowed
        and ".." not in name
        and not any(part.startswith((".", "-")) or part.endswith((".", ".lock")) for part in parts)
    )


def _delivered(result: RepositoryResult, projects: Sequence[Result], run: _Run) -> Delivery:
    made = Delivery(
        repository=result.repository,
        url=result.url,
        base=result.commit,
        branch=_branch(result.ref, projects, run.options.prefix),
        title=_title(projects),
        status="would-deliver",
        mode=run.options.mode,
    )
    try:
        change = _change(result, projects, made, run)
        if run.options.mode != "patch" and run.deliveries.has(made):  # a patch exists where its file does
            return replace(made, status="exists", reason="an earlier run delivered these locks")
        return _DELIVERERS[run.options.mode](made, change, run)
    except DeepLockError as error:
        return replace(made, status="failed", reason=error.message, hint=error.hint)


# -- the change


def _branch(ref: str | None, projects: Sequence[Result], prefix: str) -> str:
    """Return the name of the branch: it depends on the ref in the list, and on the paths and the content of the new locks."""
    lines = sorted(f"{own.lock_path}\0{own.lock_sha256}\n" for own in projects)
    lines += [] if ref is None else [f"{ref}\n"]
    return prefix + sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()[:DIGITS]


def _title(projects: Sequence[Result]) -> str:
    dangerous = sum(own.dangerous for own in projects)
    what = f"Update {projects[0].lock_path}" if len(projects) == 1 else f"Update {len(projects)} locks"
    count = f": {dangerous} dangerous {'change' if dangerous == 1 else 'changes'}" if dangerous else ""
    return show(f"{what}{count}", limit=120)


def _change(result: RepositoryResult, projects: Sequence[Result], made: Delivery, run: _Run) -> _Change:
    """Read the new locks. Raises LockInvalid and UsageError."""
    ordered = tuple(sorted(projects, key=lambda own: (-own.dangerous, own.project)))
    texts = {own.lock_path: _lock_text(run.state, own.lock_sha256) for own in ordered}
    for path in texts:
        _require_lock_path(path)
    return _Change(
        result=result,
        projects=ordered,
        files={path: text.encode() for path, text in texts.items()},
        title=made.title,
        body=_body(result, ordered, texts, made, run),
    )


def _require_lock_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    is_inside = (
        bool(parts)
        and not path.startswith("/")
        and "\\" not in path
        and not {"..", ".git"}.intersection(part.lower() for part in parts)
    )
    if not is_inside or not parts[-1].endswith(LOCK_SUFFIX) or not path.isprintable():
        raise UsageError(f"{show(path)}: is not the path of a lock in a repository")


def _lock_text(state: Path, digest: str) -> str:
    """Return a lock of the state folder. Raises LockInvalid where it has another digest."""
    path = state / LOCKS / f"{digest}.lock"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise_machine_fault(error)
        raise LockInvalid(f"{path}: {error.strerror or error}", hint="run deep-lock fleet lock again") from None
    if sha256(raw).hexdigest() != digest:
        raise LockInvalid(
            f"{path}: has another digest than its name states", hint="remove it, and run deep-lock fleet lock again"
        )
    return raw.decode("utf-8", "replace")


def _body(
    result: RepositoryResult, projects: Sequence[Result], texts: Mapping[str, str], made: Delivery, run: _Run
) -> Markdown:
    """Return the text of the pull request: the differences of each lock, and which projects failed."""
    parts: list[Markdown] = []
    for own in projects:
        if len(projects) > 1:
            parts += [markdown("## {}", own.lock_path), markdown("")]
        new = from_text(texts[own.lock_path], own.lock_path)
        if not own.previous_sha256:
            parts += [markdown("A new lock with {} packages.", str(len(new.packages))), markdown("")]
            continue
        old = from_text(_lock_text(run.state, own.previous_sha256), own.lock_path)
        changes = lock_diff.changes(old, new, now=run.context.now)
        review = diff_report.Review(
            old=result.commit[:DIGITS],
            new=made.branch,
            path=own.lock_path,
            changes=changes,
            codes=frozenset(change.code for change in changes),
            not_compared=lock_diff.not_compared(old, new),
        )
        parts += [diff_report.as_markdown(review), markdown("")]
    failed = [own for own in result.projects if own.status == "failed"]
    if failed:
        parts += [markdown("#### Not locked ({})", str(len(failed))), markdown("")]
        parts += [markdown("- {}: {}", own.project, own.message) for own in failed]
    return shortened(joined(parts), MAX_BODY, markdown("More differences are not shown: run deep-lock diff."))


def _message(change: _Change) -> str:
    """Return the message of the commit: the dangerous changes, and those to review."""
    lines = [change.title, ""]
    for own in change.projects:
        rows = [row for row in own.changes if row.get("weight") in {"danger", "look"}]
        lines += [f"{own.lock_path}:"] if len(change.projects) > 1 and rows else []
        lines += [f"- {show(str(row.get('name')))}: {show(str(row.get('message')), limit=300)}" for row in rows[:50]]
        lines += [f"- {len(rows) - 50} more"] if len(rows) > 50 else []
    return "\n".join(lines).rstrip() + "\n"


# -- modes


def _none(made: Delivery, change: _Change, run: _Run) -> Delivery:  # noqa: ARG001 - one signature for all modes
    return made


def _patch(made: Delivery, change: _Change, run: _Run) -> Delivery:
    folder = run.options.patches if run.options.patches is not None else run.state / PATCHES
    name = made.branch.rpartition("/")[2]
    path = folder / f"{quote(made.repository, safe='')}-{name}.patch"
    if path.exists() and run.deliveries.has(replace(made, patch=str(path))):
        return replace(made, status="exists", patch=str(path), reason="the patch exists")
    commit = _commit(change, run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, run.repositories.patch(made.url, commit))
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path}: {error.strerror or error}") from None
    return replace(made, status="delivered", commit=commit, patch=str(path), finished=run.clock())


def _commit(change: _Change, run: _Run) -> str:
    options = run.options
    return run.repositories.commit_files(
        change.result.url,
        change.result.commit,
        change.files,
        _message(change),
        author=options.author,
        committer=options.committer or options.author,
        when=run.context.now,
    )


def _push(made: Delivery, change: _Change, run: _Run) -> Delivery:
    options = run.options
    known = run.repositories.branches(made.url, options.prefix)
    if made.branch in known:
        _require_same_locks(made, known[made.branch], change, run)
        reason = "the branch exists"
        if run.deliveries.has(made, of_any_base=True):
            reason += ", for another commit of the repository: delete it if it was merged, and the merge reverted"
        return replace(made, status="exists", commit=known[made.branch], reason=reason)
    if options.limit_branches is not None and len(known) >= options.limit_branches:
        reason = f"the repository has {len(known)} branches {options.prefix}*, and --limit-branches is {options.limit_branches}"
        return replace(made, status="postponed", reason=reason)
    if options.per_hour is not None and run.deliveries.pushed_within_hour(run.clock()) >= options.per_hour:
        return replace(made, status="postponed", reason=f"--per-hour is {options.per_hour}")
    commit = _commit(change, run)
    run.repositories.push(made.url, commit, made.branch)
    return replace(made, status="delivered", commit=commit, finished=run.clock())


def _require_same_locks(made: Delivery, commit: str, change: _Change, run: _Run) -> None:
    """Raise UsageError where a branch that exists has not the locks of its name: the pull request would describe others."""
    for path, content in change.files.items():
        if run.repositories.file(made.url, commit, made.branch, path, MAX_LOCK_BYTES) != content:
            raise UsageError(f"the branch exists, and its {path} is another one: delete the branch, or merge it")


def _with_command(made: Delivery, change: _Change, run: _Run) -> Delivery:
    """Push the branch, and call the command; also where an earlier run pushed it and the command failed."""
    pushed = _push(made, change, run)
    is_open = pushed.status == "exists" and run.deliveries.has(made, of_any_base=True)
    if is_open or pushed.status not in {"delivered", "exists"}:
        return pushed
    ended = delivery_command.run(
        run.options.command,
        str(request(pushed, change)),
        seconds=run.options.command_seconds,
        passed=run.options.passed,
        environ=run.context.environ,
    )
    if ended.exit_code:
        message = _without_values(ended.message, run.options.passed, run.context.environ)
        reason = f"the command ended with exit code {ended.exit_code}: {show(message, limit=300)}"
        return replace(pushed, status="failed", reason=reason, finished=run.clock())
    return replace(pushed, status="delivered", reason="", finished=run.clock())


def _without_values(text: str, passed: Iterable[str], environ: Mapping[str, str]) -> str:
    """Return a text in which no value of a variable that was passed is left: it may be a token."""
    for value in sorted({environ.get(name, "") for name in passed} - {""}, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


_DELIVERERS = {"none": _none, "patch": _patch, "branch": _push, "command": _with_command}


def request(made: Delivery, change: _Change) -> Safe:
    """Return the document that the command gets on standard input."""
    return document(
        "fleet-delivery",
        1,
        {
            "repository": made.repository,
            "url": made.url,
            "ref": change.result.ref,
            "base": made.base,
            "branch": made.branch,
            "commit": made.commit,
            "title": made.title,
            "body": change.body,
            "dangerous": sum(own.dangerous for own in change.projects),
            "projects": [
                {
                    "path": own.project,
                    "lock": own.lock_path,
                    "sha256": own.lock_sha256,
                    "previous-sha256": own.previous_sha256,
                    "dangerous": own.dangerous,
                    "changes": list(own.changes),
                }
                for own in change.projects
            ],
        },
    )


def row(made: Delivery) -> dict[str, Any]:
    """Return the keys of a delivery in JSON documents."""
    return {
        "repository": made.repository,
        "url": made.url,
        "base": made.base,
        "branch": made.branch,
        "title": made.title,
        "status": made.status,
        "mode": made.mode,
        "reason": made.reason,
        "hint": made.hint,
        "commit": made.commit,
        "patch": made.patch,
    }


# -- what was delivered before


class Deliveries:
    """The deliveries of all runs with a state folder. The run has the folder (`journal.Journal`)."""

    def __init__(self, state: Path) -> None:
        """Read them, and remove a line that a kill cut off: the next one begins a line. Raises UsageError."""
        self.state = state
        self._path = state / RECORD
        self._known = list(_read(self._path))

    def has(self, made: Delivery, *, of_any_base: bool = False) -> bool:
        """Whether the same locks were delivered to the repository in the same way. Where a command failed, they were not.

        A delivery for another commit of the repository is not the same: its locks may have been merged, and reverted since.
        """
        key = (made.repository, made.url, made.branch)
        return any(
            (own.repository, own.url, own.branch) == key
            and (of_any_base or own.base == made.base)
            and own.status == "delivered"
            and made.mode in {own.mode, "none"}
            and (not made.patch or own.patch == made.patch)
            and (not own.patch or Path(own.patch).exists())
            for own in self._known
        )

    def pushed_within_hour(self, now: datetime) -> int:
        """Return how many branches were pushed in the hour before."""
        return sum(
            own.mode != "patch" and own.finished is not None and now - HOUR < own.finished <= now for own in self._known
        )

    def add(self, made: Delivery) -> None:
        """Write a delivery to the disk. Raises UsageError."""
        self._known.append(made)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(made) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise_machine_fault(error)
            raise UsageError(f"{self._path}: {error.strerror or error}") from None


def _read(path: Path) -> Iterator[Delivery]:
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    except FileNotFoundError:
        return
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path}: {error.strerror or error}") from None
    for number, line in enumerate(content[:whole].split(b"\n")[:-1], 1):
        try:
            yield msgspec.json.decode(line, type=Delivery)
        except msgspec.DecodeError as error:
            raise UsageError(f"{path}, line {number}: {error}", hint="remove the line") from None
