"""`deep-lock diff`: compare two locks, most important changes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import Section, flag, option, sectioned
from deep_lock.cli.session import Session
from deep_lock.operations import diff
from deep_lock.reports import diff as diff_report

DIFFERS = 1
HELP = """\
Show what differs between two locks: first new code that runs, changed files and new
origins, then the rest.

OLD and NEW are files, or git revisions of the lock. Without NEW it is the lock in the work tree; without both, that lock is
compared with HEAD. A file may be another tool's lock: then its pins are compared. Nothing is resolved.

\b
  deep-lock diff                            the work tree with HEAD
  deep-lock diff main                       the work tree with main
  deep-lock diff HEAD~5 HEAD --format markdown
  deep-lock diff uv.lock deep.lock
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: with --exit-code 1 if the locks differ; 2 a lock that
cannot be read.
"""

COMPARISON: Section = (
    "Comparison",
    (
        option(
            "--lock",
            type=click.Path(dir_okay=False, path_type=Path),
            default=Path("deep.lock"),
            show_default="deep.lock in the current folder",
            help="The path of the lock in the git revisions.",
        ),
        flag("--exit-code", text="Exit with 1 if the locks differ, as git diff does."),
    ),
)
FORMAT = option(
    "--format",
    "form",
    default="text",
    show_default=True,
    choices=("text", "markdown", "json", "sarif", "github"),
    help="text, markdown for a comment, json for bots, sarif for code scanning, github for annotations in a workflow.",
)


@sectioned(
    "diff", COMPARISON, output=(FORMAT,), help=HELP, epilog=EPILOG, short_help="Show what differs between two locks."
)
@click.argument("old", required=False, default="")
@click.argument("new", required=False, default="")
def diff_command(session: Session, /, *, old: str, new: str, **values: Any) -> None:
    """Compare two locks, and write the changes in the chosen format."""
    with session.reporting() as reporter:
        review = diff.compare(old, new, values["lock"], session.context, reporter)
    session.printer.data(_text(review, values["form"]))
    if not review.changes:
        session.printer.info("nothing differs")
    elif values["exit_code"]:
        raise click.exceptions.Exit(DIFFERS)


def _text(review: diff_report.Review, form: str) -> str:
    match form:
        case "markdown":
            return diff_report.markdown(review)
        case "json":
            return diff_report.json_document(review)
        case "sarif":
            return diff_report.sarif(review)
        case "github":
            return diff_report.github(review)
        case _:
            return diff_report.text(review, color=True)  # the printer removes the color where stdout is no terminal
