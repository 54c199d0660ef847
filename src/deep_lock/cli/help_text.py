"""The help of commands within the width of the terminal. click wraps paragraphs, but not the lines that it leaves as they are."""

import re
import textwrap
from collections.abc import Iterator

import click

_EXAMPLE = re.compile(r"(?P<command> *\S.*?\S?) {2,}(?P<meaning>\S.*)")
MIN_MEANING = 30
"""Columns next to an example, in which its meaning is wrapped; where there are fewer it is in the line below."""


class HelpFormatter(click.HelpFormatter):
    """Writes help. An example that is too wide is wrapped at its meaning; a command stays whole."""

    def write_text(self, text: str) -> None:
        """Write paragraphs. Those that click does not wrap keep their lines, where these are not too wide."""
        width = self.width - self.current_indent
        paragraphs = text.split("\n\n")
        super().write_text("\n\n".join(_fitting(own, width) if own.startswith("\b") else own for own in paragraphs))


class HelpContext(click.Context):
    """The context of a command with this help."""

    formatter_class = HelpFormatter


def _fitting(paragraph: str, width: int) -> str:
    return "\n".join(part for line in paragraph.split("\n") for part in _example(line, width))


def _example(line: str, width: int) -> Iterator[str]:
    found = _EXAMPLE.fullmatch(line)
    if len(line) > width and found is None and not line.startswith(" "):
        yield from textwrap.wrap(line, width, break_on_hyphens=False)
        return
    if len(line) <= width or found is None:
        yield line
        return
    column = found.start("meaning")
    is_next = width - column >= MIN_MEANING
    indent = column if is_next else len(line) - len(line.lstrip()) + 4
    meaning = textwrap.wrap(found["meaning"], width - indent, break_on_hyphens=False)
    if is_next:
        yield line[:column] + meaning.pop(0)
    else:
        yield found["command"].rstrip()
    yield from (" " * indent + own for own in meaning)
