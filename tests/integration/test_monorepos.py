"""Repositories whose projects require each other by path: each file of fixtures/monorepos is one.

``title``     what the case is, in a sentence
``releases``  see scenario_server
``files``     path to text
``never``     paths that no index is queried for
``expect``    by project: what its lock has at run time, "name==version" or "name @ path", with "editable"
``change``    a text in a file that is replaced by another one
``stale``     by project: how `lock --check` begins to name the change; the other projects stay up to date
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deep_lock.models.lock import LockedDirectory, LockedPackage
from tests.support.scenarios import Bench, bench

FOLDER = Path(__file__).parents[2] / "fixtures" / "monorepos"
CASES = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    own: Mapping[str, Any] = CASES[request.param]
    return own


@pytest.fixture
def made(
    case: Mapping[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, case["releases"]) as own:
        own.write(case["files"])
        yield own


def shown(entry: LockedPackage) -> str:
    if isinstance(entry.source, LockedDirectory):
        return f"{entry.name} @ {entry.source.path}{' editable' if entry.source.editable else ''}"
    return f"{entry.name}=={entry.version}"


def test_all_projects_are_locked_and_a_change_is_named(case: Mapping[str, Any], made: Bench) -> None:
    root = made.folder
    ran = made.lock("--all-projects")
    assert ran.code == 0, ran.stderr
    assert set(ran.asked).isdisjoint(case["never"])
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("deep.lock")):
        made.folder = path.parent
        alone = made.lock()
        assert (alone.code, alone.asked, alone.text) == (0, (), path.read_text(encoding="utf-8"))
        assert str(root) not in alone.text
        found[path.parent.relative_to(root).as_posix()] = [
            shown(entry) for entry in alone.lock.packages if not entry.build_only
        ]
    assert found == dict(case["expect"])
    made.folder = root
    checked = made.lock("--all-projects", "--check")
    assert (checked.code, checked.asked) == (0, ()), checked.stderr

    change = case["change"]
    path = root / change["file"]
    text = path.read_text(encoding="utf-8")
    assert change["old"] in text
    path.write_text(text.replace(change["old"], change["new"]), encoding="utf-8")
    checked = made.lock("--all-projects", "--check")
    assert (checked.code, checked.asked) == (1, ()), checked.stderr
    for project, sentence in case["stale"].items():
        assert f"{project}:\nerror: deep.lock is stale:\n  {sentence}" in checked.stderr, checked.stderr
    assert checked.stderr.count("is stale") == len(case["stale"])
    assert made.lock("--all-projects").code == 0
    assert made.lock("--all-projects", "--check").code == 0
