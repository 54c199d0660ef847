"""The only module that writes to stdout and stderr. stdout is data; stderr is for people.

Text from outside (names, messages of servers) goes through `sanitize.show` before it is printed.
"""

from typing import Literal

import click

from deep_lock.errors import DeepLockError
from deep_lock.sanitize import show

ColorMode = Literal["auto", "always", "never"]


class Printer:
    """Writes for people and for programs. ``verbosity``: -1 quiet, 0 normal, 1 and 2 more."""

    def __init__(self, *, verbosity: int = 0, color: ColorMode = "auto") -> None:
        self.verbosity = verbosity
        self.color: ColorMode = color
        self.is_colored = {"auto": None, "always": True, "never": False}[color]
        """None: where the stream is a terminal."""

    def data(self, text: str) -> None:
        """Write a result to stdout."""
        click.echo(text, color=self.is_colored, nl=False)

    def info(self, text: str, *, level: int = 0) -> None:
        """Write a line for people, at this verbosity or more."""
        if self.verbosity >= level:
            click.echo(text, err=True, color=self.is_colored)

    def warn(self, subject: str, message: str) -> None:
        """Write a warning. -q does not hide it: it is about the result."""
        self._headed("warning:", "yellow", f"{_lines(subject)}: {_lines(message)}")

    def error(self, error: DeepLockError) -> None:
        """Write why the command failed, and what the user can do."""
        self._headed("error:", "red", _lines(error.message))
        if error.hint:
            self._headed("hint:", "cyan", _lines(error.hint))

    def _headed(self, head: str, color: str, text: str) -> None:
        click.echo(f"{click.style(head, fg=color, bold=True)} {text}", err=True, color=self.is_colored)


def _lines(text: str) -> str:
    """Show each line by itself: the line breaks are deep-lock's own, and no control character from outside gets through."""
    return "\n".join(show(line, limit=2000) for line in text.split("\n"))
