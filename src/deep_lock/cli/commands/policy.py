"""`deep-lock policy`: check a lock against the project's policy, with a line for each finding on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deep_lock.cli.options import FILE, LOCK, Section, flag, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import PolicyOptions
from deep_lock.errors import PolicyBroken
from deep_lock.operations import policy
from deep_lock.reports import findings

HELP = """\
Check deep.lock against the rules of [tool.deep-lock.policy]; without a policy, against the default rules.

Nothing is resolved and no request is made. Each finding is a line on stdout. An error ends with exit code 1; with --strict
a finding does so too.

\b
  deep-lock policy                                       the lock in this folder
  deep-lock policy --against main.lock                   also what is new since an earlier lock
  deep-lock policy --policy company.toml --strict        the rules of another file
  deep-lock policy --output-format github                as annotations of GitHub Actions
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: a lock or a policy that cannot be read.
"""
FAILING = {False: ("error",), True: ("error", "finding")}
"""Severities that end with 1, by --strict."""

RULES: Section = (
    "Lock and rules",
    (
        LOCK,
        option("--against", type=FILE, metavar="FILE", help="The previous lock: rules about what is new apply too."),
        option(
            "--policy",
            type=FILE,
            metavar="FILE",
            help="A TOML file with the keys of [tool.deep-lock.policy] at its top.",
            default_text="deep-lock.toml or pyproject.toml next to the lock",
        ),
        flag("--strict", text="Exit with 1 for findings too, not only for errors."),
    ),
)
FORMAT = option(
    "--output-format",
    default="text",
    show_default=True,
    choices=("text", "json", "github"),
    help="Lines for people, one JSON document, or annotations of GitHub Actions.",
)


@sectioned("policy", RULES, output=(FORMAT,), help=HELP, epilog=EPILOG, short_help="Check deep.lock against a policy.")
def policy_command(session: Session, /, **values: Any) -> None:
    """Check the policy, and write the findings."""
    with session.reporting() as reporter:
        result = policy.check_policy(pick(PolicyOptions, values, now=session.context.now), reporter)
    session.printer.data(_text(result, values["output_format"], values["lock"]))
    name, counts = values["lock"].name, findings.counts(result.findings)
    if any(finding.severity in FAILING[values["strict"]] for finding in result.findings):
        hints = {finding.hint for finding in result.findings if finding.severity == "error"}
        raise PolicyBroken(f"{name} breaks the policy: {counts}", hint=hints.pop() if len(hints) == 1 else "")
    session.printer.info(f"{name} passes the policy: {counts}")


def _text(result: policy.PolicyResult, form: str, lock: Path) -> str:
    match form:
        case "json":
            return findings.findings_json(result.findings)
        case "github":
            return findings.findings_github(result.findings, lock.as_posix(), result.lines)
        case _:
            return findings.findings_lines(result.findings)
