"""The work of `report`: a lock as one HTML page, with what is known about it. Nothing is resolved or written.

Requests are made for contents and advisories only.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from deep_lock.analysis import wheel_rules
from deep_lock.config.options import AuditOptions, DiffOptions, ReportOptions, VetOptions
from deep_lock.errors import UsageError, UserError
from deep_lock.events import Reporter, Warned
from deep_lock.exports.page import page
from deep_lock.exports.page_body import Facts
from deep_lock.exports.view import make_view
from deep_lock.files import is_there
from deep_lock.lockfile.index import called
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.changes import Finding
from deep_lock.models.lock import Lock
from deep_lock.models.vetting import AUDITS
from deep_lock.operations import audit, diff, file_contents, vet_check
from deep_lock.operations.inputs import open_lock
from deep_lock.project.files import STANDARD_INPUT
from deep_lock.project.vetting_files import vetting_folder
from deep_lock.reports.audit import Audited
from deep_lock.reports.vet import Uncovered
from deep_lock.sanitize import Html, counted


def report(options: ReportOptions, reporter: Reporter) -> Html:
    """Return the page of a lock, or of one member of its workspace, on all targets, with all extras and groups.

    Raises LockInvalid, UsageError and TargetsAlike; with ``contents`` IndexFault and SafetyError too. With databases as `operations.audit`.
    """
    path = options.lock
    if path == STANDARD_INPUT and (options.against or options.sources.databases):
        raise UsageError(
            "--lock - cannot be used with --against or --database: a run reads standard input once",
            hint="write the lock to a file, and name the file",
        )
    lock = open_lock(path, options.package, reporter)
    targets = chosen_targets(lock, (), path.name)
    view = make_view(lock, path.name, targets, extras=None, groups=None, package=options.package)
    facts = _local_facts(options, lock, reporter)
    read = file_contents.read_files(lock, path, options.contents, reporter)
    if read is not None:
        matches = wheel_rules.wheel_matches(view.lock_index, read)
        findings = [f"{match.subject}: {match.message}" for match in matches]
        facts = replace(facts, contents=read.contents, findings=findings)
    return page(view, facts)


def _local_facts(options: ReportOptions, lock: Lock, reporter: Reporter) -> Facts:
    """Return what the old lock, the audits and the databases of advisories say about the lock, or the part of it."""
    context, path = options.context, options.lock
    if context is None:
        return Facts()
    facts = Facts(now=context.now)
    if options.against:
        review = diff.compare(
            DiffOptions(old=options.against, new="", lock=path, package=options.package, context=context), reporter
        )
        facts = replace(facts, old=review.old, changes=review.changes, notes=(review.unchanged, *review.notes))
    if options.sources.databases:
        audited = audit.audit(
            AuditOptions(
                lock=path, package=options.package, sources=options.sources, network=options.network, context=context
            ),
            reporter,
            with_fixes=False,
        )
        facts = replace(facts, vulnerable=tuple(_vulnerable(audited.rows)))
    if path != STANDARD_INPUT and is_there(vetting_folder(path) / AUDITS):
        try:
            checked = vet_check.check(VetOptions(lock=path, context=context), reporter)
        except UserError as error:  # another tool has a folder of this name too
            message = f"the page does not show what is vetted: {error.message}"
            reporter(Warned(code="audits-unread", subject=path.name, message=message))
        else:
            names = {(entry.name, entry.version, entry.source) for entry in lock.packages}
            uncovered = (
                own for own in checked.uncovered if (own.entry.name, own.entry.version, own.entry.source) in names
            )
            facts = replace(facts, unvetted=tuple(map(_unvetted, uncovered)))
    return facts


def _vulnerable(rows: Iterable[Audited]) -> Iterator[Finding]:
    for row in rows:
        own = row.hit.vulnerability
        kind = "malware" if own.is_malware else own.rated.severity
        fixed = f"fixed in {', '.join(own.fixed_in)}" if own.fixed_in else "no version with a fix is known"
        ignored = f"; ignored: {row.ignored}" if row.ignored else ""
        yield Finding(
            code="vulnerable",
            severity="note" if row.ignored else "error",
            subject=called(row.hit.entry),
            message=f"{own.id} ({kind}): {own.summary}",
            hint=f"{fixed}{ignored}",
            chain=row.hit.uses[0].chain if row.hit.uses else (),
        )


def _unvetted(own: Uncovered) -> Finding:
    return Finding(
        code="unvetted",
        severity="finding",
        subject=called(own.entry),
        message=f"{counted(len(own.files), 'file')} without an audit for {own.criterion}",
        chain=own.chain,
    )
