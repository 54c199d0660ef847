"""The only module that writes to stdout and stderr. stdout is data; stderr is for people.

Text from outside commands no log reader (`sanitize`): stdout accepts `Safe` text only, and stderr makes every text safe itself.
"""

import os
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

import click
from msgspec import structs

from deep_lock.events import Event, Warned
from deep_lock.lazy import shutil
from deep_lock.reports.document import Failure, failure_row, warning_row
from deep_lock.sanitize import MAX_LINE, Painted, Safe, json_line, line, lines, show, show_lines, without_login

ColorMode = Literal["auto", "always", "never"]
LogFormat = Literal["text", "json"]
LOG_SCHEMA = "deep-lock/log"


class Printer:
    """Writes for people and for programs. ``verbosity``: -1 quiet, 0 normal, 1 and 2 more.

    ``log_format`` is that of stderr: lines for people, or a JSON document on each line (docs/formats/json.md).
    """

    def __init__(self, *, verbosity: int = 0, color: ColorMode = "auto", log_format: LogFormat = "text") -> None:
        self.verbosity = verbosity
        self.log_format: LogFormat = log_format
        self.has_data = False
        """Whether the run wrote a result."""
        self.set_color(color)
        self._project = ""
        self._heading = ""
        self._writing = threading.Lock()

    def set_color(self, color: ColorMode) -> None:
        """Set whether output is colored."""
        self.is_colored = {"auto": None, "always": True, "never": False}[color]
        """None: where the stream is a terminal."""

    def set_project(self, path: str) -> None:
        """Set which project the following lines are about; empty: none. It is written above the first of them."""
        self._project = path
        self._heading = f"{path}:" if path else ""

    def data(self, text: Safe) -> None:
        """Write a result to stdout."""
        self.has_data = True
        click.echo(text, color=self.is_colored, nl=False)

    def info(self, text: str, *, level: int = 0) -> None:
        """Write a line for people, at this verbosity or more."""
        if self.verbosity < level:
            return
        if self.log_format == "json":
            self._log("message", "info", {"message": show_lines(text)})
        else:
            self._echo(lines(without_login(text)))

    def rows(self, rows: Iterable[Sequence[str | Painted]]) -> None:
        """Write lines for people, with colors in text."""
        if self.verbosity < 0:
            return
        if self.log_format == "json":
            self.info("\n".join("".join(_text(part) for part in row) for row in rows))
        else:
            for row in rows:
                self._echo(line(*row))

    def warn(self, warning: Warned) -> None:
        """Write a warning. -q does not hide it: it is about the result."""
        if self.log_format == "json":
            self._log("warned", "warning", warning_row(warning))
        else:
            self._headed("warning:", "magenta", f"{warning.subject}: {warning.message}")

    def progress(self, event: Event) -> None:
        """Write an event in a JSON log. Text for people has a progress line instead."""
        if self.log_format == "json" and self.verbosity >= 0:
            name = "".join(f"-{own}" if own.isupper() else own for own in type(event).__name__).lower()
            fields = structs.asdict(event).items()
            row = {key: show_lines(value) if isinstance(value, str) else value for key, value in fields}
            self._log(name.removeprefix("-"), "progress", row)

    def failure(self, failure: Failure) -> None:
        """Write why the command failed, and what the user can do."""
        if self.log_format == "json":
            self._log("failed", "error", failure_row(failure))
            return
        self._headed("error:", "red", failure.message)
        if failure.hint:
            self._headed("hint:", "cyan", failure.hint)

    def interrupted(self) -> None:
        """Write that the user ended the run, below the ^C of a terminal."""
        if self.log_format == "text":
            self._echo("")
        self.info("interrupted")

    def traceback(self, fault: Exception) -> None:
        """Write where an exception was raised."""
        self.python_message("".join(traceback.format_exception(fault)))

    def python_message(self, text: str) -> None:
        """Write what Python prints: a traceback, or a warning. -q does not hide it."""
        if self.log_format == "json":
            self._log("traceback", "error", {"message": show_lines(text.rstrip("\n"))})
        else:
            self._echo(lines(without_login(show_lines(text.rstrip("\n")))))

    def _log(self, event: str, level: str, fields: Mapping[str, Any]) -> None:
        head = {"schema": LOG_SCHEMA, "version": 1, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
        project = {"project": self._project} if self._project else {}
        row = json_line({**head, "event": event, "level": level, **project, **fields})
        with self._writing:  # events come from worker threads too
            click.echo(row, err=True)

    def _headed(self, head: str, color: str, text: str) -> None:
        shown = show_lines(text)
        if os.isatty(2):
            shown = _wrapped(head, shown, shutil.get_terminal_size().columns)
        self._echo(f"{click.style(head, fg=color, bold=True)} {lines(shown)}")

    def _echo(self, text: str) -> None:
        """Write a text that is safe."""
        heading, self._heading = self._heading, ""
        if heading:
            click.echo(lines(show(heading, MAX_LINE)), err=True, color=self.is_colored)
        click.echo(text, err=True, color=self.is_colored)


def _text(part: str | Painted) -> str:
    return part.text if isinstance(part, Painted) else part


def _wrapped(head: str, text: str, width: int) -> str:
    """Return the text after ``head`` with breaks between words where a line is wider than the terminal. Long words stay whole."""
    wrapped: list[str] = []
    for number, own in enumerate(text.split("\n")):
        words = own.lstrip()
        margin = own[: len(own) - len(words)]
        wrapped += textwrap.wrap(
            words,
            max(width, 40),
            initial_indent=margin if number else f"{head} {margin}",
            subsequent_indent=f"{margin}  ",
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        ) or [""]
    return "\n".join(wrapped).removeprefix(f"{head} ")


def guard_python(printer: Printer) -> None:
    """Make safe what Python itself writes to stderr: tracebacks, also those of threads, and warnings. They quote outside text."""

    def show_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None, /) -> None:
        printer.python_message("".join(traceback.format_exception(kind, error, trace)))

    def show_thread(failed: threading.ExceptHookArgs, /) -> None:
        show_traceback(failed.exc_type, failed.exc_value, failed.exc_traceback)

    def show_unraisable(failed: "sys.UnraisableHookArgs", /) -> None:
        show_traceback(failed.exc_type, failed.exc_value, failed.exc_traceback)

    def show_warning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        if printer.verbosity >= 0:
            printer.python_message(warnings.formatwarning(message, category, filename, lineno, ""))

    sys.excepthook = show_traceback
    sys.unraisablehook = show_unraisable
    threading.excepthook = show_thread
    warnings.showwarning = show_warning
