"""The work of `why` and `tree`: the packages of a lock, and the chains of requirements to them."""

from pathlib import Path

from packaging.utils import canonicalize_name

from deep_lock.analysis import near_names
from deep_lock.analysis.graph import Graph, open_graph, whole_graph
from deep_lock.errors import UsageError
from deep_lock.events import Reporter
from deep_lock.lockfile.index import LockIndex, index_lock
from deep_lock.lockfile.selection import full_selections
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import LockedPackage
from deep_lock.operations.inputs import open_lock
from deep_lock.reports.why import Reasons, TreeRow, inverted_rows, reasons, tree_rows

Tree = tuple[Graph, list[TreeRow]]
"""The lock as a graph, and the rows of a tree of it."""


def why(path: Path, wanted: str, reporter: Reporter, *, package: str = "") -> tuple[Reasons, ...]:
    """Return the paths to NAME, or NAME==VERSION, for each package of that name.

    ``package`` is the member of the workspace whose part of the lock is looked at; empty: all of it. Raises UsageError and LockInvalid.
    """
    lock_index = index_lock(open_lock(path, package, reporter))
    return reasons(whole_graph(lock_index, path.name), entries_of(lock_index, wanted, path.name))


def entries_of(lock_index: LockIndex, wanted: str, source: str) -> tuple[LockedPackage, ...]:
    """Return the packages of NAME or NAME==VERSION. Raises UsageError where there is none."""
    text, _, version = wanted.partition("==")
    name = canonicalize_name(text.strip())
    entries = lock_index.versions.get(name, ())
    found = tuple(entry for entry in entries if not version or entry.version == version.strip())
    if found:
        return found
    if entries:
        there = ", ".join(entry.version or "a source tree" for entry in entries)
        raise UsageError(f"{source} has no {name} {version.strip()}", hint=f"it has: {there}")
    raise UsageError(f"{source} has no package {name}", hint=_near(name, lock_index))


def _near(name: str, lock_index: LockIndex) -> str:
    alike = sorted(other for other in lock_index.versions if name in other or other in name)
    return f"it has: {', '.join(alike[:5])}" if alike else near_names.near_name(name, list(lock_index.versions))


def tree(
    path: Path,
    reporter: Reporter,
    *,
    builds: bool,
    depth: int | None,
    label: str,
    invert: tuple[str, ...],
    package: str = "",
) -> Tree:
    """Return the lock as a tree, on all targets or on that of ``label``; ``invert`` names packages to draw it upwards from.

    ``package`` as in `why`.

    Raises UsageError and LockInvalid.
    """
    lock_index = index_lock(open_lock(path, package, reporter))
    targets = chosen_targets(lock_index.lock, (label,) if label else (), path.name)
    graph = open_graph(lock_index, targets, full_selections(lock_index.lock))
    if not invert:
        return graph, tree_rows(graph, builds=builds, depth=depth)
    names = {entry.name for wanted in invert for entry in entries_of(lock_index, wanted, path.name)}
    return graph, inverted_rows(graph, names, builds=builds, depth=depth)
