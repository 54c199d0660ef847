"""The commands by name. Each stands in a module of its own, which is loaded when its command is asked for.

A run needs one of them; to load them all would be a tenth of the time of a lock that is found unchanged.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from deep_lock.deferred import DeferredCommand

if TYPE_CHECKING:
    from deep_lock.cli import (
        cache_command,
        deepen_command,
        diff_command,
        doctor_command,
        export_command,
        fetch_command,
        git_command,
        lock_command,
        outdated_command,
        policy_command,
        report_command,
        verify_command,
        wheelhouse_command,
        why_command,
    )
else:
    cache_command = DeferredCommand("deep_lock.cli.cache_command")
    deepen_command = DeferredCommand("deep_lock.cli.deepen_command")
    diff_command = DeferredCommand("deep_lock.cli.diff_command")
    doctor_command = DeferredCommand("deep_lock.cli.doctor_command")
    export_command = DeferredCommand("deep_lock.cli.export_command")
    fetch_command = DeferredCommand("deep_lock.cli.fetch_command")
    git_command = DeferredCommand("deep_lock.cli.git_command")
    lock_command = DeferredCommand("deep_lock.cli.lock_command")
    outdated_command = DeferredCommand("deep_lock.cli.outdated_command")
    policy_command = DeferredCommand("deep_lock.cli.policy_command")
    report_command = DeferredCommand("deep_lock.cli.report_command")
    verify_command = DeferredCommand("deep_lock.cli.verify_command")
    wheelhouse_command = DeferredCommand("deep_lock.cli.wheelhouse_command")
    why_command = DeferredCommand("deep_lock.cli.why_command")

_BY_NAME: Mapping[str, Callable[[], click.Command]] = MappingProxyType(
    {
        "cache": lambda: cache_command.cache_command,
        "completion": lambda: git_command.completion_command,
        "deepen": lambda: deepen_command.deepen_command,
        "diff": lambda: diff_command.diff_command,
        "doctor": lambda: doctor_command.doctor_command,
        "export": lambda: export_command.export_command,
        "fetch": lambda: fetch_command.fetch_command,
        "git-merge": lambda: git_command.git_merge_command,
        "git-setup": lambda: git_command.git_setup_command,
        "git-textconv": lambda: git_command.git_textconv_command,
        "lock": lambda: lock_command.lock_command,
        "outdated": lambda: outdated_command.outdated_command,
        "policy": lambda: policy_command.policy_command,
        "report": lambda: report_command.report_command,
        "tree": lambda: why_command.tree_command,
        "verify": lambda: verify_command.verify_command,
        "wheelhouse": lambda: wheelhouse_command.wheelhouse_command,
        "why": lambda: why_command.why_command,
    }
)


class Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return every name, for the help and for completion."""
        return sorted(_BY_NAME)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command; None where there is none, and then click knows every name to suggest one."""
        for name in (cmd_name,) if cmd_name in _BY_NAME else _BY_NAME:
            if name not in self.commands:
                self.add_command(_BY_NAME[name](), name)
        return super().get_command(ctx, cmd_name)
