"""`deep-lock report`: write a lock as one HTML page for reviewers."""

import os
from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import (
    DOWNLOADS,
    LOCK,
    PACKAGE,
    TEXT_OR_JSON,
    Section,
    flag,
    not_standard_input,
    option,
    pick,
    sectioned,
)
from deep_lock.cli.session import Session
from deep_lock.config.options import ContentsOptions, NetworkOptions, ReportOptions
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import report
from deep_lock.reports import document

HELP = """\
Write deep.lock as one HTML page: the levels of builds, why each package is in the lock, hashes, and where code runs.

The page needs no network and no other file. The lock is read as it is: nothing is resolved, and without --deep no request is
made. With it, the page also has what the files bring: native code, scripts, import names, SBOMs.

\b
  deep-lock report -o deep-lock.html
  deep-lock report -o deep-lock.html --deep --offline    with what the files in the cache bring
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: a lock that cannot be read; with --deep
3: a file could not be downloaded, 4: its content differs from what was locked.
"""
FILES: Section = (
    "Files",
    (
        LOCK,
        PACKAGE,
        flag("--deep", text="Read what the files of the lock bring; those that are not in the cache are fetched."),
        option(
            "-o",
            "--output",
            required=True,
            type=click.Path(dir_okay=False, path_type=Path),
            callback=not_standard_input,
            help="The page to write.",
        ),
    ),
)


@sectioned(
    "report",
    FILES,
    DOWNLOADS,
    output=(TEXT_OR_JSON,),
    help=HELP,
    epilog=EPILOG,
    short_help="Write deep.lock as an HTML page.",
)
def report_command(session: Session, /, *, lock: Path, output: Path, **values: Any) -> None:
    """Write the page."""
    if os.path.realpath(output) == os.path.realpath(lock):
        raise UsageError(f"{output}: is the lock itself", hint="name another file: -o FILE.html")
    contents = None
    if values["deep"]:
        contents = ContentsOptions(network=pick(NetworkOptions, values), context=session.context)
    with session.reporting() as reporter:
        text = report.report(ReportOptions(lock=lock, package=values["package"], contents=contents), reporter)
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from None
    if values["form"] == "json":
        session.printer.data(document.document("report", 1, {"lock": lock.as_posix(), "path": output.as_posix()}))
    session.printer.info(f"wrote {output}: open it in a browser")
