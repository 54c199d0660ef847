"""Extras and groups that exclude each other: each allowed selection has an exact answer in one lock."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from deep_lock.cli.main import run
from deep_lock.targets.target import Target
from tests.support import scenarios
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, bench

PROJECT = """\
[project]
name = "app"
version = "1"
dependencies = ["base"]

[project.optional-dependencies]
cpu = ["engine<2", "only-cpu"]
gpu = ["engine>=2", "driver; sys_platform == 'win32'"]
plot = ["draw"]

[dependency-groups]
old = ["tool<2"]
new = ["tool>=2"]

[tool.deep-lock]
conflicts = [[{extra = "cpu"}, {extra = "gpu"}], [{group = "old"}, {group = "new"}]]
"""
RELEASES: Releases = {
    "base 1.0": {"requires": ["shared"]},
    "shared 1.0": {},
    "shared 2.0": {},
    "engine 1.0": {"requires": ["shared<2"]},
    "engine 2.0": {"requires": ["shared>=2"]},
    "only-cpu 1.0": {},
    "driver 1.0": {},
    "draw 1.0": {"requires": ["engine"]},
    "tool 1.0": {},
    "tool 2.0": {},
}


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.platforms = (LINUX, WINDOWS)
        own.write({"pyproject.toml": PROJECT})
        monkeypatch.chdir(own.folder)
        yield own


def selected(text: str, target: Target, extras: str = "", groups: str = "") -> list[str]:
    """Return what packaging.pylock selects from a lock."""
    parsed = Pylock.from_dict(tomllib.loads(text))
    return scenarios.selected(parsed, target, extras=extras.split(), groups=groups.split())


def test_each_allowed_selection_is_locked(made: Bench) -> None:
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    linux, windows = made.targets
    assert selected(ended.text, linux) == ["base==1.0", "shared==2.0"]
    assert selected(ended.text, linux, "cpu") == ["base==1.0", "engine==1.0", "only-cpu==1.0", "shared==1.0"]
    assert selected(ended.text, linux, "gpu") == ["base==1.0", "engine==2.0", "shared==2.0"]
    assert selected(ended.text, windows, "gpu") == ["base==1.0", "driver==1.0", "engine==2.0", "shared==2.0"]
    assert selected(ended.text, linux, "plot") == ["base==1.0", "draw==1.0", "engine==2.0", "shared==2.0"]
    assert selected(ended.text, linux, "plot cpu", "old") == [
        "base==1.0",
        "draw==1.0",
        "engine==1.0",
        "only-cpu==1.0",
        "shared==1.0",
        "tool==1.0",
    ]
    assert made.lock("--check").code == 0
    assert made.lock().text == ended.text
    (made.folder / "deep.lock").unlink()
    assert made.lock().text == ended.text


UNDECLARED = PROJECT.partition("[tool.deep-lock]")[0]


def test_what_excludes_each_other_is_named_with_the_lines_to_declare_it(made: Bench) -> None:
    made.write({"pyproject.toml": UNDECLARED})
    ended = made.lock()
    assert ended.code == 1
    assert "extra 'cpu' and extra 'gpu'; group 'new' and group 'old' exclude each other." in ended.stderr
    both = 'conflicts = [[{extra = "cpu"}, {extra = "gpu"}], [{group = "new"}, {group = "old"}]]\n'
    assert f"[tool.deep-lock]\n{both}" in ended.stderr
    made.write(
        {"pyproject.toml": f'{UNDECLARED}[tool.deep-lock]\nconflicts = [[{{extra = "cpu"}}, {{extra = "gpu"}}]]\n'}
    )
    ended = made.lock()
    assert ended.code == 1
    assert both in ended.stderr, "the declared one too: the lines replace it"
    made.write({"pyproject.toml": f"{UNDECLARED}[tool.deep-lock]\n{both}"})
    assert made.lock().code == 0


def test_an_impossible_extra_is_no_conflict(made: Bench) -> None:
    made.write({"pyproject.toml": UNDECLARED.replace("engine>=2", "engine>=9").replace("tool>=2", "tool")})
    ended = made.lock()
    assert ended.code == 1
    assert "exclude each other" not in ended.stderr


def test_the_conflicts_of_uv_are_read_and_ours_have_precedence(made: Bench) -> None:
    uv = """
[tool.uv]
conflicts = [[{extra = "cpu"}, {extra = "gpu"}], [{group = "old"}, {group = "new"}]]
"""
    made.write({"pyproject.toml": UNDECLARED + uv})
    assert made.lock().code == 0
    made.write({"pyproject.toml": f"{UNDECLARED}[tool.deep-lock]\nconflicts = []\n{uv}"})
    ended = made.lock()
    assert ended.code == 1
    assert "extra 'cpu' and extra 'gpu'" in ended.stderr


def test_a_conflict_of_what_is_not_there_is_refused(made: Bench) -> None:
    made.write({"pyproject.toml": PROJECT.replace('{extra = "gpu"}', '{extra = "cuda"}')})
    ended = made.lock()
    assert ended.code == 2
    assert "conflicts names extra 'cuda', which pyproject.toml does not have" in ended.stderr
    assert "it has: cpu, gpu, plot" in ended.stderr


def test_a_changed_conflict_makes_the_lock_stale(made: Bench) -> None:
    assert made.lock().code == 0
    made.write(
        {"pyproject.toml": PROJECT.replace(', [{group = "old"}, {group = "new"}]', "").replace("tool<2", "tool")}
    )
    ended = made.lock("--check")
    assert ended.code == 1
    assert "the conflict of group 'new' and group 'old' was removed" in ended.stderr


def test_a_group_that_includes_another_one_excludes_what_that_one_does(
    made: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    made.write({"pyproject.toml": PROJECT.replace("old = [", 'dev = [{include-group = "old"}, "draw"]\nold = [')})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    linux = made.targets[0]
    assert "tool==1.0" in selected(ended.text, linux, "", "dev")
    assert "tool==1.0" in selected(ended.text, linux, "", "dev old")
    capsys.readouterr()
    assert run(["export", "-f", "requirements", "--group", "dev", "--group", "new"]) == 2
    assert "group 'dev' and group 'new' cannot be selected together" in capsys.readouterr().err
    made.write({"pyproject.toml": PROJECT.replace("old = [", 'dev = ["tool<2", "draw"]\nold = [')})
    ended = made.lock("--check")
    assert ended.code == 1
    assert "the conflict of group 'dev' and group 'new' was removed" in ended.stderr


@pytest.mark.parametrize("command", ["export", "fetch", "wheelhouse"])
def test_a_selection_that_is_not_allowed_is_refused(
    made: Bench, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert made.lock().code == 0
    capsys.readouterr()
    made.pythons, made.platforms = (MINOR,), ("host",)
    assert made.lock().code == 0
    where = [] if command == "export" else ["-d", "files"]
    format_ = ["-f", "requirements"] if command == "export" else []
    assert run([command, *format_, *where, "--extra", "cpu", "--extra", "gpu"]) == 2
    said = capsys.readouterr().err
    assert "extra 'cpu' and extra 'gpu' cannot be selected together: they are in conflict" in said
    assert "select one of them: --extra cpu or --extra gpu" in said


def test_an_export_of_one_selection_has_its_packages_alone(made: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.lock().code == 0
    capsys.readouterr()
    target = ["--target", made.targets[0].label]
    assert run(["export", "-f", "requirements", *target, "--extra", "cpu", "--group", "new"]) == 0
    lines = [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines() if "==" in line.partition(" ")[0]]
    assert lines == ["base==1.0", "engine==1.0", "only-cpu==1.0", "shared==1.0", "tool==2.0"]


def test_a_pylock_of_some_targets_keeps_the_conditions(made: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.lock().code == 0
    capsys.readouterr()
    linux = made.targets[0]
    assert run(["export", "-f", "pylock", "--target", linux.label]) == 0
    text = capsys.readouterr().out
    assert selected(text, linux, "cpu plot") == [
        "base==1.0",
        "draw==1.0",
        "engine==1.0",
        "only-cpu==1.0",
        "shared==1.0",
    ]
    assert selected(text, linux, "gpu", "new") == ["base==1.0", "engine==2.0", "shared==2.0", "tool==2.0"]
    assert run(["export", "-f", "pylock", "--extra", "cpu"]) == 0
    text = capsys.readouterr().out
    assert selected(text, linux, "", "old") == ["base==1.0", "engine==1.0", "only-cpu==1.0", "shared==1.0", "tool==1.0"]


@pytest.mark.parametrize(
    "form", ["cyclonedx", "spdx", "json", "mermaid", "dot", "page", "hermeto", "build-constraints"]
)
def test_the_other_exports_have_every_version(made: Bench, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert made.lock().code == 0
    capsys.readouterr()
    extra = ["--all-extras", "--all-groups"] if form == "hermeto" else []
    assert run(["report", "-o", "page.html"] if form == "page" else ["export", "-f", form, *extra, "-o", "out"]) == 0
    text = (
        (made.folder / ("page.html" if form == "page" else "out")).read_text(encoding="utf-8")
        if form != "hermeto"
        else ""
    )
    if form in {"cyclonedx", "spdx", "json", "page"}:
        assert all(own in text for own in ("engine", "1.0", "2.0"))


def test_questions_about_the_lock_know_both_versions(made: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.lock().code == 0
    capsys.readouterr()
    assert run(["why", "engine"]) == 0
    said = capsys.readouterr().out
    assert all(own in said for own in ("engine 1.0", "engine 2.0"))
    for command in (["tree"], ["policy"], ["verify"], ["outdated"], ["diff", "deep.lock", "deep.lock"]):
        assert run(command) in {0, 1}, capsys.readouterr().err
        out = capsys.readouterr()
        assert "Traceback" not in out.err


def test_a_change_of_one_extra_moves_only_what_it_must(made: Bench) -> None:
    first = made.lock().text
    made.hold({**RELEASES, "base 1.1": {}, "draw 1.1": {}, "tool 2.1": {}})
    made.write({"pyproject.toml": PROJECT.replace('"only-cpu"', '"only-cpu>=1"')})
    ended = made.lock("--refresh")
    assert ended.code == 0, ended.stderr
    changed = [line for line in ended.text.splitlines() if line not in first.splitlines()]
    assert changed == ['    "only-cpu>=1",']
