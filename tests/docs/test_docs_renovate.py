"""Renovate's configuration in fixtures/renovate finds the direct dependencies in a lock, and no other packages.

Renovate itself runs only if it is on PATH, because `npm install renovate` takes minutes. `.ci/run` installs it.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock
from tests.support import workspace
from tests.support.lock_strategies import closed_locks
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, bench, git

CONFIG = Path(__file__).parents[2] / "fixtures" / "renovate" / "renovate.json"
MANAGER = json.loads(CONFIG.read_text(encoding="utf-8"))["customManagers"][0]
# JavaScript and RE2 write a named group without the P
MATCH = re.compile(MANAGER["matchStrings"][0].replace("(?<", "(?P<"))
OLD: Releases = {
    "alpha-lib 1.0": {"requires": ["shared"]},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "shared 1.0": {},
    "maker 1.0": {},
}
NEW: Releases = {
    **OLD,
    "alpha-lib 1.1": {"requires": ["shared"]},
    "native 1.2": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "shared 1.5": {},
    "maker 2.0": {},
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_exactly_the_direct_dependencies_are_found(lock: Lock) -> None:
    found = sorted((match["depName"], match["currentValue"]) for match in MATCH.finditer(to_text(lock)))
    assert found == sorted((entry.name, entry.version) for entry in lock.packages if entry.direct)


def test_what_members_of_a_workspace_require_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, workspace.RELEASES) as made:
        made.write(workspace.FILES)
        text = made.lock().text
    found = {match["depName"] for match in MATCH.finditer(text)}
    assert found == {"clicker", "driver", "flask", "linter", "queue", "rich", "tester"}, "no member, and no werk"


def test_the_manager_reads_locks_and_no_other_file() -> None:
    (pattern,) = MANAGER["fileMatch"]
    assert re.search(pattern, "deep.lock")
    assert re.search(pattern, "inner/deep.lock")
    assert not re.search(pattern, "uv.lock")
    assert not re.search(pattern, "deep.lock.txt")


@pytest.mark.skipif(shutil.which("renovate") is None, reason="renovate is not on PATH (npm install renovate)")
def test_renovate_proposes_updates_of_direct_dependencies_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.ask("alpha-lib", "native")
        made.platforms = (LINUX,)
        assert made.lock().code == 0
        made.hold(NEW)
        made.server.html = True
        config = json.loads(CONFIG.read_text(encoding="utf-8"))
        config["customManagers"][0]["registryUrlTemplate"] = made.server.url
        made.write({"renovate.json": json.dumps(config)})
        git(made.folder, "init", "--quiet")
        git(made.folder, "add", "--all")
        environ = {
            **os.environ,
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "json",
            "RENOVATE_ONBOARDING": "false",
            "RENOVATE_REQUIRE_CONFIG": "optional",
            "RENOVATE_BASE_DIR": str(tmp_path / "base"),
        }
        ran = subprocess.run(
            ["renovate", "--platform=local", "--dry-run=lookup"],
            cwd=made.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    (updates,) = [line["config"] for line in lines if line["msg"] == "packageFiles with updates"]
    (file,) = updates["regex"]
    assert {(own["depName"], own["updates"][0]["newValue"]) for own in file["deps"]} == {
        ("alpha-lib", "1.1"),
        ("native", "1.2"),
    }
    subprocess.run(["renovate-config-validator", "--strict", CONFIG], check=True, capture_output=True)
