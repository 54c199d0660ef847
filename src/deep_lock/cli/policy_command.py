"""`deep-lock policy`: what a lock has that the project does not want, a line each on stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from deep_lock.cli.lock_options import FILE, OUTPUT, option
from deep_lock.cli.sections import Section, sectioned
from deep_lock.cli.surroundings import Session, said_again
from deep_lock.deferred import DeferredCommand
from deep_lock.errors import PolicyBroken
from deep_lock.flags import PolicyFlags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deep_lock import policing
    from deep_lock.model.review import Finding
else:
    policing = DeferredCommand("deep_lock.policing")

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
VERSION = 1

WHAT = (
    option(
        "--lock",
        type=FILE,
        default=Path("deep.lock"),
        show_default="deep.lock in the current folder",
        help="The lock to look at.",
    ),
    option("--against", type=FILE, help="The lock of before: rules about what is new hold too."),
    option(
        "--policy",
        type=FILE,
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
    session = said_again(session, quiet=values["quiet"], verbose=values["verbose"])
    flags = PolicyFlags(
        lock=values["lock"], policy=values["policy"], against=values["against"], now=session.surroundings.now
    )
    with session.reporting() as reporter:
        findings = policing.police(flags, reporter)
    session.printer.data(_WRITERS[values["output_format"]](findings, values["lock"].name))
    counted = _counted(findings)
    loud = {"error", "finding"} if values["strict"] else {"error"}
    if any(finding.severity in loud for finding in findings):
        hints = dict.fromkeys(finding.hint for finding in findings if finding.severity in loud and finding.hint)
        raise PolicyBroken(f"{values['lock'].name} breaks the policy: {counted}", hint=" ".join(hints))
    session.printer.say(f"{values['lock'].name} keeps the policy" + (f": {counted}" if findings else ""))


def _counted(findings: Sequence[Finding]) -> str:
    counts = [
        (sum(finding.severity == severity for finding in findings), severity)
        for severity in ("error", "finding", "note")
    ]
    return ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for count, severity in counts if count)


def _text(findings: Sequence[Finding], _lock: str) -> str:
    return "".join(f"{finding.severity} {policing.line(finding)}\n" for finding in findings)


def _json(findings: Sequence[Finding], lock: str) -> str:
    document = {"version": VERSION, "lock": lock, "findings": [to_builtins(finding) for finding in findings]}
    return json.dumps(document, indent=2) + "\n"


_COMMANDS = {"error": "error", "finding": "warning", "note": "notice"}


def _github(findings: Sequence[Finding], lock: str) -> str:
    """Workflow commands: in a message %, CR and LF are escaped, in a property : and , too."""
    return "".join(
        f"::{_COMMANDS[finding.severity]} file={_escaped(lock, ':,')},title={_escaped(finding.code, ':,')}"
        f"::{_escaped(policing.line(finding))}\n"
        for finding in findings
    )


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)


_WRITERS = {"text": _text, "json": _json, "github": _github}
