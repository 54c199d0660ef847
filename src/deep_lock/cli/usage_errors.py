"""Errors of click in the form of all others: what is wrong, and a hint with the nearest name or value."""

import re

import click

from deep_lock.suggestions import did_you_mean

_NOT_A_CHOICE = re.compile(r"'(.*)' is not one of ")


def usage_fault(error: click.ClickException) -> tuple[str, str]:
    """Return the message and the hint."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    match error:
        case click.NoSuchOption():
            message = f"there is no option {error.option_name}"
        case _:
            message = error.format_message().rstrip(".")
            message = message[:1].lower() + message[1:]
    return message, " ".join(filter(None, (_suggestion(error), _where_to_look(context))))


def _suggestion(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    match error:
        case click.NoSuchOption() if context is not None:
            known = [name for own in context.command.get_params(context) for name in (*own.opts, *own.secondary_opts)]
            return did_you_mean(error.option_name, [name for name in known if name.startswith("--")])
        case click.BadParameter(param=click.Parameter(type=click.Choice(choices=choices))):
            found = _NOT_A_CHOICE.match(error.message)
            return did_you_mean(found[1], [str(own) for own in choices]) if found else ""
    return ""


def _where_to_look(context: click.Context | None) -> str:
    return f"{context.command_path} --help shows the usage" if context is not None else ""
