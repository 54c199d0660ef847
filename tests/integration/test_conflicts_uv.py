"""Projects with conflicts: uv locks the same ones, and each selection has the same packages; pip and uv install them."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock
from packaging.requirements import Requirement

from deep_lock.cli.main import run
from deep_lock.models.conflicts import broken_conflict, read_conflicts
from deep_lock.targets.markers import Scope
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, bench, selected

UV = Path(sys.executable).with_name("uv")
RELEASES: Releases = {
    "base 1.0": {"requires": ["shared"]},
    "shared 1.0": {},
    "shared 2.0": {},
    "shared 3.0": {},
    "engine 1.0": {"requires": ["shared<2"]},
    "engine 2.0": {"requires": ["shared>=2,<3"]},
    "engine 3.0": {"requires": ["shared>=3", "driver; sys_platform == 'win32'"]},
    "driver 1.0": {},
    "draw 1.0": {"requires": ["engine"]},
    "heavy 1.0": {"requires": ["engine[fast]<3"]},
    "tool 1.0": {"requires": ["shared"]},
    "tool 2.0": {"requires": ["shared>=2"]},
}
TWO = [[{"extra": "a"}, {"extra": "b"}]]
PROJECTS: dict[str, dict[str, Any]] = {
    "two extras": {"extras": {"a": ["engine<2"], "b": ["engine>=2"]}, "conflicts": TWO},
    "two extras and a third one": {
        "extras": {"a": ["engine<2"], "b": ["engine>=3"], "plot": ["draw"]},
        "conflicts": TWO,
    },
    "three extras in one set": {
        "extras": {"a": ["engine==1.0"], "b": ["engine==2.0"], "c": ["engine==3.0"]},
        "conflicts": [[{"extra": "a"}, {"extra": "b"}, {"extra": "c"}]],
    },
    "two groups": {
        "groups": {"old": ["tool<2"], "new": ["tool>=2"]},
        "conflicts": [[{"group": "old"}, {"group": "new"}]],
    },
    "a group against an extra": {
        "extras": {"a": ["engine<2"]},
        "groups": {"dev": ["shared>=2"]},
        "conflicts": [[{"extra": "a"}, {"group": "dev"}]],
    },
    "two sets": {
        "extras": {"a": ["engine<3"], "b": ["engine>=3"]},
        "groups": {"old": ["tool<2"], "new": ["tool>=2"]},
        "conflicts": [*TWO, [{"group": "old"}, {"group": "new"}]],
    },
    "two sets of which two members have no answer together": {
        "extras": {"a": ["engine<2"], "b": ["engine>=2"]},
        "groups": {"old": ["tool<2"], "new": ["tool>=2"]},
        "conflicts": [*TWO, [{"group": "old"}, {"group": "new"}]],
    },
    "sets that share an extra": {
        "extras": {"a": ["shared==1.0"], "b": ["shared==2.0"], "c": ["shared>=2,<3"]},
        "conflicts": [*TWO, [{"extra": "a"}, {"extra": "c"}]],
    },
    "a conflict on one system": {
        "extras": {"a": ["shared<3; sys_platform == 'win32'"], "b": ["engine>=3; sys_platform == 'win32'"]},
        "conflicts": TWO,
    },
    "a requirement of its own on the same name": {
        "base": ["engine"],
        "extras": {"a": ["engine<2"], "b": ["engine<3", "tool"]},
        "conflicts": TWO,
    },
    "deep in the dependencies": {"extras": {"a": ["heavy"], "b": ["draw", "shared>=3"]}, "conflicts": TWO},
    "nothing in common": {"extras": {"a": ["tool"], "b": ["draw"]}, "conflicts": TWO},
    "a conflict that is none": {"extras": {"a": ["shared>=2"], "b": ["shared>=1"]}, "conflicts": TWO},
    "undeclared": {"extras": {"a": ["engine<2"], "b": ["engine>=2"]}, "conflicts": []},
    "one alone is impossible": {"extras": {"a": ["engine<2", "shared>=2"], "b": ["engine>=2"]}, "conflicts": TWO},
}


WITHOUT_FORKS = ("sets that share an extra", "a conflict on one system", "a requirement of its own on the same name")


def pyproject(own: dict[str, Any]) -> str:
    def lists(table: dict[str, list[str]]) -> str:
        return "".join(f"{name} = {texts!r}\n" for name, texts in table.items())

    conflicts = ", ".join(
        f"[{', '.join(f'{{ {kind} = {name!r} }}' for each in tables for kind, name in each.items())}]"
        for tables in own["conflicts"]
    )
    return (
        f'[project]\nname = "app"\nversion = "1"\nrequires-python = "=={MINOR}.*"\n'
        f"dependencies = {own.get('base', ['base'])!r}\n"
        f"[project.optional-dependencies]\n{lists(own.get('extras', {}))}"
        f"[dependency-groups]\n{lists(own.get('groups', {}))}"
        f"[tool.uv]\nconflicts = [{conflicts}]\ndefault-groups = []\n"
    )


def uv(made: Bench, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(UV), *arguments, "--default-index", made.server.url, "--python", sys.executable]
    return subprocess.run(
        command,
        cwd=made.folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "UV_CACHE_DIR": str(made.folder.parent / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never"},
    )


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.pythons, own.platforms = (MINOR,), (LINUX, WINDOWS)
        yield own


def allowed(own: dict[str, Any]) -> Iterator[tuple[Scope, ...]]:
    scopes = [Scope(kind="extra", name=name) for name in own.get("extras", {})]
    scopes += [Scope(kind="group", name=name) for name in own.get("groups", {})]
    conflicts = read_conflicts(own["conflicts"])
    for chosen in chain.from_iterable(combinations(scopes, count) for count in range(len(scopes) + 1)):
        if broken_conflict(conflicts, chosen) is None:
            yield chosen


def exported(made: Bench, chosen: Sequence[Scope]) -> list[Requirement]:
    options = chain.from_iterable((f"--{scope.kind}", scope.name) for scope in chosen)
    ran = uv(made, "export", "--frozen", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header", *options)
    assert ran.returncode == 0, ran.stderr
    return [Requirement(line) for line in ran.stdout.splitlines() if line.strip()]


@pytest.mark.parametrize("title", PROJECTS)
def test_uv_has_the_same_answers(made: Bench, title: str) -> None:
    own = PROJECTS[title]
    made.write({"pyproject.toml": pyproject(own)})
    ended, other = made.lock(), uv(made, "lock")
    assert (ended.code == 0) == (other.returncode == 0), (ended.stderr, other.stderr)
    if ended.code:
        assert ended.code == 1
        return
    parsed = Pylock.from_dict(tomllib.loads(ended.text))
    for chosen in allowed(own):
        pins = exported(made, chosen)
        extras = [scope.name for scope in chosen if scope.kind == "extra"]
        groups = [scope.name for scope in chosen if scope.kind == "group"]
        for target in made.targets:
            environment = dict(target.environment)
            theirs = sorted(
                f"{pin.name}{pin.specifier}" for pin in pins if pin.marker is None or pin.marker.evaluate(environment)
            )
            ours = selected(parsed, target, extras=extras, groups=groups)
            if title in WITHOUT_FORKS:  # uv prefers the versions of its other forks, deep-lock the newest ones
                mine = dict(pin.split("==") for pin in ours)
                other_versions = dict(pin.split("==") for pin in theirs)
                assert mine.keys() >= other_versions.keys()
                assert all(mine[name] >= version for name, version in other_versions.items()), (chosen, ours, theirs)
            else:
                assert ours == theirs, (title, chosen, target.label)


def installed(folder: Path) -> list[str]:
    names = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    return sorted(name.replace("-", "==") for name in names)


@pytest.mark.parametrize("title", ["three extras in one set", "two groups", "sets that share an extra"])
def test_pip_and_uv_install_each_selection(made: Bench, title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = PROJECTS[title]
    made.platforms = ("host",)
    made.write({"pyproject.toml": pyproject(own)})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    monkeypatch.chdir(made.folder)
    parsed, whole = Pylock.from_dict(tomllib.loads(ended.text)), made.folder / "pylock.toml"
    for number, chosen in enumerate(allowed(own)):
        options = [text for scope in chosen for text in (f"--{scope.kind}", scope.name)]
        extras = [scope.name for scope in chosen if scope.kind == "extra"]
        groups = [scope.name for scope in chosen if scope.kind == "group"]
        expected = selected(parsed, made.targets[0], extras=extras, groups=groups)
        assert run(["export", "-f", "pylock", "-o", str(whole)]) == 0
        place = made.folder / f"by-uv-{number}"
        ran = uv(made, "pip", "sync", "pylock.toml", "--preview", "--target", str(place), *options)
        assert (ran.returncode, installed(place)) == (0, expected), ran.stderr
        left = [*([] if extras else ["--no-extras"]), *([] if groups else ["--no-groups"])]
        one = made.folder / f"pylock.{number}.toml"
        assert run(["export", "-f", "pylock", "-o", str(one), *options, *left]) == 0
        place = made.folder / f"by-pip-{number}"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-input",
            "--no-deps",
            "--target",
            str(place),
            "-r",
            str(one),
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=made.folder)
        assert installed(place) == expected
