"""Branches of a workspace that changed its members, merged by the real git with the driver that `git-setup` installs.

A merged lock is the very lock that a run in the merged tree makes without a previous one.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support import workspace
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench, git

RELEASES: Releases = {
    **workspace.RELEASES,
    "windows-helper 1.0": {"requires": ["werk; sys_platform == 'win32'"]},
}
SETTINGS = f'[tool.deep-lock]\npython-versions = ["3.12", "3.13"]\nplatforms = ["{LINUX}", "{WINDOWS}"]\n'
NEW_MEMBER = workspace.MEMBERS["tools/cli/pyproject.toml"].replace('"cli"', '"site"').replace('"rich"', '"flask"')


class Branches:
    """A workspace in git, with its lock and the driver."""

    def __init__(self, made: Bench, environ: Mapping[str, str]) -> None:
        self.bench = made
        self.folder = made.folder
        self.environ = environ
        made.write({**workspace.FILES, "pyproject.toml": workspace.ROOT + SETTINGS})
        assert run(["git-setup"]) == 0
        self.lock()
        self.commit("one")

    def lock(self, *options: str) -> str:
        self.bench.capture.readouterr()
        own = ["--project", str(self.folder), "--default-index", self.bench.server.url, "--hooks=static"]
        assert run(["lock", *own, *options]) == 0, self.bench.capture.readouterr().err
        return (self.folder / "deep.lock").read_text(encoding="utf-8")

    def commit(self, message: str) -> None:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", f"--message={message}")

    def branch(self, name: str, files: Mapping[str, str | Callable[[str], str]]) -> None:
        """Make a branch of main with these files, or with edits of those that exist."""
        git(self.folder, "checkout", "--quiet", "-B", name, "main")
        for path, new in files.items():
            text = new if isinstance(new, str) else new((self.folder / path).read_text(encoding="utf-8"))
            self.bench.write({path: text})
        self.lock()
        self.commit(name)

    def merge(self) -> subprocess.CompletedProcess[str]:
        git(self.folder, "checkout", "--quiet", "ours")
        author = ["-c", "user.name=a", "-c", "user.email=a@files.example"]
        return subprocess.run(
            ["git", *author, "merge", "--quiet", "--no-edit", "theirs"],
            cwd=self.folder,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def assert_merged(self) -> str:
        """Merge, and compare the lock with the one that is made without it."""
        merged = self.merge()
        assert merged.returncode == 0, merged.stderr + merged.stdout
        text = (self.folder / "deep.lock").read_text(encoding="utf-8")
        self.lock("--check")
        (self.folder / "deep.lock").unlink()
        assert text == self.lock()
        return text


@pytest.fixture
def branches(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Branches]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "deep-lock").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deep_lock "$@"\n', encoding="utf-8")
        (programs / "deep-lock").chmod(0o755)
        git(made.folder, "init", "--quiet", "--initial-branch=main")
        monkeypatch.chdir(made.folder)
        yield Branches(
            made,
            {
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "DEEP_LOCK_CACHE_DIR": str(tmp_path / "cache"),
                "DEEP_LOCK_DEFAULT_INDEX": made.server.url,
            },
        )


def _adding(requirement: str, before: str) -> Callable[[str], str]:
    """Add a line to the list that has this one."""
    return lambda text: text.replace(f'    "{before}",\n', f'    "{before}",\n    "{requirement}",\n')


WEB, WORKER, CLI, CORE = (
    f"{folder}/pyproject.toml" for folder in ("packages/web", "packages/worker", "tools/cli", "packages/core")
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param({WEB: _adding("helper", "flask")}, {CLI: _adding("extra-tool", "rich")}, id="different packages"),
        pytest.param({WORKER: _adding("helper", "queue")}, {CLI: _adding("helper", "rich")}, id="the same new package"),
        pytest.param({WORKER: _adding("werk", "queue")}, {CLI: _adding("werk", "rich")}, id="the same known package"),
        pytest.param(
            {WORKER: _adding("werk; sys_platform == 'win32'", "queue")},
            {CLI: _adding("werk; python_version < '3.13'", "rich")},
            id="a known package on some targets",
        ),
        pytest.param(
            {WORKER: _adding("windows-helper", "queue")}, {CLI: _adding("helper", "rich")}, id="a common dependency"
        ),
        pytest.param(
            {WEB: _adding("helper", "flask")}, {WEB: _adding("helper", "tester")}, id="a member and its group"
        ),
        pytest.param(
            {WEB: _adding("helper", "core")}, {WEB: _adding("extra-tool", "driver")}, id="a member and its extra"
        ),
        pytest.param(
            {WEB: lambda text: text.replace('    "flask",\n', "")},
            {CLI: _adding("flask", "rich")},
            id="a package moves to another member",
        ),
        pytest.param(
            {WORKER: _adding("flask", "driver")}, {WORKER: _adding("helper", "queue")}, id="an extra and its member"
        ),
        pytest.param(
            {CORE: lambda text: text.replace('    "clicker",\n', "")},
            {CLI: _adding("clicker", "rich")},
            id="direct for another member",
        ),
        pytest.param(
            {WEB: _adding("driver", "flask")}, {WORKER: _adding("driver", "queue")}, id="what was in extras only"
        ),
    ],
)
def test_branches_that_change_members_merge(
    branches: Branches, ours: Mapping[str, Callable[[str], str]], theirs: Mapping[str, Callable[[str], str]]
) -> None:
    branches.branch("ours", ours)
    branches.branch("theirs", theirs)
    branches.assert_merged()


def test_one_branch_adds_a_member_and_the_other_changes_one(branches: Branches) -> None:
    branches.branch("ours", {"tools/site/pyproject.toml": NEW_MEMBER})
    branches.branch("theirs", {WORKER: _adding("flask", "queue")})
    text = branches.assert_merged()
    assert "'site' in dependency_groups" in text


def test_one_branch_removes_a_member_and_the_other_changes_another(branches: Branches) -> None:
    git(branches.folder, "checkout", "--quiet", "-B", "ours", "main")
    git(branches.folder, "rm", "--quiet", CLI)
    branches.lock()
    branches.commit("ours")
    branches.branch("theirs", {WORKER: _adding("flask", "queue")})
    text = branches.assert_merged()
    assert "'cli' in dependency_groups" not in text


def test_both_branches_add_the_same_member(branches: Branches) -> None:
    branches.branch("ours", {"tools/site/pyproject.toml": NEW_MEMBER, WEB: _adding("helper", "flask")})
    branches.branch("theirs", {"tools/site/pyproject.toml": NEW_MEMBER, CLI: _adding("extra-tool", "rich")})
    branches.assert_merged()


def test_both_branches_add_a_group_to_one_member(branches: Branches) -> None:
    def add_group(name: str) -> Callable[[str], str]:
        return lambda text: text.replace("[build-system]", f"[dependency-groups]\n{name} = ['tester']\n[build-system]")

    branches.branch("ours", {CORE: add_group("check")})
    branches.branch("theirs", {CORE: add_group("test")})
    merged = branches.merge()
    assert merged.returncode == 1, "the text of the two groups is one conflict for git"
    (branches.folder / CORE).write_text(
        workspace.MEMBERS[CORE] + "[dependency-groups]\ncheck = ['tester']\ntest = ['tester']\n", encoding="utf-8"
    )
    text = (branches.folder / "deep.lock").read_text(encoding="utf-8")
    (branches.folder / "deep.lock").unlink()
    assert text == branches.lock(), "the lock was merged"


@pytest.mark.parametrize(
    ("ours", "theirs", "subject"),
    [
        ({WEB: _adding("werk<2", "core")}, {WEB: _adding("werk<3", "flask")}, "member 'web'"),
        ({WEB: _adding("werk<2", "tester")}, {WEB: _adding("werk<3", "tester")}, "group 'dev' of member 'web'"),
        (
            {"tools/site/pyproject.toml": NEW_MEMBER},
            {"tools/site/pyproject.toml": NEW_MEMBER.replace("flask", "rich")},
            "member 'site'",
        ),
    ],
)
def test_a_conflict_names_the_member(
    branches: Branches, ours: Mapping[str, str], theirs: Mapping[str, str], subject: str
) -> None:
    branches.branch("ours", ours)
    branches.branch("theirs", theirs)
    branches.lock("--check")
    git(branches.folder, "checkout", "--quiet", "ours")
    before = (branches.folder / "deep.lock").read_bytes()
    merged = branches.merge()
    assert merged.returncode == 1
    assert f"both branches changed {subject} in deep.lock" in merged.stderr
    assert "run deep-lock lock" in merged.stderr
    assert (branches.folder / "deep.lock").read_bytes() == before


def test_what_the_other_branch_made_reachable_is_not_lost(branches: Branches) -> None:
    """Ours lets a member require a package; theirs lets another member require this member: it needs the package too."""
    branches.branch("ours", {CORE: _adding("helper", "clicker")})
    core = lambda text: _adding("core", "rich")(text) + "[tool.uv.sources]\ncore = {workspace = true}\n"  # noqa: E731
    branches.branch("theirs", {CLI: core})
    merged = branches.merge()
    assert merged.returncode == 1
    assert "both branches changed core" in merged.stderr


def test_a_dependency_that_the_other_branch_removed_is_a_conflict(branches: Branches) -> None:
    """Theirs relies on a package of the member for its extra; in ours the member no longer has it."""
    branches.branch("ours", {WEB: lambda text: text.replace('    "flask",\n', ""), CLI: _adding("werk", "rich")})
    branches.branch("theirs", {WEB: _adding("helper", "driver")})
    merged = branches.merge()
    assert merged.returncode == 1
    assert "with extra 'db' of member 'web', helper 2.0 is installed without werk" in merged.stderr
