"""The command line: the options before the command, exit codes, and errors without tracebacks."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile, zip_longest
from types import FrameType, MappingProxyType
from typing import Any

import click

from deep_lock.cli.commands import (
    audit,
    cache,
    deepen,
    diff,
    doctor,
    edit,
    export,
    fetch,
    fleet,
    git,
    init,
    lock,
    outdated,
    policy,
    report,
    show_help,
    verify,
    vet,
    wheelhouse,
    why,
)
from deep_lock.cli.failures import INTERNAL, report_failure
from deep_lock.cli.options import LOG_FORMAT
from deep_lock.cli.output import Printer, guard_python
from deep_lock.cli.session import color_mode, open_session
from deep_lock.cli.usage_errors import CommandGroup
from deep_lock.reports.document import Failure, error_document

_BY_NAME: Mapping[str, Callable[[], click.Command]] = MappingProxyType(
    {
        "add": lambda: edit.add_command,
        "audit": lambda: audit.audit_command,
        "cache": lambda: cache.cache_command,
        "completion": lambda: git.completion_command,
        "deepen": lambda: deepen.deepen_command,
        "diff": lambda: diff.diff_command,
        "doctor": lambda: doctor.doctor_command,
        "export": lambda: export.export_command,
        "fetch": lambda: fetch.fetch_command,
        "fleet": lambda: fleet.fleet_command,
        "git-merge": lambda: git.git_merge_command,
        "git-setup": lambda: git.git_setup_command,
        "git-textconv": lambda: git.git_textconv_command,
        "help": lambda: show_help.help_command,
        "init": lambda: init.init_command,
        "lock": lambda: lock.lock_command,
        "outdated": lambda: outdated.outdated_command,
        "policy": lambda: policy.policy_command,
        "remove": lambda: edit.remove_command,
        "report": lambda: report.report_command,
        "tree": lambda: why.tree_command,
        "verify": lambda: verify.verify_command,
        "vet": lambda: vet.vet_command,
        "wheelhouse": lambda: wheelhouse.wheelhouse_command,
        "why": lambda: why.why_command,
    }
)


_OF_OTHER_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("update", "upgrade", "relock"),
            "deep-lock lock --upgrade upgrades all packages, deep-lock lock -P NAME one; deep-lock outdated lists them",
        ),
        **dict.fromkeys(("compile", "resolve", "generate"), "deep-lock lock writes deep.lock"),
        "check": "deep-lock lock --check checks that deep.lock fits the project, deep-lock policy checks its content",
        **dict.fromkeys(
            ("install", "sync"),
            "deep-lock installs nothing: deep-lock wheelhouse makes the wheels for pip, deep-lock export writes what pip and uv"
            " install from",
        ),
        **dict.fromkeys(("freeze", "requirements"), "deep-lock export -f requirements writes requirements with hashes"),
        **dict.fromkeys(
            ("show", "list", "info", "graph"),
            "deep-lock tree shows the packages of deep.lock, deep-lock why NAME what requires one",
        ),
        "build": "deep-lock wheelhouse builds the wheels of deep.lock in their locked environments",
        "uninstall": "deep-lock remove removes a requirement from the project, and locks",
        "download": "deep-lock fetch downloads the files of deep.lock",
        "import": "deep-lock deepen FILE keeps the pins of another tool's lock",
    }
)
"""Commands of other tools, each with what does the same here."""


class Commands(CommandGroup):
    """The group of all commands."""

    def hint(self, name: str, known: list[str], path: str) -> str:
        """Return a hint about an unknown command. For one of another tool, a name that is alike would mislead."""
        return _OF_OTHER_TOOLS.get(name) or super().hint(name, known, path)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. click would write an empty line where it is interrupted, also into a log in JSON."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return every name, for the help and for completion."""
        return sorted(_BY_NAME)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command; None where there is none."""
        if cmd_name in _BY_NAME and cmd_name not in self.commands:
            self.add_command(_BY_NAME[cmd_name](), cmd_name)
        return super().get_command(ctx, cmd_name)


INTERRUPTED = 130


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: the run ends as by Ctrl-C, without temporary files and without children."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the run in order. A signal that is ignored, as by nohup, stays ignored."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(number)


HELP = """\
Lock the dependencies of a Python project and all of their build dependencies, with the hash of each file.

Start with: deep-lock init, then deep-lock lock

\b
Exit codes:
  0    done
  1    you must act: the lock is stale or breaks the policy, or no set of versions fits
  2    invalid usage, configuration or input, or a lock that cannot be read
  3    network or index failure, or this machine lacks memory, open files or disk space: try again
  4    refused for safety: a wrong hash, an unsafe archive, missing evidence
  70   internal error of deep-lock: report it
  130  interrupted (143 by SIGTERM, 129 by SIGHUP)
"""
EPILOG = "Each option of a command can be set by the variable DEEP_LOCK_<LONG NAME>. Most options have a key in [tool.deep-lock]."


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "DEEP_LOCK"},
    help=HELP,
    epilog=EPILOG,
)
@click.version_option(package_name="deep-lock", prog_name="deep-lock")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
@click.option("-v", "--verbose", count=True, help="Show more; -vv shows the traceback of an error.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="When to use color on stderr. 'auto' depends on NO_COLOR, FORCE_COLOR and the terminal.",
)
@click.option("--no-progress", is_flag=True, help="Do not show a progress line. In CI and in files it is never shown.")
@LOG_FORMAT
@click.pass_context
def cli(context: click.Context, *, quiet: bool, verbose: int, color: str, no_progress: bool, log_format: str) -> None:
    """Open the session that every command gets."""
    del color, log_format  # see _printer
    context.obj = open_session(
        context.ensure_object(Printer),
        verbosity=-1 if quiet else verbose,
        show_progress=not no_progress,
    )


def run_process(arguments: list[str]) -> int:
    """Run one command in a process of its own; return its exit code."""
    guard_python(_printer(arguments))
    return run(arguments)


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    printer = _printer(arguments)
    try:
        ended = cli.main(arguments, prog_name="deep-lock", standalone_mode=False, obj=printer)
    except click.exceptions.Exit as stop:
        ended = stop.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        printer.interrupted()
        cause = error if isinstance(error, Terminated) else error.__cause__
        code = 128 + cause.number if isinstance(cause, Terminated) else INTERRUPTED
        _write_failure(printer, arguments, Failure(code="interrupted", exit_code=code, message="interrupted"))
        return code
    except Exception as error:
        failure = report_failure(error, printer, with_traceback=any(option in _VERBOSE for option in arguments))
        _write_failure(printer, arguments, failure)
        has_traceback = not isinstance(error, click.ClickException) and failure.exit_code != INTERNAL
        if has_traceback and ("-vv" in arguments or arguments.count("-v") > 1):
            raise  # for its traceback
        return failure.exit_code
    return ended if isinstance(ended, int) else 0  # the code of click's Exit


_VERBOSE = ("-v", "-vv", "--verbose")


def _printer(arguments: Sequence[str]) -> Printer:
    """Make the printer of a run. Arguments that click refuses have a color and a log format too."""
    return Printer(
        color=color_mode(_value(arguments, "--color"), os.environ),
        log_format="json" if _value(arguments, "--log-format") == "json" else "text",
    )


def _write_failure(printer: Printer, arguments: Sequence[str], failure: Failure) -> None:
    """Write the document of a failure where JSON is requested, and no other document was written."""
    if _value(arguments, "--format") == "json" and not printer.has_data:
        printer.data(error_document(failure))


def _value(arguments: Sequence[str], option: str) -> str:
    """Return the last value of an option, else that of its variable: as it is before click parses the arguments."""
    value = os.environ.get(f"DEEP_LOCK_{option[2:].replace('-', '_').upper()}", "")
    own = list(takewhile(lambda text: text != "--", arguments))
    for text, following in zip_longest(own, own[1:], fillvalue=""):
        if text == option:
            value = following
        elif text.startswith(f"{option}="):
            value = text.removeprefix(f"{option}=")
    return value
