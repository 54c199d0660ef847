"""`deep-lock diff`: compare two locks, most important changes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands import audit
from deep_lock.cli.options import DATABASES, DOWNLOADS, Section, flag, format_option, option, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import AdvisoryOptions, DiffOptions, NetworkOptions
from deep_lock.errors import UsageError
from deep_lock.exports import diff_page
from deep_lock.models.changes import CODES, WEIGHTS
from deep_lock.operations import diff
from deep_lock.reports import diff as diff_report
from deep_lock.sanitize import Safe, show
from deep_lock.suggestions import did_you_mean

DIFFERS = 1
HELP = """\
Show what differs between two locks, most dangerous changes first.

The dangerous changes are new code that runs in builds, changed files and new indexes or hosts. OLD and NEW are files or git revisions. The
default of OLD is HEAD. The default of NEW is the lock in the work tree. A file may be the lock of another tool: then its pins are
compared. Nothing is resolved. Without --deep and --database no request is made.

\b
  deep-lock diff                            compare the work tree with HEAD
  deep-lock diff main                       compare the work tree with main
  deep-lock diff HEAD~5 HEAD --format markdown
  deep-lock diff main --format html > changes.html
  deep-lock diff uv.lock deep.lock
  deep-lock diff main --deep                also compare the contents of new wheels
  deep-lock diff main --database all.zip    also show vulnerabilities that are fixed or added
  deep-lock diff main --fail-on danger --fail-on build-tool-changed
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 1 the locks differ (with --exit-code), or there
is a change that --fail-on names; 2 a lock cannot be read; 3 a wheel could not be downloaded (with --deep); 4 the sha256 of a wheel
differs from the lock (with --deep).
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
        flag("--deep", text="Compare the contents of new wheels. Wheels that are not in the cache are downloaded."),
        *DATABASES,
        flag("--exit-code", text="Exit with 1 if the locks differ, as git diff --exit-code does."),
        option(
            "--fail-on",
            metavar="LEVEL|CODE",
            repeatable=True,
            help="Exit with 1 if there is a change with this code, such as build-tool-changed, or with this level or a higher one. The levels are danger, look, version, quiet.",
        ),
    ),
)
FORMAT = format_option("text", "markdown", "json", "sarif", "github", "html")


@sectioned(
    "diff",
    COMPARISON,
    DOWNLOADS,
    output=(FORMAT,),
    help=HELP,
    epilog=EPILOG,
    short_help="Show what differs between two locks.",
)
@click.argument("old", required=False, default="")
@click.argument("new", required=False, default="")
def diff_command(session: Session, /, *, old: str, new: str, **values: Any) -> None:
    """Compare two locks, and write the changes in the chosen format."""
    fail_on = tuple(map(_fail_on, values["fail_on"]))
    with session.reporting() as reporter:
        review = diff.compare(
            pick(
                DiffOptions,
                values,
                old=old,
                new=new,
                sources=audit.advisory_options(values) if values["databases"] else AdvisoryOptions(),
                network=pick(NetworkOptions, values),
                context=session.context,
            ),
            reporter,
        )
    session.printer.data(_text(review, values["form"]))
    if not review.changes:
        session.printer.info("nothing differs in what was compared" if review.not_compared else "nothing differs")
    elif values["exit_code"]:
        raise click.exceptions.Exit(DIFFERS)
    failing = [name for name in fail_on if _is_found(name, review)]
    if failing:
        session.printer.info(f"--fail-on: there are changes of {', '.join(failing)}")
        raise click.exceptions.Exit(DIFFERS)


def _fail_on(text: str) -> str:
    """Check a value of --fail-on: a level or a code. Raises UsageError."""
    names = (*WEIGHTS, *CODES)
    if text in names:
        return text
    raise UsageError(
        f"--fail-on {show(text)}: is neither a level ({', '.join(WEIGHTS)}) nor a code of a change",
        hint=did_you_mean(text, names, otherwise="docs/formats/diff-json.md has the codes"),
    )


def _is_found(name: str, review: diff_report.Review) -> bool:
    if name in CODES:
        return name in review.codes
    return any(change.weight in WEIGHTS[: WEIGHTS.index(name) + 1] for change in review.changes)


def _text(review: diff_report.Review, form: str) -> Safe:
    match form:
        case "markdown":
            return diff_report.as_markdown(review)
        case "json":
            return diff_report.as_json(review)
        case "sarif":
            return diff_report.sarif(review)
        case "github":
            return diff_report.github(review)
        case "html":
            notes = (review.unchanged, *review.notes)
            return diff_page.diff_page(review.project, (review.old, review.new), review.changes, review.findings, notes)
        case _:
            return diff_report.text(review)  # the printer removes the color where stdout is no terminal
