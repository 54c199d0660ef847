"""`deep-lock deepen` of the uv.lock of a workspace: each member installs what `uv export --package` lists."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock
from packaging.requirements import Requirement

from deep_lock.cli.main import run
from deep_lock.models.conflicts import broken_conflict
from deep_lock.models.lock import Lock, LockedDirectory
from deep_lock.models.workspace import Member, implied_scopes, scope_of
from deep_lock.targets.markers import BASE, Scope
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, Run, bench, selected

UV = Path(sys.executable).with_name("uv")
RELEASES: Releases = {
    "hatchling 1.0": {},
    "setuptools 80.0": {},
    "shared 1.0": {},
    "shared 2.0": {},
    "engine 1.0": {"requires": ["shared<2"]},
    "engine 2.0": {"requires": ["shared>=2"]},
    "fast 1.0": {},
    "slow 1.0": {},
    "win 1.0": {"requires": ["slow"]},
    "check 1.0": {"requires": ["fast"]},
    "check 2.0": {},
    "docs 1.0": {},
}
ENGINES = {"cpu": ["engine<2"], "gpu": ["engine>=2"]}
WORKSPACES: dict[str, dict[str, Any]] = {
    "a project in the root": {
        ".": {
            "name": "app",
            "requires": ["core[fast]", "shared"],
            "extras": {"x": ["tool"], "none": []},
            "groups": {"dev": ["check<2"], "docs": ["docs"]},
        },
        "packages/core": {
            "requires": ["shared<2"],
            "extras": {"fast": ["fast"], "x": ["slow"], "none": []},
            "groups": {"dev": ["check"], "none": []},
        },
        "packages/tool": {
            "requires": ["core"],
            "extras": {"x": ["core[x]", "docs"]},
            "groups": {"test": ["tool[x]"], "all": [{"include-group": "test"}, "win; sys_platform == 'win32'"]},
        },
    },
    "no project in the root": {
        ".": {"groups": {"dev": ["check"], "lint": ["docs", "tool"]}},
        "packages/core": {"requires": ["shared"], "extras": {"fast": ["fast"]}, "groups": {"dev": ["check"]}},
        "packages/tool": {
            "requires": ["core[fast]; sys_platform == 'win32'", "win; sys_platform == 'win32'"],
            "groups": {"dev": ["slow"]},
        },
    },
    "members that are no packages": {
        ".": {"name": "app", "package": False, "requires": ["core"], "groups": {"dev": ["scripts"]}},
        "packages/core": {"requires": ["shared"], "extras": {"fast": ["fast"]}},
        "packages/scripts": {
            "package": False,
            "requires": ["core[fast]"],
            "extras": {"w": ["win", "app"], "none": []},
            "groups": {"dev": ["check"]},
        },
    },
    "members that require each other": {
        ".": {"name": "app", "requires": ["core"], "extras": {"x": ["slow"]}},
        "packages/core": {"requires": ["shared"], "extras": {"back": ["app[x]; sys_platform == 'linux'"]}},
        "packages/tool": {"requires": ["app"], "groups": {"dev": ["core[back]"]}},
    },
    "members that exclude each other": {
        ".": {"name": "app", "requires": ["core"]},
        "packages/core": {"requires": ["shared"], "extras": {"fast": ["fast"]}},
        "packages/old": {"requires": ["engine<2", "core"], "extras": {"fast": ["fast"]}, "groups": {"dev": ["check"]}},
        "packages/new": {"requires": ["engine>=2", "core"], "extras": {"x": ["slow"]}, "groups": {"dev": ["docs"]}},
        "conflicts": [
            [{"package": "old"}, {"package": "new"}],
            [{"package": "old", "extra": "fast"}, {"package": "new", "extra": "x"}],
            [{"package": "old"}, {"package": "new", "extra": "x"}],
            [{"package": "old", "extra": "fast"}, {"package": "new"}],
        ],
    },
    "extras of members that exclude each other": {
        ".": {"name": "app", "requires": ["core"], "extras": ENGINES},
        "packages/core": {"requires": ["shared"], "extras": ENGINES},
        "conflicts": [
            [{"package": "app", "extra": "cpu"}, {"package": "app", "extra": "gpu"}],
            [{"package": "core", "extra": "cpu"}, {"package": "core", "extra": "gpu"}],
            [{"package": "app", "extra": "cpu"}, {"package": "core", "extra": "gpu"}],
            [{"package": "core", "extra": "cpu"}, {"package": "app", "extra": "gpu"}],
        ],
    },
    "members that require the extras which exclude each other": {
        ".": {"name": "app", "requires": ["shared"]},
        "packages/core": {"requires": ["shared"], "extras": ENGINES},
        "packages/server": {"requires": ["core[cpu]"], "extras": {"more": ["fast"]}, "groups": {"dev": ["check"]}},
        "packages/trainer": {"requires": ["core"], "extras": {"big": ["core[gpu]"]}, "groups": {"dev": ["core[cpu]"]}},
        "conflicts": [[{"package": "core", "extra": "cpu"}, {"package": "core", "extra": "gpu"}]],
    },
    "groups against members": {
        ".": {"name": "app", "requires": ["core"], "groups": {"old": ["engine<2"]}},
        "packages/core": {"requires": ["shared>=2"], "groups": {"new": ["engine>=2"], "dev": ["check"]}},
        "packages/tool": {"requires": ["fast"], "groups": {"old": ["engine<2"]}},
        "conflicts": [
            [{"package": "app", "group": "old"}, {"package": "core"}, {"package": "core", "group": "new"}],
            [{"package": "app", "group": "old"}, {"package": "app"}],
            [{"package": "tool", "group": "old"}, {"package": "core"}, {"package": "core", "group": "new"}],
            [{"package": "tool", "group": "old"}, {"package": "app"}],
        ],
    },
}


def toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(own)}' for key, own in value.items())} }}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else repr(value)


def pyproject(own: Mapping[str, Any], members: Sequence[str], settings: str) -> str:
    def lists(table: Mapping[str, list[Any]]) -> str:
        return "".join(f"{name} = {toml(texts)}\n" for name, texts in table.items())

    text = ""
    is_package = own.get("package", True)
    if "name" in own:
        text = f'[project]\nname = "{own["name"]}"\nversion = "1"\nrequires-python = "=={MINOR}.*"\n'
        text += f"dependencies = {toml(own.get('requires', []))}\n"
        text += f"[project.optional-dependencies]\n{lists(own.get('extras', {}))}"
        if is_package:
            text += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    sources = {name: {"workspace": "WORKSPACE"} for name in members if name != own.get("name")}
    text += f"[dependency-groups]\n{lists(own.get('groups', {}))}[tool.uv]\ndefault-groups = []\n"
    text += "" if is_package else "package = false\n"
    return f"{text}sources = {toml(sources)}\n".replace("'WORKSPACE'", "true") + settings


def files_of(workspace: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a workspace: each member has every other one as a source."""
    folders = {path: {"name": path.rpartition("/")[2], **own} for path, own in workspace.items() if path != "conflicts"}
    if "name" not in workspace["."]:
        del folders["."]["name"]
    members = [own["name"] for own in folders.values() if "name" in own]
    settings = f'conflicts = {toml(workspace.get("conflicts", []))}\nworkspace = {{ members = ["packages/*"] }}\n'
    return {
        f"{path}/pyproject.toml": pyproject(own, members, settings if path == "." else "")
        for path, own in folders.items()
    }


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as own:
        own.pythons, own.platforms = (MINOR,), (LINUX, WINDOWS)
        yield own


def uv(made: Bench, *arguments: str) -> str:
    command = [str(UV), *arguments, "--default-index", made.server.url, "--python", sys.executable]
    environ = {"PATH": "", "UV_CACHE_DIR": str(made.folder.parent / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never"}
    ran = subprocess.run(command, cwd=made.folder, capture_output=True, text=True, check=False, env=environ)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def exported(made: Bench, *options: str) -> list[list[str]]:
    """Return for each target what uv lists."""
    lines = uv(made, "export", "--frozen", "--no-hashes", "--no-annotate", "--no-header", *options).splitlines()
    found: list[list[str]] = [[] for _ in made.targets]
    for line in filter(None, lines):
        text = line.removeprefix("-e ")
        if text.startswith("."):
            folder, _, marker = text.partition(" ; ")
            table = tomllib.loads((made.folder / folder / "pyproject.toml").read_text())
            text = f"{table['project']['name']} ; {marker}" if marker else table["project"]["name"]
        pin = Requirement(text)
        for own, target in zip(found, made.targets, strict=True):
            if pin.marker is None or pin.marker.evaluate(dict(target.environment)):
                own.append(f"{pin.name}{pin.specifier}")
    return [sorted(own) for own in found]


def deepened(made: Bench, *flags: str) -> Run:
    ran = made.lock(
        "--from", str(made.folder / "uv.lock"), "-o", "{folder}/deepened.lock", *flags, output="deepened.lock"
    )
    assert ran.code == 0, ran.stderr
    return ran


def selections(member: Member) -> Iterator[tuple[Scope, ...]]:
    """Yield what is selected of a member: itself, and with it nothing, one part, or all extras or all groups."""
    extras = [Scope(kind="extra", name=name) for name in member.extras]
    groups = [Scope(kind="group", name=name) for name in member.dependency_groups]
    yield (BASE,)
    yield from ((BASE, own) for own in (*extras, *groups))
    yield (BASE, *extras, *groups)


def compare(made: Bench, ran: Run) -> int:
    """Compare what is installed for each selection of each member with what uv lists; return how many there are."""
    parsed, count = Pylock.from_dict(tomllib.loads(ran.text)), 0
    for member in ran.lock.inputs.members:
        for own in selections(member):
            scopes = [scope_of(member, scope) for scope in own]
            if broken_conflict(ran.lock.inputs.conflicts, scopes) is not None:
                continue
            extras = [scope.name for scope in scopes if scope.kind == "extra"]
            groups = [scope.name for scope in scopes if scope.kind == "group"]
            ours = [selected(parsed, target, extras=extras, groups=groups) for target in made.targets]
            options = chain.from_iterable((f"--{scope.kind}", scope.name) for scope in own if scope != BASE)
            assert ours == exported(made, "--package", member.name, *options), (member.name, own)
            count += 1
    return count


def names(lock: Lock) -> object:
    """Return what can be selected, and what it is called."""
    return lock.extras, lock.dependency_groups, lock.default_groups, lock.inputs.members


@pytest.mark.parametrize("title", WORKSPACES)
def test_each_member_installs_what_uv_exports(made: Bench, title: str) -> None:
    workspace = WORKSPACES[title]
    made.write(files_of(workspace))
    uv(made, "lock")
    ran = deepened(made)
    assert "warning" not in ran.stderr
    assert compare(made, ran) >= len(ran.lock.inputs.members) * 2
    folders = {own.source.path: own for own in ran.lock.packages if isinstance(own.source, LockedDirectory)}
    packages = {path for path in workspace if path != "conflicts" and workspace[path].get("package", True)}
    assert folders.keys() == packages - {"."} | ({"."} if workspace["."].get("name") and "." in packages else set())
    for member in ran.lock.inputs.members:
        assert member.path not in folders or folders[member.path].name == member.name
    again = deepened(made, "--check")
    assert again.asked == ()
    recorded = dict(ran.lock.inputs.dependency_groups) | dict(ran.lock.inputs.extras)
    for extra, base in implied_scopes(ran.lock.inputs.members).items():
        assert not set(recorded[extra.name]) & set(recorded[base.name])


def test_members_with_too_many_combinations_are_locked_one_at_once(made: Bench) -> None:
    services = {f"packages/{kind}-{number}": {"requires": [f"core[{kind}]"]} for kind in ENGINES for number in range(6)}
    conflicts = [[{"package": "core", "extra": "cpu"}, {"package": "core", "extra": "gpu"}]]
    core = {"requires": ["shared"], "extras": ENGINES}
    made.write(files_of({".": {}, "packages/core": core, **services, "conflicts": conflicts}))
    uv(made, "lock")
    ran = deepened(made)
    assert "warning: uv.lock: its conflicts: allow too many selections" in ran.stderr, ran.stderr
    assert len(max(ran.lock.inputs.conflicts, key=len)) == 14
    assert compare(made, ran) == 1 + 2 + 12 * 2


@pytest.mark.parametrize("title", WORKSPACES)
def test_what_can_be_selected_is_as_in_a_lock_of_the_workspace(made: Bench, title: str) -> None:
    made.write(files_of(WORKSPACES[title]))
    uv(made, "lock")
    ran, other = deepened(made), made.lock()
    if title != "members that require the extras which exclude each other":
        assert other.code == 0, other.stderr
        assert names(ran.lock) == names(other.lock)


APP: dict[str, dict[str, Any]] = {
    ".": {"name": "app", "requires": ["core"]},
    "packages/core": {"requires": ["shared"], "extras": {"x": ["fast"]}},
}
BARE = {".": {"groups": {"dev": ["check"]}}, "packages/core": {"requires": ["shared"], "extras": {"x": ["fast"]}}}


@pytest.mark.parametrize("workspace", [APP, BARE], ids=["project", "no project"])
def test_a_lock_without_the_pyproject_in_its_folder_has_the_members_that_it_names(
    made: Bench, workspace: Mapping[str, Any]
) -> None:
    made.write(files_of(workspace))
    uv(made, "lock")
    (made.folder / "pyproject.toml").unlink()
    ran = deepened(made)
    assert "warning" not in ran.stderr
    parsed, scopes = Pylock.from_dict(tomllib.loads(ran.text)), {"core": ["core", "shared==2.0"]}
    scopes |= {"app": ["core", "shared==2.0"]} if workspace is APP else {"dev": ["check==2.0"]}
    assert sorted(ran.lock.dependency_groups + ran.lock.default_groups) == sorted(scopes)
    for name, pins in scopes.items():
        assert selected(parsed, made.targets[0], extras=[], groups=[name]) == pins
    assert selected(parsed, made.targets[0], extras=["core-extra-x"], groups=["core"]) == [
        "core",
        "fast==1.0",
        "shared==2.0",
    ]


TOOL = {"packages/tool": {"requires": ["slow"]}}


def test_a_member_that_the_lock_lacks_is_named(made: Bench) -> None:
    made.write(files_of({".": APP["."] | {"requires": ["shared"]}}))
    uv(made, "lock")
    made.write(files_of({**APP, ".": APP["."] | {"requires": ["shared"]}}))
    ran = deepened(made)
    assert "warning: uv.lock: lacks the member 'core' (packages/core) of the workspace: run uv lock" in ran.stderr
    assert (ran.lock.inputs.members, ran.pins(builds=False)) == ((), ["shared==2.0"])
    uv(made, "lock")
    made.write(files_of({**APP, **TOOL}))
    ran = deepened(made)
    assert "warning: uv.lock: lacks the member 'tool' (packages/tool) of the workspace: run uv lock" in ran.stderr
    assert [member.name for member in ran.lock.inputs.members] == ["app", "core"]


def test_a_member_that_the_workspace_lacks_is_named(made: Bench) -> None:
    made.write(files_of({**APP, **TOOL}))
    uv(made, "lock")
    path = made.folder / "pyproject.toml"
    text = path.read_text().replace('members = ["packages/*"]', 'members = ["packages/*"], exclude = ["packages/tool"]')
    path.write_text(text)
    ran = deepened(made)
    assert "warning: uv.lock: has the member 'tool' (packages/tool), which is not in the workspace now" in ran.stderr
    assert [member.name for member in ran.lock.inputs.members] == ["app", "core", "tool"]
    made.write(files_of(APP))
    (made.folder / "packages/tool").rename(made.folder / "packages/moved")
    ran = made.lock("--from", str(made.folder / "uv.lock"))
    assert "uv.lock: has the member 'tool' in packages/tool, and the workspace has it in packages/moved" in ran.stderr
    assert (ran.code, ran.text) == (2, "")
    assert "error: uv.lock [package[5]]: packages/tool is not a folder" in ran.stderr


def test_a_lock_that_is_of_no_workspace_is_deepened_in_the_root_of_one(made: Bench) -> None:
    conflicts = [[{"package": "core"}, {"package": "tool"}]]
    made.write({**files_of({**APP, **TOOL, "conflicts": conflicts}), "requirements.txt": "shared==1.0\n"})
    ran = made.lock("--from", str(made.folder / "requirements.txt"))
    assert (ran.code, ran.pins(builds=False), ran.lock.inputs.members) == (0, ["shared==1.0"], ())


def test_the_commands_for_a_member_use_the_deepened_lock(made: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    made.write(files_of(WORKSPACES["a project in the root"]))
    uv(made, "lock")
    flags = [flag for flag in made.flags() if flag not in {"--project", str(made.folder)}]
    assert run(["deepen", str(made.folder / "uv.lock"), "--save", *flags]) == 0
    ran = made.lock()
    assert (ran.code, ran.lock.inputs.sources, ran.asked) == (0, ("uv.lock",), ()), ran.stderr
    assert made.lock("--check").code == 0
    for member in ran.lock.inputs.members:
        capsys.readouterr()
        lock = str(made.folder / "deep.lock")
        assert (
            run(
                ["export", "--lock", lock, "-f", "requirements", "--package", member.name, "--no-extras", "--no-groups"]
            )
            == 0
        )
        text = capsys.readouterr().out
        pins = sorted(line.split(" ")[0] for line in text.splitlines() if line[:1].isalpha())
        assert pins == exported(made, "--package", member.name)[0], text


def test_what_changed_in_one_member_makes_the_lock_stale(made: Bench) -> None:
    made.write(files_of({**APP, **TOOL}))
    uv(made, "lock")
    deepened(made)
    made.write(files_of({**APP, "packages/tool": {"requires": ["slow"], "extras": {"x": ["docs"]}}}))
    uv(made, "lock")
    ran = made.lock("--from", str(made.folder / "uv.lock"), "-o", "{folder}/deepened.lock", "--check")
    assert (ran.code, ran.asked) == (1, ())
    assert "extra 'x' of member 'tool'" in ran.stderr
