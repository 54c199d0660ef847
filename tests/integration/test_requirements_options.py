"""Options of pip in requirements files, constraints and overrides: what the run does not use is never passed over in silence."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario_server import Releases
from tests.support.scenarios import Bench, bench

RELEASES: Releases = {"thing 1.0": {}, "lib 1.0": {}}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        own.ask("thing")
        monkeypatch.chdir(own.folder)
        yield own


@pytest.mark.parametrize("option", ["-c", "--overrides", "-b"])
@pytest.mark.parametrize(
    "line",
    [
        "-e ./tree",
        "--editable ./tree",
        "./tree",
        "https://host.example/lib-1.0.tar.gz",
        "-e git+https://h.example/x#egg=x",
    ],
)
def test_a_constraint_that_names_a_place(made: Bench, option: str, line: str) -> None:
    made.write({"in.txt": f"lib<2\n{line}\n", "tree/pyproject.toml": '[project]\nname = "tree"\nversion = "1"\n'})
    ended = made.lock(option, "in.txt")
    assert (ended.code, ended.asked) == (2, ())
    assert "in.txt:2" in ended.stderr


@pytest.mark.parametrize("option", ["-c", "--overrides", "-b"])
@pytest.mark.parametrize(
    ("line", "name"), [("--no-binary lib", "--no-binary"), ("--only-binary :all:", "--only-binary")]
)
def test_formats_in_a_constraints_file(made: Bench, option: str, line: str, name: str) -> None:
    made.write({"in.txt": f"lib<2\n{line}\n"})
    ended = made.lock(option, "in.txt")
    assert ended.code == 0
    assert f"{name} has no effect in this file" in ended.stderr


@pytest.mark.parametrize("option", ["-r", "-c"])
def test_pre_in_a_file(made: Bench, option: str) -> None:
    made.write({"in.txt": "lib<2\n--pre\n"})
    ended = made.lock(option, "in.txt")
    assert ended.code == 0
    assert "--pre has no effect in this file: give it as an option of deep-lock, --prerelease" in ended.stderr


def test_hidden_characters_in_a_constraints_file(made: Bench) -> None:
    made.write({"in.txt": "lib<2  # \u202e\n"})
    assert "in.txt:1: has U+202E" in made.lock("-c", "in.txt").stderr
