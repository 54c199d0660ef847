"""`deep-lock fleet`: the same work in many repositories."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from deep_lock.cli import fleet_delivery, fleet_progress
from deep_lock.cli.commands.fleet_query import CONFLICT, query_command
from deep_lock.cli.failures import INTERNAL
from deep_lock.cli.options import (
    HOOKS,
    NETWORK,
    SCHEDULER,
    SHARING,
    TEXT_OR_JSON,
    FiniteRange,
    Section,
    flag,
    option,
    pick,
    sectioned,
)
from deep_lock.cli.session import Session
from deep_lock.cli.usage_errors import CommandGroup
from deep_lock.config.options import AdvisoryOptions, NetworkOptions, ResolveOptions, UpgradeOptions
from deep_lock.events import RepositoryEnded, Warned
from deep_lock.fleet import answers, delivery, engine, journal, plan, query, repositories, run, view, worker
from deep_lock.fleet.records import SANDBOX, Action, RepositoryResult, TaskOptions
from deep_lock.reports.document import document
from deep_lock.sanitize import MAX_LINE, Safe, lines, show

HELP = """\
Lock, check or audit the projects of many git repositories, on this machine or on a cluster.

A repository is skipped if its result cannot have changed: the commit and the options are the same, and the lock was up to date or the
index pages are the same. deep-lock works in its own checkouts. Without --deliver, nothing is written to a repository.

\b
  deep-lock fleet plan -f repos.toml                 show what would run, and why
  deep-lock fleet lock -f repos.toml                 lock each project
  deep-lock fleet lock -f repos.toml --resume        continue an interrupted run
  deep-lock fleet lock -f repos.toml --deliver branch --limit-branches 3
  deep-lock fleet check -f ~/checkouts               check each lock in a folder of checkouts
  deep-lock fleet lock -f repos.toml --shard 2/8     run the second of eight jobs
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. The exit code is the worst of all projects: 1 stale, or no versions fit; 2
a configuration or input cannot be read; 3 failure of the network or machine; 4 refused for safety.
"""
STATE = Path(".deep-lock-fleet")
MEBIBYTE = 1024**2
UNDELIVERED = 3
"""The exit code where all is locked, and a delivery failed."""
ENDED = 143
"""The exit code of a worker that is ended by a signal."""


@click.group("fleet", cls=CommandGroup, help=HELP, short_help="Lock, check or audit many repositories.")
def fleet_command() -> None:
    """Lock, check or audit many repositories."""


REPOSITORIES: Section = (
    "Repositories",
    (
        option(
            "-f",
            "--file",
            "files",
            metavar="FILE|DIR|-",
            repeatable=True,
            required=True,
            variable="FLEET_FILE",
            help="The repositories: a TOML file with [[repositories]], a file of JSON lines (*.jsonl, or - for standard input), a text file with a URL and a ref in each line, or a folder of checkouts.",
        ),
        option(
            "--only",
            metavar="PATTERN",
            repeatable=True,
            help="Work only on repositories whose name matches, such as team-*. * and ? are wildcards.",
        ),
        option(
            "--except",
            "excepted",
            metavar="PATTERN",
            repeatable=True,
            help="Leave out repositories whose name matches.",
        ),
        option(
            "--shard",
            metavar="I/N",
            default="",
            help="Work on part I of N equal parts, such as 2/8. For jobs that share no state.",
        ),
        option("--limit", type=click.IntRange(min=1), metavar="N", help="Work on at most N repositories."),
        flag(
            "--all-projects",
            text="Also work on projects that have neither a deep.lock nor [tool.deep-lock].",
        ),
        option(
            "--state",
            type=click.Path(file_okay=False, path_type=Path),
            default=STATE,
            show_default=True,
            metavar="DIR",
            variable="FLEET_STATE",
            help="Folder for the journal (fleet.jsonl) and the locks.",
        ),
    ),
)
WORKERS: Section = (
    "Workers",
    (
        option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Run N worker processes on this machine. More than one needs the extra deep-lock[fleet].",
            default_text="one for each processor; without the extra: 1",
        ),
        *SCHEDULER,
        option(
            "--seconds",
            metavar="SECONDS",
            type=FiniteRange(min=1),
            default=1800.0,
            show_default=True,
            help="Time limit of one repository. Then its worker is stopped.",
        ),
        option(
            "--memory",
            type=click.IntRange(min=32),
            metavar="MIB",
            default=4096,
            show_default=True,
            help="Memory limit of one worker. Build hooks have their own limits.",
        ),
        option(
            "--worker-wait",
            type=click.FloatRange(min=1),
            metavar="SECONDS",
            default=60.0,
            show_default=True,
            help="Wait this long for a new worker of the scheduler after the last worker has ended.",
        ),
        flag(
            "--resume", text="Continue the interrupted run: with its start time, and without its finished repositories."
        ),
    ),
)
UPGRADES: Section = (
    "Upgrades",
    (
        flag("-U", "--upgrade", text="Upgrade all packages."),
        option(
            "-P",
            "--upgrade-package",
            metavar="NAME[==VERSION]",
            repeatable=True,
            help="Upgrade this package in each lock that contains it, in build environments too.",
        ),
        option(
            "--in-build",
            "in_builds",
            metavar="NAME",
            repeatable=True,
            help="With -P: upgrade only in the build environment of this package.",
        ),
        option(
            "--exclude-newer",
            metavar="DATE|AGE",
            help="Ignore files that were uploaded after this date (2026-11-01), time (RFC 3339) or age (P7D: within the last 7 days).",
        ),
    ),
)
ADVISORIES: Section = (
    "Advisories",
    (
        option(
            "--database",
            "databases",
            metavar="PATH|URL",
            repeatable=True,
            help="Advisories for PyPI in the OSV schema: a path or a URL. Each worker must be able to read it.",
        ),
        flag("--from-index", text="Use the vulnerabilities that the indexes of the lock state for each version."),
    ),
)
HOOK_OPTIONS: Section = ("Build hooks", HOOKS)


def _values(values: dict[str, Any], action: Action) -> TaskOptions:
    return TaskOptions(
        action=action,
        all_projects=values["all_projects"],
        resolve=pick(ResolveOptions, values),
        upgrade=UpgradeOptions(
            everything=values.get("upgrade", False),
            packages=values.get("upgrade_package", ()),
            in_builds=values.get("in_builds", ()),
        ),
        hooks=values.get("hooks"),
        trust_hooks=values.get("trust_hooks", ()),
        network=pick(NetworkOptions, values, part_of_larger_run=True),
        advisories=pick(AdvisoryOptions, values),
    )


def _options(values: dict[str, Any], action: Action) -> run.FleetOptions:
    every = repositories.read_repositories(values["files"])
    chosen = repositories.chosen(every, values["only"], values["excepted"], values["shard"])
    task = _values(values, action)
    return run.FleetOptions(
        repositories=chosen,
        every=tuple(own.name for own in every),
        state=values["state"],
        task=task,
        engine=engine.EngineOptions(
            workers=values.get("workers") or os.cpu_count() or 1,
            is_default=not values.get("workers"),
            scheduler=values.get("scheduler", ""),
            tls_ca=values.get("tls_ca") or "",
            tls_cert=values.get("tls_cert") or "",
            tls_key=values.get("tls_key") or "",
            resources=(SANDBOX,) if action == "lock" and (task.hooks != "static" or task.trust_hooks) else (),
        ),
        resume=values.get("resume", False),
        limit=values["limit"],
        seconds=values.get("seconds", 1800.0),
        worker_wait=values.get("worker_wait", 60.0),
        memory=values.get("memory", 4096) * MEBIBYTE,
    )


def _run(session: Session, values: dict[str, Any], action: Action) -> None:
    """Run the fleet, report each repository on stderr, and end with the worst exit code."""
    options = _options(values, action)
    delivering = fleet_delivery.delivery_options(values) if action == "lock" else None
    with journal.Journal(options.state) as kept:  # the folder is of this run until its views and deliveries are written
        delivered = delivery.Deliveries(options.state)  # what cannot be read is reported before the work
        summary, conflicts = _worked(session, options, kept)
        session.printer.info(_summary_line(summary))
        is_alarm = any(own.is_of_one_index for own in conflicts)
        code = CONFLICT if is_alarm and summary.exit_code != INTERNAL else summary.exit_code
        deliveries: tuple[dict[str, Any], ...] = ()
        if delivering is not None and is_alarm:
            session.printer.info("nothing is delivered: one index has a file with several sha256")
        elif delivering is not None:
            deliveries = fleet_delivery.deliver(session, summary.results, delivered, delivering)
    if not code and any(own["status"] == "failed" for own in deliveries):
        code = UNDELIVERED
    if values["form"] == "json":
        session.printer.data(_summary_json(summary, code, deliveries))
    if code:
        raise click.exceptions.Exit(code)


def _worked(
    session: Session, options: run.FleetOptions, kept: journal.Journal
) -> tuple[run.Summary, tuple[query.HashConflict, ...]]:
    """Run the tasks, write the views, and return what was done, and the files that have several sha256."""
    failed = 0

    with session.reporting() as reporter:

        def on_result(result: RepositoryResult, progress: run.Progress) -> None:
            nonlocal failed
            failed += result.exit_code != 0
            ended = RepositoryEnded(
                name=result.repository,
                done=progress.done,
                total=progress.total,
                failed=failed,
                seconds=progress.seconds,
            )
            reporter(ended)
            is_drawn = session.progress == "line"
            if result.exit_code or not is_drawn:
                rate = "" if is_drawn else fleet_progress.rate_and_time_left(ended)
                session.printer.info(f"[{ended.done}/{ended.total}] {_result_line(result, rate)}")
                for hint in dict.fromkeys((*(own.hint for own in result.projects), result.hint)):
                    if hint:
                        session.printer.info(f"  hint: {show(answers.first_line(hint), limit=300)}")

        reporter.receivers = (*reporter.receivers, fleet_progress.retry_lines(session.printer))
        summary = run.run_fleet(options, kept, session.context, on_result, lambda: datetime.now(UTC), reporter=reporter)
        conflicts = view.write(options.state)
        if conflicts:
            reporter(Warned(code="HashConflict", subject="fleet", message=answers.conflicts_text(conflicts)))
    return summary, conflicts


def _result_line(result: RepositoryResult, rate: str) -> str:
    parts = [
        ("" if own.project == "." else f"{show(own.project)} ")
        + own.status
        + (f": {show(answers.first_line(own.message))}" if own.message else "")
        for own in result.projects
    ]
    if result.message:
        message = answers.first_line(result.message).removeprefix(f"{result.repository}: ")
        parts.append(f"{result.status}: {show(message)}")
    return f"{show(result.repository)}: {'; '.join(parts)} ({result.seconds:.1f} s{f'; {rate}' if rate else ''})"


def _summary_line(summary: run.Summary) -> str:
    counts = ", ".join(
        f"{number} {name.replace('repositories', 'repository') if number == 1 else name}"
        for name, number in sorted(summary.counts.items())
    )
    left = f", {summary.left} left by --limit" if summary.left else ""
    ran = "1 repository" if summary.ran == 1 else f"{summary.ran} repositories"
    return f"{ran} ran, {summary.skipped} did not have to{left}, {summary.seconds:.1f} s; projects: {counts or 'none'}"


def _summary_json(summary: run.Summary, code: int, deliveries: tuple[dict[str, Any], ...]) -> Safe:
    return document(
        "fleet",
        1,
        {
            "now": summary.now,
            "exit-code": code,
            "ran": summary.ran,
            "skipped": summary.skipped,
            "left": summary.left,
            "seconds": summary.seconds,
            "counts": summary.counts,
            "repositories": summary.results,
            "deliveries": list(deliveries),
        },
    )


@sectioned(
    "plan",
    REPOSITORIES,
    HOOK_OPTIONS,
    UPGRADES,
    NETWORK,
    SHARING,
    output=(TEXT_OR_JSON,),
    epilog=EPILOG,
    help="Print which repositories deep-lock fleet lock would work on, and why. No project is locked.",
    short_help="Print what would run, and why.",
)
def fleet_plan_command(session: Session, /, **values: Any) -> None:
    """Print the plan."""
    options = _options(values, "lock")
    with session.reporting() as reporter:
        reporter.receivers = (*reporter.receivers, fleet_progress.retry_lines(session.printer))
        made = run.plan_fleet(options, session.context, reporter)
    if values["form"] == "json":
        session.printer.data(_plan_json(made))
        return
    for row in made.rows:
        session.printer.data(
            lines(
                f"{'run ' if row.known is None else 'skip'}  {show(row.repository.name)}: {show(row.reason, limit=MAX_LINE)}\n"
            )
        )


def _plan_json(made: plan.Plan) -> Safe:
    rows = [
        {
            "name": row.repository.name,
            "url": row.repository.url,
            "ref": row.repository.ref,
            "commit": row.commit,
            "runs": row.known is None,
            "reason": row.reason,
            "newer": row.newer,
        }
        for row in made.rows
    ]
    return document("fleet-plan", 1, {"configuration": made.configuration, "repositories": rows})


@sectioned(
    "lock",
    REPOSITORIES,
    WORKERS,
    HOOK_OPTIONS,
    UPGRADES,
    fleet_delivery.DELIVERY,
    NETWORK,
    SHARING,
    output=(TEXT_OR_JSON,),
    epilog=EPILOG,
    help="Lock each project of the fleet. The locks are written to the state folder. Without --deliver, no repository is changed.",
    short_help="Lock each project.",
)
def fleet_lock_command(session: Session, /, **values: Any) -> None:
    """Lock the fleet."""
    _run(session, values, "lock")


@sectioned(
    "check",
    REPOSITORIES,
    WORKERS,
    NETWORK,
    output=(TEXT_OR_JSON,),
    epilog=EPILOG,
    help="Check that each lock of the fleet is up to date and passes the policy. No index is used.",
    short_help="Check each lock.",
)
def fleet_check_command(session: Session, /, **values: Any) -> None:
    """Check the locks of the fleet."""
    _run(session, values, "check")


@sectioned(
    "audit",
    REPOSITORIES,
    WORKERS,
    ADVISORIES,
    NETWORK,
    SHARING,
    output=(TEXT_OR_JSON,),
    epilog=EPILOG,
    help="Compare each lock of the fleet with known vulnerabilities.",
    short_help="Compare each lock with known vulnerabilities.",
)
def fleet_audit_command(session: Session, /, **values: Any) -> None:
    """Audit the locks of the fleet."""
    _run(session, values, "audit")


@click.command("worker", hidden=True, help="The program that does the tasks of a fleet; deep-lock starts it.")
@click.pass_obj
def fleet_worker_command(session: Session) -> None:
    """Do tasks until standard input ends."""
    try:
        worker.serve(session.context, session.printer.data)
    except KeyboardInterrupt as stop:  # the program that started it reports why
        raise click.exceptions.Exit(ENDED) from stop


for _command in (
    fleet_plan_command,
    fleet_lock_command,
    fleet_check_command,
    fleet_audit_command,
    query_command,
    fleet_worker_command,
):
    fleet_command.add_command(_command)
