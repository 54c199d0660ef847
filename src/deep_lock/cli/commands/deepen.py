"""`deep-lock deepen FILE`: add the build dependencies to the lock of another tool."""

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands.lock import audit_outcome, run_lock
from deep_lock.cli.lock_record import LockRecord, lock_document_of
from deep_lock.cli.options import DEEPEN_SECTIONS, FILE, TEXT_OR_JSON, Section, flag, sectioned
from deep_lock.cli.session import Session
from deep_lock.errors import UsageError
from deep_lock.operations import save_import
from deep_lock.project import edit
from deep_lock.sanitize import show

HELP = """\
Add build dependencies to the lock of another tool. The result is deep.lock, next to FILE.

FILE is a uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml, a requirements.txt of pins, or the output of pip freeze.
Its pins, hashes and markers are not changed. Each hash is compared with the index: a difference is an error (exit 4).
The targets are those that FILE states, or else the default targets. If FILE describes one environment, as the output of pip
freeze does, the target is this machine. stderr lists what FILE does not state.

\b
  deep-lock deepen uv.lock                 write deep.lock
  deep-lock deepen uv.lock --check         in CI: exit with 1 if deep.lock does not match uv.lock
  deep-lock deepen uv.lock --save          deep-lock lock then keeps the pins of uv.lock, too

--save writes from-lock = "uv.lock" to [tool.deep-lock] of the pyproject.toml (or to the deep-lock.toml) next to FILE.
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>. Options that select versions apply to build environments only.
Exit codes: 1 deep.lock is stale, or a target does not support a pin; 2 FILE cannot be read; 4 a hash differs.
"""


SAVING: Section = (
    "Configuration",
    (
        flag(
            "--save", text="Write from-lock = FILE to the configuration next to FILE, for later runs of deep-lock lock."
        ),
    ),
)


@sectioned(
    "deepen",
    SAVING,
    *DEEPEN_SECTIONS,
    output=(TEXT_OR_JSON,),
    help=HELP,
    epilog=EPILOG,
    short_help="Add the build dependencies to another tool's lock.",
)
@click.argument("file", type=FILE)
def deepen_command(session: Session, /, *, file: Path, save: bool, **values: Any) -> None:
    """Lock from a file, and save its name."""
    if save and (values["check"] or values["check_exists"]):
        raise UsageError("--save cannot be used with --check or --check-exists")
    saved = save_import.save_import(file) if save else None
    own = {**values, "from_lock": file, "folder": file.parent}
    with lock_document_of(session, values["form"]) as record:
        outcome = run_lock(session, own, record, again=f"deep-lock deepen {show(str(file))}")
        if saved is not None and saved.before != file.name:
            _save(session, saved, file, record, dry_run=values["dry_run"])
        if outcome is not None and values["audit"]:
            audit_outcome(session, own, outcome, record)


def _save(session: Session, saved: "save_import.Saved", file: Path, record: LockRecord, *, dry_run: bool) -> None:
    if dry_run:
        record.write_difference(session, edit.difference(saved.document))
        return
    edit.write(saved.document)
    was = f" (until now: {show(saved.before)})" if saved.before is not None else ""
    session.printer.info(f"{saved.document.source}: from-lock is {show(file.name)}{was}")
