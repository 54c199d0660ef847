"""The help of commands and of topics: its width, its commands, and what an unknown word gets."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deep_lock.cli.help_text import HelpContext
from deep_lock.cli.main import cli, run
from deep_lock.cli.topics import TOPICS
from tests.support.paths import ROOT

COLUMNS = 80
COMMAND = re.compile(r"  (deep-lock .*?)(?: {2,}\S.*)?")


def _output(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    assert run(arguments) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def _root() -> click.Context:
    return type(cli).context_class(cli, info_name="deep-lock", **cli.context_settings)


def _commands(context: click.Context) -> Iterator[click.Context]:
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            own = group.get_command(context, name)
            assert own is not None
            yield from _commands(type(own).context_class(own, info_name=name, parent=context))


def test_help_fits_80_columns_except_commands_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    wide = [
        line
        for own in _commands(_root())
        for line in own.get_help().split("\n")
        if len(line) > COLUMNS and not re.match(r" +(deep-lock |pip |--)", line) and "--format [" not in line
    ]
    assert wide == []


def test_the_meaning_of_an_example_is_next_to_it_or_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = (
        "Text.\n\n\b\n"
        f"  short        {'word ' * 20}\n"
        f"  a command that is as long as those with two or three options    {'word ' * 8}\n"
        f"  deep-lock copy --this {'x' * 70}\n"
    )
    shown = HelpContext(click.Command("own", help=text), info_name="own").get_help()
    line, margin = " ".join(["word"] * 12), " " * 17
    assert f"    short        {line}\n{margin}{' '.join(['word'] * 8)}\n" in shown
    assert (
        f"    a command that is as long as those with two or three options\n        {' '.join(['word'] * 8)}\n" in shown
    )
    assert f"    deep-lock copy --this {'x' * 70}\n" in shown


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_fits_and_its_commands_are_valid(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = _output(["help", name], capfd)
    assert text == TOPICS[name].text
    assert max(map(len, text.split("\n"))) <= COLUMNS
    commands = [found[1] for line in text.split("\n") if (found := COMMAND.fullmatch(line))]
    for words in map(shlex.split, commands):
        root = _root()
        own = cli.get_command(root, words[1])
        assert own is not None, words
        group = own.get_command(root, words[2]) if isinstance(own, click.Group) else None
        (group or own).make_context(words[1], words[3 if group else 2 :], parent=root)


def test_the_help_of_a_command_is_that_of_its_option(capfd: pytest.CaptureFixture[str]) -> None:
    assert _output(["help", "fleet", "lock"], capfd) == _output(["fleet", "lock", "--help"], capfd)
    every = _output(["help"], capfd)
    assert every.startswith(_output(["--help"], capfd))
    assert [line.split()[0] for line in every.partition("Topics:\n")[2].split("\n\n")[0].split("\n")] == list(TOPICS)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["targts"], "there is no topic or command targts", "did you mean targets?"),
        (["lcok"], "there is no topic or command lcok", "did you mean lock?"),
        (["fleet", "lok"], "there is no command fleet lok", "did you mean fleet lock?"),
        (["lock", "x"], "there is no command lock x", "deep-lock help lists all of them"),
    ],
)
def test_an_unknown_word_gets_a_suggestion(
    words: list[str], message: str, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["help", *words]) == 2
    assert capfd.readouterr() == ("", f"error: {message}\nhint: {hint}\n")


def test_the_topic_has_every_exit_code() -> None:
    page = Path(ROOT, "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    codes = re.findall(r"^\| ([0-9]+) \|", page, re.MULTILINE)
    assert re.findall(r"^  ([0-9]+) ", TOPICS["exit-codes"].text, re.MULTILINE) == codes
