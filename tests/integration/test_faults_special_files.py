"""A pipe, a socket, a device or a folder where a file is read: an error at once, never a wait. What the user pipes in still works."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.fault_world import TARGET, Desk, Ended, desk, people

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes with a name")
PROJECT = '[project]\nname = "letter"\nversion = "1"\ndependencies = []\n'


def _pipe(path: Path) -> str:
    os.mkfifo(path)
    return "is a pipe, and not a regular file"


def _socket(path: Path) -> str:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(path.name)
    finally:
        os.chdir(here)
    return "is a socket, and not a regular file"


def _device(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "is a device, and not a regular file"


def _folder(path: Path) -> str:
    path.mkdir()
    return "Is a directory"


KINDS = [_pipe, _socket, _device, _folder]
Make = Callable[[Path], str]


def _run(own: Desk, *arguments: str, environ: dict[str, str] | None = None) -> Ended:
    with FaultServer() as server:
        return own.make_lock(people(server), *arguments, environ=environ)


@pytest.fixture
def own(tmp_path: Path) -> Desk:
    made = desk(tmp_path)
    (made.project / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return made


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", ["deep.lock", "pyproject.toml", "deep-lock.toml"])
def test_a_file_of_the_project(own: Desk, make: Make, name: str) -> None:
    (own.project / name).unlink(missing_ok=True)
    says = make(own.project / name)
    for more in ((), ("--check",), ("-U",)) if name == "deep.lock" else ((),):
        ended = _run(own, *more)
        assert ended.code == 2, ended.stderr
        assert says in ended.stderr
    assert os.path.lexists(own.project / name)
    assert not stat.S_ISREG((own.project / name).lstat().st_mode)


@pytest.mark.parametrize("make", KINDS[:3])
@pytest.mark.parametrize("option", ["-r", "-c", "--overrides", "-b", "--from", "--script"])
def test_a_file_of_an_option(own: Desk, make: Make, option: str) -> None:
    says = make(own.project / "special.lock")
    ended = _run(own, option, "special.lock")
    assert ended.code == 2, ended.stderr
    assert says in ended.stderr


@pytest.mark.parametrize("make", KINDS[:3])
@pytest.mark.parametrize("name", [".netrc", "--cert", "--client-cert"])
def test_a_file_that_the_network_needs(own: Desk, make: Make, name: str) -> None:
    (own.project / "pyproject.toml").write_text(PROJECT.replace("[]", '["alpha"]'), encoding="utf-8")
    says = make(own.project / (name if name == ".netrc" else "special.pem"))
    more = () if name == ".netrc" else ("-i", "https://127.0.0.1:9/simple/", name, "special.pem")
    ended = _run(own, *more)
    assert ended.code == 2, ended.stderr
    assert says in ended.stderr


@pytest.mark.parametrize("make", KINDS[:3])
@pytest.mark.parametrize(
    "command",
    [
        ("policy",),
        ("audit", "--database", "all.zip"),
        ("export", "-f", "requirements"),
        ("fetch", "-d", "out"),
        ("verify",),
        ("outdated",),
        ("tree",),
        ("report", "-o", "x.html"),
        ("git-textconv", "deep.lock"),
        ("git-merge", "deep.lock", "deep.lock", "deep.lock", "deep.lock"),
        ("diff", "deep.lock", "deep.lock"),
        ("deepen", "deep.lock"),
        ("wheelhouse", "-d", "out"),
    ],
)
def test_a_lock_in_every_command(own: Desk, make: Make, command: tuple[str, ...]) -> None:
    says = make(own.project / "deep.lock")
    ended = own.run(*command)
    assert ended.code in {1, 2}, ended.stderr
    assert says in ended.stderr


@pytest.mark.parametrize("make", KINDS[:3])
def test_a_database_of_advisories(own: Desk, make: Make) -> None:
    assert _run(own).code == 0
    says = make(own.project / "all.zip")
    ended = own.run("audit", "--database", "all.zip")
    assert (ended.code, says in ended.stderr) == (2, True), ended.stderr


@pytest.mark.parametrize("command", [("add", "alpha"), ("remove", "alpha"), ("init",)])
def test_a_project_that_is_edited(own: Desk, command: tuple[str, ...]) -> None:
    (own.project / "pyproject.toml").unlink()
    says = _pipe(own.project / "pyproject.toml")
    ended = own.run(*command)
    assert (ended.code, says in ended.stderr) == (2, True), ended.stderr


def test_a_file_of_a_direct_reference(own: Desk) -> None:
    path = own.project / "alpha-1.0-py3-none-any.whl"
    _pipe(path)
    (own.project / "pyproject.toml").write_text(PROJECT.replace("[]", f'["alpha @ {path.as_uri()}"]'), encoding="utf-8")
    ended = _run(own)
    assert ended.code != 0
    assert "is a pipe, and not a regular file" in ended.stderr


def test_a_pipe_that_no_program_reads_is_no_output(own: Desk) -> None:
    assert _run(own).code == 0
    os.mkfifo(own.project / "out")
    ended = own.run("export", "-f", "requirements", "-o", "out")
    assert (ended.code, "out: cannot be written: no program reads this pipe" in ended.stderr) == (2, True)


def _shell(own: Desk, command: str) -> "subprocess.CompletedProcess[str]":
    text = f"deep-lock() {{ '{sys.executable}' -m deep_lock \"$@\"; }}; {command}"
    return subprocess.run(
        ["bash", "-c", text],
        cwd=own.project,
        env=own.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_a_shell_passes_still_works(own: Desk) -> None:
    assert _run(own).code == 0
    target = " ".join(TARGET)
    with FaultServer() as server:
        url = people(server)
        for command in (
            f"echo alpha | deep-lock lock {target} -i {url} -r /dev/stdin -o one.lock",
            f"deep-lock lock {target} -i {url} -r <(echo alpha) -o two.lock",
            f"deep-lock lock {target} -i {url} -c /dev/stdin -o three.lock < <(echo 'alpha<2')",
            f"deep-lock lock {target} -i {url} -o /dev/null",
        ):
            ended = _shell(own, command)
            assert ended.returncode == 0, (command, ended.stderr)
    assert 'name = "alpha"' in (own.project / "one.lock").read_text(encoding="utf-8")
    assert 'name = "alpha"' in (own.project / "two.lock").read_text(encoding="utf-8")
    printed = _shell(own, "deep-lock export -f requirements -o >(cat); sleep 0.3").stdout
    assert "Made by deep-lock" in printed
    assert _shell(own, "deep-lock diff <(cat deep.lock) deep.lock").returncode == 0
    assert (
        _shell(own, "mkfifo p; (cat p > copy) & sleep 0.3; deep-lock export -f requirements -o p; wait").returncode == 0
    )
    assert "Made by deep-lock" in (own.project / "copy").read_text(encoding="utf-8")
