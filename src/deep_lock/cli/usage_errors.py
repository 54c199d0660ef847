"""Errors of click in the form of all others: what is wrong, and a hint with the nearest name or value."""

import re
from contextlib import suppress

import click

from deep_lock.cli.help_text import HelpContext
from deep_lock.errors import UsageError
from deep_lock.suggestions import did_you_mean, nearest

_NOT_A_CHOICE = re.compile(r"'(.*)' is not one of ")
_QUOTED_OPTION = re.compile(r"(?<=^Invalid value for )'(-[^']*)'(?=: )")


class CommandGroup(click.Group):
    """A group whose unknown commands have an error in this form."""

    context_class = HelpContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options. Without any argument it is the help of `deep-lock`. Raises UsageError where a command is missing."""
        if args or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if ctx.parent is None:
            with suppress(click.exceptions.Exit):
                super().parse_args(ctx, ["--help"])
            ctx.exit(click.UsageError.exit_code)
        raise UsageError("a command is missing", hint=f"{ctx.command_path} --help lists the commands")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command. Raises UsageError."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        above = ctx.command_path.split()[1:]  # without the name of the program
        whole = " ".join([*above, name])
        raise UsageError(f"there is no command {whole}", hint=self.hint(name, known, ctx.command_path))

    def hint(self, name: str, known: list[str], path: str) -> str:
        """Return a hint about an unknown command; ``path`` has the words before it."""
        above = path.partition(" ")[2]
        found = nearest(name, known)
        return f"did you mean {above} {found}?".replace("  ", " ") if found else f"{path} --help lists the commands"


def usage_fault(error: click.ClickException) -> tuple[str, str]:
    """Return the message and the hint."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    match error:
        case click.NoSuchOption():
            message = f"there is no option {error.option_name}"
        case _:
            message = _QUOTED_OPTION.sub(r"\1", error.format_message().rstrip("."))
            message = message[:1].lower() + message[1:]
    return message, " ".join(filter(None, (_suggestion(error), _where_to_look(context))))


def _suggestion(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    match error:
        case click.NoSuchOption() if context is not None:
            known = [name for own in context.command.get_params(context) for name in (*own.opts, *own.secondary_opts)]
            found = nearest(error.option_name.lstrip("-"), [name[2:] for name in known if name.startswith("--")])
            return f"did you mean --{found}?" if found else ""
        case click.BadParameter(param=click.Parameter(type=click.Choice(choices=choices))):
            value = _NOT_A_CHOICE.match(error.message)
            return did_you_mean(value[1], [str(own) for own in choices]) if value else ""
    return ""


def _where_to_look(context: click.Context | None) -> str:
    return f"{context.command_path} --help shows the usage" if context is not None else ""
