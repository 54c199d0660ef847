"""The work of `report`: a lock as one HTML page. Nothing is resolved or written; requests are made for contents only."""

from deep_lock.analysis import wheel_rules
from deep_lock.config.options import ReportOptions
from deep_lock.events import Reporter
from deep_lock.exports.page import page
from deep_lock.exports.view import make_view
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.operations import file_contents
from deep_lock.operations.inputs import open_lock
from deep_lock.sanitize import Html


def report(options: ReportOptions, reporter: Reporter) -> Html:
    """Return the page of a lock, or of one member of its workspace, on all targets, with all extras and groups.

    Raises LockInvalid, UsageError and TargetsAlike; with ``contents`` IndexFault and SafetyError too.
    """
    path = options.lock
    lock = open_lock(path, options.package, reporter)
    targets = chosen_targets(lock, (), path.name)
    view = make_view(lock, path.name, targets, extras=None, groups=None, package=options.package)
    read = file_contents.read_files(lock, path, options.contents, reporter)
    if read is None:
        return page(view)
    matches = wheel_rules.wheel_matches(view.lock_index, read)
    return page(view, read.contents, [f"{match.subject}: {match.message}" for match in matches])
