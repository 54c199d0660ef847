"""`deep-lock wheelhouse`: fill a folder with the wheels of one target, with a summary on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands import fetch
from deep_lock.cli.options import (
    DESTINATION,
    DOWNLOADS,
    HOOKS,
    INTERPRETERS,
    LOCK,
    PACKAGE,
    SCHEDULER,
    SELECTION,
    SHARING,
    TEXT_OR_JSON,
    Section,
    option,
    pick,
    sectioned,
    selection_options,
)
from deep_lock.cli.session import Session
from deep_lock.config.options import HookOptions, NetworkOptions, WheelhouseOptions
from deep_lock.fleet import engine, remote_builds
from deep_lock.operations import wheelhouse
from deep_lock.reports import document

HELP = """\
Fill a folder with all wheels that one target of deep.lock installs; build those that are not published.

Each sdist is built in its own locked environment, in the sandbox, without network, the deepest first. Anything that is not
in the lock is an error. A second run does not repeat finished builds.

\b
  deep-lock wheelhouse -d wheels
  pip install --no-index --find-links wheels --require-hashes -r wheels/requirements.txt

\b
For an image, without dependency groups such as test tools, and with the extras that it needs:
  deep-lock wheelhouse -d wheels --no-groups --extra NAME

\b
Without network, after deep-lock fetch -d files elsewhere:
  deep-lock wheelhouse -d wheels --offline --from files

\b
On the workers of a scheduler, which have the resources sandbox and LABEL (docs/guides/fleet.md):
  deep-lock wheelhouse -d wheels --target LABEL --remote-cache s3://BUCKET/FOLDER \\
    --scheduler tls://HOST:PORT --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. SOURCE_DATE_EPOCH is passed to builds; without it each build gets
the time at which its sdist was uploaded. Exit codes: 4 a build needs what is not locked, fails, may not run, or makes another
wheel than was locked; 3 a file could not be downloaded; 2 a lock that cannot be read, or no target or
worker that runs it.
"""

FILES: Section = (
    "Files",
    (
        DESTINATION,
        LOCK,
        PACKAGE,
        option(
            "--target",
            metavar="LABEL|host",
            default="",
            help="The target of the lock; 'host' is that of this Python and machine.",
            default_text="the one that runs here",
        ),
        option(
            "--from",
            "fetched",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            repeatable=True,
            help="Use files from this folder, such as deep-lock fetch makes; their hashes are checked.",
        ),
    ),
)
SELECTED: Section = ("Extras and groups", SELECTION)
BUILDS: Section = (
    "Builds",
    (
        *HOOKS,
        INTERPRETERS,
        option(
            "-j",
            "--jobs",
            type=click.IntRange(1, 64),
            help="The number of builds at the same time.",
            default_text="half of the processors; with --scheduler as many as its workers do",
        ),
    ),
)
WORKERS: Section = ("Builds on other machines", SCHEDULER)


@sectioned(
    "wheelhouse",
    FILES,
    SELECTED,
    BUILDS,
    WORKERS,
    DOWNLOADS,
    SHARING,
    output=(TEXT_OR_JSON,),
    help=HELP,
    epilog=EPILOG,
    short_help="Fill a folder with the wheels of deep.lock.",
)
def wheelhouse_command(session: Session, /, **values: Any) -> None:
    """Fill the folder."""
    options = pick(
        WheelhouseOptions,
        values,
        selection=selection_options(values),
        hooks=pick(HookOptions, values),
        network=pick(NetworkOptions, values),
        context=session.context,
    )
    open_builder = None
    if values["scheduler"]:
        own = engine.EngineOptions(
            scheduler=values["scheduler"],
            tls_ca=values["tls_ca"] or "",
            tls_cert=values["tls_cert"] or "",
            tls_key=values["tls_key"] or "",
        )
        open_builder = remote_builds.remote_builder(options, own)
    with session.reporting() as reporter:
        outcome = wheelhouse.make_wheelhouse(options, reporter, open_builder)
    if values["form"] == "json":
        payload = {
            "lock": options.lock.as_posix(),
            "folder": options.destination.as_posix(),
            "target": outcome.target,
            "published": sum(outcome.fetched.files.values()),
            "origins": fetch.origin_rows(outcome.fetched),
            "built": outcome.built,
            "built-before": outcome.kept,
            **reporter.row(),
        }
        session.printer.data(document.document("wheelhouse", 1, payload))
    session.printer.info(_table(outcome, options.destination))


def _table(outcome: wheelhouse.WheelhouseOutcome, folder: Path) -> str:
    """Return the numbers of wheels, and what was built."""
    rows = [
        ("wheels of the lock", sum(outcome.fetched.files.values())),
        ("built", len(outcome.built)),
        ("built before", len(outcome.kept)),
    ]
    lines = [f"  {text:<20}{count:>6}" for text, count in rows]
    lines += [f"    {called}" for called in outcome.built]
    return "\n".join([f"wheels for {outcome.target} in {folder}", *lines])
