"""`deep-lock wheelhouse`: write the wheels of one target into a folder, with a summary on stderr."""

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
Write all wheels that one target of deep.lock installs into a folder. Wheels that are not published are built.

Each sdist is built in its locked build environment, in the sandbox and without network. Build dependencies are built first. A build
that needs a package that is not in the lock fails. A second run does not repeat finished builds.

\b
  deep-lock wheelhouse -d wheels
  pip install --no-index --find-links wheels --require-hashes -r wheels/requirements.txt

\b
Without dependency groups, such as test tools, and with one extra:
  deep-lock wheelhouse -d wheels --no-groups --extra NAME

\b
Without network, after deep-lock fetch -d files on another machine:
  deep-lock wheelhouse -d wheels --offline --from files

\b
On the workers of a Dask scheduler that have the resources sandbox and LABEL (docs/guides/fleet.md):
  deep-lock wheelhouse -d wheels --target LABEL --remote-cache s3://BUCKET/FOLDER \\
    --scheduler tls://HOST:PORT --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. SOURCE_DATE_EPOCH is passed to builds. Its default is the
upload time of the sdist. Exit codes: 2 the lock cannot be read, or no target or worker can run the builds; 3 a file could not be
downloaded; 4 a build fails, may not run, needs a package that is not locked, or makes a wheel that differs from the lock.
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
            help="The target to install, such as cp313-x86_64-manylinux_2_28. 'host' is the target of this Python on this machine.",
            default_text="the target that runs on this machine",
        ),
        option(
            "--from",
            "fetched",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            repeatable=True,
            help="Use the files in this folder, such as the folder of deep-lock fetch. Their hashes are checked.",
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
            help="Run at most this many builds at the same time.",
            default_text="half of the processors; with --scheduler: as many as its workers run",
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
