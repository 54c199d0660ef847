"""`deep-lock policy`: check a lock against the project's policy, with a line for each finding on stdout."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from deep_lock.cli.options import DOCUMENT, DOWNLOADS, LOCK, Section, flag, format_option, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import AcceptOptions, NetworkOptions, PolicyOptions
from deep_lock.errors import PolicyBroken, UsageError
from deep_lock.events import Warned
from deep_lock.operations import accept, file_contents, policy
from deep_lock.project import edit
from deep_lock.reports import document, findings
from deep_lock.sanitize import Safe, joined

HELP = """\
Check deep.lock against the rules of [tool.deep-lock.policy], or against the default rules if there is no policy.

Nothing is resolved. Requests are made only with --deep, for the advisories of [tool.deep-lock.audit], and for a policy at a URL.
Each finding is a line on stdout. A finding with the severity error causes exit code 1. The contents of wheels are checked if the
wheels are in the cache.

\b
  deep-lock policy                                       the lock in this folder
  deep-lock policy --against main                        also check what is new since a git revision or file
  deep-lock policy --policy company.toml --strict        use the rules in another file
  deep-lock policy --deep                                also check the contents of every wheel
  deep-lock policy --format github                as annotations of GitHub Actions
  deep-lock policy --accept yanked:six==1.16.0 --until 2026-12-31 --reason "1.17 breaks our tests"

Each line begins with the severity and the ID of the finding. --accept adds an exception for an ID to the policy. Until the date, the
finding is then a note. RULE:NAME without a version applies to every version.
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 1 the lock breaks the policy; 2 a lock or a policy
cannot be read, or no finding has the ID; 3 a wheel could not be downloaded; 4 the sha256 of a wheel differs from the lock.
"""
ACCEPTING = "to accept a finding: deep-lock policy --accept ID --until DATE --reason TEXT"
HOW_TO_READ_ALL = "; --deep fetches the others"
FAILING = {False: ("error",), True: ("error", "finding")}
"""Severities that end with 1, by --strict."""

RULES: Section = (
    "Lock and rules",
    (
        LOCK,
        option("--against", metavar="FILE|REVISION", help="The previous lock. The rules about changes then apply too."),
        option(
            "--policy",
            type=DOCUMENT,
            metavar="FILE",
            help="A TOML file with the keys of [tool.deep-lock.policy] at the top level.",
            default_text="deep-lock.toml or pyproject.toml next to the lock",
        ),
        flag("--deep", text="Download the wheels that are not in the cache, and check the contents of all wheels."),
        flag("--strict", text="Exit with 1 if there is any error or finding. Without it: only if there is an error."),
    ),
)
EXCEPTIONS: Section = (
    "Exceptions",
    (
        option(
            "--accept",
            metavar="ID",
            help="Write an exception for the findings with this ID, such as yanked:six==1.16.0. Nothing is checked.",
        ),
        option(
            "--until", metavar="DATE", help="With --accept: the last day of the exception in UTC, such as 2026-12-31."
        ),
        option(
            "--reason",
            metavar="TEXT",
            help="With --accept: the reason for the exception. It is shown with the finding.",
        ),
    ),
)
FORMAT = format_option("text", "json", "sarif", "github")


@sectioned(
    "policy",
    RULES,
    EXCEPTIONS,
    DOWNLOADS,
    output=(FORMAT,),
    help=HELP,
    epilog=EPILOG,
    short_help="Check deep.lock against a policy.",
)
def policy_command(session: Session, /, **values: Any) -> None:
    """Check the policy, and write the findings; or write an exception."""
    check = pick(PolicyOptions, values, network=pick(NetworkOptions, values), context=session.context)
    if any(values[name] is not None for name in ("accept", "until", "reason")):
        _accept(
            session, check, values["form"], accepted=values["accept"], until=values["until"], reason=values["reason"]
        )
        return
    with session.reporting() as reporter:
        result = policy.check_policy(check, reporter)
    session.printer.data(_text(result, values["form"], values["lock"]))
    if result.unchecked:
        unchecked = ", ".join(result.unchecked)
        session.printer.warn(Warned(code="unchecked", subject="not checked without --against", message=unchecked))
    session.printer.info(file_contents.claim(result.wheels) + ("" if result.wheels.is_complete else HOW_TO_READ_ALL))
    name, counts = values["lock"].name, findings.counts(result.findings)
    if any(finding.severity in FAILING[values["strict"]] for finding in result.findings):
        hints = {finding.hint for finding in result.findings if finding.severity == "error" and finding.hint}
        raise PolicyBroken(f"{name} breaks the policy: {counts}", hint=hints.pop() if len(hints) == 1 else ACCEPTING)
    session.printer.info(f"{name} passes the policy: {counts}")


def _accept(
    session: Session, check: PolicyOptions, form: str, *, accepted: str | None, until: str | None, reason: str | None
) -> None:
    if accepted is None or until is None or reason is None:
        raise UsageError("--accept, --until and --reason are used together", hint="deep-lock policy --help")
    options = AcceptOptions(check=check, id=accepted, until=_day(until), reason=reason)
    with session.reporting() as reporter:
        made = accept.accept(options, reporter)
    edit.write(made.document)
    own, before = made.exception, made.before
    if form == "json":
        payload = {
            "path": made.document.path.as_posix(),
            "id": own.id,
            "until": f"{own.until:%Y-%m-%d}",
            "reason": own.reason,
            "was-until": f"{before.until:%Y-%m-%d}" if before is not None else None,
        }
        session.printer.data(document.document("policy-exception", 1, payload))
    was = f" (until now: {before.until})" if before is not None and before.until != own.until else ""
    session.printer.info(f"{made.document.source}: {own.id} is accepted until {own.until}{was}")


def _day(text: str) -> date:
    try:
        if len(text) == len("2026-12-31"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"--until {text!r:.40} is not a date", hint="write it as in 2026-12-31")


def _text(result: policy.PolicyResult, form: str, lock: Path) -> Safe:
    match form:
        case "json":
            payload = {
                "lock": lock.as_posix(),
                "unchecked": list(result.unchecked),
                "findings": findings.findings_rows(result.findings),
            }
            return document.document("policy", 1, payload)
        case "sarif":
            return findings.findings_sarif(result.findings, lock.as_posix(), result.lines)
        case "github":
            return joined(findings.findings_github(result.findings, lock.as_posix(), result.lines))
        case _:
            return findings.findings_lines(result.findings)
