"""Which targets a lock has: what requires-python excludes, what a requirement excludes, and what a new Python changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, Bench, bench

LIB: Releases = {"lib 1.0": {}}
PROJECT = '[project]\nname = "app"\nversion = "1"\nrequires-python = "{}"\ndependencies = ["lib"]\n{}'
SCRIPT = '# /// script\n# requires-python = "{}"\n# dependencies = ["lib"]\n# ///\n'
SETUP_CFG = "[metadata]\nname = app\nversion = 1\n[options]\npython_requires = {}\ninstall_requires = lib\n"
POETRY = '[tool.poetry]\nname = "app"\nversion = "1"\n[tool.poetry.dependencies]\npython = "{}"\nlib = "*"\n'


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, LIB) as own:
        yield own


# -- requires-python


@pytest.mark.parametrize("python", ["3.9", "3.11", "3.13", "3.13t", "3.12.2", "3.99"])
@pytest.mark.parametrize(
    ("files", "flags"),
    [
        ({"pyproject.toml": PROJECT.format(">=3.12.4,<3.13", "")}, []),
        ({"pyproject.toml": POETRY.format(">=3.12.4,<3.13")}, []),
        ({"setup.cfg": SETUP_CFG.format(">=3.12.4,<3.13")}, []),
        ({"run.py": SCRIPT.format(">=3.12.4,<3.13")}, ["--script", "{folder}/run.py"]),
    ],
)
def test_a_target_that_requires_python_excludes_is_an_error(
    made: Bench, files: dict[str, str], flags: list[str], python: str
) -> None:
    made.write(files)
    made.pythons = ("3.12", python)
    ran = made.lock(*flags)
    assert (ran.code, ran.text, ran.asked) == (2, "", ()), ran.stderr
    assert "' excludes Python 3." in ran.stderr
    assert f"cp{python.replace('.', '', 1).removesuffix('t')}" in ran.stderr
    assert "cp312-" not in ran.stderr
    made.pythons = ("3.12", "3.12.4")
    output = "run.py.deep.lock" if flags else "deep.lock"
    assert made.lock(*flags, output=output).code == 0


def test_a_target_of_the_configuration_that_requires_python_excludes_is_an_error(made: Bench) -> None:
    table = '[tool.deep-lock]\npython-versions = ["3.11", "3.12"]\n'
    made.write({"pyproject.toml": PROJECT.format(">=3.12", table)})
    made.pythons = ()
    ran = made.lock()
    assert (ran.code, ran.asked) == (2, ())
    assert f"excludes Python 3.11.16 (cp311-{LINUX})" in ran.stderr


def test_check_refuses_a_target_that_requires_python_excludes(made: Bench) -> None:
    made.write({"pyproject.toml": PROJECT.format(">=3.12", "")})
    assert made.lock().code == 0
    made.pythons = ("3.11",)
    assert made.lock("--check").code == 2


BACKEND = """
import os
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = os.path.join(metadata_directory, "app-1.dist-info")
    os.mkdir(folder)
    with open(os.path.join(folder, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.2\\nName: app\\nVersion: 1\\nRequires-Python: >=3.12,<3.14\\nRequires-Dist: lib\\n")
    return "app-1.dist-info"
"""
DYNAMIC = """
[project]
name = "app"
version = "1"
dynamic = ["dependencies", "requires-python"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def test_targets_are_those_of_the_requires_python_that_a_backend_returns(made: Bench) -> None:
    made.write({"pyproject.toml": DYNAMIC, "backend.py": BACKEND})
    made.hooks, made.pythons = "trust", ()
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert [target.python for target in ran.lock.targets] == ["3.12", "3.13"]
    assert ran.lock.requires_python == ">=3.12,<3.14"
    check = made.lock("--check")
    assert (check.code, check.asked) == (0, ()), check.stderr
    assert made.lock().text == ran.text
    made.pythons = ("3.14",)
    ran = made.lock("-U")
    assert (ran.code, "excludes Python 3.14" in ran.stderr) == (2, True), ran.stderr
