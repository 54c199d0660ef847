"""`deep-lock fleet` through the front door: generated repositories, an index over sockets, and workers that are processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox import sandbox
from deep_lock.cli.main import run
from tests.support import schemas
from tests.support.fleet_cluster import cluster, descendants, make_certificates, worker
from tests.support.fleet_repositories import Made, add_file, make_fleet, releases, write_list
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import MINOR

posix_only = pytest.mark.skipif(os.name != "posix", reason="there are no locks across processes without flock")
WORKER = "-m deep_lock --no-progress -q fleet worker"


@pytest.fixture(scope="module")
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer() as own:
        own.hold(releases())
        yield own


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("fleet")
    made = make_fleet(folder / "repositories", 12)
    write_list(made, folder / "repos.toml")
    return made


class Fleet:
    """Runs `deep-lock fleet` with a cache and a state of its own."""

    def __init__(self, folder: Path, made: Made, server: ScenarioServer, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.made, self.server, self.capfd = folder, made, server, capfd
        server.log.clear()

    def run(self, action: str, *options: str, workers: str = "1") -> tuple[int, dict[str, Any], str]:
        self.capfd.readouterr()
        own = [] if action == "plan" or "--scheduler" in options else ["--workers", workers]
        code = run([*self.arguments(action), *own, "--format", "json", *options])
        out, err = self.capfd.readouterr()
        document = json.loads(out)
        schemas.check(document)
        return code, document, err

    def arguments(self, action: str) -> list[str]:
        return [
            "fleet",
            action,
            "-f",
            str(self.made.folder.parent / "repos.toml"),
            "--state",
            str(self.folder / "state"),
        ]

    def journal(self) -> list[dict[str, Any]]:
        lines = (self.folder / "state" / "fleet.jsonl").read_text(encoding="utf-8").splitlines()
        return [own for own in map(json.loads, lines) if "repository" in own]


@pytest.fixture
def fleet(
    tmp_path: Path,
    made: Made,
    server: ScenarioServer,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Fleet:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEP_LOCK_DEFAULT_INDEX", server.url)
    return Fleet(tmp_path, made, server, capfd)


def statuses(document: dict[str, Any]) -> dict[str, list[str]]:
    return {own["repository"]: [row["status"] for row in own["projects"]] for own in document["repositories"]}


def test_all_repositories_are_locked_and_what_cannot_have_changed_is_skipped(fleet: Fleet, tmp_path: Path) -> None:
    made = fleet.made
    code, first, err = fleet.run("lock")
    assert f"{made.hostile[1]}: failed: not used, since it has links" in err
    assert "\n  hint: replace them by files" in err
    assert code == 4  # the worst: a link that leads out of the repository
    found = statuses(first)
    assert set(found) == set(made.names)
    assert all(set(found[name]) == {"changed"} for name in (*made.good, *made.workspaces))
    path, link = made.hostile
    assert all(found[name] == ["failed"] for name in (*made.broken, path))
    refused = next(own for own in first["repositories"] if own["repository"] == link)
    assert (refused["status"], refused["code"], refused["projects"]) == ("failed", "outside-checkout", [])
    assert [row["project"] for row in first["repositories"][made.good.index("app0003")]["projects"]] == ["api", "web"]
    assert set(Counter(fleet.server.asked()).values()) == {1}
    assert sorted(own["repository"] for own in fleet.journal()) == sorted(made.names)

    # the lock is the one that the command makes in a checkout
    own = next(own for own in first["repositories"] if own["repository"] == "app0001")["projects"][0]
    locked = (fleet.folder / "state" / "locks" / f"{own['lock-sha256']}.lock").read_bytes()
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", str(made.folder / "app0001"), str(checkout)], check=True)
    assert run(["lock", "--project", str(checkout)]) == 0
    assert (checkout / "deep.lock").read_bytes() == locked

    # with the locks in the repositories nothing that is good runs again
    add_file(made, "app0001", "deep.lock", locked.decode())
    code, planned, _ = fleet.run("plan", "--only", "app000[12]")
    reasons = {own["name"]: own["reason"] for own in planned["repositories"]}
    assert reasons["app0001"].startswith("its commit is ")
    assert reasons["app0002"].endswith(" pages are the same")
    code, second, err = fleet.run("lock", "--only", "app0001", workers="2")
    assert not second["repositories"][0]["worker"].startswith("tls:")  # one task needs no cluster
    assert "1 repository ran, 0 did not have to" in err
    assert (code, second["ran"], statuses(second)) == (0, 1, {"app0001": ["up-to-date"]})
    code, third, _ = fleet.run("lock", "--only", "app0001")
    assert (code, third["ran"], third["skipped"]) == (0, 0, 1)
    assert statuses(third) == {"app0001": ["up-to-date"]}
    assert fleet.run("lock", "--only", "app0001", "-U")[1]["ran"] == 1
    code, checked, _ = fleet.run("check", "--only", "app000[12]")
    assert (code, statuses(checked)) == (1, {"app0001": ["up-to-date"], "app0002": ["stale"]})


def test_a_run_is_resumed(fleet: Fleet) -> None:
    code, first, _ = fleet.run("lock", "--limit", "2", "--only", "app000[0-3]")
    assert (code, first["ran"], first["left"]) == (0, 2, 2)
    with (fleet.folder / "state" / "fleet.jsonl").open("ab") as file:
        file.write(b'{"repository":"app0003","cut')  # a kill while a line was written
    code, second, _ = fleet.run("lock", "--resume", "--only", "app000[0-3]")
    assert (code, second["ran"], second["now"]) == (0, 2, first["now"])
    assert Counter(own["repository"] for own in fleet.journal()) == dict.fromkeys(fleet.made.good[:4], 1)
    assert set(Counter(fleet.server.asked()).values()) == {1}


def test_a_run_is_resumed_with_a_list_that_was_edited(fleet: Fleet, tmp_path: Path) -> None:
    listed = tmp_path / "edited.toml"
    arguments = ["fleet", "lock", "-f", str(listed), "--state", str(fleet.folder / "state"), "--workers", "1"]

    def write(**rows: str) -> None:
        text = "".join(
            f'[[repositories]]\nname = "{name}"\npath = "{(fleet.made.folder / name).as_posix()}"\n{more}\n'
            for name, more in rows.items()
        )
        listed.write_text(text, encoding="utf-8")

    def resume(*options: str) -> tuple[int, list[str], str]:
        before = len(fleet.journal())
        code = run([*arguments, "--resume", *options])
        return code, [own["repository"] for own in fleet.journal()[before:]], fleet.capfd.readouterr().err

    write(app0000="", app0001="", app0002="", app0003="", app0004="")
    assert run([*arguments, "--limit", "4"]) == 0
    assert [own["repository"] for own in fleet.journal()] == ["app0000", "app0001", "app0002", "app0003"]
    code, ran, error = resume("-U")
    assert (code, ran) == (2, [])
    assert "the run to resume had other options" in error
    # app0001 is removed, app0005 is added, app0003 has other patterns, and app0004 was left
    write(app0000="", app0002="", app0003='projects = ["api"]', app0004="", app0005="")
    assert resume()[:2] == (0, ["app0003", "app0004", "app0005"])
    assert [row["project"] for row in fleet.journal()[4]["projects"]] == ["api"]
    assert set(Counter(fleet.server.asked()).values()) == {1}
    code, ran, error = resume()
    assert (code, ran) == (0, [])
    assert "0 repositories ran, 5 did not have to" in error
    # the next run forgets the repository that was removed
    assert run(arguments) == 0
    assert {own["repository"] for own in fleet.journal()} == {"app0000", "app0002", "app0003", "app0004", "app0005"}


def test_three_kills_set_a_repository_aside(fleet: Fleet) -> None:
    code, document, _ = fleet.run("lock", "--only", "app0000", "--memory", "32")
    own = document["repositories"][0]
    assert (code, own["status"], own["kills"], own["code"]) == (3, "killed", 3, "killed")
    assert "more than 32 MiB of memory" in own["message"]


def test_shards_are_disjoint(fleet: Fleet) -> None:
    parts = [{own["name"] for own in fleet.run("plan", "--shard", f"{at}/3")[1]["repositories"]} for at in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(fleet.made.names)


@posix_only
def test_ctrl_c_leaves_a_state_that_resumes_and_no_process(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "deep_lock", *fleet.arguments("lock"), "--workers", "1", "--only", "app000*"]
    ran = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert ran.stderr is not None
    assert ran.stderr.readline().startswith("[1/7] ")
    ran.send_signal(signal.SIGINT)
    assert "interrupted" in ran.communicate(timeout=30)[1]
    assert ran.returncode == 130
    before = len(fleet.journal())
    assert 1 <= before < 7
    code, document, _ = fleet.run("lock", "--resume", "--only", "app000*")
    assert (code, document["ran"], len(fleet.journal())) == (0, 7 - before, 7)


@posix_only
def test_workers_of_a_cluster_on_this_machine_may_be_killed(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "deep_lock", *fleet.arguments("lock"), "--workers", "2", "--only", "app000*"]
    ran = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert ran.stderr is not None
    while not (starting := descendants(ran.pid, "multiprocessing.spawn")):
        assert ran.poll() is None
        time.sleep(0.02)
    os.kill(starting[0], signal.SIGKILL)
    assert ran.stderr.readline().startswith("[1/7] ")
    for child in descendants(ran.pid, WORKER):
        os.kill(child, signal.SIGKILL)
    assert "7 repositories ran" in ran.communicate(timeout=90)[1]
    assert ran.returncode == 0
    assert Counter(own["repository"] for own in fleet.journal()) == dict.fromkeys(fleet.made.good, 1)
    assert set(Counter(fleet.server.asked()).values()) == {1}


@posix_only
def test_a_scheduler_needs_certificates_of_both_sides(fleet: Fleet, tmp_path: Path) -> None:
    with cluster(tmp_path, os.environ, workers=1, resources="") as (address, tls):
        good = _tls_options(tls)
        code, document, _ = fleet.run("lock", "--only", "app0000", "--hooks", "static", "--scheduler", address, *good)
        assert (code, statuses(document)) == (0, {"app0000": ["changed"]})
        assert document["repositories"][0]["worker"].startswith("tls://127.0.0.1:")
        code, document, error = fleet.run("lock", "--only", "app0002", "--scheduler", address, *good)
        assert (code, "none with the resource sandbox" in error) == (2, True)
        make_certificates(tmp_path / "other")
        other = _tls_options(tmp_path / "other")
        wrong = (*good[:2], *other[2:])
        code, document, error = fleet.run("check", "--only", "app0000", "--scheduler", address, *wrong)
        assert (code, document["schema"]) == (3, "deep-lock/error")
        assert "no connection" in error
        wrong = (*good[:4], *other[4:])
        code, document, error = fleet.run("check", "--only", "app0000", "--scheduler", address, *wrong)
        assert (code, "cannot be used together: KEY_VALUES_MISMATCH" in error) == (2, True)


HOOKS = f"""\
[project]
name = "hooks"
version = "1"
dependencies = ["dynamic"]
[tool.deep-lock]
python-versions = ["{MINOR}"]
platforms = ["host"]
"""
DYNAMIC = """\
import os
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, "dynamic-1.0.dist-info"))
    with open(os.path.join(folder, "dynamic-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: dynamic\\nVersion: 1.0\\nRequires-Dist: lib29\\n")
    return "dynamic-1.0.dist-info"
"""


@posix_only
def test_hooks_run_on_a_worker_with_the_sandbox_and_a_run_that_lost_it_is_resumed(fleet: Fleet, tmp_path: Path) -> None:
    if sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    own = {
        "wheels": [],
        "sdist": True,
        "build": [],
        "backend": "own",
        "backend-path": ["."],
        "dynamic": ["Requires-Dist"],
    }
    fleet.server.hold({**releases(), "dynamic 1.0": {**own, "tree": {"own.py": DYNAMIC}}})
    add_file(fleet.made, "hooks", "pyproject.toml", HOOKS)
    more = tmp_path / "more.txt"
    more.write_text((fleet.made.folder / "hooks").as_uri(), encoding="utf-8")
    with cluster(tmp_path, os.environ, workers=0, resources="") as (address, tls):
        options = ("--scheduler", address, *_tls_options(tls), "--only", "hooks", "--only", "app000[0-2]")
        arguments = [*fleet.arguments("lock"), "-f", str(more), *options]
        with worker(tmp_path, os.environ, 0, "sandbox=1") as first:
            command = [sys.executable, "-m", "deep_lock", *arguments, "--worker-wait", "1"]
            ran = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            assert ran.stderr is not None
            assert ran.stderr.readline().startswith("[1/4] ")
            first.kill()
            error = ran.communicate(timeout=60)[1]
        assert "the scheduler has had no worker for 1 s" in error
        assert "--resume" in error
        assert ran.returncode == 3
        before = len(fleet.journal())
        assert 1 <= before < 4
        with worker(tmp_path, os.environ, 1, "sandbox=1"):
            assert run([*arguments, "--resume"]) == 0
    assert Counter(own["repository"] for own in fleet.journal()) == dict.fromkeys(
        ["app0000", "app0001", "app0002", "hooks"], 1
    )
    (made,) = [own for own in fleet.journal() if own["repository"] == "hooks"]
    locked = (fleet.folder / "state" / "locks" / f"{made['projects'][0]['lock-sha256']}.lock").read_text()
    assert 'evidence = "' in locked
    assert 'name = "lib29"' in locked


def _tls_options(folder: Path) -> tuple[str, ...]:
    return tuple(
        part
        for option, file in (("ca", "ca"), ("cert", "cert"), ("key", "key"))
        for part in (f"--tls-{option}", str(folder / f"{file}.pem"))
    )
