"""How the failure of a command is reported, and which exit code it has."""

import traceback
from collections.abc import Iterable
from pathlib import Path

import click
from msgspec import structs

from deep_lock.cli.output import Printer
from deep_lock.cli.usage_errors import usage_fault
from deep_lock.errors import DeepLockError, UserError, machine_fault
from deep_lock.reports.document import Failure, failure_of

INTERNAL = 70
"""EX_SOFTWARE of sysexits.h: a fault of deep-lock, and no statement about the project or its packages."""
_WORST_FIRST = (INTERNAL, 4, 2, 3, 1, 0)


def describe(error: Exception) -> Failure:
    """Return what any exception of a command means."""
    if isinstance(error, click.ClickException):
        message, hint = usage_fault(error)
        return Failure(code="usage-error", exit_code=error.exit_code, message=message, hint=hint)
    known = error if isinstance(error, DeepLockError) else _machine_or_file_fault(error)
    return failure_of(known) if known is not None else _internal(error)


def report_failure(error: Exception, printer: Printer, *, with_traceback: bool) -> Failure:
    """Write an error, with the traceback of an internal one if that is requested; return what it means."""
    failure = describe(error)
    if failure.exit_code == INTERNAL and with_traceback:
        printer.failure(structs.replace(failure, hint=""))
        printer.traceback(error)
    else:
        printer.failure(failure)
    return failure


def worst(codes: Iterable[int]) -> int:
    """Return the worst exit code: internal error, safety, input, network or machine, action needed, done."""
    return min(codes, key=_WORST_FIRST.index, default=0)


def _internal(fault: Exception) -> Failure:
    """Return that deep-lock has a fault, and where. The message of the exception may quote content from outside."""
    frames = traceback.extract_tb(fault.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return Failure(
        code="internal-error",
        exit_code=INTERNAL,
        message=f"internal error, please report it: {type(fault).__name__}: {fault} ({place})",
        hint="the option -v, before the command, shows the traceback that a report needs",
    )


def _machine_or_file_fault(error: Exception) -> DeepLockError | None:
    """Return the fault of this machine, or of a file in a folder that may not be searched, say; None for one of the program."""
    fault = machine_fault(error)
    if fault is not None or not isinstance(error, OSError):
        return fault
    if isinstance(error, FileNotFoundError) and error.filename is None:  # of os.getcwd
        return UserError("the current folder was deleted", hint="change to a folder that exists")
    named = f"{error.filename}: " if error.filename is not None else ""
    return UserError(f"{named}{error.strerror or error}")
