"""`deep-lock report`: write a lock as one HTML page for reviewers."""

import os
from pathlib import Path

import click

from deep_lock.cli.options import LOCK, PACKAGE, Section, option, sectioned
from deep_lock.cli.session import Session
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import report

HELP = """\
Write deep.lock as one HTML page: the levels of builds, why each package is in the lock, hashes, and where code runs.

The page needs no network and no other file. The lock is read as it is: nothing is resolved and no request is made.

\b
  deep-lock report -o deep-lock.html
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: a lock that cannot be read.
"""
FILES: Section = (
    "Files",
    (
        LOCK,
        PACKAGE,
        option(
            "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The page to write."
        ),
    ),
)


@sectioned("report", FILES, help=HELP, epilog=EPILOG, short_help="Write deep.lock as an HTML page.")
def report_command(session: Session, /, *, lock: Path, output: Path, package: str) -> None:
    """Write the page."""
    if os.path.realpath(output) == os.path.realpath(lock):
        raise UsageError(f"{output}: is the lock itself", hint="name another file: -o FILE.html")
    with session.reporting() as reporter:
        text = report.report(lock, reporter, package=package)
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from None
    session.printer.info(f"wrote {output}: open it in a browser")
