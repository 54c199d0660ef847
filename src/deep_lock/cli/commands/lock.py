"""`deep-lock lock`: flags in, `deep.lock` out, a table for people on stderr."""

from typing import Any

import click
from msgspec import Struct

from deep_lock.cli import user_folders
from deep_lock.cli.context import Session, with_verbosity
from deep_lock.cli.options import SECTIONS, sectioned
from deep_lock.config.options import InputOptions, LockOptions, NetworkOptions, ResolveOptions, UpgradeOptions
from deep_lock.errors import Stale, UsageError
from deep_lock.foreign_locks import index_settings
from deep_lock.locking.lock import check_lock, lock, write_lock
from deep_lock.models.lock import Lock
from deep_lock.operations import outdated
from deep_lock.sanitize import show

MAX_ROWS = 20
MAX_TARGETS = 3


def summary(lock: Lock) -> str:
    """Return the table as plain text, a line each."""
    runtime = [package for package in lock.packages if not package.build_only]
    rows = [
        ("entries", len(lock.packages)),
        ("  at run time", len(runtime)),
        ("  build-only", sum(package.build_only for package in lock.packages)),
        ("  for both", sum(package.also_build for package in lock.packages)),
        ("  sdist-only", sum(package.sdist_only for package in lock.packages)),
        ("build environments", len(lock.builds)),
        ("targets", len(lock.targets)),
    ]
    lines = [f"  {name:<22}{count:>5}" for name, count in rows]
    return "\n".join([*lines, *_runs_code(lock), *_crates(lock)])


def _runs_code(lock: Lock) -> list[str]:
    """Say which releases run their own code where they are installed: a reviewer looks here first."""
    builds = [build for build in lock.builds if build.needed != "project"]
    if not builds:
        return ["  nothing but wheels is installed: no package runs code of its own when it is installed"]
    lines = ["  run code when they are installed:"]
    for build in builds[:MAX_ROWS]:
        where = _where(build.targets, len(lock.targets))
        known = "" if build.evidence == "static" else f" [{build.evidence}]"
        name = f"{show(build.name)} {show(build.version or '')}".rstrip()
        lines.append(f"    {name} on {where}: {show(build.backend)}{known}")
    if len(builds) > MAX_ROWS:
        lines.append(f"    ... and {len(builds) - MAX_ROWS} more")
    return lines


def _where(targets: tuple[str, ...], declared: int) -> str:
    if not targets:
        return "every target"
    return ", ".join(targets) if len(targets) <= MAX_TARGETS else f"{len(targets)} of {declared} targets"


def _crates(lock: Lock) -> list[str]:
    """Say what a build downloads besides: crates have no place in this lock."""
    count = len({(build.name, build.version) for build in lock.builds if build.cargo_lock is not None})
    if not count:
        return []
    sdists = "1 sdist brings" if count == 1 else f"{count} sdists bring"
    return [f"  {sdists} Rust crates, pinned by a Cargo.lock of their own: outside of this lock"]


HELP = """\
Resolve what the project runs on, and what builds it, to full depth; write deep.lock.

For each target (a Python on a platform) the runtime dependencies, extras and dependency groups are resolved. Each
release that has no wheel for a target must be built there: what its build needs is resolved too, and so on down. Every
file is recorded with its sha256. Nothing is installed. What only a build backend knows is asked of it in a sandbox.

If deep.lock fits its inputs already, it stays as it is and no index is asked. Otherwise earlier pins are kept where they
still fit; -U and -P give them up.

\b
Examples:
  deep-lock lock                           lock the project in this folder
  deep-lock lock --check                   in CI: exit 1 if deep.lock is stale
  deep-lock lock -P setuptools==80.9.0     move one pin, build environments too
  deep-lock lock --build-scope all         lock all builds, as if no wheels existed
  deep-lock lock --python-version 3.12 --platform host
"""
EPILOG = """\
Each option is also DEEP_LOCK_ and its long name, as DEEP_LOCK_EXCLUDE_NEWER=P7D; several values are separated by spaces,
several files as on PATH. Most options have a key in [tool.deep-lock] of pyproject.toml; the command line wins.
"""


def _pick(values: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    return {name: values[name] for name in kind.__struct_fields__ if name in values}


@sectioned("lock", SECTIONS, help=HELP, epilog=EPILOG, short_help="Write deep.lock.")
@click.pass_obj
def lock_command(session: Session, /, **values: Any) -> None:
    """Turn flags into what `locking` takes, and its outcome into words."""
    run_lock(session, values, again="deep-lock lock, with the same flags")


def run_lock(session: Session, values: dict[str, Any], *, again: str) -> None:
    """Make, or check, a lock. ``again`` is the command that makes it anew."""
    session = with_verbosity(session, quiet=values.pop("quiet"), verbose=values.pop("verbose"))
    if values.pop("all_extras") and values["extras"]:
        raise UsageError("--all-extras and --extra do not go together")
    flags = LockOptions(
        inputs=InputOptions(**_pick(values, InputOptions)),
        rules=ResolveOptions(**_pick(values, ResolveOptions)),
        upgrade=_upgrade(values),
        network=_network(session, values),
        surroundings=session.surroundings,
    )
    if values["check"] or values["check_exists"]:
        path, reasons = check_lock(flags, existence_only=not values["check"])
        if reasons:
            raise Stale(
                f"{path.name} is stale:\n" + "\n".join(f"  {reason}" for reason in reasons),
                hint=f"run {again}",
            )
        session.printer.info(f"{path.name} is up to date")
        return
    with session.reporting() as reporter:
        outcome = lock(flags, reporter)
    if values["dry_run"]:
        session.printer.info(f"{outcome.path.name} would {'change' if outcome.changed else 'stay as it is'}")
    elif outcome.changed:
        write_lock(outcome)
        session.printer.info(f"wrote {outcome.path.name}")
    else:
        session.printer.info(f"{outcome.path.name} is up to date")
    session.printer.info(summary(outcome.lock))


def _network(session: Session, values: dict[str, Any]) -> NetworkOptions:
    network = NetworkOptions(**_pick(values, NetworkOptions))
    if values["index_from"] is None:
        return network
    tool = values["index_from"]
    network, left_out = index_settings.with_indexes_from(
        tool,
        network,
        project=values["folder"],
        settings=user_folders.settings_folders(tool),
        environ=session.surroundings.environ,
    )
    for line in left_out:
        session.printer.warn(f"--index-from {tool}", line)
    return network


def _upgrade(values: dict[str, Any]) -> UpgradeOptions:
    moved = outdated.read_upgrades(values["upgrade_from"]) if values["upgrade_from"] is not None else ()
    return UpgradeOptions(
        everything=values["upgrade"],
        packages=(*values["upgrade_package"], *moved),
        in_builds=values["in_builds"],
        builds=values["upgrade_build"],
    )
