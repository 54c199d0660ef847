"""Ties the knot: inputs, index, resolver and sdist readers to one Lock.

Law: until a lock is whole and lawful, nothing is written; what is there stays as it was.
"""

from contextlib import AbstractContextManager, closing, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from deep_lock.deferred import Deferred
from deep_lock.errors import LockInvalid, Stale, UsageError
from deep_lock.events import Reporter, silent
from deep_lock.files import write_atomically
from deep_lock.flags import Flags, UpgradeFlags
from deep_lock.given_files import GivenFiles
from deep_lock.lockfile.emit import to_text
from deep_lock.lockfile.keep import keep_unknown, require_same_bytes
from deep_lock.lockfile.laws import check_closed
from deep_lock.making import make_lock
from deep_lock.model.lock import Lock
from deep_lock.model.requirement import parse_requirement
from deep_lock.network import open_network
from deep_lock.reading import lock_path
from deep_lock.settled import Run, head_of, settle

if TYPE_CHECKING:
    import filelock

    from deep_lock import policing
    from deep_lock.lockfile import stale
else:
    filelock = Deferred("filelock")
    policing = Deferred("deep_lock.policing")
    stale = Deferred("deep_lock.lockfile.stale")

WAIT_SECONDS = 30


class Outcome(Struct, frozen=True, kw_only=True):
    """A finished lock, its text, and where it belongs."""

    path: Path
    lock: Lock
    text: str
    before: str | None
    """What stood there when the run began."""
    guard: Path
    """The file that keeps two writers apart. In the cache: the project's folder gets nothing but the lock."""

    @property
    def changed(self) -> bool:
        return self.text != self.before


def check_lock(flags: Flags, *, existence_only: bool = False) -> tuple[Path, tuple[str, ...]]:
    """Return why the lock is stale, a sentence each; nothing where it is up to date. Asks no index.

    Raises UserError, and PolicyBroken where the lock is up to date and breaks the policy of the configuration.
    """
    path = lock_path(flags.inputs)
    if not path.is_file():
        return path, ("there is no lock",)
    if existence_only:
        return path, ()
    run = settle(flags, silent)
    if run.old is None:
        return path, ()
    reasons, policy = _reasons(run), run.gathered.config.policy
    if not reasons and policy is not None:
        policing.hold(run.old, policy, path.name, now=flags.surroundings.now)
    return path, reasons


def _reasons(run: Run) -> tuple[str, ...]:
    if run.old is None:
        return ("there is no lock",)
    head = head_of(run)
    same = {target.name for target in run.old.targets} == {target.label for target in run.targets}
    moved = GivenFiles(run.gathered.foreign).moved(run.old)
    reasons = stale.stale_reasons(
        run.old,
        inputs=head.inputs,
        options=head.options,
        indexes=head.indexes,
        targets=head.targets,
        requires_python=head.requires_python,
        extras=head.extras,
        groups=head.dependency_groups,
        full_targets=run.targets if same else (),
    )
    return (*reasons, *moved)


def lock(flags: Flags, reporter: Reporter) -> Outcome:
    """Resolve everything and return the lock, unwritten. An up-to-date lock is returned as it is, without an index.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    run = settle(flags, reporter)
    before = run.path.read_bytes().decode("utf-8", errors="replace") if run.path.is_file() else None
    guard = guard_of(run.path, flags.surroundings.cache_folder)
    if run.old is not None and _may_stand(run) and not _reasons(run):
        return Outcome(path=run.path, lock=run.old, text=before or "", before=before, guard=guard)
    network = open_network(flags, run.gathered.config, reporter)
    with closing(network):
        made = make_lock(run, network, reporter)
    if run.old is not None:
        made = keep_unknown(run.old, made)
        moved_names = {parse_requirement(text).name for text in flags.upgrade.packages}
        require_same_bytes(run.old, made, moved_names)
    unlawful = check_closed(made, run.targets)
    if unlawful:
        raise LockInvalid("the new lock breaks its own laws; this is a fault of deep-lock:\n  " + "\n  ".join(unlawful))
    return Outcome(path=run.path, lock=made, text=to_text(made), before=before, guard=guard)


def _may_stand(run: Run) -> bool:
    """Whether an earlier lock may stand as it is: nothing is to be moved, and no backend has to be asked to know that."""
    flags, unknown = run.flags, run.gathered.project.unknown
    return flags.upgrade == UpgradeFlags() and not flags.network.refresh and not unknown


def write_lock(outcome: Outcome) -> None:
    """Write the lock atomically, if nobody else wrote it meanwhile.

    Raises Stale where the file changed since it was read, UsageError where it cannot be written.
    """
    path = outcome.path
    try:
        with _guarded(outcome.guard):
            now = path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else None
            if now == outcome.text:
                return  # another run came to the same lock
            if now != outcome.before:
                raise Stale(f"{path}: another program wrote it meanwhile; nothing was written", hint="run it again")
            write_atomically(path, outcome.text.encode())
    except filelock.Timeout:
        raise UsageError(f"{path}: another deep-lock has been writing it for {WAIT_SECONDS} s") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}; it is as it was") from None


def guard_of(path: Path, cache_folder: Path) -> Path:
    """Return the file that writers of one lock hold by turns: in the cache, so that none is left beside the lock."""
    name = sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:32]
    return cache_folder / "writing" / f"{name}.lock"


def _guarded(guard: Path) -> AbstractContextManager[object]:
    """Hold the guard. Without a cache that can be written there is none: what was read before writing still counts."""
    try:
        guard.parent.mkdir(parents=True, exist_ok=True)
        guard.touch()
    except OSError:
        return nullcontext()
    held: AbstractContextManager[object] = filelock.FileLock(guard, timeout=WAIT_SECONDS)
    return held
