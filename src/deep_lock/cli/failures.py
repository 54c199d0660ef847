"""How the failure of a command is reported, and which exit code it has."""

from collections.abc import Iterable

from deep_lock.cli.output import Printer
from deep_lock.errors import DeepLockError, UserError, machine_fault

INTERNAL = 70
"""EX_SOFTWARE of sysexits.h: a fault of deep-lock, and no statement about the project or its packages."""
_WORST_FIRST = (INTERNAL, 4, 2, 3, 1, 0)


def report_failure(error: Exception, printer: Printer, *, with_traceback: bool) -> int:
    """Write an error, with the traceback of an internal one if that is wanted; return its exit code."""
    known = error if isinstance(error, DeepLockError) else _machine_or_file_fault(error)
    if known is None:
        printer.crash(error, with_traceback=with_traceback)
        return INTERNAL
    printer.error(known)
    return known.exit_code


def worst(codes: Iterable[int]) -> int:
    """Return the worst exit code: internal error, safety, input, network or machine, action needed, done."""
    return min(codes, key=_WORST_FIRST.index, default=0)


def _machine_or_file_fault(error: Exception) -> DeepLockError | None:
    """Return the fault of this machine, or of a file in a folder that may not be searched, say; None for one of the program."""
    fault = machine_fault(error)
    if fault is not None or not isinstance(error, OSError):
        return fault
    named = f"{error.filename}: " if error.filename is not None else ""
    return UserError(f"{named}{error.strerror or error}")
