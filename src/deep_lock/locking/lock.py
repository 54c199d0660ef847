"""The use case `lock`: check a lock against its inputs, or make it again, and write it.

Invariant: until a lock is complete and keeps its invariants, nothing is written; the old file stays as it was.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.analysis import updates
from deep_lock.builds import temp_dirs
from deep_lock.config.options import LockOptions
from deep_lock.errors import DeepLockError, LockInvalid, Stale, UsageError, raise_machine_fault
from deep_lock.events import Reporter, Warned, silent
from deep_lock.files import Replacement, content_now, is_stream, is_there, open_regular, sweep, write_atomically
from deep_lock.lazy import filelock
from deep_lock.lockfile import rewrite, staleness
from deep_lock.lockfile.index import called
from deep_lock.lockfile.reader import from_text
from deep_lock.locking import imported_lock, policies, resolve, user_hashes
from deep_lock.locking.indexes import other_indexes
from deep_lock.locking.read_inputs import at_workspace_root, lock_path
from deep_lock.locking.request import LockRequest, open_request
from deep_lock.locking.settings import Upgrade
from deep_lock.models.lock import FORM_VERSION, REVISION, Lock
from deep_lock.sanitize import show

WAIT_SECONDS = 30


class Outcome(Struct, frozen=True, kw_only=True):
    """A finished lock and its text."""

    path: Path
    lock: Lock
    text: str
    previous: Lock | None
    """The lock in the file when the run began; None where there was none, or none that can be read."""
    before: str | None
    """The text of the file then."""
    guard: Path
    """The file that keeps two writers apart. It is in the cache: the project's folder gets nothing but the lock."""
    kept_options: tuple[str, ...]
    """The options that were not named in this run, and hold since the previous lock records them."""
    changed_limits: tuple[str, ...]
    """A sentence for each constraint, extra, group or index that is new or no longer given."""
    edited: Replacement | None
    """The file of the user that the run edits: it is written with the lock."""
    compared: int | None = None
    """The number of wheels whose metadata were compared with those that the lock is made from; None: not to be done."""

    @property
    def changed(self) -> bool:
        return self.text != self.before


class Checked(Struct, frozen=True, kw_only=True):
    """A lock that was compared with its inputs."""

    path: Path
    lock: Lock | None = None
    """None where it was not read."""
    text: str | None = None
    """Of its file; None where it was not read."""
    reasons: tuple[str, ...] = ()
    """Why the lock is stale, a sentence each; empty where it is up to date."""


def check_lock(options: LockOptions, *, existence_only: bool = False) -> Checked:
    """Compare the lock with its inputs. No request is made.

    Raises UserError, and PolicyBroken where the lock is up to date and breaks the policy of the configuration.
    """
    options = replace(options, inputs=at_workspace_root(options.inputs))
    path = lock_path(options.inputs)
    if not is_there(path):
        return Checked(path=path, reasons=("there is no lock",))
    if existence_only:
        return Checked(path=path)
    request = open_request(options, silent)
    if request.previous is None:
        return Checked(path=path)
    reasons, policy = _stale_reasons(request, request.previous), request.settings.policy
    text = _text_of(path)
    reasons = reasons or _form_reasons(
        request.previous, text or "", _form_note(guard_of(path, options.context.cache_folder))
    )
    if not reasons and policy is not None:
        policies.check_policy(
            request.previous, policy, path.name, folder=options.inputs.folder, context=options.context
        )
    return Checked(path=path, lock=request.previous, text=text, reasons=reasons)


def lock(options: LockOptions, reporter: Reporter, *, first: Lock | None = None) -> Outcome:
    """Resolve everything and return the lock, unwritten. A lock that is up to date is returned as it is.

    ``first`` is the lock of this run with other inputs, unwritten: its pins are kept instead of those of the file.
    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    options = replace(options, inputs=at_workspace_root(options.inputs))
    request = open_request(options, reporter, first)
    path, previous, settings = request.path, request.previous, request.settings
    before = _text_before(path)
    guard = guard_of(path, options.context.cache_folder)
    edited, compared = options.inputs.edited, None
    if previous is not None and first is None and _may_stay(request) and not _stale_reasons(request, previous):
        _warn_of_assumed(previous, reporter)
        old: Lock | None = previous
        new, text = previous, before or ""
        if _form_reasons(previous, text, _form_note(guard), sweep_in=path.parent):
            text = rewrite.checked_text(previous, settings.targets, previous=text)
    else:
        made = resolve.build_lock(request, reporter)
        new, compared = made.lock, made.compared
        if previous is not None:
            new = replace(new, revision=max(previous.revision, REVISION))
        locked_names = {target.name for target in new.targets}  # others were left out
        targets = tuple(target for target in settings.targets if target.label in locked_names)
        text = rewrite.checked_text(new, targets, previous=before or "")
        old = previous if first is None and previous is not None else _readable(before, path.name)
        for locked in (previous, old):
            if locked is not None:
                rewrite.require_same_bytes(locked, new, settings.upgrade.accepted_files)
        if old is not None:
            _warn_of_downgrades(old, new, settings.upgrade, reporter)
    return Outcome(
        path=path,
        lock=new,
        text=text,
        previous=old,
        before=before,
        guard=guard,
        edited=edited,
        kept_options=settings.kept,
        compared=compared,
        changed_limits=() if previous is None or new is previous else staleness.changed_limits(previous, new),
    )


def _readable(text: str | None, name: str) -> Lock | None:
    """Read the lock that is replaced; None where it is none."""
    try:
        return None if text is None else from_text(text, name)
    except DeepLockError:
        return None


def _warn_of_downgrades(old: Lock, new: Lock, upgrade: Upgrade, reporter: Reporter) -> None:
    """Report what the project itself requires, and what goes back. A version that -P names is what the user wants."""
    wanted = {requirement.name for requirement in upgrade.versions}
    for own in updates.updates(old, new):
        if own.kind == "downgraded" and own.named and own.name not in wanted:
            where = " in its build" if own.in_builds else ""
            message = f"the project requires it{where}, and it is downgraded from {own.was} to {own.now}"
            reporter(Warned(code="downgraded", subject=own.name, message=message))


def _warn_of_assumed(previous: Lock, reporter: Reporter) -> None:
    """Warn of what is assumed in a lock that stays as it is. The lock does not have the reasons."""
    why = "; deep-lock lock --refresh shows why"
    for build in previous.builds:
        if build.evidence == "assumed":
            parts = f" and {', '.join(build.requires_dynamic)}" if build.requires_dynamic else ""
            message = f"only the declared build requirements{parts} are locked{why}"
            reporter(Warned(code="build-assumed", subject=called(build), message=message))
    for entry in previous.packages:
        if entry.metadata == "assumed":
            message = f"only its build backend knows its dependencies, and they are assumed{why}"
            reporter(Warned(code="metadata-assumed", subject=called(entry), message=message))


def _may_stay(request: LockRequest) -> bool:
    """Whether the previous lock may stay as it is: nothing is upgraded, refreshed or compared, and no backend must be called."""
    settings = request.settings
    if settings.verify_metadata:
        return False
    return settings.upgrade == Upgrade() and not settings.network.indexes.refresh and not request.inputs.project.unknown


def _stale_reasons(request: LockRequest, previous: Lock) -> tuple[str, ...]:
    targets = request.settings.targets
    same_targets = {target.name for target in previous.targets} == {target.label for target in targets}
    reasons = (
        *staleness.stale_reasons(previous, request.head, targets if same_targets else ()),
        *other_indexes(
            previous, request.settings.network, targets, request.inputs.source_scopes, request.inputs.conflicts
        ),
    )
    foreign, hash_files = request.inputs.foreign, request.inputs.hash_files
    if foreign is not None:
        reasons = (*reasons, *imported_lock.ImportedHashes(foreign).changes(previous))
    if hash_files.have_hashes:
        reasons = (*reasons, *user_hashes.UserHashes(hash_files, targets).changes(previous))
    return reasons


def _form_reasons(lock: Lock, text: str, note: Path, *, sweep_in: Path | None = None) -> tuple[str, ...]:
    """Return where a lock is not in canonical form. The ends of lines may be those of Windows, which git writes.

    To write the lock as text takes longer than the rest of a check. So ``note``, a file in the cache, has the digest of
    the last text that was in canonical form. ``sweep_in`` is a folder where a killed run may have left files, if the note
    does not fit.
    """
    text = text.replace("\r\n", "\n")
    with suppress(OSError, ValueError):
        if note.read_text(encoding="utf-8") == _form_digest(text):
            return ()
    if sweep_in is not None:
        sweep(sweep_in)
    expected = rewrite.canonical_text(lock, text)
    if text == expected:
        _note_form(text, note)
        return ()
    lines = enumerate(zip_longest(text.splitlines(), expected.splitlines(), fillvalue=""), 1)
    for number, (line, own) in lines:
        if line != own:
            return (f"not in canonical form: line {number} is {show(line)!r} and must be {show(own)!r}",)
    return ("not in canonical form: its end",)


def _note_form(text: str, note: Path) -> None:
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(note, _form_digest(text).encode())


def _form_note(guard: Path) -> Path:
    return guard.with_suffix(".form")


def _form_digest(text: str) -> str:
    return sha256(f"{FORM_VERSION}\n{text}".encode()).hexdigest()


def write_lock(outcome: Outcome) -> None:
    """Write the lock atomically, and before it the file that the run edits, if no other program wrote them since.

    A failure leaves both as they were. A kill between the two leaves the new inputs with the old lock: it is stale.
    Raises Stale where a file changed since it was read, UsageError where one cannot be written.
    """
    path, edited = outcome.path, outcome.edited
    for folder in {path.parent} | ({edited.path.parent} if edited is not None else set()):
        sweep(folder)
    if outcome.lock.builds:
        temp_dirs.sweep_temporary_folders()
    try:
        with _guarded(outcome.guard):
            now = _text_of(path)
            if now not in {outcome.before, outcome.text}:
                raise _written_by_others(path)
            # before anything is written: after a kill the note does not fit, and the next run looks for what was left
            _note_form(outcome.text, _form_note(outcome.guard))
            with _edited(edited, outcome) if edited is not None else nullcontext():
                if now != outcome.text:  # else another run made the same lock
                    write_atomically(path, outcome.text.encode())
    except _Busy:
        raise UsageError(f"{path}: another deep-lock has been writing it for {WAIT_SECONDS} s") from None
    except OSError as error:
        before = outcome.before.encode() if outcome.before is not None else None
        state = content_now(path, before, outcome.text.encode())
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}; {state}") from None


def _written_by_others(path: Path) -> Stale:
    return Stale(f"{path}: another program wrote it during this run; nothing was written", hint="run it again")


@contextmanager
def _edited(file: Replacement, outcome: Outcome) -> Iterator[None]:
    """Write a file of the user; it is as before where the block fails to write the lock."""
    try:
        is_current = file.is_current()
    except OSError as error:
        raise UsageError(f"{file.path}: {error.strerror or error}; nothing was written") from None
    if not is_current:
        raise _written_by_others(file.path)
    try:
        try:
            file.write()
        except OSError as error:
            state = content_now(file.path, file.before, file.after)
            raise UsageError(f"{file.path}: cannot be written: {error.strerror or error}; {state}") from None
        yield
    except BaseException as failed:
        try:
            if _text_of(outcome.path) != outcome.text:  # an interruption may come after the lock was written
                file.undo()
        except OSError as error:
            raise UsageError(
                f"{file.path}: was edited, but the lock could not be written ({failed}), and the edit could not be undone: {error.strerror or error}",
                hint="run deep-lock lock",
            ) from failed
        raise


def _text_of(path: Path) -> str | None:
    if not is_there(path) or is_stream(path) or path.is_dir():
        return None
    with open_regular(path) as file:
        return file.read().decode("utf-8", errors="replace")


def _text_before(path: Path) -> str | None:
    """Return the text of the lock that is replaced. Raises LockInvalid for what is no file."""
    try:
        return _text_of(path)
    except OSError as error:
        raise_machine_fault(error)
        raise LockInvalid(f"{path}: {error.strerror or error}") from None


def guard_of(path: Path, cache_folder: Path) -> Path:
    """Return the file that writers of one lock hold in turn: in the cache, so that none is left next to the lock."""
    real = os.path.realpath(path)  # unlike Path.resolve(), also for links in a circle
    name = sha256(real.encode(errors="surrogateescape")).hexdigest()[:32]
    return cache_folder / "writing" / f"{name}.lock"


def _guarded(guard: Path) -> AbstractContextManager[object]:
    """Hold the guard. Where the cache cannot be written there is none: the comparison before writing still protects."""
    try:
        guard.parent.mkdir(parents=True, exist_ok=True)
        guard.touch()
    except OSError:
        return nullcontext()
    return _held(guard)


class _Busy(Exception):
    """Another run holds the guard for too long."""


@contextmanager
def _held(guard: Path) -> Iterator[None]:
    """Hold the guard, where the file system can. An error when it is released comes after the lock was written.

    Raises _Busy.
    """
    held = filelock.FileLock(guard, timeout=WAIT_SECONDS)
    with suppress(OSError, NotImplementedError):
        try:
            held.acquire()
        except filelock.Timeout as error:  # an OSError
            raise _Busy from error
    try:
        yield
    finally:
        with suppress(OSError):
            held.release()
