"""Development dependencies in the tables that uv and PDM had before dependency groups."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Release
from tests.support.scenarios import Bench, bench

HEAD = '[project]\nname = "app"\nversion = "1"\n'
LIB = '[project]\nname = "own"\nversion = "1"\ndependencies = ["three"]\n'


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    releases: dict[str, Release] = {f"{name} 1.0": {} for name in ("one", "two", "three")}
    releases["setuptools 80.0"] = {}
    with bench(tmp_path, capfd, monkeypatch, releases) as own:
        yield own


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ('[tool.uv]\ndev-dependencies = ["one"]\n', {"dev": ["one"]}),
        ('[dependency-groups]\ndev = ["two"]\n[tool.uv]\ndev-dependencies = ["one"]\n', {"dev": ["one", "two"]}),
        ('[tool.pdm.dev-dependencies]\nTest = ["one"]\ndocs = ["two"]\n', {"docs": ["two"], "test": ["one"]}),
        (
            '[dependency-groups]\ntest = ["two"]\n[tool.pdm.dev-dependencies]\ntest = ["one"]\n',
            {"test": ["one", "two"]},
        ),
        (
            '[tool.pdm.dev-dependencies]\ndev = ["-e file:///${PROJECT_ROOT}/own#egg=own", "one"]\n',
            {"dev": ["one", "own", "three"]},
        ),
    ],
)
def test_they_are_groups(made: Bench, text: str, groups: dict[str, list[str]]) -> None:
    made.write({"pyproject.toml": HEAD + text, "own/pyproject.toml": LIB})
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert sorted(ran.lock.dependency_groups) == sorted(groups)
    found = {
        group: [entry.name for entry in ran.lock.packages if f"'{group}' in dependency_groups" in (entry.marker or "")]
        for group in groups
    }
    assert found == groups
    assert made.lock("--check").code == 0
    made.write({"pyproject.toml": HEAD + text.replace('"one"', '"three"')})
    assert made.lock("--check").code == 1


def test_a_group_that_is_added_to_keeps_them(made: Bench) -> None:
    made.write({"pyproject.toml": HEAD + '[tool.uv]\ndev-dependencies = ["one"]\n'})
    assert made.lock().code == 0
    assert run(["add", "two", "--group", "dev", *made.flags()]) == 0
    assert made.lock().pins() == ["one==1.0", "two==1.0"]


def test_an_entry_that_is_no_requirement_is_an_error(made: Bench) -> None:
    made.write({"pyproject.toml": HEAD + '[tool.pdm.dev-dependencies]\ndev = ["-e git+https://git.example/a"]\n'})
    ran = made.lock()
    assert ran.code == 2
    assert "pyproject.toml:5 [tool.pdm.dev-dependencies.dev]" in ran.stderr
