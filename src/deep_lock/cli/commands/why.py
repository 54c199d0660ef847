"""`deep-lock why` and `deep-lock tree`: why a package is in a lock, and a lock as a tree."""

from typing import Any

import click

from deep_lock.cli import completion
from deep_lock.cli.options import LOCK, PACKAGE, TEXT_OR_JSON, Section, flag, option, sectioned
from deep_lock.cli.session import Session
from deep_lock.operations import why
from deep_lock.reports import document
from deep_lock.reports import why as report

MAX_PATHS = 10
"""Of each kind, without --all."""
WHY_HELP = """\
Show why a package is in deep.lock: what requires it, through all levels of builds.

For each requirement that leads to it, the shortest chain is shown. A step "build of X" means that X is built from source on a
target, and that what follows runs during this build.

\b
  deep-lock why setuptools
  deep-lock why setuptools==80.9.0 --all
"""
TREE_HELP = """\
Show deep.lock as a tree.

A package that was shown before is one line, marked (*).

\b
  deep-lock tree                           what is installed, by requirement of the project
  deep-lock tree --build                   and below each build its environment
  deep-lock tree --build --invert setuptools
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: no such lock, package or target.
"""
WHY: Section = (
    "Chains",
    (
        LOCK,
        PACKAGE,
        flag("--all", "all_of_them", text="Show every chain, not only the ten shortest of each kind."),
    ),
)
TREE: Section = (
    "Tree",
    (
        LOCK,
        PACKAGE,
        flag("--build", "builds", text="Show builds too, with their environments below them."),
        option("--depth", type=click.IntRange(min=0), metavar="N", help="Show this many levels.", default_text="all"),
        option(
            "--target", "label", metavar="LABEL|host", default="", help="Show only what this target of the lock needs."
        ),
        option("--invert", metavar="NAME[==V]", repeatable=True, help="Show what requires this package, upwards."),
    ),
)


@sectioned(
    "why", WHY, output=(TEXT_OR_JSON,), help=WHY_HELP, epilog=EPILOG, short_help="Show why a package is in deep.lock."
)
@click.argument("name", metavar="NAME[==VERSION]", shell_complete=completion.packages)
def why_command(session: Session, /, *, name: str, **values: Any) -> None:
    """Show the chains."""
    with session.reporting() as reporter:
        every = why.why(values["lock"], name, reporter, package=values["package"])
    if values["form"] != "json":
        session.printer.data(report.why_text(every, limit=None if values["all_of_them"] else MAX_PATHS))
        return
    rows = [
        {"name": own.entry.name, "version": own.entry.version, "runtime": own.runtime, "builds": own.builds}
        for own in every
    ]
    payload = {"lock": values["lock"].as_posix(), "packages": rows}
    session.printer.data(document.document("why", 1, payload))


@sectioned("tree", TREE, output=(TEXT_OR_JSON,), help=TREE_HELP, epilog=EPILOG, short_help="Show deep.lock as a tree.")
def tree_command(session: Session, /, **values: Any) -> None:
    """Draw the tree."""
    with session.reporting() as reporter:
        graph, rows = why.tree(
            values["lock"],
            reporter,
            builds=values["builds"],
            depth=values["depth"],
            label=values["label"],
            invert=values["invert"],
            package=values["package"],
        )
    is_json = values["form"] == "json"
    name = values["lock"].as_posix()
    session.printer.data(report.tree_json(graph, rows, name) if is_json else report.tree_text(graph, rows))
