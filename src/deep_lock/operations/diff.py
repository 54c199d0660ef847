"""Opens two locks, files or revisions of one, and says what differs.

Law: nothing is resolved, no index is asked, and nothing is written.
"""

from pathlib import Path

from msgspec import Struct

from deep_lock.analysis import policy as policy_rules
from deep_lock.analysis.diff import changes
from deep_lock.analysis.positions import lines_of
from deep_lock.config.options import RunContext
from deep_lock.errors import LockInvalid, UsageError
from deep_lock.events import Reporter
from deep_lock.foreign_locks.load import parse_imported
from deep_lock.locking.read_inputs import parse_lock, read_settings
from deep_lock.models.changes import Finding
from deep_lock.models.foreign_lock import ForeignPin
from deep_lock.models.lock import Lock, LockedFile, LockedInputs, LockedPackage
from deep_lock.network import git
from deep_lock.project.files import MAX_LOCK_BYTES, missing_lock, read_text
from deep_lock.reports.diff import Review

HEAD = "HEAD"


class Side(Struct, frozen=True, kw_only=True):
    """One of the two locks."""

    called: str
    path: str
    text: str
    lock: Lock


def compare(old: str, new: str, lock: Path, surroundings: RunContext, reporter: Reporter) -> Review:
    """Return what differs. OLD and NEW name files, or revisions of ``lock``; "" is HEAD, and what stands in the work tree.

    Raises UsageError and LockInvalid.
    """
    before = _side(old or HEAD, lock, surroundings, reporter)
    after = _side(new, lock, surroundings, reporter) if new else _file(lock, reporter)
    return Review(
        old=before.called,
        new=after.called,
        path=after.path,
        changes=changes(before.lock, after.lock, now=surroundings.now),
        lines=lines_of(after.text),
        findings=_policed(before, after, surroundings),
    )


def _policed(before: Side, after: Side, surroundings: RunContext) -> tuple[Finding, ...]:
    """Return what the policy of the project finds in the new lock, where one is configured."""
    policy = read_settings(Path(after.path).parent).policy
    if policy is None or not after.lock.targets:
        return ()
    old = before.lock if before.lock.targets else None  # another tool's lock has nothing to hold a build against
    return policy_rules.judge(after.lock, policy, now=surroundings.now, old=old)


def _side(name: str, lock: Path, surroundings: RunContext, reporter: Reporter) -> Side:
    """Read a file of this name; where there is none, the lock as a revision has it."""
    path = Path(name)
    if path.is_file():
        return _file(path, reporter)
    text = git.file_at(lock, name, surroundings.environ)
    if text is None:
        raise UsageError(
            f"{name}: is no file, and no revision of git that holds {lock.name}",
            hint="name two files, or revisions such as HEAD~1 and main",
        )
    called = f"{lock.name} at {name}"
    return Side(called=called, path=lock.as_posix(), text=text, lock=_read(text, lock, reporter))


def _file(path: Path, reporter: Reporter) -> Side:
    try:
        text = read_text(path, LockInvalid, MAX_LOCK_BYTES)
    except FileNotFoundError:
        raise missing_lock(path) from None
    return Side(called=str(path), path=path.as_posix(), text=text, lock=_read(text, path, reporter))


def _read(text: str, path: Path, reporter: Reporter) -> Lock:
    """Read a deep lock, or the pins of another tool's lock: a lock without builds."""
    if "\n[tool.deep-lock]\n" in text or path.name.endswith("deep.lock"):
        return parse_lock(text, path.name, reporter)
    return lock_of(text, path)


def lock_of(text: str, path: Path) -> Lock:
    """Return the pins of a lock as entries; files that it gives no sha256 are left out. Raises UserError.

    ``text`` is what stands at ``path``, or stood there in another revision.
    """
    foreign = parse_imported(text, path, path.parent)
    entries = {(pin.name, str(pin.version)): _entry(pin) for pin in foreign.pins}
    return Lock(
        inputs=LockedInputs(sources=(path.name,), pinned=True),
        requires_python=foreign.requires_python,
        packages=tuple(entries[key] for key in sorted(entries)),
    )


def _entry(pin: ForeignPin) -> LockedPackage:
    files = tuple(LockedFile(name=file.name, sha256=file.sha256) for file in pin.files if file.sha256 is not None)
    wheels = tuple(file for file in files if file.name.endswith(".whl"))
    return LockedPackage(
        name=pin.name,
        version=str(pin.version) if pin.version is not None else None,
        index=pin.index,
        direct=pin.direct,
        wheels=wheels,
    )
