"""`deep-lock outdated`: show which versions of a lock have newer ones, by environment."""

from __future__ import annotations

from typing import Any

import click

from deep_lock.cli.options import LOCK, NETWORK, OUTPUT_FORMAT, Section, flag, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import NetworkOptions, VerifyOptions
from deep_lock.operations import outdated
from deep_lock.reports import outdated as report

FOUND = 1
HELP = """\
Show which packages of a lock have newer versions: at run time, and in each build environment by itself.

The lock's own settings apply (pre-releases, exclude-newer, binaries). Nothing is resolved: requirements of other packages may
exclude a newer version. To upgrade one: deep-lock lock -P NAME==VERSION.

\b
  deep-lock outdated
  deep-lock outdated --build                only build environments
  deep-lock outdated --output-format json   for bots: with the command that upgrades each
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 0; with --exit-code 1 if a package is outdated; 3
index failure.
"""
PACKAGES: Section = (
    "Packages",
    (
        LOCK,
        flag("--runtime", text="Only what is installed at run time."),
        flag("--build", text="Only build environments. With --runtime: both."),
        flag("--exit-code", text="Exit with 1 if a package is outdated."),
    ),
)


@sectioned(
    "outdated",
    PACKAGES,
    NETWORK,
    output=(OUTPUT_FORMAT,),
    help=HELP,
    epilog=EPILOG,
    short_help="Show which packages have newer versions.",
)
def outdated_command(session: Session, /, **values: Any) -> None:
    """Compare the lock with its indexes, and write a table."""
    options = pick(VerifyOptions, values, network=pick(NetworkOptions, values), context=session.context)
    with session.reporting() as reporter:
        found = outdated.outdated(options, reporter)
    both = values["runtime"] == values["build"]
    rows = [own for own in found if both or values[own.scope]]
    session.printer.data(
        report.outdated_json(rows) if values["output_format"] == "json" else report.outdated_text(rows)
    )
    session.printer.info(report.outdated_count(rows))
    if rows and values["exit_code"]:
        raise click.exceptions.Exit(FOUND)
