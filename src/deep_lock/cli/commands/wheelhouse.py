"""`deep-lock wheelhouse`: a lock in, a folder of wheels out, a table for people on stderr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands.fetch import NETWORK
from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import FILE, OUTPUT, THE_LOCK, Section, option, sectioned
from deep_lock.config.options import NetworkOptions, WheelhouseOptions
from deep_lock.operations import wheelhouse

HELP = """\
Fill a folder with all wheels that one target of deep.lock installs; build those that are not published.

Each sdist is built in its own locked environment, in the sandbox, without network, the deepest first. Whatever is not
in the lock is an error. A second run builds nothing that is there already.

\b
  deep-lock wheelhouse -d wheels
  pip install --no-index --find-links wheels --require-hashes -r wheels/requirements.txt

\b
Without network, after deep-lock fetch -d files elsewhere:
  deep-lock wheelhouse -d wheels --offline --from files
"""
EPILOG = """\
Each option is also DEEP_LOCK_ and its long name. SOURCE_DATE_EPOCH is heeded; without it each build has the time at which
its sdist was uploaded. Exit codes: 4 where a build needs what is not locked, fails, may not run, or makes another wheel
than was locked; 3 where a file could not be had; 2 for a lock that cannot be read, or no target that runs here.
"""

FILES = (
    option(
        "-d",
        "--dest",
        "destination",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        metavar="DIR",
        help="Folder of the wheels; it is made if need be.",
    ),
    THE_LOCK,
    option("--target", metavar="LABEL", default="", help="The target of the lock.  [default: the one that runs here]"),
    option(
        "--from",
        "fetched",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        multiple=True,
        metavar="DIR",
        help="Take files from this folder where it has them, as deep-lock fetch made it; they are checked. Repeatable.",
    ),
)
BUILDS = (
    option(
        "--hooks",
        type=click.Choice(["static", "sandbox", "trust"]),
        help="How builds run: not at all, inside a strong sandbox, or unconfined as you.  [default: sandbox]",
    ),
    option(
        "--trust-hooks",
        multiple=True,
        metavar="NAME",
        help="Let this project's build run unconfined, as you: it can do all that you can. Repeatable.",
    ),
    option(
        "--python",
        "interpreters",
        type=FILE,
        multiple=True,
        help="An interpreter to build with, beside this one and those on PATH. Repeatable.",
    ),
    option(
        "-j",
        "--jobs",
        type=click.IntRange(1, 64),
        default=max(1, (os.cpu_count() or 1) // 2),
        show_default="half of the processors",
        help="Builds at once.",
    ),
)
SECTIONS: tuple[Section, ...] = (
    ("Files", FILES),
    ("Builds", BUILDS),
    ("Network", NETWORK),
    ("What is said", OUTPUT),
)


@sectioned("wheelhouse", SECTIONS, help=HELP, epilog=EPILOG, short_help="Build what deep.lock needs, into wheels.")
@click.pass_obj
def wheelhouse_command(session: Session, /, **values: Any) -> None:
    """Turn flags into what `wheelhouse` takes, and its outcome into a table."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    flags = WheelhouseOptions(
        lock=values["lock"],
        destination=values["destination"],
        target=values["target"],
        fetched=values["fetched"],
        hooks=values["hooks"],
        trust_hooks=values["trust_hooks"],
        interpreters=values["interpreters"],
        jobs=values["jobs"],
        network=NetworkOptions(
            default_index=values["default_index"],
            indexes=values["indexes"],
            offline=values["offline"],
            ca_file=values["ca_file"],
            insecure_hosts=values["insecure_hosts"],
        ),
        surroundings=session.surroundings,
    )
    with session.reporting() as reporter:
        outcome = wheelhouse.make_wheelhouse(flags, reporter)
    session.printer.info(_table(outcome, flags.destination))


def _table(outcome: wheelhouse.WheelhouseOutcome, folder: Path) -> str:
    """Return how many wheels there are and what was built."""
    rows = [
        ("wheels of the lock", sum(outcome.fetched.files.values())),
        ("built", len(outcome.built)),
        ("built before", len(outcome.kept)),
    ]
    lines = [f"  {text:<20}{count:>6}" for text, count in rows]
    lines += [f"    {called}" for called in outcome.built]
    return "\n".join([f"wheels for {outcome.target} in {folder}", *lines])
