"""The work of `report`: a lock as one HTML page. Nothing is resolved, requested or written."""

from pathlib import Path

from deep_lock.events import Reporter
from deep_lock.exports.page import page
from deep_lock.exports.view import make_view
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.operations.inputs import open_lock
from deep_lock.sanitize import Html


def report(path: Path, reporter: Reporter, *, package: str = "") -> Html:
    """Return the page of a lock, or of one member of its workspace, on all targets, with all extras and groups.

    Raises LockInvalid, UsageError and TargetsAlike.
    """
    lock = open_lock(path, package, reporter)
    targets = chosen_targets(lock, (), path.name)
    return page(make_view(lock, path.name, targets, extras=None, groups=None, package=package))
