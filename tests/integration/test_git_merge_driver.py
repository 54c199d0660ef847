"""Branches that changed a lock, merged by the real git: by itself, and with the driver that `git-setup` installs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from deep_lock.analysis.merge import merge
from deep_lock.cli.main import run
from deep_lock.lockfile.order import ordered
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import Lock
from tests.support.lock_strategies import closed_locks
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, Bench, bench, git

PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = [\n{}]\n\n[tool.deep-lock]\npython-versions = ["3.12", "3.13"]\nplatforms = ["x86_64-windows", "{}"]\n'
RELEASES: Releases = {
    "alpha 1.0": {},
    "beta 1.0": {"requires": ["shared"]},
    "omega 1.0": {},
    "shared 1.0": {},
}
MORE: Releases = {
    **RELEASES,
    "alpha 1.1": {"requires": ["gamma"]},
    "alpha 1.2": {"requires": ["shared"]},
    "gamma 1.0": {},
    "omega 2.0": {},
    "zeta 1.0": {},
}


LOCKS = Path(__file__).parents[2] / "fixtures" / "locks"


class Repository:
    """A project in git, with its lock, and branches of it."""

    def __init__(self, made: Bench) -> None:
        self.bench = made
        self.folder = made.folder
        self.ask("alpha", "beta", "omega")
        git(self.folder, "init", "--quiet", "--initial-branch=main")
        self.lock()
        self.commit("one")
        made.hold(MORE)

    def ask(self, *names: str) -> None:
        lines = "".join(f'    "{name}",\n' for name in names)
        (self.folder / "pyproject.toml").write_text(PROJECT.format(lines, LINUX), encoding="utf-8")

    def lock(self, *flags: str) -> None:
        own = ["--project", str(self.folder), "--default-index", self.bench.server.url, "--hooks=static"]
        self.bench.capture.readouterr()
        code = run(["lock", "--refresh", *own, *flags])
        assert code == 0, self.bench.capture.readouterr().err

    def commit(self, message: str) -> None:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", f"--message={message}")

    def branch(self, name: str, *flags: str, ask: tuple[str, ...] = ()) -> None:
        """Make a branch of main on which the lock was made with these flags."""
        git(self.folder, "checkout", "--quiet", "-B", name, "main")
        if ask:
            self.ask(*ask)
        self.lock(*flags)
        self.commit(name)

    def merge(self, ours: str, theirs: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        git(self.folder, "checkout", "--quiet", ours)
        command = [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@files.example",
            "merge",
            "--quiet",
            "--no-edit",
            theirs,
        ]
        return subprocess.run(
            command, cwd=self.folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False
        )

    @property
    def pins(self) -> set[str]:
        return {f"{entry.name}=={entry.version}" for entry in self.read().packages}

    def read(self) -> Lock:
        return from_text((self.folder / "deep.lock").read_text(encoding="utf-8"), "deep.lock")

    def is_up_to_date(self) -> bool:
        return run(["lock", "--check", "--project", str(self.folder), "--default-index", self.bench.server.url]) == 0


@pytest.fixture
def repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Repository]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        yield Repository(made)


@pytest.fixture
def environ(tmp_path: Path, repository: Repository) -> dict[str, str]:
    """Give what git needs to find the command, and the command to find the index."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "deep-lock").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deep_lock "$@"\n', encoding="utf-8")
    (programs / "deep-lock").chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "DEEP_LOCK_CACHE_DIR": str(tmp_path / "cache"),
        "DEEP_LOCK_DEFAULT_INDEX": repository.bench.server.url,
    }


def _set_up(repository: Repository, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.chdir(repository.folder)
    return run(["git-setup", *flags])


def test_branches_that_touch_different_projects_merge_by_git_alone(
    repository: Repository, environ: dict[str, str]
) -> None:
    repository.branch("ours", "-P", "alpha==1.1")
    repository.branch("theirs", "-P", "omega==2.0")
    merged = repository.merge("ours", "theirs", environ)
    assert merged.returncode == 0, merged.stderr
    assert repository.pins == {"alpha==1.1", "beta==1.0", "gamma==1.0", "omega==2.0", "shared==1.0"}
    assert repository.is_up_to_date()


def test_the_same_project_is_locked_again_by_the_driver(
    repository: Repository, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.branch("ours", "-P", "alpha==1.1")
    repository.branch("theirs", "-P", "alpha==1.2")
    plain = repository.merge("ours", "theirs", environ)
    assert plain.returncode == 1, "git alone cannot"
    git(repository.folder, "merge", "--abort")
    git(repository.folder, "checkout", "--quiet", "main")
    assert _set_up(repository, monkeypatch) == 0
    repository.commit("attributes")
    for name in ("ours", "theirs"):
        git(repository.folder, "checkout", "--quiet", name)
        git(repository.folder, "-c", "user.name=a", "-c", "user.email=a@files.example", "rebase", "--quiet", "main")
    merged = repository.merge("ours", "theirs", environ)
    assert merged.returncode == 0, merged.stderr + merged.stdout
    assert repository.pins == {"alpha==1.2", "beta==1.0", "omega==1.0", "shared==1.0"}, "what 1.1 needed is gone"
    assert repository.is_up_to_date()
    assert not list(repository.folder.glob(".deep-lock-*"))


def test_neighbours_that_git_alone_cannot_merge_are_merged_by_their_tables(
    repository: Repository, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _set_up(repository, monkeypatch) == 0
    repository.commit("attributes")
    repository.branch("ours", "-P", "alpha==1.2")
    repository.branch("theirs", ask=("alpha", "beta", "omega", "zeta"))
    merged = repository.merge("ours", "theirs", environ)
    assert merged.returncode == 0, merged.stderr + merged.stdout
    assert {"alpha==1.2", "zeta==1.0"} <= repository.pins
    assert repository.is_up_to_date()


def test_what_a_person_must_decide_stays_a_conflict_and_our_side_stays_whole(
    repository: Repository, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _set_up(repository, monkeypatch) == 0
    repository.commit("attributes")
    repository.branch("ours", ask=("alpha<1.1", "beta", "omega"))
    before = (repository.folder / "deep.lock").read_bytes()
    repository.branch("theirs", ask=("alpha>=1.1", "beta", "omega"))
    merged = repository.merge("ours", "theirs", environ)
    assert merged.returncode == 1
    assert "both branches changed requirements in deep.lock" in merged.stderr
    assert "run deep-lock lock" in merged.stderr
    assert (repository.folder / "deep.lock").read_bytes() == before


@pytest.mark.parametrize("newer", ["base", "ours", "theirs"])
def test_a_lock_of_a_later_deep_lock_stays_a_conflict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], newer: str
) -> None:
    """Its unknown keys could be merged only by a deep-lock that knows them."""
    paths = {side: tmp_path / side for side in ("base", "ours", "theirs")}
    for side, path in paths.items():
        path.write_bytes((LOCKS / ("newer-revision.lock" if side == newer else "small.lock")).read_bytes())
    before = paths["ours"].read_bytes()
    assert run(["git-merge", *map(str, paths.values()), "deep.lock"]) == 1
    assert "deep.lock was written by a later deep-lock (revision 7, this one knows 0)" in capsys.readouterr().err
    assert paths["ours"].read_bytes() == before


def test_setting_up_twice_undoing_and_checking(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = repository.folder / ".gitattributes"
    attributes.write_text("*.png binary\n", encoding="utf-8")
    assert _set_up(repository, monkeypatch, "--check") == 1
    assert attributes.read_text(encoding="utf-8") == "*.png binary\n"
    assert _set_up(repository, monkeypatch) == 0
    once = attributes.read_text(encoding="utf-8")
    assert once.splitlines()[0] == "*.png binary"
    assert _set_up(repository, monkeypatch) == 0
    assert attributes.read_text(encoding="utf-8") == once
    assert _set_up(repository, monkeypatch, "--check") == 0
    assert git(repository.folder, "config", "--get", "merge.deep-lock.driver").startswith("deep-lock git-merge")
    assert _set_up(repository, monkeypatch, "--undo") == 0
    assert attributes.read_text(encoding="utf-8") == "*.png binary\n"
    assert _set_up(repository, monkeypatch, "--check") == 1
    assert _set_up(repository, monkeypatch, "--check", "--undo") == 2


def test_hunks_are_headed_by_the_project_and_short_text_is_shown(
    repository: Repository, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _set_up(repository, monkeypatch) == 0
    repository.lock("-P", "beta", "-P", "omega==2.0")
    heads = [line.split(" @@ ")[1] for line in _diff(repository, environ).splitlines() if line.startswith("@@ ")]
    assert heads == ["omega", "omega"]
    assert _set_up(repository, monkeypatch, "--textconv") == 0
    shown = _diff(repository, environ)
    assert "-omega 1.0 [direct]" in shown
    assert "+omega 2.0 [direct]" in shown


def _diff(repository: Repository, environ: dict[str, str]) -> str:
    ran = subprocess.run(
        ["git", "diff", "-U0", "deep.lock"],
        cwd=repository.folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_git_setup_needs_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run(["git-setup"]) == 2
    assert "is not in a git repository" in capsys.readouterr().err


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks(), closed_locks())
def test_laws_of_merging(one: Lock, other: Lock) -> None:
    assert merge(one, one, other).lock == ordered(other), "what only they changed is theirs"
    assert merge(one, other, one).lock == ordered(other), "what only we changed is ours"
    same = merge(one, other, other)
    assert same.lock == ordered(other)
    assert (same.both, same.settings) == ((), ())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_DEEP_LOCK_COMPLETE" in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_bash_completes_commands_and_options(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    run(["completion", "bash"])
    script = capsys.readouterr().out
    asked = (
        'COMP_WORDS=(deep-lock wheelh); COMP_CWORD=1; _deep_lock_completion deep-lock; echo "${COMPREPLY[@]}"; COMPREPLY=();'
        'COMP_WORDS=(deep-lock lock --upgrade-b); COMP_CWORD=2; _deep_lock_completion deep-lock; echo "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"], env={**os.environ, **environ}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["wheelhouse", "--upgrade-build"]
