"""Opens a lock and says what is in it, and why.

Law: nothing is resolved, no index is asked, and nothing is written.
"""

from pathlib import Path

from packaging.utils import canonicalize_name

from deep_lock.analysis.graph import find_chains
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.lockfile.index import LockIndex, open_register
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.read_inputs import require_lock
from deep_lock.models.lock import LockedPackage
from deep_lock.reports.why import Shape, Ways, inverted_text, tree_text, ways, why_text
from deep_lock.targets.target import Target

MAX_WAYS = 10
"""Of each kind, unless all are asked for."""
ALL_WAYS = 1_000_000


def open_lock(path: Path, reporter: Reporter) -> LockIndex:
    """Open a lock. Raises UsageError where there is none, and LockInvalid."""
    lock = require_lock(path, reporter)
    return open_register(lock)


def why(path: Path, wanted: str, reporter: Reporter) -> tuple[Ways, ...]:
    """Return what brings NAME, or NAME==VERSION, in; for each entry that it has. Raises UsageError and LockInvalid."""
    register = open_lock(path, reporter)
    chains = find_chains(register)
    return tuple(ways(entry, chains) for entry in entries_of(register, wanted, path.name))


def entries_of(register: LockIndex, wanted: str, source: str) -> tuple[LockedPackage, ...]:
    """Return the entries of NAME or NAME==VERSION. Raises UsageError where there is none."""
    text, _, version = wanted.partition("==")
    name = canonicalize_name(text.strip())
    entries = register.versions.get(name, ())
    found = tuple(entry for entry in entries if not version or entry.version == version.strip())
    if found:
        return found
    if entries:
        there = ", ".join(entry.version or "a source tree" for entry in entries)
        raise UsageError(f"{source} has no {name} {version.strip()}", hint=f"it has: {there}")
    raise UsageError(f"{source} has no entry {name}", hint=_near(name, register))


def _near(name: str, register: LockIndex) -> str:
    alike = sorted(other for other in register.versions if name in other or other in name)
    return f"it has: {', '.join(alike[:5])}" if alike else ""


def tree(
    path: Path, reporter: Reporter, *, builds: bool, depth: int | None, label: str, invert: tuple[str, ...]
) -> str:
    """Return the lock as a tree; ``invert`` names entries of which the tree is drawn upwards.

    Raises UsageError and LockInvalid.
    """
    register = open_lock(path, reporter)
    shape = Shape(builds=builds, depth=depth, target=_target(register, label, path.name) if label else None)
    if not invert:
        return tree_text(register, shape)
    names = {entry.name for wanted in invert for entry in entries_of(register, wanted, path.name)}
    return inverted_text(register, shape, names)


def _target(register: LockIndex, label: str, source: str) -> Target:
    return chosen_targets(register.lock, (label,), source)[0]


def why_report(every: tuple[Ways, ...], *, all_of_them: bool) -> str:
    """Return the ways as text."""
    return why_text(every, limit=ALL_WAYS if all_of_them else MAX_WAYS)
