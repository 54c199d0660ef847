"""Extras, groups and targets that `fetch` and `wheelhouse` select, and `--target host` of every command that takes a target."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Releases
from tests.support.scenarios import HERE, MINOR, WINDOWS, Bench, bench

PROJECT = """\
[project]
name = "app"
version = "1"
dependencies = ["base"]

[project.optional-dependencies]
cli = ["cli-lib"]
fast = ["speedups"]

[dependency-groups]
dev = ["checker"]
docs = ["manual"]

[build-system]
requires = ["own-backend"]
build-backend = "own_backend"
"""
RELEASES: Releases = {
    "base 1.0": {"requires": ["shared", "onlywin; sys_platform == 'win32'"]},
    "shared 1.0": {},
    "onlywin 1.0": {},
    "cli-lib 1.0": {"requires": ["shared"]},
    "speedups 1.0": {},
    "checker 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "maker 1.0": {"wheels": [], "sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
    "flit_core 3.9": {},
    "manual 1.0": {"requires": ["shared"]},
    "own-backend 1.0": {},
}


@pytest.fixture
def locked(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        made.pythons, made.platforms = (MINOR,), ("host", WINDOWS)
        made.write({"pyproject.toml": PROJECT})
        ended = made.lock()
        assert ended.code == 0, ended.stderr
        monkeypatch.chdir(made.folder)
        yield made


def _names(folder: Path, suffixes: tuple[str, ...] = (".whl", ".tar.gz")) -> str:
    """Return the projects of the files in a folder, sorted."""
    return " ".join(sorted(path.name.partition("-")[0] for path in folder.iterdir() if path.name.endswith(suffixes)))


ALL_RUNTIME = "base checker cli_lib manual shared speedups"
RUNTIME = {
    (): ALL_RUNTIME,
    ("--all-extras",): ALL_RUNTIME,
    ("--no-default-groups",): "base cli_lib manual shared speedups",
    ("--no-groups",): "base cli_lib shared speedups",
    ("--no-groups", "--no-extras"): "base shared",
    ("--no-groups", "--extra=cli"): "base cli_lib shared",
    ("--no-groups", "--extra=CLI", "--extra=fast"): "base cli_lib shared speedups",
    ("--group=docs", "--extra=fast"): "base manual shared speedups",
    ("--group=dev", "--no-default-groups", "--no-extras"): "base checker shared",
    ("--only-group=dev",): "checker",
    ("--only-group=docs",): "manual shared",
    ("--only-group=docs", "--only-group=dev"): "checker manual shared",
}
BUILD = "checker flit_core maker"
"""What the one build of the group ``dev`` needs, to full depth."""


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("flags", RUNTIME, ids=" ".join)
def test_fetch_has_the_files_of_the_selection_and_of_its_builds(flags: tuple[str, ...]) -> None:
    assert run(["fetch", "-d", "files", "--target", "host", *flags]) == 0
    wanted = set(RUNTIME[flags].split())
    if "checker" in wanted:
        wanted |= set(BUILD.split())
    if not any(flag.startswith("--only") for flag in flags):
        wanted.add("own_backend")  # the project's own build
    assert _names(Path("files")) == " ".join(sorted(wanted))
    assert run(["fetch", "-d", "runtime", "--runtime", "--target=host", *flags]) == 0
    assert _names(Path("runtime")) == RUNTIME[flags]


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("flags", [flags for flags, names in RUNTIME.items() if "checker" not in names], ids=" ".join)
def test_wheelhouse_has_the_wheels_of_the_selection_and_builds_nothing_else(flags: tuple[str, ...]) -> None:
    assert run(["wheelhouse", "-d", "wheels", "--target", "host", "--hooks=static", *flags]) == 0
    assert _names(Path("wheels")) == RUNTIME[flags]
    lines = Path("wheels", "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert " ".join(line.partition("==")[0].replace("-", "_") for line in lines) == RUNTIME[flags]


@pytest.mark.usefixtures("locked")
def test_a_selection_without_a_target_is_of_every_target() -> None:
    assert run(["fetch", "-d", "files", "--no-groups", "--no-extras"]) == 0
    assert _names(Path("files")) == "base onlywin own_backend shared"


@pytest.mark.parametrize("setting", ['["docs", "dev"]', '"all"'])
def test_the_default_groups_of_the_configuration_are_left_out(locked: Bench, setting: str) -> None:
    locked.write({"pyproject.toml": f"{PROJECT}\n[tool.deep-lock]\ndefault-groups = {setting}\n"})
    assert run(["wheelhouse", "-d", "wheels", "--no-default-groups", "--hooks=static"]) == 0
    assert _names(Path("wheels")) == "base cli_lib shared speedups"


def test_lock_leaves_out_all_groups_where_all_are_default_groups(locked: Bench) -> None:
    locked.write({"pyproject.toml": f"{PROJECT}\n[tool.deep-lock]\ndefault-groups = 'all'\n"})
    ended = locked.lock("--no-default-groups")
    assert ended.code == 0, ended.stderr
    assert ended.lock.dependency_groups == ()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--extra=clii",), "deep.lock has no extra 'clii'"),
        (("--group=test",), "deep.lock has no group 'test'"),
        (("--only-group=test",), "deep.lock has no group 'test'"),
        (("--only-group=dev", "--group=docs"), "--only-group and --group"),
        (("--only-group=dev", "--extra=cli"), "--only-group and --extra"),
        (("--extra=cli", "--all-extras"), "--all-extras and --extra cannot be used together"),
        (("--target=hosts",), "deep.lock has no target hosts"),
    ],
)
@pytest.mark.parametrize("command", ["fetch", "wheelhouse"])
def test_a_wrong_selection_is_an_error(locked: Bench, command: str, flags: tuple[str, ...], told: str) -> None:
    locked.capture.readouterr()
    assert run([command, "-d", "files", *flags]) == 2
    assert told in locked.capture.readouterr().err
    assert not Path("files").exists()


COMMANDS = {
    "export": ["export", "-f", "requirements", "--target"],
    "tree": ["tree", "--target"],
    "fetch": ["fetch", "-d", "files", "--runtime", "--target"],
    "wheelhouse": ["wheelhouse", "-d", "files", "--no-groups", "--hooks=static", "--target"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_host_is_the_target_of_this_machine(locked: Bench, command: str) -> None:
    told = []
    for label in (HERE, "host"):
        locked.capture.readouterr()
        assert run([*COMMANDS[command], label]) == 0
        told.append(locked.capture.readouterr().out)
    assert told[0] == told[1]
    assert "onlywin" not in told[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_host_is_an_error_where_the_lock_is_for_other_machines(locked: Bench, command: str) -> None:
    locked.platforms = (WINDOWS,)
    assert locked.lock().code == 0
    locked.capture.readouterr()
    assert run([*COMMANDS[command], "host"]) == 2
    told = locked.capture.readouterr().err
    assert "no target of deep.lock is that of this machine" in told
    assert f"cp{MINOR.replace('.', '')}-{WINDOWS}" in told
