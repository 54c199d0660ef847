"""Messages about names that do not exist: the nearest name, and the command or file that helps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

RELEASES: Releases = {
    "requests 2.0": {},
    "acme-utils 1.0": {},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["setuptool"], "backend": "setuptools.build_meta"},
}


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        yield own


@pytest.mark.parametrize(
    ("requirements", "told"),
    [
        (("reqeusts",), "hint: reqeusts: did you mean requests?"),
        (("djnago>=5",), "hint: djnago: did you mean django?"),
        (("acme-utils", "acme-util"), "hint: acme-util: did you mean acme-utils?"),
        (("native",), "hint: setuptool: did you mean setuptools?"),
        (("PIL",), "hint: pil: did you mean pillow?"),
        (("sklearn",), "hint: sklearn: did you mean scikit-learn?"),
        (("cv2",), "hint: cv2: did you mean opencv-python?"),
    ],
)
def test_a_name_that_no_index_has_is_answered_with_the_nearest(
    made: Bench, requirements: tuple[str, ...], told: str
) -> None:
    made.ask(*requirements)
    ended = made.lock()
    assert ended.code == 1
    assert "no configured index has" in ended.stderr
    assert told in ended.stderr


def test_the_previous_lock_is_searched_too(made: Bench) -> None:
    made.ask("acme-utils")
    assert made.lock().code == 0
    made.ask("acmeutils")
    assert "hint: acmeutils: did you mean acme-utils?" in made.lock().stderr


@pytest.mark.parametrize("name", ["wholly-other-project", "x", "setuptools"])
def test_nothing_is_suggested_where_nothing_is_near(made: Bench, name: str) -> None:
    made.ask(name)
    ended = made.lock()
    assert ended.code == 1
    assert "did you mean" not in ended.stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("update", "deep-lock lock --upgrade"),
        ("upgrade", "deep-lock lock --upgrade"),
        ("compile", "deep-lock lock"),
        ("install", "deep-lock wheelhouse"),
        ("sync", "deep-lock wheelhouse"),
        ("check", "deep-lock lock --check"),
        ("freeze", "deep-lock export -f requirements"),
        ("list", "deep-lock tree"),
        ("build", "deep-lock wheelhouse"),
        ("uninstall", "deep-lock remove"),
    ],
)
def test_a_command_of_another_tool_is_answered_with_ours(
    capsys: pytest.CaptureFixture[str], command: str, told: str
) -> None:
    assert run([command]) == 2
    ended = capsys.readouterr().err
    assert f"there is no command {command}" in ended
    assert told in ended
    assert "did you mean" not in ended


COMMANDS = (
    ["fetch", "-d", "x"],
    ["wheelhouse", "-d", "x"],
    ["export", "-f", "pylock"],
    ["verify"],
    ["policy"],
    ["outdated"],
    ["tree"],
    ["why", "x"],
    ["report", "-o", "x.html"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_a_lock_that_is_not_there_is_answered_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(command) == 2
    ended = capsys.readouterr().err
    assert "deep.lock: there is no lock" in ended
    assert "deep-lock lock" in ended
    assert "Invalid value" not in ended
    assert not list(tmp_path.iterdir())
