"""The work on one repository that is hostile or damaged. No request is made."""

import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import pytest

from deep_lock.config.options import NetworkOptions, RunContext
from deep_lock.errors import OutsideCheckout
from deep_lock.fleet.records import Action, Repository, Task, TaskOptions, TaskResult
from deep_lock.fleet.task import run_task
from deep_lock.locking.policies import complete_policy
from deep_lock.models.policy import Policy, PolicySource
from tests.support.fleet_state import CLOSED
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import git

NOW = datetime(2026, 11, 30, tzinfo=UTC)
PROJECT = '[project]\nname = "app"\nversion = "1"\n[tool.deep-lock]\n'
ANY_NETWORK = NetworkOptions()
needs_links = pytest.mark.skipif(os.name != "posix", reason="needs links")


class Checked(Protocol):
    """Commits what is in the work tree, and does a task on it."""

    def __call__(
        self, action: Action = "check", *, exclude: tuple[str, ...] = (), network: NetworkOptions = ANY_NETWORK
    ) -> TaskResult: ...


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    (work / "app").mkdir(parents=True)
    git(work, "init", "--quiet", "-b", "main")
    (work / "app" / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return work


@pytest.fixture
def checked(work: Path) -> Checked:
    def check(
        action: Action = "check", *, exclude: tuple[str, ...] = (), network: NetworkOptions = ANY_NETWORK
    ) -> TaskResult:
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--allow-empty", "-m", "content")
        task = Task(
            repository=Repository(name="app", url=work.as_uri(), exclude=exclude),
            commit="",
            options=TaskOptions(action=action, hooks="static", network=network),
            now=NOW,
        )
        return run_task(task, RunContext(cache_folder=work.parent / "cache", now=NOW, environ=dict(os.environ)))

    return check


CONTENT = "known to the worker alone"
LINKS = {
    "app/pyproject.toml": "pyproject.toml",
    "app/setup.cfg": "setup.cfg",
    "app/deep-lock.toml": "deep-lock.toml",
    "app/deep.lock": "requirements.txt",
    "app/requirements.txt": "requirements.txt",
    "app/supply-chain": "supply-chain",
    "app/members/lib": ".",
    "app/missing": "missing",
    "app/zero": "/dev/zero",
}
SOURCE = 'dependencies = ["lib"]\n[tool.uv.sources]\nlib = {{ %s }}\n'
PATHS: dict[str, tuple[Action, str]] = {
    "folder": ("check", SOURCE % 'path = "{up}"'),
    "wheel": ("check", SOURCE % 'path = "{up}/lib-1-py3-none-any.whl"'),
    "linked": ("check", SOURCE % 'path = "../link/{up}"'),
    "commit": ("check", SOURCE % 'git = "file://{path}"'),
    "inner-commit": ("check", SOURCE % 'git = "file:../bare"'),
    "url": ("check", 'dependencies = ["lib @ file://{path}"]\n'),
    "workspace": ("check", '[tool.uv.workspace]\nmembers = ["{up}"]\n'),
    "find-links": ("check", '[tool.deep-lock]\nfind-links = ["{up}"]\n'),
    "from-lock": ("check", '[tool.deep-lock]\nfrom-lock = "{up}/requirements.txt"\n'),
    "client-cert": (
        "check",
        '[[tool.deep-lock.index]]\nname = "own"\nurl = "https://index.example/"\nclient-cert = "{up}/key.pem"\n',
    ),
    "database": ("audit", '[tool.deep-lock.audit]\ndatabase = "{up}"\n'),
    "openvex": ("audit", '[tool.deep-lock.audit]\ndatabase = "db"\nopenvex = ["{up}/vex.json"]\n'),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder of the worker: a project that no other one may see."""
    folder = tmp_path / "outside"
    (folder / "supply-chain").mkdir(parents=True)
    text = f'[project]\nname = "lib"\nversion = "1"\ndependencies = ["{CONTENT}"]\n{CONTENT}\n'
    for name in ("pyproject.toml", "setup.cfg", "requirements.txt", "deep-lock.toml", "supply-chain/audits.toml"):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "lib-1-py3-none-any.whl").write_text(CONTENT, encoding="utf-8")
    return folder


@needs_links
def test_a_link_that_leads_out_of_the_repository_is_not_followed(
    work: Path, outside: Path, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deep_lock.project.checkout.MAX_SHOWN", len(LINKS))
    for link, target in LINKS.items():
        (work / link).unlink(missing_ok=True)
        (work / link).parent.mkdir(exist_ok=True)
        (work / link).symlink_to(outside / target)
    made = checked()
    assert (made.result.status, made.result.code, made.result.exit_code) == ("failed", "outside-checkout", 4)
    assert made.result.message.endswith(f"links that lead out of the repository: {', '.join(sorted(LINKS))}")
    assert CONTENT not in str(made)
    assert made.locks == {}


@needs_links
def test_links_of_excluded_folders_are_removed_and_links_in_the_repository_work(
    work: Path, outside: Path, checked: Checked
) -> None:
    (work / "docs" / "more").mkdir(parents=True)
    (work / "docs" / "more" / "latest").symlink_to(outside)
    (work / "link").symlink_to("app")  # a folder
    (work / "circle").symlink_to("circle")
    (work / "shared.toml").write_text("python-versions = 3", encoding="utf-8")
    (work / "app" / "deep-lock.toml").symlink_to("../link/../shared.toml")
    (work / "app" / "deep.lock").write_text(CLOSED, encoding="utf-8")
    (work / "other").mkdir()
    (work / "other" / "pyproject.toml").symlink_to("../app/pyproject.toml")
    (work / "other" / "deep.lock").symlink_to("../app/deep.lock")
    assert checked().result.message.endswith("out of the repository: docs/more/latest")
    app, other = checked(exclude=("docs",)).result.projects
    assert (app.status, app.message) == (
        "failed",
        "deep-lock.toml: python-versions: must be a list of strings, not a number",
    )
    assert (other.status, other.message) == ("failed", "other/deep.lock: is a link: it is not read")


@needs_links
@pytest.mark.parametrize("action", ["check", "audit"])
def test_a_path_that_leads_out_of_the_repository_is_not_read(
    action: Action, work: Path, outside: Path, checked: Checked
) -> None:
    up = "../" * 30 + outside.as_posix().lstrip("/")
    (work / "link").symlink_to(".")
    (work / "app" / "pyproject.toml").unlink()
    for name, (own_action, text) in PATHS.items():
        if own_action == action:
            (work / name).mkdir()
            head = '[project]\nname = "app"\nversion = "1"\n'
            content = head + text.format(up=up, path=outside.as_posix())
            (work / name / "pyproject.toml").write_text(content, encoding="utf-8")
            (work / name / "deep.lock").write_text(CLOSED, encoding="utf-8")
    made = checked(action)
    assert {own.project: own.code for own in made.result.projects} == {
        name: "outside-checkout" for name, (own_action, _) in PATHS.items() if own_action == action
    }
    assert CONTENT not in str(made)


def test_a_policy_outside_of_the_checkout_is_not_read(tmp_path: Path) -> None:
    policy = Policy(extends=PolicySource(path="../outside/deep-lock.toml"))
    with pytest.raises(OutsideCheckout, match="is outside of the repository"):
        complete_policy(policy, tmp_path / "work", lambda _url, _sha256: b"", tmp_path / "work")


def test_a_repository_gives_no_other_url_to_a_login_of_the_worker(
    work: Path, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEP_LOCK_INDEX_COMPANY_USERNAME", "worker")
    monkeypatch.setenv("DEEP_LOCK_INDEX_COMPANY_PASSWORD", CONTENT)
    with ScenarioServer() as server:
        server.hold({"lib 1.0": {}})
        index = f'build-scope = "none"\n[[tool.deep-lock.index]]\nname = "company"\nurl = "{server.url}"\n'
        text = PROJECT.replace("[tool", 'dependencies = ["lib"]\n[tool') + index
        (work / "app" / "pyproject.toml").write_text(text, encoding="utf-8")
        assert checked("lock").result.projects[0].status == "changed"
        assert server.log
        assert not any("authorization" in own.headers for own in server.log)
        checked("lock", network=NetworkOptions(indexes=(f"company={server.url}",), refresh=True))
        assert "authorization" in server.log[-1].headers


@pytest.mark.parametrize("name", ["corp_x", "Corp.X", "DEFAULT"])
def test_a_repository_gives_no_other_name_to_a_login_of_the_worker(
    name: str, work: Path, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    for own in ("CORP_X", "DEFAULT"):
        monkeypatch.setenv(f"DEEP_LOCK_INDEX_{own}_USERNAME", "worker")
        monkeypatch.setenv(f"DEEP_LOCK_INDEX_{own}_PASSWORD", CONTENT)
    with ScenarioServer() as server, ScenarioServer() as other:
        for each in (server, other):
            each.hold({"lib 1.0": {}})
        index = f'build-scope = "none"\n[[tool.deep-lock.index]]\nname = "{name}"\nurl = "{other.url}"\n'
        text = PROJECT.replace("[tool", 'dependencies = ["lib"]\n[tool') + index
        (work / "app" / "pyproject.toml").write_text(text, encoding="utf-8")
        network = NetworkOptions(indexes=(f"corp-x={server.url}",), default_index=server.url, refresh=True)
        made = checked("lock", network=network)
        assert not any("authorization" in own.headers for own in other.log)
    assert "would get the login of an index of the command line" in made.result.projects[0].message


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


def test_the_message_of_a_repository_has_no_path_of_the_checkout(work: Path, checked: Checked) -> None:
    (work / "app" / "pyproject.toml").rename(work / "app" / "README")
    own = checked().result
    assert (own.status, own.message) == ("failed", ".: no project in it or below it")
