"""`deep-lock report`: write a lock as one HTML page for reviewers."""

import os
from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands import audit
from deep_lock.cli.options import (
    DATABASES,
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
from deep_lock.config.options import AdvisoryOptions, ContentsOptions, NetworkOptions, ReportOptions
from deep_lock.errors import UsageError
from deep_lock.files import write_atomically
from deep_lock.operations import report
from deep_lock.reports import document

HELP = """\
Write deep.lock as one HTML page for reviewers.

The page shows which packages run code and why, what is new, and each package with its dependencies. --against adds the changes since
another lock, and --database the known vulnerabilities. If the project has audits (deep-lock vet), the page lists the files without
one. --deep adds the contents of files (native code, scripts, import names, SBOMs), the requirements between packages and the links
of packages. The page is one file and needs no network. Without --deep and --database no request is made.

\b
  deep-lock report -o deep-lock.html
  deep-lock report -o deep-lock.html --against main      with the changes since main
  deep-lock report -o deep-lock.html --deep --offline    with the contents of the files in the cache
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 2 the lock cannot be read; 3 a file could
not be downloaded (with --deep); 4 the sha256 of a file differs from the lock (with --deep).
"""
FILES: Section = (
    "Files",
    (
        LOCK,
        PACKAGE,
        option(
            "--against",
            metavar="OLD",
            default="",
            help="Compare with this file or git revision of the lock, such as main. The changes are at the top of the page.",
        ),
        *DATABASES,
        flag("--deep", text="Show the contents of the files. Files that are not in the cache are downloaded."),
        option(
            "-o",
            "--output",
            required=True,
            type=click.Path(dir_okay=False, path_type=Path),
            callback=not_standard_input,
            help="File to write, such as deep-lock.html.",
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
        text = report.report(
            ReportOptions(
                lock=lock,
                package=values["package"],
                contents=contents,
                against=values["against"],
                sources=audit.advisory_options(values) if values["databases"] else AdvisoryOptions(),
                network=pick(NetworkOptions, values),
                context=session.context,
            ),
            reporter,
        )
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from None
    if values["form"] == "json":
        session.printer.data(document.document("report", 1, {"lock": lock.as_posix(), "path": output.as_posix()}))
    session.printer.info(f"wrote {output}: open it in a browser")
