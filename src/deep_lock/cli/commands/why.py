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
Show why a package is in deep.lock: the chains of requirements that lead to it.

The shortest chain of each requirement is shown. The step "build of X" means that a target builds X from source. The packages after
this step run in that build.

\b
  deep-lock why setuptools
  deep-lock why setuptools==80.9.0 --all
"""
TREE_HELP = """\
Show deep.lock as a tree.

The dependencies of a package are shown once. A later line with the same package is marked (*).

\b
  deep-lock tree                           the runtime packages, below the project's requirements
  deep-lock tree --build                   also builds, each with its environment
  deep-lock tree --build --invert setuptools
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit code 2: the lock, the package or the target does not exist.
"""
WHY: Section = (
    "Chains",
    (
        LOCK,
        PACKAGE,
        flag("--all", "all_of_them", text="Show every chain. Without it: the ten shortest chains of each kind."),
    ),
)
TREE: Section = (
    "Tree",
    (
        LOCK,
        PACKAGE,
        flag("--build", "builds", text="Also show builds, each with its environment."),
        option("--depth", type=click.IntRange(min=0), metavar="N", help="Show at most N levels.", default_text="all"),
        option(
            "--target",
            "label",
            metavar="LABEL|host",
            default="",
            help="Show only what this target needs, such as cp313-x86_64-manylinux_2_28. 'host' is the target of this Python on this machine.",
            default_text="all targets",
        ),
        option(
            "--invert",
            metavar="NAME[==V]",
            repeatable=True,
            help="Show the packages that require this package, and what requires those.",
        ),
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
