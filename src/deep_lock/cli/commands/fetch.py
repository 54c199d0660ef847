"""`deep-lock fetch`: download the files of a lock into a folder, with a summary on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deep_lock.cli.options import (
    DESTINATION,
    DOWNLOADS,
    LOCK,
    PACKAGE,
    SELECTION,
    SHARING,
    TARGET_LABELS,
    TEXT_OR_JSON,
    Section,
    flag,
    pick,
    sectioned,
    selection_options,
)
from deep_lock.cli.session import Session
from deep_lock.config.options import FetchOptions, NetworkOptions, SelectionOptions
from deep_lock.operations import fetch
from deep_lock.reports import document

HELP = """\
Download every file of deep.lock into a folder, and check its sha256.

Nothing is resolved. Use deep-lock lock --check to compare the lock with the project. Files are requested only from
hosts that the indexes of the lock name. A file that is already in the folder is downloaded again only if its sha256 is wrong, so
an interrupted run can be continued. The folder has no subfolders, as pip requires:

\b
  deep-lock fetch -d wheels                    all files, of run time and builds, for all targets
  deep-lock fetch -d wheels --runtime          only what is installed at run time, and the sdists that are built for it
  deep-lock fetch -d wheels --target host      only the files for one target: this machine
  deep-lock fetch -d wheels --target host --no-groups   without dependency groups, such as test tools
  pip install --no-index --find-links wheels NAME
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Exit codes: 2 the lock cannot be read, or does not have
the target; 3 a file could not be downloaded (try again); 4 the sha256 of a file differs from the lock.
"""

FILES: Section = (
    "Files",
    (
        DESTINATION,
        LOCK,
        PACKAGE,
        flag(
            "--runtime",
            text="Download only the files of runtime packages, and the sdists that are built for them. With --build: both.",
        ),
        flag("--build", text="Download only the files of build environments, and the sdists that are built."),
        TARGET_LABELS,
    ),
)
SELECTED: Section = ("Extras and groups", SELECTION)
ORIGINS = {
    "there": "already in the folder",
    "kept": "from the cache",
    "copied": "from folders",
    "downloaded": "downloaded",
}


@sectioned(
    "fetch",
    FILES,
    SELECTED,
    DOWNLOADS,
    SHARING,
    output=(TEXT_OR_JSON,),
    help=HELP,
    epilog=EPILOG,
    short_help="Download what deep.lock names.",
)
def fetch_command(session: Session, /, **values: Any) -> None:
    """Download the files of a lock."""
    selection = selection_options(values)
    options = pick(
        FetchOptions,
        values,
        selection=None if selection == SelectionOptions() else selection,
        network=pick(NetworkOptions, values),
        context=session.context,
    )
    with session.reporting() as reporter:
        outcome = fetch.fetch(options, reporter)
    if values["form"] == "json":
        payload = {
            "lock": options.lock.as_posix(),
            "folder": options.destination.as_posix(),
            "files": sum(outcome.files.values()),
            "bytes": sum(outcome.sizes.values()),
            "origins": origin_rows(outcome),
            **reporter.row(),
        }
        session.printer.data(document.document("fetch", 1, payload))
    session.printer.info(_table(outcome, options.destination))


def origin_rows(outcome: fetch.FetchOutcome) -> dict[str, dict[str, int]]:
    """Return the numbers of files and bytes as JSON documents have them, by where the files came from."""
    return {way: {"files": outcome.files[way], "bytes": outcome.sizes[way]} for way in sorted(outcome.files)}


def _table(outcome: fetch.FetchOutcome, folder: Path) -> str:
    """Return the numbers of files and megabytes, by where they came from."""
    rows = [("files", sum(outcome.files.values()), sum(outcome.sizes.values()))]
    rows += [
        (f"  {ORIGINS[way]}", outcome.files[way], outcome.sizes[way])
        for way in sorted(outcome.files, key=list(ORIGINS).index)
    ]
    lines = [f"  {text:<23}{count:>6}{size / 1e6:>12.1f} MB" for text, count, size in rows]
    return "\n".join([f"fetched into {folder}", *lines])
