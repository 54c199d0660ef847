"""`deep-lock lock`: write or check deep.lock, and print a summary on stderr."""

import os
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from deep_lock.cli import user_folders
from deep_lock.cli.options import LOCK_SECTIONS, pick, sectioned
from deep_lock.cli.session import Session
from deep_lock.config.options import (
    HookOptions,
    InputOptions,
    LockOptions,
    NetworkOptions,
    ResolveOptions,
    UpgradeOptions,
)
from deep_lock.errors import Stale, UsageError
from deep_lock.foreign_locks import index_settings
from deep_lock.locking.lock import check_lock, lock, write_lock
from deep_lock.locking.read_inputs import lock_path
from deep_lock.operations import outdated
from deep_lock.reports import lock_summary

HELP = """\
Resolve the dependencies of the project and everything that builds them, to full depth; write deep.lock.

For each target (a Python on a platform) the runtime dependencies, extras and dependency groups are resolved. Each package
without a wheel for a target must be built there: its build requirements are resolved too, recursively. Every file is
recorded with its sha256. Nothing is installed. What only a build backend knows is obtained by running it in a sandbox.

If deep.lock fits its inputs already, it stays as it is and no request is made. Otherwise existing pins are kept where they
still fit; -U and -P upgrade them.

\b
Examples:
  deep-lock lock                           lock the project in this folder
  deep-lock lock --check                   in CI: exit 1 if deep.lock is stale
  deep-lock lock -P setuptools==80.9.0     upgrade one project, in build environments too
  deep-lock lock --build-scope all         lock all builds, as if no wheels existed
  deep-lock lock --python-version 3.12 --platform host
"""
EPILOG = """\
Each option can be set by the variable DEEP_LOCK_<LONG NAME>, as in DEEP_LOCK_EXCLUDE_NEWER=P7D; several values are separated
by spaces, several files as on PATH. Most options have a key in [tool.deep-lock] of pyproject.toml; options override keys.
"""


@sectioned("lock", *LOCK_SECTIONS, help=HELP, epilog=EPILOG, short_help="Write deep.lock.")
def lock_command(session: Session, /, **values: Any) -> None:
    """Lock a project."""
    run_lock(session, values, again="deep-lock lock, with the same options")


def run_lock(session: Session, values: dict[str, Any], *, again: str) -> None:
    """Make or check a lock. ``again`` is the command that makes it anew."""
    if values["all_extras"] and values["extras"]:
        raise UsageError("--all-extras and --extra cannot be used together")
    options = replace(lock_options(session, values), upgrade=_upgrade(values))
    if values["check"] or values["check_exists"]:
        if values["verify_metadata"]:
            raise UsageError(
                "--verify-metadata fetches wheels, and --check and --check-exists make no request",
                hint="deep-lock verify compares the metadata of an existing lock",
            )
        path, reasons = check_lock(options, existence_only=not values["check"])
        name = lock_name(options, path)
        if reasons:
            raise Stale("\n  ".join([f"{name} is stale:", *reasons]), hint=f"run {again}")
        session.printer.info(f"{name} {'is up to date' if values['check'] else 'exists'}")
        return
    with session.reporting() as reporter:
        outcome = lock(options, reporter)
    name = lock_name(options, outcome.path)
    if values["dry_run"]:
        session.printer.info(f"{name} would {'change' if outcome.changed else 'stay as it is'}")
    elif outcome.changed:
        write_lock(outcome)
        session.printer.info(f"wrote {name}")
    else:
        session.printer.info(f"{name} is up to date")
    session.printer.info(lock_summary.summary(outcome.lock, outcome.previous))
    if outcome.compared is not None:
        session.printer.info(
            f"  the metadata of {outcome.compared} wheels were compared with the wheels: no difference"
        )
    for option in outcome.kept_options:
        session.printer.info(f"  {option} kept from {name}")
    for sentence in outcome.changed_limits:
        session.printer.info(f"  {sentence}")


def lock_options(session: Session, values: dict[str, Any]) -> LockOptions:
    """Make the options of a lock that upgrades nothing from the values of a command."""
    return LockOptions(
        inputs=pick(InputOptions, values),
        resolve=pick(ResolveOptions, values),
        hooks=pick(HookOptions, values),
        verify_metadata=values.get("verify_metadata", False),
        network=_network(session, values),
        context=session.context,
    )


def lock_name(options: LockOptions, path: Path) -> str:
    """Return the name of a lock for messages; of the lock of a workspace, in a folder above, its relative path."""
    own = lock_path(options.inputs)
    return path.name if path == own else Path(os.path.relpath(path, own.parent.resolve())).as_posix()


def _upgrade(values: dict[str, Any]) -> UpgradeOptions:
    listed = outdated.read_upgrades(values["upgrade_from"]) if values["upgrade_from"] is not None else ()
    return UpgradeOptions(
        everything=values["upgrade"],
        packages=(*values["upgrade_package"], *listed),
        in_builds=values["in_builds"],
        builds=values["upgrade_build"],
        accepted_files=values["accepted_files"],
    )


def _network(session: Session, values: dict[str, Any]) -> NetworkOptions:
    network, tool = pick(NetworkOptions, values), values["index_from"]
    if tool is None:
        return network
    network, left_out = index_settings.with_indexes_from(
        tool,
        network,
        project=values["folder"],
        settings=user_folders.settings_folders(tool),
        environ=session.context.environ,
    )
    for line in left_out:
        session.printer.warn(f"--index-from {tool}", line)
    return network
