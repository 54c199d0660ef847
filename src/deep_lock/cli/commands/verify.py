"""`deep-lock verify`: a lock in; what the index says otherwise now out."""

from __future__ import annotations

from typing import Any

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import NETWORK, OUTPUT, OUTPUT_FORMAT, THE_LOCK, Section, option, sectioned
from deep_lock.config.options import NetworkOptions, VerifyOptions
from deep_lock.models.changes import SEVERITIES, Finding
from deep_lock.operations import verify
from deep_lock.reports import findings

FOUND = 1
CHANGED = 4
HELP = """\
Ask the index again about a lock: what is yanked, gone or changed, which files and wheels came later, what is archived.

The lock's own indexes are asked, unless options or the settings beside it name others. Nothing is resolved or written.

\b
  deep-lock verify                          pages, and the metadata of the wheels that are taken
  deep-lock verify --deep                   every byte: each file is fetched, and the lock's words are derived again
  deep-lock verify --output-format json
"""
EPILOG = """\
Each option is also DEEP_LOCK_ and its long name. Exit codes: 0 nothing found, or notes only; 1 findings; 3 the index could not
be asked; 4 other bytes than were locked.
"""
WHAT = (
    THE_LOCK,
    option("--deep", is_flag=True, help="Fetch every file, and derive records and edges from their bytes once more."),
    option(
        "--fail-on",
        type=click.Choice(SEVERITIES),
        default="finding",
        show_default=True,
        help="The least that ends the command with 1.",
    ),
    OUTPUT_FORMAT,
)
SECTIONS: tuple[Section, ...] = (
    ("What is looked at", WHAT),
    ("Indexes and network", NETWORK),
    ("What is said", OUTPUT),
)


@sectioned("verify", SECTIONS, help=HELP, epilog=EPILOG, short_help="Ask the index again about deep.lock.")
@click.pass_obj
def verify_command(session: Session, /, **values: Any) -> None:
    """Ask, and write what was found."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    flags = VerifyOptions(
        lock=values["lock"],
        deep=values["deep"],
        network=NetworkOptions(**{name: values[name] for name in NetworkOptions.__struct_fields__ if name in values}),
        surroundings=session.surroundings,
    )
    with session.reporting() as reporter:
        verified = verify.verify(flags, reporter)
    if values["output_format"] == "json":
        session.printer.data(findings.findings_json(verified.findings))
    else:
        session.printer.data(findings.findings_text(verified.findings, color=True))
    session.printer.info(
        f"verified {verified.releases} releases, {verified.files} files: {findings.counts(verified.findings)}"
    )
    code = _exit_code(verified.findings, values["fail_on"])
    if code:
        raise click.exceptions.Exit(code)


def _exit_code(found: tuple[Finding, ...], fail_on: str) -> int:
    if any(finding.code == "hash-changed" for finding in found):
        return CHANGED
    failing = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return FOUND if any(finding.severity in failing for finding in found) else 0
