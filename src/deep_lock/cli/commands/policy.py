"""`deep-lock policy`: what a lock has that the project does not want, a line each on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import FILE, OUTPUT, Section, option, sectioned
from deep_lock.config.options import PolicyOptions
from deep_lock.errors import PolicyBroken
from deep_lock.operations import policy
from deep_lock.reports import findings

if TYPE_CHECKING:
    from deep_lock.operations.policy import PolicyResult


HELP = """\
Hold deep.lock against the rules of [tool.deep-lock.policy], and against those that every lock should keep.

Nothing is resolved and no index is asked. Each finding is a line on stdout. An error ends with exit code 1; what is a
finding, and no error, does so with --strict. Without a policy the default rules hold.

\b
  deep-lock policy                                       the lock in this folder
  deep-lock policy --against main.lock                   also what is new against an earlier lock
  deep-lock policy --policy company.toml --strict        the rules of another file
  deep-lock policy --output-format github                as annotations of GitHub Actions
"""
EPILOG = "Each option is also DEEP_LOCK_ and its long name. Exit code 2: a lock or a policy that cannot be read."
FORMATS = ("text", "json", "github")
LOUD = {False: ("error",), True: ("error", "finding")}
"""Severities that end with 1, by --strict."""

WHAT = (
    option(
        "--lock",
        type=FILE,
        default=Path("deep.lock"),
        show_default="deep.lock in the current folder",
        help="The lock to look at.",
    ),
    option("--against", type=FILE, metavar="FILE", help="The lock of before: rules about what is new hold too."),
    option(
        "--policy",
        type=FILE,
        metavar="FILE",
        help="A TOML file with the keys of [tool.deep-lock.policy] at its top."
        "  [default: deep-lock.toml or pyproject.toml beside the lock]",
    ),
    option("--strict", is_flag=True, help="Exit code 1 for findings too, not for errors only."),
)
SAID = (
    option(
        "--output-format",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="Lines for people, one JSON document, or annotations of GitHub Actions.",
    ),
    *OUTPUT,
)
SECTIONS: tuple[Section, ...] = (("What is looked at", WHAT), ("What is said", SAID))


@sectioned("policy", SECTIONS, help=HELP, epilog=EPILOG, short_help="Hold deep.lock against rules.")
@click.pass_obj
def policy_command(session: Session, /, **values: Any) -> None:
    """Turn flags into what `policing` takes, and its findings into lines."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    flags = PolicyOptions(
        lock=values["lock"], policy=values["policy"], against=values["against"], now=session.surroundings.now
    )
    with session.reporting() as reporter:
        result = policy.check_policy(flags, reporter)
    session.printer.data(_written(result, values["output_format"], values["lock"]))
    name, counts = values["lock"].name, findings.counts(result.findings)
    if any(finding.severity in LOUD[values["strict"]] for finding in result.findings):
        raise PolicyBroken(f"{name} breaks the policy: {counts}", hint=_hint(result))
    session.printer.info(f"{name} passes the policy: {counts}")


def _hint(result: PolicyResult) -> str:
    """Return what would help, where that is one thing."""
    hints = {finding.hint for finding in result.findings if finding.severity == "error"}
    return hints.pop() if len(hints) == 1 else ""


def _written(result: PolicyResult, form: str, lock: Path) -> str:
    match form:
        case "json":
            return findings.findings_json(result.findings)
        case "github":
            return findings.findings_github(result.findings, lock.as_posix(), result.lines)
        case _:
            return findings.findings_lines(result.findings)
