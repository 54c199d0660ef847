"""`deep-lock fetch`: a lock in, a folder of checked files out, a table for people on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import OFFLINE, OUTPUT, THE_LOCK, TLS, Section, option, sectioned
from deep_lock.config.options import FetchOptions, NetworkOptions
from deep_lock.operations import fetch

if TYPE_CHECKING:
    from deep_lock.index.download import Way


HELP = """\
Download every file that deep.lock names into a folder, each checked against its sha256.

The lock is read as it is: nothing is resolved, no index page is asked for, and whether the lock fits its project is not
looked at (deep-lock lock --check does that). A file that is there already and right is kept, a wrong one is replaced,
so a run that was stopped goes on where it was. The folder is flat, as pip wants it:

\b
  deep-lock fetch -d wheels                    everything: run time and builds, for all targets
  deep-lock fetch -d wheels --runtime          only what is installed at run time, and sdists that are built for it
  deep-lock fetch -d wheels --target LABEL     only what one target of the lock needs
  pip install --no-index --find-links wheels NAME
"""
EPILOG = """\
Each option is also DEEP_LOCK_ and its long name. Exit codes: 3 where a file could not be had (run it again), 4 where its
bytes are not those that were locked, 2 for a lock that cannot be read or has no such target.
"""

FILES = (
    option(
        "-d",
        "--dest",
        "destination",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        metavar="DIR",
        help="Folder to put the files into; it is made if need be.",
    ),
    THE_LOCK,
    option("--runtime", is_flag=True, help="Only what is installed at run time. With --build: both."),
    option("--build", is_flag=True, help="Only what build environments hold, and the sdists that are built."),
    option(
        "--target",
        "targets",
        multiple=True,
        metavar="LABEL",
        help="Only what this target of the lock needs. Repeatable.  [default: all targets]",
    ),
)
NETWORK = (
    option(
        "-i",
        "--default-index",
        "--index-url",
        "default_index",
        metavar="URL",
        help="The index that logins of the name DEFAULT are for; it may hold user:password@. It is not asked.",
    ),
    option(
        "--index",
        "indexes",
        multiple=True,
        metavar="NAME=URL",
        help="An index that logins of this name are for; as above. Repeatable.",
    ),
    OFFLINE,
    *TLS,
)
SECTIONS: tuple[Section, ...] = (("Files", FILES), ("Network", NETWORK), ("What is said", OUTPUT))
WAYS: dict[Way, str] = {
    "there": "there already",
    "kept": "from the cache",
    "copied": "from folders",
    "downloaded": "downloaded",
}


@sectioned("fetch", SECTIONS, help=HELP, epilog=EPILOG, short_help="Download what deep.lock names.")
@click.pass_obj
def fetch_command(session: Session, /, **values: Any) -> None:
    """Turn flags into what `fetching` takes, and its outcome into a table."""
    session = with_verbosity(session, quiet=values["quiet"], verbose=values["verbose"])
    flags = FetchOptions(
        lock=values["lock"],
        destination=values["destination"],
        runtime=values["runtime"],
        build=values["build"],
        targets=values["targets"],
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
        outcome = fetch.fetch(flags, reporter)
    session.printer.info(_table(outcome, flags.destination))


def _table(outcome: fetch.FetchOutcome, folder: Path) -> str:
    """Return how many files and megabytes there are, and where they came from."""
    rows = [("files", sum(outcome.files.values()), sum(outcome.sizes.values()))]
    rows += [
        (f"  {text}", outcome.files[way], outcome.sizes[way]) for way, text in WAYS.items() if outcome.files.get(way)
    ]
    lines = [f"  {text:<18}{count:>6}{size / 1e6:>12.1f} MB" for text, count, size in rows]
    return "\n".join([f"fetched into {folder}", *lines])
