"""`deep-lock lock`: write or check deep.lock, and print a summary on stderr."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from deep_lock.cli import failures, user_folders
from deep_lock.cli.commands import audit
from deep_lock.cli.lock_record import LockRecord, lock_document_of
from deep_lock.cli.options import LOCK_SECTIONS, TEXT_OR_JSON, pick, sectioned
from deep_lock.cli.output import Printer
from deep_lock.cli.session import Session
from deep_lock.config.options import (
    HookOptions,
    InputOptions,
    LockOptions,
    NetworkOptions,
    ResolveOptions,
    UpgradeOptions,
)
from deep_lock.errors import Stale, UsageError
from deep_lock.events import Warned
from deep_lock.foreign_locks import index_settings
from deep_lock.lazy import add_to_load_all
from deep_lock.locking import recorded_inputs
from deep_lock.locking.lock import Checked, Outcome, check_lock, lock, write_lock
from deep_lock.locking.read_inputs import lock_path
from deep_lock.locking.settings import read_upgrade
from deep_lock.models.lock import Lock
from deep_lock.operations import outdated
from deep_lock.project import discovery
from deep_lock.reports import audit as audit_report
from deep_lock.reports import document, lock_document, projects
from deep_lock.sanitize import show

HELP = """\
Lock the dependencies of the project and all of their build dependencies. The result is deep.lock.

The dependencies, extras and dependency groups are resolved for each target: one Python version on one platform. A package without a
wheel for a target must be built there, so its build requirements are resolved too, and so on. The lock has the sha256 of each
file. Nothing is installed. If only the build backend knows the build requirements, its hook runs in a sandbox.

If deep.lock is up to date, it does not change and no request is made. Otherwise existing pins are kept if they still fit. Use -U or
-P to upgrade them.

\b
Examples:
  deep-lock lock                           lock the project in this folder
  deep-lock lock --check                   in CI: exit with 1 if deep.lock is stale
  deep-lock lock -P setuptools==80.9.0     upgrade one package, in build environments too
  deep-lock lock --build-scope all         lock all builds, as if there were no wheels
  deep-lock lock --python-version 3.12 --platform host
  deep-lock lock --all-projects            lock each project of a repository
  deep-lock lock --all-projects --check --exclude tests/data
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>, such as DEEP_LOCK_EXCLUDE_NEWER=P7D. Several values are
separated by spaces, several files as on PATH. Most options have a key in [tool.deep-lock] of pyproject.toml. Options override keys.
"""


@sectioned("lock", *LOCK_SECTIONS, output=(TEXT_OR_JSON,), help=HELP, epilog=EPILOG, short_help="Write deep.lock.")
def lock_command(session: Session, /, **values: Any) -> None:
    """Lock a project, or all projects below a folder."""
    if values["all_projects"]:
        _lock_all(session, values)
    elif values["exclude"]:
        raise UsageError("--exclude needs --all-projects: it leaves out folders of the search")
    else:
        with lock_document_of(session, values["form"]) as record:
            outcome = run_lock(session, values, record, again="deep-lock lock, with the same options")
            if outcome is not None and values["audit"]:
                audit_outcome(session, values, outcome, record)


def run_lock(session: Session, values: dict[str, Any], record: LockRecord, *, again: str) -> Outcome | None:
    """Make or check a lock, and return the one that was made. ``again`` is the command that makes it again.

    With --audit the caller audits it, once all files are written. Raises Stale, and as `check_lock` and `lock`.
    """
    _refuse_contradictions(values)
    if values["audit"]:
        audit.require_source(session, values)
    options = _options(session, values)
    if _only_checks(values):
        checked = _check(options, values, again, record)
        session.printer.info(f"{lock_name(options, checked.path)} {'is up to date' if values['check'] else 'exists'}")
        return None
    outcome = _make(session, options, values, record)
    _report(session, options, outcome, record, dry_run=values["dry_run"])
    return outcome


def audit_outcome(session: Session, values: dict[str, Any], outcome: Outcome, record: LockRecord) -> None:
    """Audit the lock of a run, and end with the exit code of an audit."""
    found = audit.audit_made(session, values, path=outcome.path, lock=outcome.lock, text=outcome.text)
    if record.is_wanted:
        record.set("audit", audit_report.audit_payload(found))
    else:
        session.printer.data(audit_report.audit_text(found))
    audit.finish(session, found)


def _refuse_contradictions(values: dict[str, Any]) -> None:
    if values["all_extras"] and values["extras"]:
        raise UsageError("--all-extras and --extra cannot be used together")
    if values["verify_metadata"] and _only_checks(values):
        raise UsageError(
            "--verify-metadata fetches wheels, and --check and --check-exists make no request",
            hint="deep-lock verify compares the metadata of an existing lock",
        )
    if values["audit"] and _only_checks(values):
        raise UsageError("--audit cannot be used with --check and --check-exists", hint="run deep-lock audit too")


def _options(session: Session, values: dict[str, Any]) -> LockOptions:
    return replace(lock_options(session, values), upgrade=_upgrade(values))


def _only_checks(values: dict[str, Any]) -> bool:
    return any(values[name] for name in ("check", "check_exists"))


def _check(options: LockOptions, values: dict[str, Any], again: str, record: LockRecord) -> Checked:
    record.set_path(lock_path(options.inputs))
    checked = check_lock(options, existence_only=not values["check"])
    record.set_checked(checked, "up-to-date" if values["check"] else "exists")
    if checked.reasons:
        raise Stale(
            "\n  ".join([f"{lock_name(options, checked.path)} is stale:", *checked.reasons]), hint=f"run {again}"
        )
    return checked


def _make(session: Session, options: LockOptions, values: dict[str, Any], record: LockRecord) -> Outcome:
    """Make a lock, and write it if it changed and the run is no dry one."""
    record.set_path(lock_path(options.inputs))
    with session.reporting(record.observed) as reporter:
        outcome = lock(options, reporter)
    if outcome.changed and not values["dry_run"]:
        write_lock(outcome)
    record.set_outcome(outcome, dry_run=values["dry_run"])
    return outcome


def _report(session: Session, options: LockOptions, outcome: Outcome, record: LockRecord, *, dry_run: bool) -> None:
    info, name = session.printer.info, lock_name(options, outcome.path)
    if dry_run:
        info(f"{name} would {'change' if outcome.changed else 'stay as it is'}")
    else:
        info(f"wrote {name}" if outcome.changed else f"{name} is up to date")
    record.report(session, outcome)
    if outcome.compared is not None:
        info(f"  the metadata of {outcome.compared} wheels were compared with the wheels: no difference")
    for option in outcome.kept_options:
        info(f"  {option} kept from {name}")
    for sentence in outcome.changed_limits:
        info(f"  {sentence}")


# -- all projects below a folder

_OF_ONE_PROJECT = {
    "output": "--output",
    "script": "--script",
    "requirements": "--requirements",
    "from_lock": "--from",
    "upgrade_from": "--upgrade-from",
    "extras": "--extra",
    "groups": "--group",
    "only_groups": "--only-group",
    "audit": "--audit",
}
_LOADED_FOR_SOME = ("deep_lock.analysis", "deep_lock.builds", "deep_lock.foreign_locks", "deep_lock.locking")
"""Packages with modules that not every lock needs: a later project may, and no module is loaded after the first request."""


def _lock_all(session: Session, values: dict[str, Any]) -> None:
    """Make or check the lock of every project below a folder, and exit with the worst of their exit codes.

    Each lock is written when it is done, so that an interruption leaves those before it.
    """
    for key, option in _OF_ONE_PROJECT.items():
        if values[key]:
            raise UsageError(f"--all-projects and {option} cannot be used together: {option} is about one project")
    _refuse_contradictions(values)
    root: Path = values["folder"]
    upgraded = read_upgrade(_upgrade(values)).names
    for package in _LOADED_FOR_SOME:
        add_to_load_all(package)
    with session.reporting() as reporter:
        found = discovery.find_projects(root, values["exclude"], session.context.environ, reporter)
    rows: list[projects.ProjectRow] = []
    codes: list[int] = []
    documents: list[dict[str, Any]] = []
    used: set[str] = set()
    try:
        for project in found:
            session.printer.set_project(project.path)
            started = time.monotonic()
            locks: _Locks = (None, None)
            record = LockRecord(session, values["form"])
            own = {**values, "folder": root.joinpath(*project.parts)}
            try:
                result, locks = _one_of_all(session, own, project, record)
            except Exception as error:  # noqa: BLE001 - an internal error of one project does not stop the others either
                result = "stale" if isinstance(error, Stale) else "failed"
                codes.append(_failed(session.printer, error))
                record.set_failure(error)
            documents.append({"project": project.path, **record.row()})
            used.update(entry.name for lock in locks if lock is not None for entry in lock.packages)
            packages = len(locks[0].packages) if locks[0] is not None else None
            seconds = time.monotonic() - started
            rows.append(projects.ProjectRow(path=project.path, result=result, packages=packages, seconds=seconds))
    finally:
        session.printer.set_project("")
        session.printer.info(projects.projects_summary(rows, len(found)))
    unused = () if codes or _only_checks(values) else sorted(set(upgraded) - used)
    if values["form"] == "json":
        code = UsageError.exit_code if unused else failures.worst(codes)
        payload = {"exit-code": code, "found": len(found), "projects": documents}
        session.printer.data(document.document(lock_document.OF_PROJECTS, lock_document.VERSION, payload))
    if unused:
        raise UsageError(f"-P {unused[0]}: no lock uses {unused[0]}")
    if codes:
        raise click.exceptions.Exit(failures.worst(codes))


_Locks = tuple[Lock | None, Lock | None]
"""The lock of a project, and the one before; None for one that was not read."""


def _one_of_all(
    session: Session, values: dict[str, Any], project: discovery.FoundProject, record: LockRecord
) -> tuple[projects.Result, _Locks]:
    """Make or check one lock. Of a lock that stays as it is nothing is printed."""
    options = _options(session, values)
    if project.recorded:
        options = replace(options, inputs=recorded_inputs.with_recorded_inputs(options.inputs))
    if _only_checks(values):
        checked = _check(options, values, f"deep-lock lock --project {show(str(values['folder']))}", record)
        return "up to date" if values["check"] else "exists", (checked.lock, None)
    outcome = _make(session, options, values, record)
    if not outcome.changed:
        return "up to date", (outcome.lock, outcome.previous)
    _report(session, options, outcome, record, dry_run=values["dry_run"])
    return "would change" if values["dry_run"] else "locked", (outcome.lock, outcome.previous)


def _failed(printer: Printer, error: Exception) -> int:
    """Report why one project failed; return the exit code."""
    failure = failures.report_failure(error, printer, with_traceback=printer.verbosity > 0)
    if failure.exit_code != failures.INTERNAL and printer.verbosity > 1:
        printer.traceback(error)
    return failure.exit_code


def lock_options(session: Session, values: dict[str, Any]) -> LockOptions:
    """Make the options of a lock that upgrades nothing from the values of a command."""
    return LockOptions(
        inputs=pick(InputOptions, values),
        resolve=pick(ResolveOptions, values),
        hooks=pick(HookOptions, values),
        verify_metadata=values.get("verify_metadata", False),
        network=_network(session, values),
        context=session.context,
    )


def lock_name(options: LockOptions, path: Path) -> str:
    """Return the name of a lock for messages; of the lock of a workspace, in a folder above, its relative path."""
    own = lock_path(options.inputs)
    return path.name if path == own else Path(os.path.relpath(path, own.parent.resolve())).as_posix()


def _upgrade(values: dict[str, Any]) -> UpgradeOptions:
    path = values["upgrade_from"]
    listed = outdated.read_upgrades(path) if path is not None else UpgradeOptions()
    return UpgradeOptions(
        everything=values["upgrade"],
        packages=(*values["upgrade_package"], *listed.packages),
        rows=listed.rows,
        in_builds=values["in_builds"],
        builds=values["upgrade_build"],
        accepted_files=values["accepted_files"],
        may_be_unused=bool(values["upgrade_package"]) and values.get("all_projects", False),
    )


def _network(session: Session, values: dict[str, Any]) -> NetworkOptions:
    network, tool = pick(NetworkOptions, values), values["index_from"]
    if tool is None:
        return network
    network, left_out = index_settings.with_indexes_from(
        tool,
        network,
        project=values["folder"],
        settings=user_folders.settings_folders(tool),
        environ=session.context.environ,
    )
    for line in left_out:
        session.printer.warn(Warned(code="index-setting", subject=f"--index-from {tool}", message=line))
    return network
