"""`deep-lock deepen` in a folder whose pyproject.toml has settings of tools alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from tests.support.scenarios import Bench, bench


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, {"one 1.0": {}, "two 1.0": {}}) as own:
        yield own


TOOLS_ALONE = (
    "[tool.black]\nline-length = 88\n",
    "[tool.deep-lock]\ngroups = []\n",
    '[tool.deep-lock]\nfrom-lock = "FILE"\n',
)


@pytest.mark.parametrize("text", TOOLS_ALONE)
@pytest.mark.parametrize("name", ["Pipfile.lock", "requirements.txt"])
def test_a_pyproject_with_settings_of_tools_alone_need_not_describe_a_project(
    made: Bench, name: str, text: str
) -> None:
    pipfile: dict[str, Any] = {"_meta": {"pipfile-spec": 6, "sources": []}, "default": {"one": {"version": "==1.0"}}}
    pipfile["develop"] = {"two": {"version": "==1.0"}}
    lock = json.dumps(pipfile) if name == "Pipfile.lock" else "one==1.0\n"
    made.write({name: lock, "pyproject.toml": text.replace("FILE", name)})
    if "from-lock" in text:
        ran = made.lock()
        assert ran.code == 0, ran.stderr
    else:
        flags = [flag for flag in made.flags() if not flag.startswith("--project") and flag != str(made.folder)]
        assert run(["deepen", str(made.folder / name), *flags]) == 0
        assert run(["deepen", str(made.folder / name), "--check", *flags]) == 0
    pins = [entry.name for entry in from_text((made.folder / "deep.lock").read_text(), "deep.lock").packages]
    assert pins == (["one", "two"] if name == "Pipfile.lock" and "groups" not in text else ["one"])


def test_a_build_system_without_a_project_is_an_error(made: Bench) -> None:
    made.write({"requirements.txt": "one==1.0\n", "pyproject.toml": "[build-system]\nrequires = []\n"})
    ran = made.lock("--from", "{folder}/requirements.txt")
    assert ran.code == 2
    assert "pyproject.toml: describes no project" in ran.stderr


def test_only_pins_that_are_locked_are_said_to_have_their_sha256_of_the_index(made: Bench) -> None:
    made.write({"requirements.txt": "one==1.0\ntwo==1.0 ; sys_platform == 'win32'\n"})
    ran = made.lock("--from", "{folder}/requirements.txt")
    assert "has no sha256 for one 1.0: the index" in ran.stderr
