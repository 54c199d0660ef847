"""Delivery of new locks: real repositories, real git, a real command."""

import hashlib
import json
import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from deep_lock.config.options import RunContext
from deep_lock.errors import UsageError
from deep_lock.fleet import delivery
from deep_lock.fleet.delivery import Deliveries, Delivery, DeliveryOptions, deliver
from deep_lock.fleet.records import RepositoryResult, Result
from deep_lock.network.git import Identity
from tests.support.paths import ROOT
from tests.support.scenarios import git

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
AUTHOR = Identity(name="Fleet", address="fleet@example.org")
PATH = "app/deep.lock"


def _texts() -> tuple[str, str]:
    """Return two locks that differ in a version and in a host."""
    text = (ROOT / "fixtures" / "locks" / "delivery.lock").read_text(encoding="utf-8")
    return text, text.replace("84.2.1", "84.3.0").replace("files.example/setuptools", "evil.example/setuptools")


class Fleet:
    """A bare repository with a project, and the results of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.remote = folder / "remote.git"
        self.context = RunContext(cache_folder=folder / "cache", now=NOW, environ=dict(os.environ))
        self.time = NOW
        self.old, self.new = _texts()
        work = self.work = folder / "work"
        work.mkdir()
        git(work, "init", "--quiet", "-b", "main")
        git(work, "config", "user.name", "Dev")
        git(work, "config", "user.email", "dev@example.org")
        (work / "app").mkdir()
        (work / PATH).write_text(self.old, encoding="utf-8")
        (work / ".gitattributes").write_text("*.lock filter=evil text eol=crlf\n", encoding="utf-8")
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "-m", "first")
        git(folder, "clone", "--quiet", "--bare", str(work), str(self.remote))
        self.base = git(work, "rev-parse", "HEAD").strip()
        self.marker = folder / "hook-ran"
        for name in ("pre-receive", "update", "post-receive", "pre-push"):
            hook = self.remote / "hooks" / name
            hook.write_text(f"#!/bin/sh\ntouch {self.marker}\n", encoding="utf-8")
            hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
        (self.state / "locks").mkdir(parents=True)
        self.result = self.of(self.new)

    def of(self, new: str, path: str = PATH) -> RepositoryResult:
        digests = []
        for text in (self.old, new):
            digests.append(hashlib.sha256(text.encode()).hexdigest())
            (self.state / "locks" / f"{digests[-1]}.lock").write_bytes(text.encode())
        row = Result(
            repository="team/app",
            commit=self.base,
            project="app",
            action="lock",
            status="changed",
            lock_path=path,
            lock_sha256=digests[1],
            previous_sha256=digests[0],
            changes=({"weight": "danger", "name": "setuptools", "message": "a *bad* change"},),
            dangerous=1,
        )
        failed = replace(row, project="other", status="failed", exit_code=1, message="no versions fit @you")
        return RepositoryResult(
            repository="team/app",
            url=self.remote.as_uri(),
            commit=self.base,
            configuration="",
            status="done",
            projects=(row, failed),
        )

    def deliver(self, *results: RepositoryResult, **options: object) -> list[Delivery]:
        own = DeliveryOptions(**{"author": AUTHOR, **options})  # type: ignore[arg-type]  # values by name
        seen: list[Delivery] = []
        found = deliver(
            results or (self.result,), Deliveries(self.state), own, self.context, seen.append, clock=lambda: self.time
        )
        assert list(found) == seen
        return seen

    def branches(self) -> list[str]:
        return git(self.remote, "branch", "--format=%(refname:short)").split()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_without_a_mode_nothing_is_written(fleet: Fleet) -> None:
    (made,) = fleet.deliver()
    assert (made.status, made.commit) == ("would-deliver", "")
    assert made.title == "Update app/deep.lock: 1 dangerous change"
    assert made.branch.startswith("deep-lock/")
    assert fleet.branches() == ["main"]
    assert sorted(own.name for own in fleet.state.iterdir()) == ["locks"]


def test_a_patch_is_what_git_am_applies(fleet: Fleet) -> None:
    (made,) = fleet.deliver(mode="patch")
    assert made.status == "delivered", made.reason
    git(fleet.work, "am", "--quiet", made.patch)
    assert git(fleet.work, "cat-file", "blob", f"HEAD:{PATH}").strip() == fleet.new.strip()
    assert git(fleet.work, "log", "-1", "--format=%an <%ae>%n%B").strip().splitlines() == [
        "Fleet <fleet@example.org>",
        "Update app/deep.lock: 1 dangerous change",
        "",
        "- setuptools: a *bad* change",
    ]
    assert fleet.branches() == ["main"]
    assert [own.status for own in fleet.deliver(mode="patch")] == ["exists"]
    (elsewhere,) = fleet.deliver(mode="patch", patches=fleet.folder / "elsewhere")
    assert (elsewhere.status, Path(elsewhere.patch).exists()) == ("delivered", True)
    Path(elsewhere.patch).unlink()
    Path(made.patch).unlink()
    assert [own.status for own in fleet.deliver()] == ["would-deliver"]
    (again,) = fleet.deliver(mode="patch")
    assert (again.status, Path(again.patch).exists()) == ("delivered", True)
    (other,) = fleet.deliver(replace(fleet.result, repository="team--app"), mode="patch")
    assert other.status == "delivered"


def test_a_branch_is_pushed_once_and_no_hook_runs(fleet: Fleet) -> None:
    (made,) = fleet.deliver(mode="branch")
    assert made.status == "delivered", made.reason
    assert fleet.branches() == [made.branch, "main"]
    assert git(fleet.remote, "rev-parse", made.branch).strip() == made.commit
    assert git(fleet.remote, "rev-parse", f"{made.branch}~").strip() == fleet.base
    assert git(fleet.remote, "cat-file", "blob", f"{made.branch}:{PATH}").strip() == fleet.new.strip()
    assert git(fleet.remote, "diff", "--name-only", "main", made.branch).split() == [PATH]
    assert not fleet.marker.exists()
    assert [own.status for own in fleet.deliver(mode="branch")] == ["exists"]
    # with another state folder the branch is found; with another lock in it, it stays, and is no delivery
    (fleet.state / delivery.RECORD).unlink()
    assert [(own.status, own.commit) for own in fleet.deliver(mode="branch")] == [("exists", made.commit)]
    git(fleet.remote, "update-ref", f"refs/heads/{made.branch}", fleet.base)
    (again,) = fleet.deliver(mode="branch")
    assert (again.status, f"its {PATH} is another one" in again.reason) == ("failed", True)
    assert git(fleet.remote, "rev-parse", made.branch).strip() == fleet.base


def test_locks_that_were_merged_and_reverted_are_delivered_again(fleet: Fleet) -> None:
    seen = fleet.folder / "seen.json"
    fleet.context = replace(fleet.context, environ={**os.environ, "TOKEN": "y"})
    command = (sys.executable, "-c", COMMAND, str(seen), "0")
    (made,) = fleet.deliver(mode="command", command=command)
    (patch,) = fleet.deliver(mode="patch")
    (fleet.work / "more").write_text("another commit", encoding="utf-8")
    git(fleet.work, "add", "--all")
    git(fleet.work, "commit", "--quiet", "-m", "second")
    git(fleet.work, "push", "--quiet", str(fleet.remote), "main")
    fleet.base = git(fleet.work, "rev-parse", "HEAD").strip()
    result = fleet.of(fleet.new)
    # the pull request is open: the command is not called again
    seen.unlink()
    (is_open,) = fleet.deliver(result, mode="command", command=command)
    assert (is_open.status, "delete it if it was merged" in is_open.reason) == ("exists", True)
    assert not seen.exists()
    git(fleet.remote, "branch", "--quiet", "-D", made.branch)
    (again,) = fleet.deliver(result, mode="command", command=command)
    assert (again.status, again.branch, seen.exists()) == ("delivered", made.branch, True)
    assert git(fleet.remote, "rev-parse", f"{made.branch}~").strip() == fleet.base
    # a patch is for the present commit too
    (written,) = fleet.deliver(result, mode="patch")
    assert (written.status, written.patch) == ("delivered", patch.patch)
    assert [own.status for own in fleet.deliver(result, mode="patch")] == ["exists"]


def test_two_branches_of_a_repository_get_a_branch_each(fleet: Fleet) -> None:
    release = replace(fleet.result, repository="team/release", ref="release")
    first, second = fleet.deliver(fleet.result, release, mode="branch")
    assert [first.status, second.status] == ["delivered", "delivered"]
    assert first.branch != second.branch


def test_a_branch_that_another_run_pushes_meanwhile_is_not_overwritten(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plan,) = fleet.deliver()
    git(fleet.remote, "update-ref", f"refs/heads/{plan.branch}", fleet.base)
    monkeypatch.setattr("deep_lock.network.git.Repositories.branches", lambda *_: {})
    (made,) = fleet.deliver(mode="branch")
    assert made.status == "failed"
    assert "git push failed" in made.reason
    assert git(fleet.remote, "rev-parse", plan.branch).strip() == fleet.base


def test_limits(fleet: Fleet) -> None:
    other = fleet.of(fleet.new.replace("84.3.0", "84.4.0"))
    first, second = fleet.deliver(fleet.result, other, mode="branch", limit_branches=1)
    assert (first.status, second.status) == ("delivered", "postponed")
    assert "--limit-branches is 1" in second.reason
    fleet.time = NOW + timedelta(minutes=59)
    (third,) = fleet.deliver(other, mode="branch", per_hour=1)
    assert (third.status, third.reason) == ("postponed", "--per-hour is 1")
    fleet.time = NOW + timedelta(minutes=61)  # the run began an hour before
    assert fleet.deliver(other, mode="patch")[0].status == "delivered"  # is no push
    assert fleet.deliver(other, mode="branch", per_hour=1)[0].status == "delivered"
    assert fleet.deliver(mode="branch", excepted=("team/*",)) == []
    assert fleet.deliver(mode="branch", only=("x*",)) == []


def test_a_line_that_a_kill_cut_off_is_removed_before_the_next_one(fleet: Fleet) -> None:
    fleet.deliver(mode="branch")
    with (fleet.state / delivery.RECORD).open("ab") as file:
        file.write(b'{"repository":"cut')
    fleet.deliver(fleet.of(fleet.new.replace("84.3.0", "84.4.0")), mode="branch")
    lines = (fleet.state / delivery.RECORD).read_bytes().splitlines()
    assert [json.loads(line)["repository"] for line in lines] == ["team/app", "team/app"]
    assert [own.status for own in fleet.deliver(mode="branch")] == ["exists"]


COMMAND = """\
import json, os, pathlib, sys
document = json.load(sys.stdin)
pathlib.Path(sys.argv[1]).write_text(json.dumps({"document": document, "environ": dict(os.environ), "cwd": os.listdir()}))
print("cannot open it with", os.environ.get("TOKEN"))
sys.exit(int(sys.argv[2]))
"""


def test_a_command_is_called_again_after_a_failure(fleet: Fleet) -> None:
    seen = fleet.folder / "seen.json"
    fleet.context = replace(fleet.context, environ={**os.environ, "SECRET": "x", "TOKEN": "a-token"})
    command = (sys.executable, "-c", COMMAND, str(seen))
    (made,) = fleet.deliver(mode="command", command=(*command, "7"), passed=("TOKEN",))
    assert (made.status, made.branch in fleet.branches()) == ("failed", True)
    assert made.reason == "the command ended with exit code 7: cannot open it with ***"
    # the next run calls it again, though the branch exists, and then no more
    assert [own.status for own in fleet.deliver(mode="command", command=(*command, "0"), passed=("TOKEN",))] == [
        "delivered"
    ]
    seen.unlink()
    assert [own.status for own in fleet.deliver(mode="command", command=(*command, "0"))] == ["exists"]
    assert not seen.exists()


def test_a_command_gets_a_document_and_a_clean_environment(fleet: Fleet) -> None:
    seen = fleet.folder / "seen.json"
    fleet.context = replace(fleet.context, environ={**os.environ, "SECRET": "x", "TOKEN": "y"})
    command = (sys.executable, "-c", COMMAND, str(seen), "0")
    (made,) = fleet.deliver(mode="command", command=command, passed=("TOKEN",))
    assert made.status == "delivered", made.reason
    found = json.loads(seen.read_text(encoding="utf-8"))
    assert (found["environ"]["TOKEN"], "SECRET" in found["environ"], found["cwd"]) == ("y", False, [])
    schema = json.loads((ROOT / "docs" / "schemas" / "fleet-delivery.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(found["document"])
    body = found["document"]["body"]
    assert body.index("#### Dangerous changes") < body.index("Changes to review") < body.index("#### Not locked (1)")
    assert "no versions fit @\u200byou" in body
    assert found["document"]["commit"] == made.commit


def test_a_command_that_takes_too_long_is_ended(fleet: Fleet) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    (made,) = fleet.deliver(mode="command", command=command, command_seconds=0.3)
    assert made.status == "failed"
    assert "124: it took more than" in made.reason


@pytest.mark.parametrize(
    "path", ["../deep.lock", "/etc/deep.lock", ".git/deep.lock", "app/setup.py", "a\\..\\deep.lock"]
)
def test_only_locks_in_the_repository_are_replaced(fleet: Fleet, path: str) -> None:
    (made,) = fleet.deliver(fleet.of(fleet.new, path), mode="branch")
    assert made.status == "failed"
    assert "is not the path of a lock" in made.reason
    assert fleet.branches() == ["main"]


def test_a_lock_that_was_changed_in_the_state_folder_is_refused(fleet: Fleet) -> None:
    path = fleet.state / "locks" / f"{fleet.result.projects[0].lock_sha256}.lock"
    path.write_text(path.read_text(encoding="utf-8") + "#\n", encoding="utf-8")
    (made,) = fleet.deliver(mode="branch")
    assert (made.status, fleet.branches()) == ("failed", ["main"])
    assert "has another digest than its name states" in made.reason


def test_a_lock_that_is_a_link_is_not_replaced(fleet: Fleet) -> None:
    (fleet.work / PATH).unlink()
    (fleet.work / PATH).symlink_to("../elsewhere")
    git(fleet.work, "add", "--all")
    git(fleet.work, "commit", "--quiet", "-m", "link")
    git(fleet.work, "push", "--quiet", str(fleet.remote), "main")
    fleet.base = git(fleet.work, "rev-parse", "HEAD").strip()
    (made,) = fleet.deliver(fleet.of(fleet.new), mode="branch")
    assert made.status == "failed"
    assert "is a link or a folder" in made.reason


def test_options_that_do_not_fit_are_refused(fleet: Fleet) -> None:
    for options in (
        {"mode": "command"},
        {"mode": "branch", "command": ("true",)},
        {"mode": "branch", "prefix": "-x"},
        {"mode": "branch", "prefix": "a/../"},
        {"mode": "branch", "author": Identity(name="a>", address="b")},
    ):
        with pytest.raises(UsageError):
            fleet.deliver(**options)
