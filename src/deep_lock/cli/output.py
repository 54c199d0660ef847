"""The only module that writes to stdout and stderr. stdout is data; stderr is for people.

Text from outside commands no log reader (`sanitize`): stdout accepts `Safe` text only, and stderr makes every text safe itself.
"""

import io
import sys
import threading
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Literal

import click

from deep_lock.errors import DeepLockError
from deep_lock.sanitize import Safe, lines, show, without_login

ColorMode = Literal["auto", "always", "never"]
MAX_LINE = 2000
"""Characters of one line of an error or a warning."""


class Printer:
    """Writes for people and for programs. ``verbosity``: -1 quiet, 0 normal, 1 and 2 more."""

    def __init__(self, *, verbosity: int = 0, color: ColorMode = "auto") -> None:
        self.verbosity = verbosity
        self.color: ColorMode = color
        self.is_colored = {"auto": None, "always": True, "never": False}[color]
        """None: where the stream is a terminal."""
        self.heading = ""
        """The subject of what follows: it is written above the next line for people, and then no more."""

    def data(self, text: Safe) -> None:
        """Write a result to stdout."""
        click.echo(text, color=self.is_colored, nl=False)

    def info(self, text: str, *, level: int = 0) -> None:
        """Write a line for people, at this verbosity or more."""
        if self.verbosity >= level:
            self._echo(lines(without_login(text)))

    def warn(self, subject: str, message: str) -> None:
        """Write a warning. -q does not hide it: it is about the result."""
        self._headed("warning:", "yellow", f"{subject}: {message}")

    def error(self, error: DeepLockError) -> None:
        """Write why the command failed, and what the user can do."""
        self._headed("error:", "red", error.message)
        if error.hint:
            self._headed("hint:", "cyan", error.hint)

    def usage_error(self, error: click.ClickException) -> None:
        """Write an error of click: it quotes arguments, variables and values of files."""
        text = io.StringIO()
        error.show(text)
        self.info(text.getvalue().rstrip("\n"))

    def crash(self, fault: Exception, *, with_traceback: bool) -> None:
        """Write that deep-lock has a fault, and where. The message of the exception may quote content from outside."""
        frames = traceback.extract_tb(fault.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        text = f"internal error, please report it: {type(fault).__name__}: {fault} ({place})"
        self._headed("error:", "red", text)
        if with_traceback:
            self.traceback(fault)
        else:
            self._headed("hint:", "cyan", "the option -v, before the command, shows the traceback that a report needs")

    def traceback(self, fault: Exception) -> None:
        """Write where an exception was raised."""
        self.info(_short_lines("".join(traceback.format_exception(fault)).rstrip("\n")), level=-1)

    def _headed(self, head: str, color: str, text: str) -> None:
        self._echo(f"{click.style(head, fg=color, bold=True)} {_short_lines(text)}")

    def _echo(self, text: str) -> None:
        """Write a text that is safe."""
        heading, self.heading = self.heading, ""
        if heading:
            click.echo(lines(show(heading, MAX_LINE)), err=True, color=self.is_colored)
        click.echo(text, err=True, color=self.is_colored)


def _short_lines(text: str) -> Safe:
    """Show each line by itself: the line breaks are deep-lock's own."""
    return lines("\n".join(show(line, MAX_LINE) for line in text.split("\n")))


def guard_python(printer: Printer) -> None:
    """Make safe what Python itself writes to stderr: tracebacks, also those of threads, and warnings. They quote outside text."""

    def show_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None, /) -> None:
        printer.info(_short_lines("".join(traceback.format_exception(kind, error, trace)).rstrip("\n")), level=-1)

    def show_thread(failed: threading.ExceptHookArgs, /) -> None:
        show_traceback(failed.exc_type, failed.exc_value, failed.exc_traceback)

    def show_unraisable(failed: "sys.UnraisableHookArgs", /) -> None:
        show_traceback(failed.exc_type, failed.exc_value, failed.exc_traceback)

    def show_warning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        printer.info(_short_lines(warnings.formatwarning(message, category, filename, lineno, "").rstrip("\n")))

    sys.excepthook = show_traceback
    sys.unraisablehook = show_unraisable
    threading.excepthook = show_thread
    warnings.showwarning = show_warning
