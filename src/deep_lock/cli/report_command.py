"""`deep-lock report`: a lock in, one HTML page out for the people who review it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deep_lock.cli.lock_options import OUTPUT, THE_LOCK, option
from deep_lock.cli.sections import Section, sectioned
from deep_lock.cli.surroundings import Session, said_again
from deep_lock.deferred import DeferredCommand
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically

if TYPE_CHECKING:
    from deep_lock import reporting
else:
    reporting = DeferredCommand("deep_lock.reporting")

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
    session = said_again(session, quiet=values["quiet"], verbose=values["verbose"])
    if output.resolve() == lock.resolve():
        raise UsageError(f"{output}: is the lock itself", hint="name another file: -o FILE.html")
    with session.reporting() as reporter:
        text = reporting.report(lock, reporter)
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from None
    session.printer.say(f"wrote {output}: open it in a browser")
