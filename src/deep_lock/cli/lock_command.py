"""`deep-lock lock`: flags in, `deep.lock` out, a table for people on stderr."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from deep_lock.cli.summary import summary
from deep_lock.cli.surroundings import Session
from deep_lock.errors import Stale, UsageError
from deep_lock.flags import Flags, InputFlags, NetworkFlags, RuleFlags, UpgradeFlags
from deep_lock.locking import check_lock, lock, write_lock

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

INPUTS = (
    click.option(
        "--project",
        "folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        show_default="the current folder",
        help="Folder with the pyproject.toml.",
    ),
    click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Where to write the lock. [default: deep.lock beside pyproject.toml]",
    ),
    click.option("--script", type=FILE, help="Lock the inline metadata of a script (PEP 723) to SCRIPT.deep.lock."),
    click.option(
        "-r",
        "--requirements",
        type=FILE,
        multiple=True,
        help="Lock a requirements file instead of pyproject.toml. Repeatable.",
    ),
    click.option(
        "-c", "--constraints", type=FILE, multiple=True, help="Narrow versions by a requirements file. Repeatable."
    ),
    click.option("--overrides", type=FILE, multiple=True, help="Replace what anybody asks of these names. Repeatable."),
    click.option(
        "-b", "--build-constraints", type=FILE, multiple=True, help="Narrow versions in build environments. Repeatable."
    ),
    click.option(
        "--extra", "extras", multiple=True, metavar="NAME", help="Lock this extra only. [default: all extras]"
    ),
    click.option(
        "--all-extras", is_flag=True, help="Lock all extras (the default; undoes --extra from the environment)."
    ),
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help="Lock this dependency group only. [default: all groups]",
    ),
    click.option(
        "--only-group", "only_groups", multiple=True, metavar="NAME", help="Lock this group and nothing else."
    ),
    click.option("--no-default-groups", is_flag=True, help="Leave the default groups out."),
)
RULES = (
    click.option(
        "--python-version",
        "pythons",
        multiple=True,
        metavar="X.Y",
        help="Target Python; 3.13t is free-threaded. Repeatable. [default: all that requires-python admits and that are maintained]",
    ),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="NAME",
        help="Target platform, or 'host'. Repeatable. [default: x86_64 and aarch64 manylinux_2_28, arm64 macos_14, x86_64 windows]",
    ),
    click.option(
        "--fork-strategy",
        type=click.Choice(["newest", "fewest"]),
        help="Newest for each Python, or the fewest versions over all.",
    ),
    click.option(
        "--resolution",
        type=click.Choice(["highest", "lowest", "lowest-direct"]),
        help="Which of the fitting versions to take.",
    ),
    click.option(
        "--prerelease",
        "prereleases",
        type=click.Choice(["if-necessary", "allow", "disallow"]),
        help="When a pre-release may be taken.",
    ),
    click.option("--exclude-newer", metavar="DATE|P7D", help="Ignore files uploaded later: RFC 3339, or an age."),
    click.option(
        "--exclude-newer-package",
        multiple=True,
        metavar="NAME=DATE",
        help="Another limit for one project; NAME=false lifts it.",
    ),
    click.option(
        "--no-binary", multiple=True, metavar="NAME|:all:", help="Build this project from its sdist. Repeatable."
    ),
    click.option("--only-binary", multiple=True, metavar="NAME|:all:", help="Never build this project. Repeatable."),
    click.option(
        "--build-scope",
        type=click.Choice(["needed", "all", "none"]),
        help="Lock the builds that are needed, of everything, or of nothing.",
    ),
    click.option(
        "--build-resolution",
        type=click.Choice(["shared", "highest"]),
        help="One version for many build environments, or the newest for each.",
    ),
    click.option(
        "--hooks",
        type=click.Choice(["static", "sandbox", "trust"]),
        help="How build backends may be asked. Only 'static' (never) is built yet.",
    ),
    click.option("--require-evidence", is_flag=True, help="Fail where an answer could only be assumed."),
)
UPGRADES = (
    click.option("-U", "--upgrade", is_flag=True, help="Give up all earlier pins."),
    click.option(
        "-P",
        "--upgrade-package",
        multiple=True,
        metavar="NAME[==V]",
        help="Give up one pin, in build environments too. Repeatable.",
    ),
    click.option("--upgrade-build", is_flag=True, help="Give up the pins of build environments."),
)
NETWORK = (
    click.option(
        "-i",
        "--default-index",
        "--index-url",
        "default_index",
        metavar="URL",
        help="The index asked last. [default: the public one]",
    ),
    click.option(
        "--index",
        "indexes",
        multiple=True,
        metavar="[NAME=]URL",
        help="An index asked before the default one. Repeatable.",
    ),
    click.option(
        "--index-strategy",
        type=click.Choice(["first-index", "unsafe-best-match"]),
        help="Whether the first index that knows a name settles it.",
    ),
    click.option("--find-links", multiple=True, metavar="PATH|URL", help="A folder or page of files. Repeatable."),
    click.option("--no-index", is_flag=True, help="Use --find-links only."),
    click.option("--offline", is_flag=True, help="Use the cache only."),
    click.option("--refresh", is_flag=True, help="Ask for every page again, however fresh."),
    click.option(
        "--refresh-package",
        "refresh_packages",
        multiple=True,
        metavar="NAME",
        help="Ask for one page again. Repeatable.",
    ),
    click.option("--cert", "ca_file", type=click.Path(exists=True), help="A file of certificate authorities to trust."),
    click.option(
        "--allow-insecure-host",
        "insecure_hosts",
        multiple=True,
        metavar="HOST",
        help="Do not check this host's certificate.",
    ),
)
CHECKS = (
    click.option("--check", "--locked", is_flag=True, help="Change nothing; exit 1 and say why if the lock is stale."),
    click.option("--check-exists", is_flag=True, help="Change nothing; exit 1 if there is no lock."),
    click.option("--dry-run", is_flag=True, help="Resolve and report, but write nothing."),
)


def _with(*groups: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for group in reversed(groups):
            for option in reversed(group):
                command = option(command)
        return command

    return decorate


def _pick(values: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    return {name: values[name] for name in kind.__struct_fields__ if name in values}


@click.command("lock", short_help="Write deep.lock.")
@_with(INPUTS, RULES, UPGRADES, NETWORK, CHECKS)
@click.pass_obj
def lock_command(session: Session, /, **values: Any) -> None:
    r"""Resolve the project's runtime dependencies and the build requirements of all that has to be built, to full depth.

    Writes deep.lock beside pyproject.toml. Earlier pins are kept; -U and -P give them up. Nothing is built, and no code
    of a package runs.

    \b
    Examples:
      deep-lock lock                              the project in this folder
      deep-lock lock --check                      in CI: exit 1 if the lock is stale
      deep-lock lock --build-scope all            as if no wheels existed
      deep-lock lock -P setuptools==80.9.0        move one pin, build environments too
      deep-lock lock --python-version 3.12 --platform host
    """
    if values.pop("all_extras") and values["extras"]:
        raise UsageError("--all-extras and --extra do not go together")
    flags = Flags(
        inputs=InputFlags(**_pick(values, InputFlags)),
        rules=RuleFlags(**_pick(values, RuleFlags)),
        upgrade=UpgradeFlags(
            everything=values["upgrade"], packages=values["upgrade_package"], builds=values["upgrade_build"]
        ),
        network=NetworkFlags(**_pick(values, NetworkFlags)),
        surroundings=session.surroundings,
    )
    if values["check"] or values["check_exists"]:
        path, reasons = check_lock(flags, existence_only=not values["check"])
        if reasons:
            raise Stale(
                f"{path.name} is stale:\n" + "\n".join(f"  {reason}" for reason in reasons), hint="run: deep-lock lock"
            )
        session.printer.say(f"{path.name} is up to date")
        return
    with session.reporting() as reporter:
        outcome = lock(flags, reporter)
    if values["dry_run"]:
        session.printer.say(f"{outcome.path.name} would {'change' if outcome.changed else 'stay as it is'}")
    elif outcome.changed:
        write_lock(outcome)
        session.printer.say(f"wrote {outcome.path.name}")
    else:
        session.printer.say(f"{outcome.path.name} is up to date")
    session.printer.say(summary(outcome.lock))
