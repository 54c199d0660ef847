"""`deep-lock outdated`: show which packages of a lock have newer versions, by environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from deep_lock.cli import completion
from deep_lock.cli.commands.audit import advisory_options
from deep_lock.cli.lock_record import LockRecord, lock_document_of
from deep_lock.cli.options import (
    DATABASES,
    HOOKS,
    INTERPRETERS,
    LOCK,
    NETWORK,
    TEXT_OR_JSON,
    Section,
    flag,
    option,
    pick,
    sectioned,
)
from deep_lock.cli.session import Session
from deep_lock.config.options import AdvisoryOptions, ApplyOptions, HookOptions, NetworkOptions, VerifyOptions
from deep_lock.errors import UsageError
from deep_lock.locking.lock import lock, write_lock
from deep_lock.operations import outdated, raise_bounds
from deep_lock.project import edit
from deep_lock.reports import outdated as report
from deep_lock.sanitize import show

FOUND = 1
HELP = """\
Show which packages of a lock have newer versions, at run time and in each build environment.

The settings of the lock apply, such as prerelease, exclude-newer and no-binary. Nothing is resolved. If a requirement excludes the
newest version, it is shown. To upgrade a package that no requirement limits: deep-lock lock -P NAME==VERSION.

--apply raises the upper bounds in the project's requirements: lib<2 becomes lib<3, lib==1.2 becomes lib==1.3. Then it locks with the
newest versions. Other packages do not change. If locking fails, no file changes.

\b
  deep-lock outdated
  deep-lock outdated --build                only build environments
  deep-lock outdated --format json   for bots: with the upgrade command of each package
  deep-lock outdated --database all.zip --fail-on security
  deep-lock outdated --apply                raise each bound that excludes a newest version
  deep-lock outdated --apply numpy rich     raise those of two packages
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0 done; 1 a package that --fail-on names is
outdated; 3 an index or a database cannot be used.
"""
PACKAGES: Section = (
    "Packages",
    (
        LOCK,
        flag("--runtime", text="Show only packages that are installed at run time."),
        flag("--build", text="Show only packages of build environments. With --runtime: both."),
        option(
            "--group-by",
            choices=report.GROUPS,
            help="Group the packages by environment, by package, by kind of update (major, minor, patch), or by security fix.",
            default_text="environment",
        ),
        option(
            "--fail-on",
            choices=report.FAIL_ON,
            repeatable=True,
            variable="OUTDATED_FAIL_ON",  # DEEP_LOCK_FAIL_ON has other values for other commands
            help="Exit with 1 if there is such an outdated package: any, a direct dependency, one that no requirement limits, or one whose newest version fixes a vulnerability (needs --database).",
        ),
    ),
)
ADVISORIES: Section = ("Security fixes", DATABASES)
APPLYING: Section = (
    "Raising bounds",
    (
        flag("--apply", text="Raise the bounds that exclude the newest versions, and lock the newest versions."),
        flag("--dry-run", text="With --apply: show the changes of both files as a diff. Write nothing."),
        *HOOKS,
        INTERPRETERS,
    ),
)


@sectioned(
    "outdated",
    PACKAGES,
    ADVISORIES,
    APPLYING,
    NETWORK,
    output=(TEXT_OR_JSON,),
    help=HELP,
    epilog=EPILOG,
    short_help="Show which packages have newer versions.",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.packages)
def outdated_command(session: Session, /, *, names: Sequence[str], **values: Any) -> None:
    """Compare the lock with its indexes, and write a table; or raise bounds."""
    options = pick(VerifyOptions, values, network=pick(NetworkOptions, values), context=session.context)
    if values["apply"]:
        _apply(session, options, names, values)
        return
    with session.reporting() as reporter:
        found = outdated.outdated(options, reporter, names, sources=_sources(values))
    both = values["runtime"] == values["build"]
    rows = [own for own in found if both or values[own.scope]]
    by = values["group_by"]
    session.printer.data(
        report.outdated_json(rows, by) if values["form"] == "json" else report.outdated_text(rows, by or "environment")
    )
    session.printer.info(report.outdated_count(rows))
    if any(row.counts_for(own) for row in rows for own in values["fail_on"]):
        raise click.exceptions.Exit(FOUND)


def _sources(values: dict[str, Any]) -> AdvisoryOptions | None:
    if values["databases"]:
        return advisory_options(values)
    for option_name, is_used in (
        ("--fail-on security", "security" in values["fail_on"]),
        ("--group-by security", values["group_by"] == "security"),
    ):
        if is_used:
            raise UsageError(f"{option_name} needs --database", hint="name an export of the OSV schema for PyPI")
    return None


def _apply(session: Session, options: VerifyOptions, names: Sequence[str], values: dict[str, Any]) -> None:
    for name in ("runtime", "build", "fail_on", "group_by", "databases"):
        if values[name]:
            raise UsageError(f"--apply cannot be used with --{name.replace('_', '-').replace('databases', 'database')}")
    with lock_document_of(session, values["form"]) as record:
        _raise_bounds(session, options, names, values, record)


def _raise_bounds(
    session: Session, options: VerifyOptions, names: Sequence[str], values: dict[str, Any], record: LockRecord
) -> None:
    printer, dry_run = session.printer, values["dry_run"]
    record.set_path(options.lock)
    with session.reporting(record.observed) as reporter:
        raised = raise_bounds.raise_bounds(
            ApplyOptions(check=options, names=tuple(names), hooks=pick(HookOptions, values)), reporter
        )
        outcome = lock(raised.options, reporter) if raised.bounds else None
    source = raised.document.source
    if outcome is None:
        record.set("status", "up-to-date")
        printer.info(f"no bound in {source} holds back a newer version that it could admit")
        return
    if dry_run:
        record.write_difference(session, edit.difference(raised.document))
        record.write_difference(session, edit.unified(outcome.path.name, outcome.before, outcome.text))
    else:
        write_lock(outcome)
    record.set_outcome(outcome, dry_run=dry_run)
    rows = [
        {"path": source, "list": str(own.where), "removed": [own.before], "added": [own.after]} for own in raised.bounds
    ]
    record.set("edited", rows)
    printer.info(f"{'would change' if dry_run else 'changed'} {source}:")
    for bound in raised.bounds:
        printer.info(f"  {bound.where}: {show(bound.before)} -> {show(bound.after)}")
    printer.info(f"{'would write' if dry_run else 'wrote'} {outcome.path.name}")
    record.report(session, outcome)
