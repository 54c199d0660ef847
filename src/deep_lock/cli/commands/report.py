"""`deep-lock report`: a lock in, one HTML page out for the people who review it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import OUTPUT, THE_LOCK, Section, option, sectioned
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import report

HELP = """\
Write deep.lock as one HTML page to look at: the layers, what brings each entry in, hashes, and what runs code where.

The page needs no network and no other file, and the lock is read as it is: nothing is resolved and no index is asked.

\b
  deep-lock report -o deep-lock.html
"""
EPILOG = "Each option is also DEEP_LOCK_ and its long name. Exit code 2: a lock that cannot be read."

WHAT = (
    THE_LOCK,
    option(
        "-o",
        "--output",
        required=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="The page to write.",
    ),
)
SECTIONS: tuple[Section, ...] = (("What is written", WHAT), ("What is said", OUTPUT))


@sectioned("report", SECTIONS, help=HELP, epilog=EPILOG, short_help="Write deep.lock as a page to look at.")
@click.pass_obj
def report_command(session: Session, /, *, lock: Path, output: Path, **values: Any) -> None:
    """Make the page, and write it."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    if output.resolve() == lock.resolve():
        raise UsageError(f"{output}: is the lock itself", hint="name another file: -o FILE.html")
    with session.reporting() as reporter:
        text = report.report(lock, reporter)
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from None
    session.printer.info(f"wrote {output}: open it in a browser")
