"""`deep-lock verify`: compare a lock with its indexes as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import LOCK, NETWORK, Section, flag, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import NetworkOptions, VerifyOptions
from deep_lock.models.changes import SEVERITIES
from deep_lock.operations import verify
from deep_lock.reports import findings
from deep_lock.sanitize import Safe, joined

FOUND = 1
CHANGED = 4
CHANGED_CODES = frozenset(
    {"hash-changed", "sidecar-differs", "attestation-gone", "attestation-invalid", "publisher-differs"}
)
HELP = """\
Compare a lock with its indexes: what is yanked, gone or changed, which files and wheels were added, what is archived.

The indexes of the lock are used, unless options or the configuration next to it name others. Nothing is resolved or written.

\b
  deep-lock verify                          index pages, and the metadata of the wheels in use
  deep-lock verify --deep                   every byte: each file is fetched, and compared with what the lock states
  deep-lock verify --output-format json
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0 nothing found, or notes only; 1 findings; 3 index
failure; 4 the content of a file differs from what was locked, or from the metadata that its index serves, or its publisher does.
"""
CHECKS: Section = (
    "Checks",
    (
        LOCK,
        flag("--deep", text="Fetch every file, and compare build records and dependencies with it."),
        option(
            "--attestations",
            default="record",
            show_default=True,
            choices=("off", "record", "verify"),
            help="Compare the recorded publishers with those that the index attests; 'verify' also verifies the signatures.",
        ),
        option(
            "--fail-on",
            default="finding",
            show_default=True,
            choices=SEVERITIES,
            help="The lowest severity that ends with exit code 1.",
        ),
    ),
)

FORMAT = option(
    "--output-format",
    default="text",
    show_default=True,
    choices=("text", "json", "sarif", "github"),
    help="Text for people, JSON, SARIF for code scanning, or annotations of GitHub Actions.",
)


@sectioned(
    "verify",
    CHECKS,
    NETWORK,
    output=(FORMAT,),
    help=HELP,
    epilog=EPILOG,
    short_help="Compare deep.lock with its indexes.",
)
def verify_command(session: Session, /, **values: Any) -> None:
    """Compare the lock with its indexes, and write the findings."""
    options = pick(VerifyOptions, values, network=pick(NetworkOptions, values), context=session.context)
    with session.reporting() as reporter:
        verified = verify.verify(options, reporter)
    found = verified.findings
    session.printer.data(_text(verified, values["output_format"], values["lock"]))
    session.printer.info(f"verified {verified.releases} releases, {verified.files} files: {findings.counts(found)}")
    failing = SEVERITIES[: SEVERITIES.index(values["fail_on"]) + 1]
    if any(finding.code in CHANGED_CODES for finding in found):
        raise click.exceptions.Exit(CHANGED)
    if any(finding.severity in failing for finding in found):
        raise click.exceptions.Exit(FOUND)


def _text(verified: verify.Verified, form: str, lock: Path) -> Safe:
    match form:
        case "json":
            return findings.findings_json(verified.findings)
        case "sarif":
            return findings.findings_sarif(verified.findings, lock.as_posix(), verified.lines)
        case "github":
            return joined(findings.findings_github(verified.findings, lock.as_posix(), verified.lines))
        case _:
            return findings.findings_text(verified.findings)
