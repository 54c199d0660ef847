"""`deep-lock deepen FILE`: the lock that a team has in, `deep.lock` with its runtime pins and the build layer out."""

from pathlib import Path
from typing import Any

import click

from deep_lock.cli.commands.lock import run_lock
from deep_lock.cli.context import Session
from deep_lock.cli.options import DEEPEN_SECTIONS, FILE, sectioned
from deep_lock.sanitize import show

HELP = """\
Take the lock that you have, keep its runtime pins, and lock what builds them, to full depth; write deep.lock beside it.

FILE is a uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml, a requirements.txt of pins, or what pip freeze printed.
Its pins, hashes and markers stay exactly as they are: each hash is compared with the index, and a difference is an error.
The targets are those that the file tells of, else the default ones; a file that was made by looking at one environment
is for this machine. What the file cannot say is told on stderr.

\b
  deep-lock deepen uv.lock                 write deep.lock
  deep-lock deepen uv.lock --check         in CI: exit 1 if uv.lock moved and deep.lock did not

With from-lock = "uv.lock" in [tool.deep-lock], a plain deep-lock lock does the same.
"""
EPILOG = """\
Each option is also DEEP_LOCK_ and its long name. Options that choose releases hold for build environments alone. Exit codes:
1 stale, or a target cannot take a pin; 2 a lock that cannot be read; 4 a hash differs.
"""


@sectioned(
    "deepen", DEEPEN_SECTIONS, help=HELP, epilog=EPILOG, short_help="Add the build layer to another tool's lock."
)
@click.argument("file", type=FILE)
@click.pass_obj
def deepen_command(session: Session, /, *, file: Path, **values: Any) -> None:
    """Lock from a file."""
    run_lock(session, {**values, "from_lock": file, "folder": file.parent}, again=f"deep-lock deepen {show(str(file))}")
