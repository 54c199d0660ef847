"""`deep-lock diff`: two locks in; what differs out, what matters first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import OUTPUT, Section, option, sectioned
from deep_lock.operations import diff
from deep_lock.reports import diff as diff_module

if TYPE_CHECKING:
    from deep_lock.reports.diff import Review


DIFFERS = 1
HELP = """\
Say what differs between two locks: first what runs code, changed under its name or comes from elsewhere, then the rest.

OLD and NEW are files, or revisions of git that hold the lock. Without NEW it is the lock in the work tree, without both it
is that against HEAD. A file may be another tool's lock too: then its pins are compared. Nothing is resolved.

\b
  deep-lock diff                            the work tree against HEAD
  deep-lock diff main                       the work tree against main
  deep-lock diff HEAD~5 HEAD --format markdown
  deep-lock diff uv.lock deep.lock
"""
EPILOG = "Each option is also DEEP_LOCK_ and its long name. With --exit-code: 1 where the locks differ. 2: a lock that cannot be read."

FORMS = ("text", "markdown", "json", "sarif", "github")
WHAT = (
    option(
        "--lock",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path("deep.lock"),
        show_default="deep.lock in the current folder",
        help="The lock that revisions are of.",
    ),
    option(
        "--format",
        "form",
        type=click.Choice(FORMS),
        default="text",
        show_default=True,
        help="text, markdown for a comment, json for bots, sarif for code scanning, github for annotations in a workflow.",
    ),
    option("--exit-code", is_flag=True, help="End with 1 where the locks differ, as git diff does."),
)
SECTIONS: tuple[Section, ...] = (("What is compared", WHAT), ("What is said", OUTPUT))


@sectioned("diff", SECTIONS, help=HELP, epilog=EPILOG, short_help="Say what differs between two locks.")
@click.argument("old", required=False, default="")
@click.argument("new", required=False, default="")
@click.pass_obj
def diff_command(session: Session, /, *, old: str, new: str, **values: Any) -> None:
    """Compare, and write the form that is asked for."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    with session.reporting() as reporter:
        review = diff.compare(old, new, values["lock"], session.surroundings, reporter)
    session.printer.data(_written(review, values["form"]))
    if not review.changes:
        session.printer.info("nothing differs")
    elif values["exit_code"]:
        raise click.exceptions.Exit(DIFFERS)


def _written(review: Review, form: str) -> str:
    match form:
        case "markdown":
            return diff_module.markdown(review)
        case "json":
            return diff_module.json_document(review)
        case "sarif":
            return diff_module.sarif(review)
        case "github":
            return diff_module.github(review)
        case _:
            return diff_module.text(review, color=True)  # what is no terminal gets it without
