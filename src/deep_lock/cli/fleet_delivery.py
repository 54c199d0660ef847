"""The options of `deep-lock fleet lock` that deliver new locks, and the delivery."""

import re
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from deep_lock.cli.options import FiniteRange, Section, option
from deep_lock.cli.session import Session
from deep_lock.errors import UsageError
from deep_lock.fleet import delivery
from deep_lock.fleet.records import RepositoryResult
from deep_lock.network import git
from deep_lock.sanitize import show

_IDENTITY = re.compile(r"\s*([^<>]+?)\s*<([^<>\s]+)>\s*")
DELIVERY: Section = (
    "Delivery",
    (
        option(
            "--deliver",
            choices=("none", "patch", "branch", "command"),
            default="none",
            show_default=True,
            help="What to do with new locks: nothing, write a patch for git am, push a commit on a new branch, or push it and run a command that opens the pull request.",
        ),
        option(
            "--patches",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Folder to write patches to.",
            default_text="patches in the state folder",
        ),
        option(
            "--deliver-command",
            metavar="COMMAND",
            default="",
            help="With --deliver command: the program and its arguments. No shell is used. The program reads a JSON document from standard input.",
        ),
        option(
            "--deliver-seconds",
            metavar="SECONDS",
            type=FiniteRange(min=1),
            default=300.0,
            show_default=True,
            help="Time limit of the command.",
        ),
        option(
            "--deliver-pass-env",
            metavar="NAME",
            repeatable=True,
            help="Pass this environment variable to the command, in addition to those of the system.",
        ),
        option(
            "--branch-prefix",
            default="deep-lock/",
            show_default=True,
            help="The first part of the name of each branch.",
        ),
        option(
            "--author",
            metavar="'NAME <ADDRESS>'",
            default="deep-lock <deep-lock@localhost>",
            show_default=True,
            help="The author of each commit.",
        ),
        option(
            "--committer",
            metavar="'NAME <ADDRESS>'",
            default="",
            help="The committer of each commit.",
            default_text="the author",
        ),
        option(
            "--limit-branches",
            type=click.IntRange(min=1),
            metavar="N",
            help="Do not push to a repository that already has N branches with the prefix.",
        ),
        option(
            "--per-hour",
            type=click.IntRange(min=1),
            metavar="N",
            help="Push at most N branches an hour. All runs with the same state folder count together.",
        ),
        option(
            "--deliver-only",
            metavar="PATTERN",
            repeatable=True,
            help="Deliver only to repositories whose name matches, such as team-*. * and ? are wildcards.",
        ),
        option(
            "--deliver-except",
            metavar="PATTERN",
            repeatable=True,
            help="Do not deliver to repositories whose name matches.",
        ),
    ),
)


def delivery_options(values: dict[str, Any]) -> "delivery.DeliveryOptions":
    """Return the options of the delivery. Raises UsageError: before the work of the fleet begins."""
    command = values["deliver_command"]
    if bool(command) != (values["deliver"] == "command"):
        raise UsageError(
            "--deliver command and --deliver-command belong together",
            hint="name the program that opens the pull request: --deliver command --deliver-command PROGRAM",
        )
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"--deliver-command: {error}") from None
    options = delivery.DeliveryOptions(
        mode=values["deliver"],
        patches=values["patches"],
        command=words,
        command_seconds=values["deliver_seconds"],
        passed=values["deliver_pass_env"],
        prefix=values["branch_prefix"],
        author=_identity("--author", values["author"]),
        committer=_identity("--committer", values["committer"]) if values["committer"] else None,
        limit_branches=values["limit_branches"],
        per_hour=values["per_hour"],
        only=values["deliver_only"],
        excepted=values["deliver_except"],
    )
    delivery.require_usable(options)
    return options


def _identity(option_name: str, text: str) -> "git.Identity":
    found = _IDENTITY.fullmatch(text)
    if found is None:
        raise UsageError(f"{option_name} {show(text)!r}: write it as 'NAME <ADDRESS>'")
    return git.Identity(name=found[1], address=found[2])


def deliver(
    session: Session,
    results: Iterable[RepositoryResult],
    deliveries: "delivery.Deliveries",
    options: "delivery.DeliveryOptions",
) -> tuple[dict[str, Any], ...]:
    """Deliver the new locks, report each delivery on stderr, and return the rows of the JSON document."""

    def on_delivery(made: delivery.Delivery) -> None:
        reason = f": {show(made.reason, limit=300)}" if made.reason else ""
        session.printer.info(f"{show(made.repository)}: {made.status} {_what(made)}{reason}")
        if made.hint:
            session.printer.info(f"  hint: {show(made.hint, limit=300)}")

    made = delivery.deliver(results, deliveries, options, session.context, on_delivery, clock=lambda: datetime.now(UTC))
    return tuple(delivery.row(own) for own in made)


def _what(made: "delivery.Delivery") -> str:
    return show(made.patch) if made.patch else f"the branch {made.branch} ({show(made.title)})"
