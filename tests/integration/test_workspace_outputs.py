"""What commands write about the lock of a workspace: members have their names, and no group of the lock is shown for one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support import workspace
from tests.support.scenarios import Bench, bench, git

BUILT_ROOT = workspace.ROOT + workspace.BACKEND


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, workspace.RELEASES) as own:
        own.write({**workspace.FILES, "pyproject.toml": BUILT_ROOT})
        monkeypatch.chdir(own.folder)
        monkeypatch.setenv("DEEP_LOCK_DEFAULT_INDEX", own.server.url)
        assert own.lock().code == 0
        yield own


def _output(made: Bench, *arguments: str, code: int = 0) -> str:
    made.capture.readouterr()
    assert run([*arguments]) == code
    return made.capture.readouterr().out


def _edit(made: Bench, member: str, old: str, new: str) -> None:
    path = made.folder / member / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ([], "the runtime packages, with the project"),
        (["--group", "dev"], "the runtime packages, with group 'dev', the project"),
        (
            ["--extra", "worker-extra-db"],
            "the runtime packages, with extra 'db' of member 'worker', the project, member 'worker'",
        ),
        (["--package", "Worker", "--extra", "db"], "the runtime packages of member worker, with extra db"),
    ],
)
def test_the_head_of_a_requirements_file_names_members(made: Bench, options: list[str], about: str) -> None:
    first = _output(made, "export", "-f", "requirements", *options).splitlines()[0]
    assert first == f"# Made by deep-lock from deep.lock: {about}. Do not edit: export again."


def test_a_member_in_the_root_is_the_folder_of_the_lock(made: Bench) -> None:
    lines = _output(made, "export", "-f", "requirements").splitlines()
    assert [line for line in lines if " @ " in line] == [
        "core @ file:./packages/core",
        "umbrella @ file:.",
        "web @ file:./packages/web",
    ]


@pytest.mark.parametrize(("options", "name"), [([], "umbrella"), (["--package", "web"], "web")])
def test_documents_have_the_name_of_the_project(made: Bench, options: list[str], name: str) -> None:
    assert json.loads(_output(made, "export", "-f", "json", *options))["project"] == name
    bom = json.loads(_output(made, "export", "-f", "cyclonedx", *options))
    assert bom["metadata"]["component"]["name"] == name
    assert json.loads(_output(made, "export", "-f", "spdx", *options))["name"] == f"{name} (deep.lock)"
    assert f'(["{name}"])' in _output(made, "export", "-f", "mermaid", *options)


def test_what_the_root_installs_by_default_is_no_optional_component(made: Bench) -> None:
    bom = json.loads(_output(made, "export", "-f", "cyclonedx"))
    scopes = {component["name"]: component["scope"] for component in bom["components"]}
    assert {name for name, scope in scopes.items() if scope == "required"} == {
        "clicker",
        "core",
        "flask",
        "umbrella",
        "web",
        "werk",
    }


def test_a_difference_names_the_member(made: Bench) -> None:
    git(made.folder, "init", "--quiet")
    git(made.folder, "add", "--all")
    git(made.folder, "commit", "--quiet", "--message=one")
    _edit(made, "packages/worker", '    "driver",\n', "")
    _edit(made, "packages/core", '"clicker"', '"clicker>=8"')
    assert made.lock().code == 0
    text = _output(made, "diff", "HEAD")
    assert "member 'core' now requires 'clicker>=8'" in text
    assert "member 'worker' no longer requires" in text
    assert "core-group" not in text


def test_why_and_outdated_name_the_member_that_requires_it(made: Bench) -> None:
    assert "core @ packages/core > clicker 8.0" in _output(made, "why", "clicker")
    _edit(made, "packages/web", '"flask"', '"flask<3"')
    assert made.lock("-P", "flask").code == 0
    assert "flask  2.0 -> 3.0" in (text := _output(made, "outdated"))
    assert "held back by web @ packages/web: flask<3" in text


def test_a_bound_of_a_member_is_named_and_one_of_the_root_is_raised(made: Bench) -> None:
    _edit(made, "packages/web", '"flask"', '"flask<3"')
    assert made.lock("-P", "flask").code == 0
    files = made.flags()
    del files[files.index("--project") : files.index("--project") + 2]
    flags = [flag for flag in files if not flag.startswith(("--python-version", "--platform"))]
    made.write(
        {
            "pyproject.toml": BUILT_ROOT
            + f'[tool.deep-lock]\npython-versions = ["3.13"]\nplatforms = {list(made.platforms)}\n'
        }
    )
    assert run(["lock", *flags]) == 0
    made.capture.readouterr()
    assert run(["outdated", "--apply", *flags]) == 0
    err = made.capture.readouterr().err
    assert "flask: a bound of member 'web' holds it back: raise it in packages/web, then run deep-lock lock" in err
    _edit(made, "packages/web", '"flask<3"', '"flask"')
    _edit(made, ".", 'dependencies = ["web"]', 'dependencies = ["web", "flask<3"]')
    assert run(["lock", *flags, "-P", "flask==2.0"]) == 0
    assert run(["outdated", "--apply", *flags]) == 0
    assert "flask<4" in (made.folder / "pyproject.toml").read_text(encoding="utf-8")
