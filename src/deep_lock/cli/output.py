"""The sole owner of stdout and stderr. stdout is data; stderr is for people.

Everything from outside (names, messages of servers) goes through `display.show` before it is printed.
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
        self._color = {"auto": None, "always": True, "never": False}[color]

    def data(self, text: str) -> None:
        """Write a result to stdout."""
        click.echo(text, color=self._color, nl=False)

    def info(self, text: str, *, level: int = 0) -> None:
        """Tell a person, if the verbosity reaches the level."""
        if self.verbosity >= level:
            click.echo(text, err=True, color=self._color)

    def warn(self, subject: str, message: str) -> None:
        """Tell of something that a person should know; -q hides it not: a warning is about the result."""
        head = click.style("warning:", fg="yellow", bold=True)
        click.echo(f"{head} {_lines(subject)}: {_lines(message)}", err=True, color=self._color)

    def error(self, error: DeepLockError) -> None:
        """Tell why the command failed, and what can be done."""
        head = click.style("error:", fg="red", bold=True)
        click.echo(f"{head} {_lines(error.message)}", err=True, color=self._color)
        if error.hint:
            click.echo(
                f"{click.style('hint:', fg='cyan', bold=True)} {_lines(error.hint)}", err=True, color=self._color
            )


def _lines(text: str) -> str:
    """Show each line by itself, so that our own line breaks stay and nobody else's controls get through."""
    return "\n".join(show(line, limit=2000) for line in text.split("\n"))
