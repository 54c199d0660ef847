"""Extras and groups that exclude each other: each allowed selection has an exact answer in one lock."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from packaging.tags import Tag

from deep_lock.targets.target import Target
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench

PROJECT = """\
[project]
name = "app"
version = "1"
dependencies = ["base"]

[project.optional-dependencies]
cpu = ["engine<2", "only-cpu"]
gpu = ["engine>=2", "driver; sys_platform == 'win32'"]
plot = ["draw"]

[dependency-groups]
old = ["tool<2"]
new = ["tool>=2"]

[tool.deep-lock]
conflicts = [[{extra = "cpu"}, {extra = "gpu"}], [{group = "old"}, {group = "new"}]]
"""
RELEASES: Releases = {
    "base 1.0": {"requires": ["shared"]},
    "shared 1.0": {},
    "shared 2.0": {},
    "engine 1.0": {"requires": ["shared<2"]},
    "engine 2.0": {"requires": ["shared>=2"]},
    "only-cpu 1.0": {},
    "driver 1.0": {},
    "draw 1.0": {"requires": ["engine"]},
    "tool 1.0": {},
    "tool 2.0": {},
}


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.platforms = (LINUX, WINDOWS)
        own.write({"pyproject.toml": PROJECT})
        monkeypatch.chdir(own.folder)
        yield own


def selected(text: str, target: Target, extras: str = "", groups: str = "") -> list[str]:
    """Return what packaging.pylock selects from a lock."""
    lock = Pylock.from_dict(tomllib.loads(text))
    found = lock.select(
        environment=dict(target.environment),  # type: ignore[arg-type]  # the keys are those of an environment
        tags=[Tag(*tag.split("-")) for tag in target.tags],
        extras=extras.split(),
        dependency_groups=groups.split(),
    )
    return sorted(f"{own.name}=={own.version}" for own, _ in found)


def test_each_allowed_selection_is_locked(made: Bench) -> None:
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    linux, windows = made.targets
    assert selected(ended.text, linux) == ["base==1.0", "shared==2.0"]
    assert selected(ended.text, linux, "cpu") == ["base==1.0", "engine==1.0", "only-cpu==1.0", "shared==1.0"]
    assert selected(ended.text, linux, "gpu") == ["base==1.0", "engine==2.0", "shared==2.0"]
    assert selected(ended.text, windows, "gpu") == ["base==1.0", "driver==1.0", "engine==2.0", "shared==2.0"]
    assert selected(ended.text, linux, "plot") == ["base==1.0", "draw==1.0", "engine==2.0", "shared==2.0"]
    assert selected(ended.text, linux, "plot cpu", "old") == [
        "base==1.0",
        "draw==1.0",
        "engine==1.0",
        "only-cpu==1.0",
        "shared==1.0",
        "tool==1.0",
    ]
    assert made.lock("--check").code == 0
    assert made.lock().text == ended.text
    (made.folder / "deep.lock").unlink()
    assert made.lock().text == ended.text
