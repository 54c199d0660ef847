"""`deep-lock vet`: what a reviewer reads, and who read it."""

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import LOCK, NETWORK, OUTPUT_FORMAT, Section, flag, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import NetworkOptions, VetDiffOptions
from deep_lock.operations import vet_diff
from deep_lock.reports import vet_diff as vet_diff_report


@click.group("vet", short_help="Review the files of a lock.")
def vet_command() -> None:
    """Review the files of a lock."""


DIFF_HELP = """\
Show what differs between the files of two releases: first native code, files that Python reads when it starts, scripts
and build files, then all files with the number of lines, then the lines.

With one version, the sdist and the wheel of this release are compared: which files of the wheel are not in the sdist.

The files are taken from the index of the lock, and compared with the hashes of the lock, or else of the index. Nothing is built or run.
Compared are the bytes of files: two releases with the same files are not the proof that they are harmless.

\b
  deep-lock vet diff jinja2 3.1.5 3.1.6              the wheels, or the sdists
  deep-lock vet diff jinja2 3.1.5 3.1.6 --stat       without the lines
  deep-lock vet diff jinja2 3.1.5 3.1.6 --to review  both unpacked, for an editor
  deep-lock vet diff jinja2 3.1.6                    the wheel and its sdist
"""
DIFF_EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 2 a version or a file that does not exist; 3 a file could not be
downloaded; 4 a hash differs, or an archive is unsafe.
"""
COMPARISON: Section = (
    "Comparison",
    (
        LOCK,
        option(
            "--file",
            metavar="NAME",
            default="",
            help="A file of the new release; it is compared with the file of the old one of the same kind.",
            default_text="a wheel for all platforms, else the sdist, else a wheel",
        ),
        flag("--stat", text="Leave out the lines that differ."),
        option(
            "--to",
            "folder",
            metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            help="Unpack both files into this folder, which is new or empty.",
        ),
    ),
)


@sectioned(
    "diff",
    COMPARISON,
    NETWORK,
    output=(OUTPUT_FORMAT,),
    help=DIFF_HELP,
    epilog=DIFF_EPILOG,
    short_help="Show what differs between the files of two releases.",
)
@click.argument("name")
@click.argument("old")
@click.argument("new", required=False, default="")
def vet_diff_command(session: Session, /, **values: Any) -> None:
    """Compare two releases, and write the differences."""
    with session.reporting() as reporter:
        found = vet_diff.compare(
            pick(VetDiffOptions, values, network=pick(NetworkOptions, values), context=session.context), reporter
        )
    write = vet_diff_report.as_json if values["output_format"] == "json" else vet_diff_report.as_text
    session.printer.data(write(found, stat=values["stat"]))
    if values["folder"] is not None:
        session.printer.info(f"unpacked into {values['folder']}")


vet_command.add_command(vet_diff_command)
