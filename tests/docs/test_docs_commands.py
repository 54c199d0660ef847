"""docs/reference lists every command, option, variable and exit code, and no others. The README's commands exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from deep_lock import errors
from deep_lock.cli.failures import INTERNAL
from deep_lock.cli.main import INTERRUPTED, cli
from deep_lock.config.config import read_config

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
CLI = REFERENCE / "cli"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`]+)`")


def _tables(page: Path) -> list[list[str]]:
    """Return the cells of every row of a page's tables that begins with code or a number."""
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if re.match(r"\| [`\d]", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def _commands(group: click.Group, path: str = "deep-lock") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def _options(command: click.Command) -> dict[frozenset[str], click.Option]:
    return {frozenset(option.opts): option for option in command.params if isinstance(option, click.Option)}


def _page(path: str) -> Path:
    """Return the page of a command; the small commands of `deep-lock cache` share one."""
    name = path.removeprefix("deep-lock ").replace(" ", "-")
    return CLI / f"{'cache' if name.startswith('cache-') else name}.md"


def _documented(path: str) -> dict[frozenset[str], list[str]]:
    """Return the rows of a command's page by the names of their options, with those of a page that it refers to."""
    page = _page(path)
    same = re.search(
        r"^It takes every option of \[`(deep-lock [a-z ]+)`\]\([a-z-]+\.md\)(?: but ([^.]+))?\.$",
        page.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    left_out = set(CODE.findall(same[2] or "")) if same else set()
    shared = {names: row for names, row in (_documented(same[1]) if same else {}).items() if not names & left_out}
    rows = {frozenset(text for text in CODE.findall(row[0]) if text.startswith("-")): row for row in _tables(page)}
    return shared | {names: row for names, row in rows.items() if names}


def test_every_command_is_documented() -> None:
    listed = set(re.findall(r"^\| \[?`(deep-lock [a-z -]+)`", (CLI / "index.md").read_text("utf-8"), re.MULTILINE))
    assert listed == {path for path, _ in _commands(cli)}


def test_every_option_is_documented_and_nothing_else() -> None:
    assert set(_documented("index")) == set(_options(cli))
    for path, command in _commands(cli):
        if _options(command):
            assert set(_documented(path)) == set(_options(command)), path


def test_the_pages_have_the_words_of_the_help() -> None:
    for path, command in [("index", cli), *_commands(cli)]:
        for names, option in _options(command).items():
            text = (option.help or "").partition("  [default")[0].removesuffix(" Repeatable.")
            if "--format" in names or "--version" in names:  # the pages have links to the documents
                continue
            cell = _documented(path)[names][3]
            assert _plain(text).rstrip(".") in _plain(cell), (path, sorted(names))


def _plain(text: str) -> str:
    """Return the words of a help text or of a cell, without markup. A cell begins with the choices of its option."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text.replace("\\|", "|")).replace("`", "").replace("'", "").lower()


def test_every_variable_is_documented_and_works() -> None:
    lock = _command("lock")
    for path, command in _commands(cli):
        for names, option in _options(command).items():
            assert CODE.findall(_documented(path)[names][1]) == [option.envvar]
    seen: dict[str, object] = {}
    probe = click.Command("lock", params=lock.params, callback=lambda **values: seen.update(values))
    environment = {
        "DEEP_LOCK_PYTHON_VERSION": "3.12 3.13",
        "DEEP_LOCK_CHECK": "1",
        "DEEP_LOCK_INDEX_STRATEGY": "first-index",
    }
    assert CliRunner().invoke(probe, env=environment).exit_code == 0
    assert (seen["pythons"], seen["check"], seen["index_strategy"]) == (("3.12", "3.13"), True, "first-index")


def test_variables_of_the_options_before_the_command() -> None:
    for names, row in _documented("index").items():
        long = next(name for name in names if name.startswith("--"))
        expected = [] if long == "--version" else [f"DEEP_LOCK_{long[2:].replace('-', '_').upper()}"]
        assert CODE.findall(row[1]) == expected


def test_the_keys_of_options_are_known_to_the_configuration() -> None:
    for row in _documented("deep-lock lock").values():
        for key in CODE.findall(row[2]):
            with pytest.raises(errors.ConfigError) as caught:
                read_config({key: object()}, "pyproject.toml")
            assert "not a known key" not in caught.value.message


def test_choices_are_documented() -> None:
    rows = {**_documented("deep-lock lock"), **_documented("index")}
    for names, option in {**_options(_command("lock")), **_options(cli)}.items():
        if isinstance(option.type, click.Choice):
            assert set(option.type.choices) <= set(CODE.findall(rows[names][3])), names


def test_every_exit_code_is_documented() -> None:
    def codes(kind: type[errors.DeepLockError]) -> Iterator[int]:
        yield kind.exit_code
        for subclass in kind.__subclasses__():
            yield from codes(subclass)

    written = {int(row[0]) for row in _tables(REFERENCE / "exit-codes.md")}
    assert written == {0, *codes(errors.DeepLockError), INTERNAL, INTERRUPTED}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--help"], "  1    you must act"),
        (["lock", "--help"], "  deep-lock lock --check "),
        (["fetch", "--help"], "  deep-lock fetch -d wheels --runtime "),
        (["wheelhouse", "--help"], "  deep-lock wheelhouse -d wheels --offline --from files"),
    ],
    ids=["deep-lock", "lock", "fetch", "wheelhouse"],
)
def test_help_keeps_the_lines_of_its_examples(arguments: list[str], line: str) -> None:
    text = CliRunner().invoke(cli, arguments, prog_name="deep-lock").output
    assert r"\b" not in text
    assert any(shown.startswith(f"  {line}") for shown in text.splitlines())


@pytest.mark.parametrize("command", ["lock", "fetch", "wheelhouse"])
def test_help_shows_every_option_once(command: str) -> None:
    text = CliRunner().invoke(cli, [command, "--help"], prog_name="deep-lock").output
    shown = re.findall(r"^  ((?:-\w, )?--[\w-]+(?:, --[\w-]+)*)", text, re.MULTILINE)
    names = sorted(frozenset(line.split(", ")) for line in shown if "--help" not in line)
    assert len(names) == len(_options(_command(command)))
    assert set(names) == set(_options(_command(command)))


def test_the_readme_has_two_commands() -> None:
    lines = [block.strip() for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)]
    assert len(lines) == 2
    assert all("\n" not in line and line.startswith("python3 -m venv .venv && ") for line in lines)
    project = lines[0].rpartition("--project ")[2]
    assert (ROOT / project / "pyproject.toml").is_file()


def test_ci_runs_the_readme_s_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.findall(r"```console\n(.*?)```", README, re.DOTALL)[1]
    _, *steps = (part.strip().removeprefix(".venv/bin/") for part in command.split("&&"))
    assert [step for step in steps if step not in script] == []
