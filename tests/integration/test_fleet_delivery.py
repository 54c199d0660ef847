"""`deep-lock fleet lock --deliver`, through the front door: from a new release to the branch of a pull request."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from tests.support.git_http import GitServer
from tests.support.scenarios import LINUX, bench, git

SECOND = """\
import subprocess, sys
ran = subprocess.run([{!r}, "-m", "deep_lock", "fleet", "lock", *{!r}], capture_output=True, text=True)
sys.exit(ran.stderr.splitlines()[0] if ran.returncode == 2 else "the second run was not refused")
"""


def test_new_locks_become_branches_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, {"lib 1.0": {}}) as made:
        made.ask("lib")
        settings = f'\n[tool.deep-lock]\nhooks = "static"\npython-versions = ["3.13"]\nplatforms = ["{LINUX}"]\n'
        with (made.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(settings)
        work = made.folder
        git(work, "init", "--quiet", "-b", "main")
        git(work, "config", "user.name", "Dev")
        git(work, "config", "user.email", "dev@example.org")
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "-m", "first")
        remote = tmp_path / "remote.git"
        git(tmp_path, "clone", "--quiet", "--bare", str(work), str(remote))
        fleet = tmp_path / "fleet.txt"
        fleet.write_text(f"{remote.as_uri()}\n", encoding="utf-8")

        def lock(*options: str, ends: int = 0) -> list[dict[str, Any]]:
            capsys.readouterr()
            given = ["-f", str(fleet), "--state", str(tmp_path / "state"), "--workers", "1", "--format", "json"]
            code = run(["fleet", "lock", *given, "--default-index", made.server.url, *options])
            seen = capsys.readouterr()
            assert code == ends, seen.err
            found: list[dict[str, Any]] = json.loads(seen.out)["deliveries"]
            return found

        (dry,) = lock()
        assert (dry["status"], dry["title"]) == ("would-deliver", "Update deep.lock")
        assert git(remote, "branch", "--format=%(refname:short)").split() == ["main"]
        (pushed,) = lock("--deliver", "branch", "--author", "Fleet <fleet@example.org>")
        assert (pushed["status"], pushed["branch"]) == ("delivered", dry["branch"])
        (again,) = lock("--deliver", "branch")
        assert (again["status"], again["commit"]) == ("exists", "")
        (failed,) = lock("--deliver", "command", "--deliver-command", "no-such-program", ends=3)
        assert (failed["status"], "no such program" in failed["reason"]) == ("failed", True)
        # while a delivery runs, another run with the state folder is refused
        second = tmp_path / "second.py"
        second.write_text(
            SECOND.format(sys.executable, ["-f", str(fleet), "--state", str(tmp_path / "state")]), "utf-8"
        )
        command = f"{sys.executable} {second}"
        (refused,) = lock("--deliver", "command", "--deliver-command", command, ends=3)
        assert (refused["status"], refused["mode"]) == ("failed", "command")
        assert "another run of the fleet uses this folder" in refused["reason"]
        # the branch is merged: the lock is up to date, and nothing is to be delivered
        git(work, "fetch", "--quiet", str(remote), pushed["branch"])
        git(work, "merge", "--quiet", "--ff-only", "FETCH_HEAD")
        assert git(work, "log", "-1", "--format=%an %s").strip() == "Fleet Update deep.lock"
        assert run(["lock", "--check", "--project", str(work), "--default-index", made.server.url]) == 0
        git(work, "push", "--quiet", str(remote), "main")
        assert lock("--deliver", "branch") == []


def test_a_branch_is_pushed_over_http_and_a_password_is_never_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine 127.0.0.1 login fleet password secret\n", encoding="utf-8")
    (home / ".gitconfig").write_text('[credential]\nhelper = "!echo password=secret"\n', encoding="utf-8")
    with bench(tmp_path, capsys, monkeypatch, {"lib 1.0": {}}) as made, GitServer(folder=tmp_path) as server:
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("GIT_ASKPASS", "echo")
        monkeypatch.setenv("GIT_USERNAME", "fleet")
        made.ask("lib")
        with (made.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[tool.deep-lock]\npython-versions = ["3.13"]\nplatforms = ["{LINUX}"]\n')
        git(made.folder, "init", "--quiet", "-b", "main")
        git(made.folder, "add", "--all")
        git(made.folder, "commit", "--quiet", "-m", "first")
        git(tmp_path, "clone", "--quiet", "--bare", str(made.folder), str(tmp_path / "remote.git"))
        fleet = tmp_path / "fleet.txt"
        fleet.write_text(f"{server.url}/remote.git\n", encoding="utf-8")
        arguments = ["fleet", "lock", "-f", str(fleet), "--state", str(tmp_path / "state"), "--workers", "1"]
        arguments += ["--default-index", made.server.url, "--hooks", "static"]
        assert run(arguments) == 0
        server.needs_login = True
        assert run([*arguments, "--deliver", "branch"]) == 3
        assert "could not read Username" in capsys.readouterr().err
        server.needs_login = False
        assert run([*arguments, "--deliver", "branch"]) == 0
        assert "deep-lock/" in git(tmp_path / "remote.git", "branch", "--format=%(refname:short)")
        assert server.logins == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--deliver", "command"], "--deliver command and --deliver-command belong together"),
        (["--deliver-command", "open"], "--deliver command and --deliver-command belong together"),
        (["--author", "Fleet"], "--author 'Fleet': write it as 'NAME <ADDRESS>'"),
        (["--seconds", "nan"], "is not a finite number"),
        (["--branch-prefix", "-f"], "is not the beginning of a branch name"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    fleet = tmp_path / "fleet.txt"
    fleet.write_text("https://git.example/a.git\n", encoding="utf-8")
    assert run(["fleet", "lock", "-f", str(fleet), "--state", str(tmp_path / "state"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
