"""Projects with conflicts: uv locks the same ones, and each selection has the same packages; pip and uv install them.

`deepen` of the uv.lock has exactly the packages of uv.
"""

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
from packaging.utils import canonicalize_name, parse_wheel_filename

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from deep_lock.models.conflicts import broken_conflict
from deep_lock.targets.markers import Scope
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MACOS, MINOR, WINDOWS, Bench, bench, selected

LATER, AFTER = (f"3.{sys.version_info.minor + more}" for more in (1, 2))
UV = Path(sys.executable).with_name("uv")
RELEASES: Releases = {
    "base 1.0": {"requires": ["shared"]},
    "shared 1.0": {},
    "shared 2.0": {},
    "shared 3.0": {},
    "engine 1.0": {"requires": ["shared<2"]},
    "engine 2.0": {"requires": ["shared>=2,<3"]},
    "engine 3.0": {"requires": ["shared>=3", "driver<2; sys_platform == 'win32'"]},
    "driver 1.0": {},
    "draw 1.0": {"requires": ["engine"]},
    "heavy 1.0": {"requires": ["engine[fast]<3"]},
    "tool 1.0": {"requires": ["shared"]},
    "tool 2.0": {"requires": ["shared>=2"]},
    "multi 1.0": {"requires": ["shared", "driver<2; extra == 'old'", "driver; extra == 'new'"]},
    "driver 2.0": {"requires": ["shared<3"]},
    "native 1.0": {"sdist": True, "wheels": [], "build": ["builder"], "requires": ["shared<3"]},
    "builder 1.0": {"requires": ["shared<2"]},
    "later 1.0": {"requires": ["shared<2"]},
    "later 2.0": {"requires": ["shared>=2"], "requires-python": f">={LATER}"},
    "loop 1.0": {"requires": ["pool"]},
    "pool 1.0": {"requires": ["loop", "shared<3"]},
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
    "sets that overlap": {
        "extras": {"a": ["engine==1.0"], "b": ["engine==2.0"], "c": ["engine==3.0"], "d": ["shared==2.0"]},
        "conflicts": [
            [{"extra": "a"}, {"extra": "b"}, {"extra": "c"}],
            [{"extra": "c"}, {"extra": "d"}],
            [{"extra": "a"}, {"extra": "d"}],
        ],
    },
    "extras and groups in one set": {
        "extras": {"a": ["engine==1.0"], "b": ["shared==2.0"]},
        "groups": {"dev": ["shared==3.0"], "doc": ["draw"]},
        "conflicts": [[{"extra": "a"}, {"extra": "b"}, {"group": "dev"}]],
    },
    "an extra and a group of one name": {
        "extras": {"dev": ["tool<2"]},
        "groups": {"dev": ["tool>=2"]},
        "conflicts": [[{"extra": "dev"}, {"group": "dev"}]],
    },
    "names that are not normalized": {
        "extras": {"Old_X": ["engine<2"], "new.y": ["engine>=2"]},
        "conflicts": [[{"extra": "old-x"}, {"extra": "NEW-y"}]],
    },
    "an extra that requires nothing": {"extras": {"a": [], "b": ["engine>=3"], "c": ["shared"]}, "conflicts": TWO},
    "an extra that requires nothing and excludes another one": {
        "base": ["tool"],
        "extras": {"a": ["engine>=2"], "b": [], "all": ["app[a]", "tool<2"]},
        "conflicts": [*TWO, [{"extra": "b"}, {"extra": "all"}]],
    },
    "a group that requires nothing and excludes another one": {
        "base": ["tool"],
        "groups": {"new": ["engine>=2"], "none": [], "more": [{"include-group": "new"}, "tool<2"]},
        "conflicts": [[{"group": "new"}, {"group": "none"}]],
    },
    "a group that includes one of a set": {
        "groups": {"old": ["tool<2"], "new": ["tool>=2"], "dev": [{"include-group": "old"}, "draw"]},
        "conflicts": [[{"group": "old"}, {"group": "new"}]],
    },
    "a group that includes another one that includes one of a set": {
        "extras": {"a": ["tool>=2"]},
        "groups": {"old": ["tool<2"], "more": [{"include-group": "old"}], "dev": [{"include-group": "more"}]},
        "conflicts": [[{"group": "old"}, {"extra": "a"}]],
    },
    "an extra that includes one of a set, undeclared": {
        "extras": {"a": ["engine<2"], "b": ["engine>=2"], "all": ["app[a]", "tool"]},
        "conflicts": TWO,
    },
    "extras that include those of a set": {
        "extras": {"a": ["engine<2"], "b": ["engine>=2"], "all-a": ["app[a]", "tool"], "all-b": ["app[b]", "tool<2"]},
        "conflicts": [[{"extra": "a"}, {"extra": "b"}, {"extra": "all-a"}, {"extra": "all-b"}]],
    },
    "an extra that includes one on each system": {
        "extras": {
            "a": ["engine<2"],
            "b": ["engine>=2"],
            "all": ["app[a]; sys_platform == 'win32'", "app[b]; sys_platform == 'linux'"],
        },
        "conflicts": [[{"extra": "a"}, {"extra": "b"}, {"extra": "all"}]],
    },
    "a group that requires an extra of the project": {
        "extras": {"a": ["engine<2"], "b": ["engine>=2"]},
        "groups": {"dev": ["app[a]", "tool"]},
        "conflicts": [*TWO, [{"group": "dev"}, {"extra": "b"}]],
    },
    "extras of a dependency": {"extras": {"a": ["multi[old]"], "b": ["multi[new]", "driver>=2"]}, "conflicts": TWO},
    "an sdist in one extra": {"extras": {"a": ["native"], "b": ["shared>=3"]}, "conflicts": TWO},
    "a version for a later Python": {
        "pythons": (MINOR, LATER),
        "extras": {"a": ["later"], "b": ["shared<2"]},
        "conflicts": TWO,
    },
    "markers on Python versions": {
        "pythons": (MINOR, LATER),
        "extras": {
            "a": [f"engine<2; python_version < '{LATER}'", "tool<2"],
            "b": [f"engine==2.0; python_version >= '{LATER}'", f"tool>=2; python_version < '{LATER}'"],
        },
        "conflicts": TWO,
    },
    "the other one on the other system": {
        "extras": {
            "a": ["engine==1.0; sys_platform == 'linux'", "engine==2.0; sys_platform != 'linux'"],
            "b": ["engine==2.0; sys_platform == 'linux'", "engine==1.0; sys_platform != 'linux'"],
        },
        "conflicts": TWO,
    },
    "a cycle": {
        "extras": {"a": ["loop"], "b": ["shared>=3"], "c": ["pool"]},
        "conflicts": [*TWO, [{"extra": "b"}, {"extra": "c"}]],
    },
    "an override": {
        "extras": {"a": ["engine<2"], "b": ["engine>=2"]},
        "conflicts": TWO,
        "override-dependencies": ["shared==2.0"],
    },
    "a constraint": {
        "extras": {"a": ["engine<2"], "b": ["engine>=2"]},
        "conflicts": TWO,
        "constraint-dependencies": ["shared<3"],
    },
    "a dependency for one extra only": {
        "base": ["base", "engine<2; extra == 'a'"],
        "extras": {"a": ["shared"], "b": ["engine>=2"]},
        "conflicts": TWO,
    },
    "a wheel of a URL": {
        "extras": {"a": ["tool @ {file:tool-1.0-py3-none-any.whl}"], "b": ["tool>=2"]},
        "conflicts": TWO,
    },
}


WITHOUT_FORKS = (
    "sets that share an extra",
    "a conflict on one system",
    "a requirement of its own on the same name",
    "sets that overlap",
    "markers on Python versions",
    "the other one on the other system",
    "an extra that requires nothing and excludes another one",
    "a group that requires nothing and excludes another one",
    "a cycle",
    "extras of a dependency",
)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(own)}' for key, own in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"'


def pyproject(own: dict[str, Any]) -> str:
    def lists(table: dict[str, list[object]]) -> str:
        return "".join(f'"{name}" = {toml(listed)}\n' for name, listed in table.items())

    python = f">={MINOR},<{AFTER}" if "pythons" in own else f"=={MINOR}.*"
    settings: dict[str, list[object]] = {
        key: own[key] for key in ("override-dependencies", "constraint-dependencies") if key in own
    }
    ours = {f"{key.removesuffix('-dependencies')}s": listed for key, listed in settings.items()}
    return (
        f'[project]\nname = "app"\nversion = "1"\nrequires-python = "{python}"\n'
        f"dependencies = {toml(own.get('base', ['base']))}\n"
        f"[project.optional-dependencies]\n{lists(own.get('extras', {}))}"
        f"[dependency-groups]\n{lists(own.get('groups', {}))}"
        f"[tool.uv]\nconflicts = {toml(own['conflicts'])}\ndefault-groups = []\n{lists(settings)}"
        f"{own.get('sources', '')}[tool.deep-lock]\n{lists(ours)}"
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


def every_selection(own: dict[str, Any]) -> Iterator[tuple[Scope, ...]]:
    scopes = [Scope(kind="extra", name=canonicalize_name(name)) for name in own.get("extras", {})]
    scopes += [Scope(kind="group", name=name) for name in own.get("groups", {})]
    return chain.from_iterable(combinations(scopes, count) for count in range(len(scopes) + 1))


def exported(made: Bench, chosen: Sequence[Scope]) -> list[Requirement] | None:
    """Return what uv selects; None where it refuses the selection."""
    options = chain.from_iterable((f"--{scope.kind}", scope.name) for scope in chosen)
    ran = uv(made, "export", "--frozen", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header", *options)
    if ran.returncode:
        assert "are incompatible with the" in ran.stderr
        return None
    return [Requirement(line) for line in ran.stdout.splitlines() if line.strip()]


def version_of(pin: Requirement) -> str:
    if pin.url is not None:
        return str(parse_wheel_filename(pin.url.rpartition("/")[2])[1])
    return str(pin.specifier).removeprefix("==")


@pytest.mark.parametrize("title", PROJECTS)
def test_uv_has_the_same_answers(made: Bench, title: str) -> None:
    compare(made, title, PROJECTS[title])


def compare(made: Bench, title: str, own: dict[str, Any]) -> None:
    """Lock a project with both tools; each allowed selection has the same packages."""
    made.pythons = own.get("pythons", made.pythons)
    made.write({"pyproject.toml": pyproject(own)})
    ended, other = made.lock(), uv(made, "lock")
    assert (ended.code == 0) == (other.returncode == 0), (ended.stderr, other.stderr)
    if ended.code:
        assert ended.code == (2 if "sources" in own else 1)
        return
    assert run(["deepen", str(made.folder / "uv.lock"), *made.flags()[2:]]) == 0
    deepened = (made.folder / "deep.lock").read_text(encoding="utf-8")
    parsed, imported = (Pylock.from_dict(tomllib.loads(text)) for text in (ended.text, deepened))
    conflicts = ended.lock.inputs.conflicts
    assert from_text(deepened, "deep.lock").inputs.conflicts == conflicts
    for chosen in every_selection(own):
        pins = exported(made, chosen)
        assert (pins is None) == (broken_conflict(conflicts, chosen) is not None), chosen
        if pins is None:
            continue
        extras = [scope.name for scope in chosen if scope.kind == "extra"]
        groups = [scope.name for scope in chosen if scope.kind == "group"]
        for target in made.targets:
            environment = dict(target.environment)
            theirs = sorted(
                f"{pin.name}=={version_of(pin)}"
                for pin in pins
                if pin.marker is None or pin.marker.evaluate(environment)
            )
            assert selected(imported, target, extras=extras, groups=groups) == theirs, (title, chosen, target.label)
            ours = selected(parsed, target, extras=extras, groups=groups)
            if title in WITHOUT_FORKS:  # uv prefers the versions of its other forks, deep-lock the newest ones
                mine = dict(pin.split("==") for pin in ours)
                other_versions = dict(pin.split("==") for pin in theirs)
                assert mine.keys() >= other_versions.keys()
                assert all(mine[name] >= version for name, version in other_versions.items()), (chosen, ours, theirs)
            else:
                assert ours == theirs, (title, chosen, target.label)


TORCH: Releases = {
    "torch 2.7.0": {"requires": ["numbers"]},
    "vision 1.0": {"requires": ["torch"]},
    "numbers 1.0": {},
    "driver 1.0": {},
}
CPU: Releases = {
    "torch 2.6.0+cpu": {"requires": ["numbers"]},
    "torch 2.7.0+cpu": {"requires": ["numbers"], "wheels": ["py3-none-manylinux_2_28_x86_64", "py3-none-win_amd64"]},
    "torch 2.7.0": {"requires": ["numbers"], "wheels": ["py3-none-macosx_11_0_arm64"]},
    "vision 1.1+cpu": {"requires": ["torch==2.6.0"]},
    "numbers 9.0": {},
}
CUDA: Releases = {
    "torch 2.7.0+cu128": {
        "requires": ["numbers", "driver; sys_platform == 'linux'"],
        "wheels": ["py3-none-manylinux_2_28_x86_64", "py3-none-win_amd64"],
    },
    "driver 9.0": {},
}
SAME: Releases = {"torch 2.7.0": {"requires": ["numbers", "driver"]}}
TORCH_INDEXES = "".join(
    f'[[tool.uv.index]]\nname = "{name}"\nurl = "{{{name}}}"\nexplicit = true\n' for name in ("cpu", "cuda", "same")
)
BOTH = [[{"extra": "cpu"}, {"extra": "cuda"}]]
ONE_EACH = '{ index = "cpu", extra = "cpu" }, { index = "cuda", extra = "cuda" }'
NOT_MACOS = "marker = \"sys_platform != 'darwin'\""
TORCH_PROJECTS: dict[str, dict[str, Any]] = {
    "an index for each extra": {"extras": {"cpu": ["torch"], "cuda": ["torch"]}, "conflicts": BOTH, "torch": ONE_EACH},
    "an index for an extra, but not on macOS": {
        "extras": {"cpu": ["torch"], "cuda": ["torch"]},
        "conflicts": BOTH,
        "torch": f'{{ index = "cpu", extra = "cpu" }}, {{ index = "cuda", extra = "cuda", {NOT_MACOS} }}',
    },
    "another package requires it": {
        "base": ["vision"],
        "extras": {"cpu": ["torch"], "cuda": ["torch"]},
        "conflicts": BOTH,
        "torch": ONE_EACH,
    },
    "the project itself requires it too": {
        "base": ["torch"],
        "extras": {"cpu": ["torch<2.7"], "cuda": ["torch"]},
        "conflicts": BOTH,
        "torch": ONE_EACH,
    },
    "an extra without an index": {
        "extras": {"cpu": ["torch"], "cuda": ["torch"]},
        "conflicts": BOTH,
        "torch": '{ index = "cpu", extra = "cpu" }',
    },
    "three extras": {
        "extras": {"cpu": ["torch"], "cuda": ["torch"], "same": ["torch"]},
        "conflicts": [[{"extra": "cpu"}, {"extra": "cuda"}, {"extra": "same"}]],
        "torch": f'{ONE_EACH}, {{ index = "same", extra = "same" }}',
    },
    "one version of two indexes": {
        "extras": {"cpu": ["torch"], "same": ["torch"]},
        "conflicts": [[{"extra": "cpu"}, {"extra": "same"}]],
        "torch": '{ index = "same", extra = "same" }',
    },
    "an index for each group": {
        "groups": {"cpu": ["torch"], "cuda": ["torch"]},
        "conflicts": [[{"group": "cpu"}, {"group": "cuda"}]],
        "torch": ONE_EACH.replace("extra", "group"),
    },
    "an index of an extra and of a group": {
        "extras": {"cpu": ["torch"]},
        "groups": {"cuda": ["torch"]},
        "conflicts": [[{"extra": "cpu"}, {"group": "cuda"}]],
        "torch": ONE_EACH.replace('extra = "cuda"', 'group = "cuda"'),
    },
    "an index for each platform": {
        "base": ["torch"],
        "conflicts": [],
        "torch": (
            "{ index = 'cuda', marker = \"sys_platform == 'linux'\" }, "
            "{ index = 'cpu', marker = \"sys_platform != 'linux'\" }"
        ),
    },
    "an index on one platform": {
        "base": ["torch"],
        "conflicts": [],
        "torch": "{ index = 'same', marker = \"sys_platform == 'linux'\" }",
    },
    "undeclared": {"extras": {"cpu": ["torch"], "cuda": ["torch"]}, "conflicts": [], "torch": ONE_EACH},
}


@pytest.fixture
def torch(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    indexes = {"cpu": CPU, "cuda": CUDA, "same": SAME}
    with bench(tmp_path, capsys, monkeypatch, TORCH, indexes=indexes) as own:
        own.pythons, own.platforms = (MINOR,), (LINUX, WINDOWS)
        yield own


@pytest.mark.parametrize("title", TORCH_PROJECTS)
def test_uv_has_the_same_answers_with_several_indexes(torch: Bench, title: str) -> None:
    own = TORCH_PROJECTS[title]
    if "darwin" in own["torch"] or "linux" in own["torch"]:  # only these have wheels for macOS in each selection
        torch.platforms = (LINUX, WINDOWS, MACOS)
    compare(torch, title, {"base": ["numbers"], **own, "sources": sources(own)})
    if own["conflicts"] or not own.get("extras"):
        assert releases_of((torch.folder / "deep.lock").read_text("utf-8")) <= releases_of_uv(torch)


@pytest.mark.parametrize("title", [title for title in TORCH_PROJECTS if title != "undeclared"])
def test_deepen_keeps_the_indexes_of_a_uv_lock(torch: Bench, title: str) -> None:
    own = {"base": ["numbers"], **TORCH_PROJECTS[title], "sources": sources(TORCH_PROJECTS[title])}
    torch.write({"pyproject.toml": pyproject(own)})
    locked = uv(torch, "lock")
    assert locked.returncode == 0, locked.stderr
    torch.hold({**TORCH, "numbers 1.1": {}})
    torch.platforms = (LINUX,)
    assert run(["deepen", str(torch.folder / "uv.lock"), *torch.flags()[2:]]) == 0
    text = (torch.folder / "deep.lock").read_text("utf-8")
    assert releases_of(text) <= releases_of_uv(torch)
    parsed = Pylock.from_dict(tomllib.loads(text))
    for chosen in every_selection(own):
        environment, every = dict(torch.targets[0].environment), exported(torch, chosen)
        if every is None:
            continue
        pins = (pin for pin in every if pin.marker is None or pin.marker.evaluate(environment))
        extras = [scope.name for scope in chosen if scope.kind == "extra"]
        groups = [scope.name for scope in chosen if scope.kind == "group"]
        ours = selected(parsed, torch.targets[0], extras=extras, groups=groups)
        assert ours == sorted(f"{pin.name}{pin.specifier}" for pin in pins), chosen


def releases_of(text: str) -> set[tuple[str, str | None, str | None]]:
    """Return name, version and index of each package of a lock."""
    return {(own.name, own.version, own.index) for own in from_text(text, "deep.lock").packages}


def releases_of_uv(made: Bench) -> set[tuple[str, str | None, str | None]]:
    packages = tomllib.loads((made.folder / "uv.lock").read_text("utf-8"))["package"]
    return {(own["name"], own.get("version"), own["source"].get("registry")) for own in packages}


def sources(own: dict[str, Any]) -> str:
    return f"[tool.uv.sources]\ntorch = [{own['torch']}]\n{TORCH_INDEXES}"


def installed(folder: Path) -> list[str]:
    names = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    return sorted(name.replace("-", "==") for name in names)


@pytest.mark.parametrize("title", ["three extras in one set", "two groups", "sets that share an extra"])
def test_pip_and_uv_install_each_selection(made: Bench, title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install_each(made, PROJECTS[title], monkeypatch)


@pytest.mark.parametrize(
    "title", ["an index for each extra", "an extra without an index", "one version of two indexes"]
)
def test_pip_and_uv_install_from_the_index_of_the_extra(
    torch: Bench, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.hold({**TORCH, "torch 2.7.0": {"modules": {"torch.py": "public"}}})
    torch.servers["cpu"].hold({"torch 2.7.0+cpu": {"modules": {"torch.py": "cpu"}}})
    torch.servers["cuda"].hold({"torch 2.7.0+cu128": {"modules": {"torch.py": "cuda"}}})
    torch.servers["same"].hold({"torch 2.7.0": {"modules": {"torch.py": "same"}}})
    own = TORCH_PROJECTS[title]
    folders = install_each(torch, {"base": ["numbers"], **own, "sources": sources(own)}, monkeypatch)
    for chosen, folder in folders:
        names = [scope.name for scope in chosen]
        expected = [name if f'index = "{name}"' in own["torch"] else "public" for name in names]
        found = [(folder / "torch.py").read_text("utf-8")] if (folder / "torch.py").exists() else []
        assert found == expected, (chosen, folder.name)


def install_each(
    made: Bench, own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[tuple[Scope, ...], Path]]:
    """Install each allowed selection with uv and with pip; returns the folders."""
    folders: list[tuple[tuple[Scope, ...], Path]] = []
    made.platforms = ("host",)
    made.write({"pyproject.toml": pyproject(own)})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    monkeypatch.chdir(made.folder)
    parsed, whole = Pylock.from_dict(tomllib.loads(ended.text)), made.folder / "pylock.toml"
    conflicts = ended.lock.inputs.conflicts
    allowed = (chosen for chosen in every_selection(own) if broken_conflict(conflicts, chosen) is None)
    for number, chosen in enumerate(allowed):
        options = [text for scope in chosen for text in (f"--{scope.kind}", scope.name)]
        extras = [scope.name for scope in chosen if scope.kind == "extra"]
        groups = [scope.name for scope in chosen if scope.kind == "group"]
        expected = selected(parsed, made.targets[0], extras=extras, groups=groups)
        assert run(["export", "-f", "pylock", "-o", str(whole)]) == 0
        place = made.folder / f"by-uv-{number}"
        folders.append((chosen, place))
        ran = uv(made, "pip", "sync", "pylock.toml", "--preview", "--target", str(place), *options)
        assert (ran.returncode, installed(place)) == (0, expected), ran.stderr
        left = [*([] if extras else ["--no-extras"]), *([] if groups else ["--no-groups"])]
        one = made.folder / f"pylock.{number}.toml"
        assert run(["export", "-f", "pylock", "-o", str(one), *options, *left]) == 0
        place = made.folder / f"by-pip-{number}"
        folders.append((chosen, place))
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
    return folders
