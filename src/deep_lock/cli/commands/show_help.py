"""`deep-lock help`: the help of a command, and short texts about topics."""

from collections.abc import Sequence

import click

from deep_lock.cli import topics
from deep_lock.cli.completion import fitting
from deep_lock.cli.session import Session
from deep_lock.errors import UsageError
from deep_lock.sanitize import lines
from deep_lock.suggestions import nearest

HELP = """\
Show a topic, or the help of a command.

\b
  deep-lock help                       all commands and topics
  deep-lock help targets               a topic
  deep-lock help fleet lock            the same as deep-lock fleet lock --help
"""


def _words(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return what the next word can be."""
    words: Sequence[str] = context.params.get(parameter.name or "") or ()
    if not words:
        return fitting([*topics.TOPICS, *_names(context.find_root())], incomplete)
    try:
        return fitting(_names(_found(context.find_root(), words)), incomplete)
    except UsageError:
        return []


@click.command("help", help=HELP, short_help="Show a topic, or the help of a command.")
@click.argument("words", metavar="[TOPIC|COMMAND...]", nargs=-1, shell_complete=_words)
@click.pass_context
def help_command(context: click.Context, /, *, words: tuple[str, ...]) -> None:
    """Print the text."""
    session: Session = context.obj
    root = context.find_root()
    if not words:
        rows = [f"  {name:<15}{topic.summary}" for name, topic in topics.TOPICS.items()]
        end = ["", "Topics:", *rows, "", "deep-lock help TOPIC shows a topic, deep-lock help COMMAND a command."]
        text = "\n".join([root.get_help(), *end])
    elif len(words) == 1 and words[0] in topics.TOPICS:
        text = topics.TOPICS[words[0]].text
    else:
        text = _found(root, words).get_help()
    session.printer.data(lines(text.rstrip("\n") + "\n"))


def _found(root: click.Context, words: Sequence[str]) -> click.Context:
    """Return the context of a command. Raises UsageError where there is none."""
    context = root
    for number, word in enumerate(words):
        group = context.command
        own = group.get_command(context, word) if isinstance(group, click.Group) else None
        if own is None:
            before = "".join(f"{own} " for own in words[:number])
            known = [*_names(context), *(topics.TOPICS if not number else ())]
            found = nearest(word, known)
            hint = f"did you mean {before}{found}?" if found else "deep-lock help lists all of them"
            what = "command" if number else "topic or command"
            raise UsageError(f"there is no {what} {before}{word}", hint=hint)
        context = type(own).context_class(own, info_name=word, parent=context)
    return context


def _names(context: click.Context) -> list[str]:
    group = context.command
    return group.list_commands(context) if isinstance(group, click.Group) else []
