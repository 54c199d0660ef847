"""Commands whose options stand under headings, in the help as in the code: forty in one list teach nobody."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import click

Section = tuple[str, Sequence[Callable[[Any], Any]]]
"""A heading, and what adds the options below it to a command."""


def sectioned(name: str, sections: Sequence[Section], **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command with the options of these sections; ``settings`` are click's."""
    sizes = [(title, len(group)) for title, group in (*sections, ("Help", (click.help_option(),)))]

    class SectionedCommand(click.Command):
        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            options = iter(self.get_params(ctx))
            for title, size in sizes:
                records = [option.get_help_record(ctx) for option in islice(options, size)]
                with formatter.section(title):
                    formatter.write_dl([record for record in records if record is not None])

    def decorate(function: Callable[..., Any]) -> click.Command:
        for _, group in reversed(sections):
            for option in reversed(group):
                function = option(function)
        return click.command(name, cls=SectionedCommand, **settings)(function)

    return decorate
