"""`deep-lock outdated`: a lock in; what has newer releases out, by environment."""

from __future__ import annotations

from typing import Any

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import NETWORK, OUTPUT, OUTPUT_FORMAT, THE_LOCK, Section, option, sectioned
from deep_lock.config.options import NetworkOptions, VerifyOptions
from deep_lock.operations import outdated as outdated_module
from deep_lock.reports import outdated

FOUND = 1
HELP = """\
Say which releases of a lock have newer ones: at run time, and in each build environment by itself.

The lock's own rules hold (pre-releases, exclude-newer, binaries). Nothing is resolved: what others ask for may keep a newer
release out. To move one: deep-lock lock -P NAME==VERSION.

\b
  deep-lock outdated
  deep-lock outdated --build                only build environments
  deep-lock outdated --output-format json   for bots: with the command that moves each
"""
EPILOG = "Each option is also DEEP_LOCK_ and its long name. Exit codes: 0; with --exit-code 1 where something is outdated; 3 index trouble."
WHAT = (
    THE_LOCK,
    option("--runtime", is_flag=True, help="Only what is installed at run time."),
    option("--build", is_flag=True, help="Only build environments. With --runtime: both."),
    option("--exit-code", is_flag=True, help="End with 1 where something is outdated."),
    OUTPUT_FORMAT,
)
SECTIONS: tuple[Section, ...] = (("What is told", WHAT), ("Indexes and network", NETWORK), ("What is said", OUTPUT))


@sectioned("outdated", SECTIONS, help=HELP, epilog=EPILOG, short_help="Say what has newer releases.")
@click.pass_obj
def outdated_command(session: Session, /, **values: Any) -> None:
    """Ask, and write the table."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    flags = VerifyOptions(
        lock=values["lock"],
        network=NetworkOptions(**{name: values[name] for name in NetworkOptions.__struct_fields__ if name in values}),
        surroundings=session.surroundings,
    )
    with session.reporting() as reporter:
        found = outdated_module.outdated(flags, reporter)
    both = values["runtime"] == values["build"]
    rows = [own for own in found if both or values[own.scope]]
    written = outdated.outdated_json(rows) if values["output_format"] == "json" else outdated.outdated_text(rows)
    session.printer.data(written)
    session.printer.info(outdated.outdated_count(rows))
    if rows and values["exit_code"]:
        raise click.exceptions.Exit(FOUND)
