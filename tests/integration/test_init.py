"""`deep-lock init`: the table fits the project, nothing else changes, and `lock` works with it at once."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.config.config import read_config, read_config_file
from deep_lock.targets.factory import DEFAULT_PLATFORMS, default_pythons
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MACOS, NOW, Bench, bench

RELEASES: Releases = {
    "app-lib 1.0": {"requires": ["shared"]},
    "shared 2.0": {},
    "hatchling 1.27.0": {},
    "editables 0.5": {},
}
PEP621 = """\
# A comment.
[project]
name = "app"
version = "1"
requires-python = ">=3.12,<3.14"
dependencies = ['app-lib']   # one

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.ruff]
line-length = 100
"""
POETRY = """\
[tool.poetry]
name = "app"
version = "1"
package-mode = false

[tool.poetry.dependencies]
python = "^3.12"
app-lib = "^1.0"
"""
POETRY_SOURCE = """\
[tool.poetry]
name = "app"
version = "1"
package-mode = false

[tool.poetry.dependencies]
python = "~3.13"
app-lib = {version = "^1.0", source = "local"}

[[tool.poetry.source]]
name = "local"
url = "{url}"
"""
PDM = """\
[project]
name = "app"
version = "1"
requires-python = "==3.13.*"
dependencies = ["app-lib"]

[[tool.pdm.source]]
name = "pypi"
url = "{url}"
"""
UV = """\
[project]
name = "app"
version = "1"
requires-python = ">=3.13"
dependencies = ["app-lib"]

[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'", "sys_platform == 'darwin'"]

[[tool.uv.index]]
name = "local"
url = "{url}"
default = true

[tool.uv.sources]
app-lib = {index = "local"}

# Other tools.
[tool.ruff]
line-length = 100
"""
SETUP_CFG = "[metadata]\nname = app\nversion = 1\n[options]\npython_requires = >=3.13\ninstall_requires = app-lib\n"
SCRIPT = """\
#!/usr/bin/env python3
# /// script
# requires-python = ">=3.13"
# dependencies = ["app-lib"]
# ///
import app_lib
"""


class Project:
    def __init__(self, made: Bench) -> None:
        self.bench = made

    def write(self, name: str, text: str) -> None:
        self.bench.write({name: text})

    def read(self, name: str = "pyproject.toml") -> str:
        return (self.bench.folder / name).read_bytes().decode()

    def init(self, *flags: str) -> tuple[int, str, str]:
        return self.run("init", *flags)

    def run(self, command: str, *flags: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run([command, "--project", str(self.bench.folder), *flags])
        told = self.bench.capture.readouterr()
        return code, told.out, told.err

    def settings(self) -> dict[str, Any]:
        table: dict[str, Any] = tomllib.loads(self.read())["tool"]["deep-lock"]
        return table


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        yield Project(made)


def removed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("-")]


def pythons(requires: str) -> list[str]:
    return list(reversed(default_pythons(requires, NOW.date())))


@pytest.mark.parametrize(
    ("text", "versions", "platforms"),
    [
        (PEP621, ["3.12", "3.13"], DEFAULT_PLATFORMS),
        (POETRY, pythons(">=3.12"), DEFAULT_PLATFORMS),
        (POETRY_SOURCE, ["3.13"], DEFAULT_PLATFORMS),
        (PDM, ["3.13"], DEFAULT_PLATFORMS),
        (UV, pythons(">=3.13"), [LINUX, MACOS]),
    ],
    ids=["pep621", "poetry", "poetry-source", "pdm", "uv"],
)
def test_the_table_fits_the_project_and_lock_works(
    project: Project, text: str, versions: list[str], platforms: Sequence[str]
) -> None:
    project.write("pyproject.toml", text)
    before = project.read()
    code, out, said = project.init()
    assert (code, out) == (0, ""), said
    assert "next: deep-lock lock --project" in said
    after = project.read()
    assert removed_lines(before, after) == []
    settings = project.settings()
    assert settings["python-versions"] == versions
    assert settings["platforms"] == list(platforms)
    read_config(settings, "pyproject.toml")
    assert project.bench.server.log == [], "no index is used"
    index = [] if "index" in settings else ["--default-index", project.bench.server.url]
    code, _, said = project.run("lock", "--hooks=static", *index)
    assert code == 0, said
    assert "warning" not in said
    assert project.run("lock", "--check", *index)[0] == 0
    assert run(["policy", "--lock", str(project.bench.folder / "deep.lock"), "--strict"]) == 0


def test_every_key_has_a_comment_of_one_short_line(project: Project) -> None:
    project.write("pyproject.toml", UV)
    assert project.init()[0] == 0
    lines = project.read().partition("[tool.deep-lock]\n")[2].partition("# Other tools.")[0].splitlines()
    for number, line in enumerate(lines):
        assert len(line) <= 100
        key = line.partition(" =")[0]
        if key in {"python-versions", "platforms", "build-scope", "look-alike", "yanked", "too-new"} or line[:1] == "[":
            assert lines[number - 1].startswith("# "), line


def test_indexes_and_sources_are_those_that_the_project_declares(project: Project) -> None:
    project.write("pyproject.toml", UV)
    assert project.init()[0] == 0
    settings = project.settings()
    assert settings["index"] == [{"name": "local", "url": project.bench.server.url, "default": True}]
    assert settings["sources"] == {"app-lib": {"index": "local"}}
    project.write("pyproject.toml", PEP621)
    assert project.init()[0] == 0
    assert project.settings().keys() == {"python-versions", "platforms", "build-scope", "policy"}


def test_what_the_table_cannot_express_is_a_warning(project: Project) -> None:
    project.write(
        "pyproject.toml",
        UV.replace("[tool.uv.sources]", "[tool.uv.sources]\nshared = [{index = 'local'}, {index = 'x'}]"),
    )
    assert (
        "warning: pyproject.toml: the source of 'shared': must have a marker in each of several tables"
        in project.init()[2]
    )


def test_environments_that_are_no_rectangle_are_reported(project: Project) -> None:
    project.write(
        "pyproject.toml", UV.replace("sys_platform == 'darwin'", "sys_platform == 'darwin' and python_version < '3.14'")
    )
    code, _, said = project.init()
    assert code == 0
    assert f"3.14 on {MACOS}" in said
    assert f"3.13 on {MACOS}" not in said


def test_a_project_without_pyproject_gets_deep_lock_toml(project: Project) -> None:
    project.write("setup.cfg", SETUP_CFG)
    assert project.init()[0] == 0
    config = read_config_file(project.read("deep-lock.toml"), "deep-lock.toml")
    assert config.python_versions == tuple(pythons(">=3.13"))
    assert config.policy is not None
    code, _, said = project.run("lock", "--default-index", project.bench.server.url, "--build-scope=none")
    assert code == 0, said


def test_file_writes_deep_lock_toml(project: Project) -> None:
    project.write("pyproject.toml", PDM)
    before = project.read()
    assert project.init("--file")[0] == 0
    assert project.read() == before
    config = read_config_file(project.read("deep-lock.toml"), "deep-lock.toml")
    assert config.index is not None
    assert config.index[0].default
    code, _, said = project.run("lock")
    assert code == 0, said
    assert "warning" not in said, "no setting of PDM is unused"


def test_a_script(project: Project) -> None:
    project.write("tool.py", SCRIPT)
    path = project.bench.folder / "tool.py"
    path.chmod(0o755)
    code, _, said = project.init("--script", str(path))
    assert code == 0, said
    after = project.read("tool.py")
    assert removed_lines(SCRIPT, after) == []
    assert "# [tool.deep-lock]\n" in after
    assert "policy" not in after, "the policy of a script's lock is that of its folder"
    assert path.stat().st_mode & 0o777 == 0o755
    code, _, said = project.run("lock", "--script", str(path), "--default-index", project.bench.server.url)
    assert code == 0, said


def test_dry_run_prints_the_difference(project: Project) -> None:
    project.write("pyproject.toml", PEP621)
    code, out, _ = project.init("--dry-run")
    assert code == 0
    assert project.read() == PEP621
    assert out.startswith("--- a/pyproject.toml\n+++ b/pyproject.toml\n@@ ")
    assert project.init()[0] == 0
    added = [line[1:] for line in out.splitlines()[3:] if line.startswith("+")]
    assert project.read() == PEP621 + "\n".join([*added, ""])


@pytest.mark.parametrize("flags", [(), ("--file",), ("--dry-run",)])
@pytest.mark.parametrize("name", ["pyproject.toml", "deep-lock.toml"])
def test_a_configuration_is_never_overwritten(project: Project, name: str, flags: tuple[str, ...]) -> None:
    project.write("pyproject.toml", PEP621)
    table = '\n[tool.deep-lock]\nhooks = "static"\n' if name == "pyproject.toml" else ""
    project.write("pyproject.toml", PEP621 + table)
    if not table:
        project.write("deep-lock.toml", 'hooks = "static"\n')
    files = {path.name: path.read_bytes() for path in project.bench.folder.iterdir()}
    code, out, said = project.init(*flags)
    assert (code, out) == (2, "")
    assert f"{name}" in said
    assert "run deep-lock init again" in said
    assert {path.name: path.read_bytes() for path in project.bench.folder.iterdir()} == files


def test_windows_line_ends_and_the_missing_last_one_stay(project: Project) -> None:
    path = project.bench.folder / "pyproject.toml"
    path.write_bytes(PEP621.rstrip().replace("\n", "\r\n").encode())
    assert project.init()[0] == 0
    raw = path.read_bytes()
    assert raw.startswith(PEP621.rstrip().replace("\n", "\r\n").encode())
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert not raw.endswith(b"\n")


def test_a_folder_without_a_project_is_an_error(project: Project) -> None:
    code, _, said = project.init()
    assert code == 2
    assert "no pyproject.toml, setup.cfg or setup.py" in said
    assert "a script with --script" in said


FAULTS = {
    "no such Python": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=4"\n',
    "a Python that is not known": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.99"\n',
    "a Poetry Python": '[tool.poetry]\nname = "a"\nversion = "1"\n[tool.poetry.dependencies]\npython = "^4.0"\n',
    "not valid": '[project]\nname = "a"\nversion = "1"\nrequires-python = "huh"\n',
    "environments": PEP621 + '[tool.uv]\nenvironments = "x"\n',
    "a source": PEP621 + '[[tool.uv.index]]\nname = "x"\n',
    "not TOML": "x = ",
    "a configuration": PEP621 + "[tool.deep-lock]\n",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flags", [[], ["--file"], ["--dry-run"]])
def test_messages_name_only_options_of_the_command(project: Project, fault: str, flags: list[str]) -> None:
    project.write("pyproject.toml", FAULTS[fault])
    _, _, said = project.init(*flags)
    assert said
    _, told, _ = project.run("init", "--help")
    assert set(re.findall(r"--[a-z-]+", said)) <= set(re.findall(r"--[a-z-]+", told)), said


def test_another_tools_lock_is_mentioned(project: Project) -> None:
    project.write("pyproject.toml", PEP621)
    project.write("uv.lock", "")
    assert "deep-lock deepen uv.lock --save" in project.init()[2]
