"""Renovate's configuration in fixtures/renovate finds what it may update in a lock, and nothing else.

Renovate itself runs only if it is on PATH, because `npm install renovate` takes minutes. `.ci/run` installs it.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from jsonata import Jsonata  # type: ignore[import-untyped]  # it has no types
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock
from tests.support import workspace
from tests.support.lock_strategies import closed_locks
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, bench, git

FOLDER = Path(__file__).parents[2] / "fixtures" / "renovate"
CONFIG = FOLDER / "renovate.json"
SELF_HOSTED = FOLDER / "self-hosted.json"
MANAGER = json.loads(CONFIG.read_text(encoding="utf-8"))["customManagers"][0]
(QUERY,) = MANAGER["matchStrings"]
BACKEND = {"wheels": [], "sdist": True, "backend": "flit_core.buildapi"}
OLD: Releases = {
    "alpha-lib 1.0": {"requires": ["shared"]},
    "native 1.0": {**BACKEND, "build": ["maker"]},
    "pinned 1.0": {},
    "bounded 1.0": {},
    "shared 1.0": {},
    "maker 1.0": {},
}
NEW: Releases = {
    **OLD,
    "alpha-lib 1.1": {"requires": ["shared"]},
    "native 1.2": {**BACKEND, "build": ["maker"]},
    "pinned 2.0": {},
    "bounded 1.5": {},
    "bounded 2.0": {},
    "shared 1.5": {},
    "maker 2.0": {},
}


def found_in(text: str) -> list[dict[str, str]]:
    """Return what the manager of Renovate extracts from a lock."""
    document = json.loads(json.dumps(tomllib.loads(text), default=str))
    found: list[dict[str, str]] | dict[str, str] | None = Jsonata(QUERY).evaluate(document)
    return [found] if isinstance(found, dict) else found or []  # Renovate accepts one dependency without a list too


def test_the_query_is_that_of_the_readable_file() -> None:
    readable = (FOLDER / "deep-lock.jsonata").read_text(encoding="utf-8")
    assert " ".join(re.sub(r"/\*.*?\*/", "", readable, flags=re.DOTALL).split()) == QUERY


@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_exactly_the_direct_dependencies_and_build_requirements_are_found(lock: Lock) -> None:
    indexed = {entry.name for entry in lock.packages if entry.index is not None}
    runtime = {("runtime", entry.name, entry.version) for entry in lock.packages if entry.direct and entry.index}
    builds = {
        (f"build of {build.name}", member.name, member.version)
        for build in lock.builds
        for member in build.packages
        if member.name in indexed and member.name in {Requirement(text).name for text in build.all_requires}
    }
    found = {(own["depType"].partition(",")[0], own["depName"], own["currentValue"]) for own in found_in(to_text(lock))}
    assert found <= runtime | builds
    bounds: dict[str, str] = {}
    inputs = lock.inputs
    for text in chain(
        *(build.all_requires for build in lock.builds),
        *(texts for _, texts in (*inputs.extras, *inputs.dependency_groups)),
        inputs.requirements,
        inputs.constraints,
        inputs.overrides,
        inputs.build_constraints,
    ):
        parsed = Requirement(text)
        bounds[parsed.name] = bounds.get(parsed.name, "") + str(parsed.specifier)
    for _, name, version in (runtime | builds) - found:
        assert re.search("[=<~]", bounds.get(name, "")) or "!" in (version or ""), "left out without a bound"


@pytest.mark.parametrize(
    ("limits", "version", "kind"),
    [
        ("", "1.4.2", "runtime"),
        (">=1,!=1.5", "1.4.2", "runtime"),
        ("<2", "1.4.2", "runtime, same major version"),
        ("<2.0.0,>=1", "1.4.2", "runtime, same major version"),
        ("<=3", "1.4.2", "runtime, same major version"),
        ("~=1.2", "1.4.2", "runtime, same major version"),
        ("==1.*", "1.4.2", "runtime, same major version"),
        ("<1.5", "1.4.2", "runtime, same minor version"),
        ("~=1.4.1", "1.4.2", "runtime, same minor version"),
        ("==1.4.*", "1.4.2", "runtime, same minor version"),
        ("<2,~=1.4.1", "1.4.2", "runtime, same minor version"),
        ("<1.4.9", "1.4.2", None),
        ("<=1.4", "1.4", None),
        ("==1.4.2", "1.4.2", None),
        ("===1.4.2", "1.4.2", None),
        ("==1.4.2.*", "1.4.2", None),
        ("~=1.4.1.0", "1.4.2", None),
        ("<1!2", "1.4.2", None),
        ("<3", "1!1.4", None),
    ],
)
def test_no_bound_of_the_project_is_exceeded(limits: str, version: str, kind: str | None) -> None:
    text = f"""\
[[packages]]
name = "lib"
version = "{version}"
index = "https://index.example/simple/"
tool.deep-lock.direct = true

[tool.deep-lock.inputs]
requirements = ["other", "Lib[x] {limits} ; python_version > '3'"]
"""
    found = found_in(text)
    assert [own["depType"] for own in found] == ([kind] if kind is not None else [])
    if kind is not None and limits:  # what the rules of the configuration then propose is admitted
        own = Version(version)
        above = [Version(f"{own.major}.{own.minor}.9")]
        above += [Version(f"{own.major}.{own.minor + 9}")] if "minor" not in kind else []
        assert all(SpecifierSet(limits).contains(each) for each in above if "!=" not in limits)


def test_what_members_of_a_workspace_require_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, workspace.RELEASES) as made:
        made.write(workspace.FILES)
        text = made.lock().text
    found = {own["depName"] for own in found_in(text) if own["depType"] == "runtime"}
    assert found == {"clicker", "driver", "flask", "linter", "queue", "rich", "tester"}, "no member, and no werk"


def test_the_manager_reads_locks_and_no_other_file() -> None:
    assert MANAGER["managerFilePatterns"] == ["**/deep.lock"]


def test_a_version_that_was_edited_in_a_build_is_applied_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.ask("alpha-lib", "native")
        made.platforms = (LINUX,)
        text = made.lock().text
        made.hold(NEW)
        assert text.count('{name = "maker", version = "1.0"}') == 1
        edited = text.replace('{name = "maker", version = "1.0"}', '{name = "maker", version = "2.0"}')
        made.write({"deep.lock": edited})
        ended = made.lock("--check")
        assert ended.code == 1
        assert "the build of native 1.0 uses maker 2.0, which is not in the lock" in ended.stderr
        ended = made.lock("--refresh", "-P", "maker==2.0", "--in-build", "native")
        assert ended.code == 0, ended.stderr
        assert [f"{own.name} {own.version}" for own in ended.lock.builds[0].packages] == ["maker 2.0"]
        assert "alpha-lib==1.0" in ended.pins()
        assert made.lock("--check").code == 0


@pytest.mark.skipif(shutil.which("renovate") is None, reason="renovate is not on PATH (npm install renovate)")
def test_renovate_proposes_only_what_no_bound_excludes_and_deep_lock_applies_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, OLD) as made:
        made.ask("alpha-lib", "native", "pinned==1.0", "bounded<2")
        made.platforms = (LINUX,)
        assert made.lock().code == 0
        made.hold(NEW)
        made.server.html = True
        made.write({"renovate.json": CONFIG.read_text(encoding="utf-8")})
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
        (file,) = updates["jsonata"]
        proposed = {
            (own["depName"], own["depType"]): own["updates"][0]["newValue"] for own in file["deps"] if own["updates"]
        }
        assert proposed == {
            ("alpha-lib", "runtime"): "1.1",
            ("native", "runtime"): "1.2",
            ("bounded", "runtime, same major version"): "1.5",
            ("maker", "build of native"): "2.0",
        }
        # as Renovate edits the file, and then calls the command of its postUpgradeTasks
        before = made.lock("--check").text
        for index, dep in enumerate(file["deps"]):
            if dep["depName"] not in {"alpha-lib", "maker"}:
                continue
            made.write({"deep.lock": before})
            edited = _updated(made.folder, dep, index, dep["updates"][0]["newValue"])
            made.write({"deep.lock": edited["content"]})
            program, command, *arguments = edited["command"].split()
            assert (program, command) == ("deep-lock", "lock")
            ended = made.lock("--refresh", *arguments)
            assert ended.code == 0, (edited["command"], ended.stderr)
            assert [own["currentValue"] for own in found_in(ended.text) if own["depName"] == dep["depName"]] == [
                dep["updates"][0]["newValue"]
            ]
    for path in (CONFIG, SELF_HOSTED):
        subprocess.run(["renovate-config-validator", "--strict", path], check=True, capture_output=True)


def _updated(folder: Path, dep: dict[str, Any], index: int, version: str) -> dict[str, str]:
    program = shutil.which("renovate")
    assert program is not None
    package = Path(program).resolve().parents[1]
    rules = json.loads(SELF_HOSTED.read_text(encoding="utf-8"))["packageRules"]
    (rule,) = [own for own in rules if re.search(own["matchDepTypes"][0].strip("/"), dep["depType"])]
    asked = {
        "folder": str(folder),
        "packageFile": "deep.lock",
        "manager": MANAGER,
        "dep": dep,
        "depIndex": index,
        "newValue": version,
        "command": rule["postUpgradeTasks"]["commands"][0],
    }
    script = Path(__file__).parents[1] / "support" / "renovate_update.mjs"
    ran = subprocess.run(
        ["node", script, package], input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return found
