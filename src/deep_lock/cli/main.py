"""The command line: the options before the command, exit codes, and the last line of defence against tracebacks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import click

from deep_lock import __version__
from deep_lock.cli.commands import (
    cache,
    deepen,
    diff,
    doctor,
    export,
    fetch,
    git,
    lock,
    outdated,
    policy,
    report,
    verify,
    wheelhouse,
    why,
)
from deep_lock.cli.context import open_session
from deep_lock.cli.output import Printer
from deep_lock.errors import DeepLockError

_BY_NAME: Mapping[str, Callable[[], click.Command]] = MappingProxyType(
    {
        "cache": lambda: cache.cache_command,
        "completion": lambda: git.completion_command,
        "deepen": lambda: deepen.deepen_command,
        "diff": lambda: diff.diff_command,
        "doctor": lambda: doctor.doctor_command,
        "export": lambda: export.export_command,
        "fetch": lambda: fetch.fetch_command,
        "git-merge": lambda: git.git_merge_command,
        "git-setup": lambda: git.git_setup_command,
        "git-textconv": lambda: git.git_textconv_command,
        "lock": lambda: lock.lock_command,
        "outdated": lambda: outdated.outdated_command,
        "policy": lambda: policy.policy_command,
        "report": lambda: report.report_command,
        "tree": lambda: why.tree_command,
        "verify": lambda: verify.verify_command,
        "wheelhouse": lambda: wheelhouse.wheelhouse_command,
        "why": lambda: why.why_command,
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


INTERRUPTED = 130

HELP = """\
Lock what a Python project runs on, and everything that builds it, to full depth, with hashes.

Start with: deep-lock lock

\b
Exit codes:
  0    done
  1    the answer needs you: the lock is stale or breaks the policy, or no set of releases fits
  2    wrong usage, configuration or input, or a lock that cannot be read
  3    network or index trouble: try again
  4    refused for safety: a hash that differs, an unsafe archive, evidence that is missing
  130  interrupted
"""
EPILOG = "Each option of a command is also DEEP_LOCK_ and its long name, and most are keys of [tool.deep-lock]."


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "DEEP_LOCK"},
    help=HELP,
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="deep-lock")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("-v", "--verbose", count=True, help="Say more; -vv shows the traceback of an error.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour on stderr; 'auto' heeds NO_COLOR, FORCE_COLOR and the terminal.",
)
@click.option("--no-progress", is_flag=True, help="Draw no live line; none is drawn in CI or into a file anyway.")
@click.pass_context
def cli(context: click.Context, *, quiet: bool, verbose: int, color: str, no_progress: bool) -> None:
    """Read the surroundings once for every command."""
    context.obj = open_session(verbosity=-1 if quiet else verbose, color=color, show_progress=not no_progress)


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    printer = Printer()
    try:
        ended = cli.main(arguments, prog_name="deep-lock", standalone_mode=False)
    except DeepLockError as error:
        printer.error(error)
        if "-vv" in arguments or arguments.count("-v") > 1:
            raise
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        printer.info("interrupted")
        return INTERRUPTED
    return ended if isinstance(ended, int) else 0  # the code of click's Exit
