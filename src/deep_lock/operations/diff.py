"""The work of `diff`: two locks, files or revisions of one, and what differs. Nothing is resolved or written.

With ``deep`` the wheels that are new are read too, and fetched where they are not at hand.
"""

from pathlib import Path

from msgspec.structs import replace

from deep_lock.analysis import advisories, content_changes, wheel_rules
from deep_lock.analysis import policy as policy_rules
from deep_lock.analysis.diff import every_change, not_compared, ranked
from deep_lock.analysis.graph import whole_graph
from deep_lock.config.options import DiffOptions, RunContext
from deep_lock.events import Reporter
from deep_lock.exports.view import project_of
from deep_lock.files import is_there
from deep_lock.foreign_locks.load import parse_imported
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.order import ordered
from deep_lock.locking import policies
from deep_lock.locking.read_inputs import parse_lock, read_project_config
from deep_lock.models.changes import Change, Finding
from deep_lock.models.foreign_lock import ForeignPin
from deep_lock.models.lock import Lock, LockedFile, LockedInputs, LockedPackage
from deep_lock.operations import advisory_sources, file_contents
from deep_lock.operations.inputs import LockFile, lock_text, part_of, text_at
from deep_lock.project.files import STANDARD_INPUT
from deep_lock.reports.diff import Review

HEAD = "HEAD"


def compare(options: DiffOptions, reporter: Reporter) -> Review:
    """Return what differs. Raises UsageError and LockInvalid; with ``deep`` IndexFault and SafetyError too."""
    lock, new, surroundings = options.lock, options.new, options.context
    old_name, before = _side(options.old or HEAD, lock, surroundings, reporter)
    new_name, after = _side(new, lock, surroundings, reporter) if new else _file(lock, reporter)
    if options.package:
        before, after = (_part(own, options.package) for own in (before, after))
    every = every_change(before.lock, after.lock, now=surroundings.now)
    if options.deep:  # no module is loaded after the first request, which may be for advisories
        read_wheels = file_contents.read_wheels
        changes_by_rules, changes_of_contents = wheel_rules.wheel_changes, content_changes.content_changes
    if options.sources.databases:
        every += _advisory_changes(before, after, options, reporter)
    wheels = None
    if options.deep:
        wheels = read_wheels(
            after.lock, after.path, network=options.network, context=surroundings, reporter=reporter, old=before.lock
        )
        old_index, new_index = index_lock(ordered(before.lock)), index_lock(ordered(after.lock))
        every += changes_by_rules(new_index, wheels)
        every += changes_of_contents(old_index, new_index, wheels)
    return Review(
        old=old_name,
        new=new_name,
        project=project_of(after.lock) or "",
        path=after.path.as_posix(),
        changes=ranked(every),
        codes=frozenset(change.code for change in every),
        not_compared=not_compared(before.lock, after.lock),
        wheels="" if wheels is None else file_contents.claim(wheels, "new wheels"),
        labels=tuple(dict.fromkeys(own.name for lock in (after, before) for own in lock.lock.targets)),
        lines=after.lines,
        findings=_policy_findings(before.lock, after, surroundings),
    )


def _advisory_changes(before: LockFile, after: LockFile, options: DiffOptions, reporter: Reporter) -> list[Change]:
    """Return the known vulnerabilities that an update fixes, and those that it brings."""
    folder = options.lock.parent.resolve()
    looked_up = advisory_sources.look_up(
        (*before.lock.packages, *after.lock.packages),
        options.sources,
        read_project_config(folder),
        folder,
        network=options.network,
        context=options.context,
        reporter=reporter,
    )
    hits = [
        advisories.compare(
            index := index_lock(ordered(own.lock)), whole_graph(index, own.path.name), looked_up.advisories
        ).hits
        for own in (before, after)
    ]
    return advisories.changes(*hits)


def _policy_findings(old: Lock, new: LockFile, surroundings: RunContext) -> tuple[Finding, ...]:
    """Return what the policy of the project finds in the new lock, where one is configured."""
    policy = read_project_config(new.path.parent).policy
    if policy is None or not new.lock.targets:
        return ()
    policy = policies.complete_policy(
        policy, new.path.parent, policies.cached_policy(surroundings), surroundings.checkout
    )
    # another tool's lock has no builds to compare with
    return policy_rules.evaluate(new.lock, policy, now=surroundings.now, old=old if old.targets else None)


def _side(name: str, lock: Path, surroundings: RunContext, reporter: Reporter) -> tuple[str, LockFile]:
    """Read the file of this name; where there is none, the lock at this revision. Return its name for messages too."""
    path = Path(name)
    if path == STANDARD_INPUT or (is_there(path) and not path.is_dir()):  # a folder can have the name of a branch
        return _file(path, reporter)
    text = text_at(name, lock, surroundings)
    return f"{lock.name} at {name}", LockFile(path=lock, text=text, lock=_parse(text, lock, reporter))


def _part(own: LockFile, package: str) -> LockFile:
    """Return the part of a member; without packages where the lock does not have the member."""
    if package in {member.name for member in own.lock.inputs.members}:
        return replace(own, lock=part_of(own.lock, package, own.path))
    return replace(own, lock=replace(own.lock, packages=(), builds=()))


def _file(path: Path, reporter: Reporter) -> tuple[str, LockFile]:
    text = lock_text(path)
    return str(path), LockFile(path=path, text=text, lock=_parse(text, path, reporter))


def _parse(text: str, path: Path, reporter: Reporter) -> Lock:
    """Read a deep lock, or the pins of another tool's lock: a lock without builds."""
    if "\n[tool.deep-lock]\n" in text or path.name.endswith("deep.lock"):
        return parse_lock(text, path.name, reporter)
    foreign = parse_imported(text, path, path.parent)
    packages = {(pin.name, str(pin.version)): _package(pin) for pin in foreign.pins}
    return Lock(
        inputs=LockedInputs(sources=(path.name,), pinned=True),
        requires_python=foreign.requires_python,
        packages=tuple(packages[key] for key in sorted(packages)),
    )


def _package(pin: ForeignPin) -> LockedPackage:
    """Return a pin as a package; files without a sha256 are left out."""
    files = tuple(LockedFile(name=file.name, sha256=file.sha256) for file in pin.files if file.sha256 is not None)
    return LockedPackage(
        name=pin.name,
        version=str(pin.version) if pin.version is not None else None,
        index=pin.index,
        direct=pin.direct,
        wheels=tuple(file for file in files if file.name.endswith(".whl")),
    )
