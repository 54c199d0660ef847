"""Names and versions that are not written in normal form: the lock has them in normal form, and can be read back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario_server import Release
from tests.support.scenarios import Bench, bench, make_repository

RELEASES: dict[str, Release] = {
    "poetry-core 2.1.0": {},
    "setuptools 80.9.0": {},
    "some-dep 1.0": {},
    "flit-core 3.12.0": {},
}
CORE = '[build-system]\nrequires = ["poetry_core"]\nbuild-backend = "poetry.core.masonry.api"\n'
POETRY = (
    '[tool.poetry]\nname = "My_Pkg"\nversion = "2024.01.05"\n[tool.poetry.dependencies]\nSome_Dep = ">=01.0"\n' + CORE
)
PROJECT = '[project]\nname = "My.Pkg"\nversion = "v1.0-RC3"\ndependencies = ["Some.Dep >= 01.0"]\n' + CORE
SETUP_CFG = "[metadata]\nname = My.Pkg\nversion = 01.2.0\n[options]\ninstall_requires = Some_Dep >=01.0\n"
SETUP_PY = "from setuptools import setup\nsetup()\n"
INVALID = "from setuptools import setup\nsetup(name='My_Pkg', version='01.0', install_requires=['Some_Dep >=01.0'])\n"


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as laid:
        yield laid


TREES = {
    "Poetry": {"pyproject.toml": POETRY},
    "project": {"pyproject.toml": PROJECT},
    "setup.cfg": {"setup.cfg": SETUP_CFG, "setup.py": SETUP_PY},
    "setup.cfg as a package": {"setup.cfg": SETUP_CFG, "deep-lock.toml": "package = true\n"},
    "setup.py": {
        "setup.py": INVALID,
        "pyproject.toml": '[project]\nname = "My_Pkg"\ndynamic = ["version", "dependencies"]\n',
    },
}


def readable(made: Bench) -> str:
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    checked = made.lock("--check")
    assert checked.code == 0, checked.stderr
    assert "2024.01" not in ran.text
    assert 'version = "01' not in ran.text
    return ran.text


@pytest.mark.parametrize("tree", ["Poetry", "project", "setup.cfg", "setup.cfg as a package"])
def test_of_the_project(made: Bench, tree: str) -> None:
    made.write(TREES[tree])
    text = readable(made)
    assert 'name = "some-dep"' in text
    if tree == "Poetry":
        assert 'version = "2024.1.5"' in text


@pytest.mark.parametrize("tree", sorted(TREES))
def test_of_a_folder(made: Bench, tree: str) -> None:
    made.ask("My-PKG @ ./folder")
    made.write({f"folder/{name}": text for name, text in TREES[tree].items()})
    assert 'name = "my-pkg"' in readable(made)


@pytest.mark.parametrize("tree", sorted(TREES))
def test_of_a_commit(made: Bench, tree: str) -> None:
    make_repository(made.folder.parent / "repositories" / "pkg", [{"files": TREES[tree]}])
    made.ask("my.pkg @ git+{git:pkg}")
    assert 'name = "my-pkg"' in readable(made)


def test_a_version_of_poetry_that_is_none_is_an_error(made: Bench) -> None:
    made.write({"pyproject.toml": POETRY.replace("2024.01.05", "one")})
    ran = made.lock()
    assert ran.code == 2
    assert "tool.poetry.version 'one' is not a valid version" in ran.stderr


@pytest.mark.parametrize("python", [">=3.8.*", "three"])
def test_a_requires_python_of_a_folder_that_is_not_valid_is_an_error_that_names_it(made: Bench, python: str) -> None:
    made.ask("my-pkg @ ./folder")
    made.write({"folder/pyproject.toml": PROJECT.replace("[build", f'requires-python = "{python}"\n[build')})
    ran = made.lock()
    assert ran.code == 1, ran.stderr
    assert f"my-pkg: needs Python {python}" in ran.stderr
