"""`deep-lock why` and `deep-lock tree`: what is in a lock, and what brings it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import OUTPUT, OUTPUT_FORMAT, THE_LOCK, Section, option, sectioned
from deep_lock.operations import why
from deep_lock.reports import why as why_module

if TYPE_CHECKING:
    from deep_lock.reports.why import Reasons


WHY_HELP = """\
Say why something is in deep.lock: what asks for it, across all levels of builds.

For each place that brings it in the shortest chain is told. A step "build of X" means that X is built from source there,
and that what follows runs while it is.

\b
  deep-lock why setuptools
  deep-lock why setuptools==80.9.0 --all
"""
TREE_HELP = """\
Show deep.lock as a tree.

What was shown in full once is one line, marked (*), after that.

\b
  deep-lock tree                           what is installed, by what the project asks for
  deep-lock tree --build                   and below each build its environment
  deep-lock tree --build --invert setuptools
"""
MAX_PATHS = 10
"""Of each kind, without --all."""
EPILOG = "Each option is also DEEP_LOCK_ and its long name. Exit code 2: no such lock, entry or target."
WHY = (
    THE_LOCK,
    option("--all", "all_of_them", is_flag=True, help="Tell every way in, not only the ten shortest of each kind."),
    OUTPUT_FORMAT,
)
TREE = (
    THE_LOCK,
    option("--build", "builds", is_flag=True, help="Show builds too, with their environments below them."),
    option("--depth", type=click.IntRange(min=0), metavar="N", help="Show so many levels.  [default: all]"),
    option("--target", "label", metavar="LABEL", default="", help="Show what is there on this target of the lock."),
    option("--invert", multiple=True, metavar="NAME[==V]", help="Show who needs this entry, upwards. Repeatable."),
)
WHY_SECTIONS: tuple[Section, ...] = (("What is told", WHY), ("What is said", OUTPUT))
TREE_SECTIONS: tuple[Section, ...] = (("What is shown", TREE), ("What is said", OUTPUT))


@sectioned("why", WHY_SECTIONS, help=WHY_HELP, epilog=EPILOG, short_help="Say why something is in deep.lock.")
@click.argument("name", metavar="NAME[==VERSION]")
@click.pass_obj
def why_command(session: Session, /, *, name: str, **values: Any) -> None:
    """Tell every way in."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    with session.reporting() as reporter:
        every = why.why(values["lock"], name, reporter)
    if values["output_format"] == "json":
        session.printer.data(msgspec.json.format(msgspec.json.encode([_json(own) for own in every])).decode() + "\n")
    else:
        session.printer.data(why_module.why_text(every, limit=None if values["all_of_them"] else MAX_PATHS))


def _json(own: Reasons) -> dict[str, Any]:
    return {
        "name": own.entry.name,
        "version": own.entry.version,
        "runtime": [list(chain) for chain in own.runtime],
        "builds": [list(chain) for chain in own.builds],
    }


@sectioned("tree", TREE_SECTIONS, help=TREE_HELP, epilog=EPILOG, short_help="Show deep.lock as a tree.")
@click.pass_obj
def tree_command(session: Session, /, **values: Any) -> None:
    """Draw it."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    with session.reporting() as reporter:
        drawn = why.tree(
            values["lock"],
            reporter,
            builds=values["builds"],
            depth=values["depth"],
            label=values["label"],
            invert=values["invert"],
        )
    session.printer.data(drawn)
