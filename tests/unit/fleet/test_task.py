"""The work on one repository that is hostile or damaged. No request is made."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from deep_lock.config.options import RunContext
from deep_lock.fleet.records import Repository, Task, TaskOptions, TaskResult
from deep_lock.fleet.task import run_task
from tests.support.scenarios import git

NOW = datetime(2026, 11, 30, tzinfo=UTC)
PROJECT = '[project]\nname = "app"\nversion = "1"\n[tool.deep-lock]\n'
Checked = Callable[[], TaskResult]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    (work / "app").mkdir(parents=True)
    git(work, "init", "--quiet", "-b", "main")
    (work / "app" / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return work


@pytest.fixture
def checked(work: Path) -> Checked:
    def check() -> TaskResult:
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "-m", "content")
        task = Task(
            repository=Repository(name="app", url=work.as_uri()),
            commit="",
            options=TaskOptions(action="check"),
            now=NOW,
        )
        return run_task(task, RunContext(cache_folder=work.parent / "cache", now=NOW, environ=dict(os.environ)))

    return check


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_lock_that_is_a_link_is_not_read(work: Path, checked: Checked) -> None:
    secret = work.parent / "secret"
    secret.write_text("a private key", encoding="utf-8")
    for name, target in (("app", secret), ("zero", Path("/dev/zero")), ("missing", work.parent / "missing")):
        (work / name).mkdir(exist_ok=True)
        (work / name / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        (work / name / "deep.lock").symlink_to(target)
    made = checked()
    assert [(own.project, own.status, own.lock_sha256) for own in made.result.projects] == [
        (name, "failed", "") for name in ("app", "missing", "zero")
    ]
    assert all("is a link, or not in the repository" in own.message for own in made.result.projects)
    assert made.locks == {}


def test_the_text_of_a_lock_has_the_bytes_of_the_commit(work: Path, checked: Checked) -> None:
    (work / "app" / "deep.lock").write_bytes(b"version = 1\r\n")
    own = checked().result.projects[0]
    assert own.previous_sha256 == sha256(b"version = 1\r\n").hexdigest()


def test_a_damaged_lock_that_records_its_inputs_fails_alone(work: Path, checked: Checked) -> None:
    (work / "other").mkdir()
    (work / "other" / "deep.lock").write_text("damaged", encoding="utf-8")
    made = checked()
    assert made.result.status == "done"
    assert [(own.project, own.status) for own in made.result.projects] == [("app", "stale"), ("other", "failed")]


def test_a_workspace_above_the_checkout_has_none_of_its_projects(
    checked: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    text = '[project]\nname = "evil"\nversion = "1"\n[tool.uv.workspace]\nmembers = ["*/tree/app", "*/*/tree/app"]\n'
    (above / "pyproject.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("TMPDIR", str(above))
    monkeypatch.setattr("tempfile.tempdir", str(above))
    made = checked()
    assert (made.result.status, made.result.projects) == ("failed", ())
    assert "above the folder of temporary files" in made.result.message
