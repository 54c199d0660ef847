"""add and remove, through the command line: the file of the user and the lock change together, or neither does."""

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.cli.session import read_context
from deep_lock.config.options import InputOptions, LockOptions, NetworkOptions, ResolveOptions, RunContext
from deep_lock.errors import Stale
from deep_lock.events import silent
from deep_lock.files import Replacement
from deep_lock.lockfile.reader import from_text
from deep_lock.locking.lock import write_lock
from deep_lock.models.lock import Lock
from deep_lock.operations import edit
from deep_lock.project.requirement_lists import ListName
from tests.support.fault_server import FaultServer, reply
from tests.support.fault_world import BETA, JSON, TARGET, WITH_SUPPORT, desk, page, people
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, Bench, bench

CRASH = Path(__file__).parents[1] / "support" / "fault_crash.py"
RELEASES: Releases = {
    "lib 1.0": {"requires": ["dep"]},
    "lib 1.5": {"requires": ["dep"]},
    "lib 2.0rc1": {},
    "dep 1.0": {},
    "plus 1.0+local.1": {},
    "split 1.0": {},
    "split 2.0": {"requires-python": ">=3.13"},
    "backend 4.0": {},
    "helper 3.1": {},
    "tool 1.0": {"requires": ["dep"]},
}
HEAD = '# my project\n[project]\nname = "app"\nversion = "1"\n'
PROJECT = f"""{HEAD}dependencies = [
  # for all
  'dep', # why
  'tool ~= 1.0',
]
scripts.app = "app:main" # the entry point

[tool.other]
key = [ 1,2 ]
"""


class Edits(Bench):
    """A project, and what the command line does to it."""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command with the flags of the bench; return its code, stdout and stderr."""
        self.capture.readouterr()
        code = run([arguments[0], *self.flags(), *arguments[1:]])
        output = self.capture.readouterr()
        assert "Traceback" not in output.err
        return code, output.out, output.err

    @property
    def text(self) -> str:
        return (self.folder / "pyproject.toml").read_bytes().decode()

    @property
    def locked(self) -> Lock:
        return from_text((self.folder / "deep.lock").read_text(encoding="utf-8"), "deep.lock")

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Edits]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as own:
        edits = Edits(folder=own.folder, capture=own.capture, servers=own.servers, told=own.told)
        edits.write({"pyproject.toml": PROJECT})
        yield edits


def test_a_requirement_gets_the_locked_version_as_its_bound(made: Edits) -> None:
    assert made.lock().code == 0
    code, out, err = made.run("add", "Lib")
    assert (code, out) == (0, "")
    assert made.text == PROJECT.replace("  'tool", "  'Lib>=1.5',\n  'tool")
    assert "changed the dependencies in pyproject.toml:\n  + Lib>=1.5\nwrote deep.lock\n" in err
    assert "wrote deep.lock\n  + lib 1.5\n" in err
    assert made.locked.inputs.requirements == ("dep", "lib>=1.5", "tool~=1.0")
    assert made.lock("--check").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lib", "--group", ""], "the group '' is not a valid name"),
        (["lib", "--extra", ""], "the extra '' is not a valid name"),
        (["lib>=1", "lib<2"], "lib is named twice, with different versions"),
    ],
)
def test_no_argument_is_ignored(made: Edits, arguments: list[str], message: str) -> None:
    before = made.files()
    code, _, err = made.run("add", *arguments)
    assert (code, made.files()) == (2, before)
    assert message in err


def test_without_a_lock_one_is_made(made: Edits) -> None:
    assert made.run("add", "lib<1.5")[0] == 0
    assert "  'lib<1.5',\n" in made.text
    assert made.lock("--check").code == 0


def test_pins_are_kept(made: Edits) -> None:
    made.write({"pyproject.toml": PROJECT.replace("'dep'", "'lib<1.5'")})
    assert made.lock().code == 0
    made.write({"pyproject.toml": PROJECT.replace("'dep'", "'lib'")})
    assert made.run("add", "split")[0] == 0
    assert {package.name: package.version for package in made.locked.packages}["lib"] == "1.0"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lib", "--bounds", "exact"], "  'lib==1.5',\n"),
        (["lib", "--bounds", "none"], "  'lib',\n"),
        (["lib", "--prerelease", "allow"], "  'lib>=2.0rc1',\n"),
        (["plus"], "  'plus>=1.0',\n"),
        (["lib; python_version<'4'"], "  \"lib>=1.5; python_version<'4'\",\n"),
        (["dep"], "  'dep', # why\n"),
        (["dep>=1"], "  'dep>=1', # why\n"),
        (["dep[x]"], "  'dep[x]>=1.0', # why\n"),
        (["tool[x]"], "  'tool[x] ~= 1.0',\n"),
    ],
)
def test_the_text_that_is_written(made: Edits, arguments: list[str], line: str) -> None:
    assert made.run("add", *arguments)[0] == 0
    assert line in made.text
    assert made.lock("--check", *arguments[1:] if "--prerelease" in arguments else ()).code == 0


def test_the_lower_bound_admits_every_locked_version(made: Edits) -> None:
    made.pythons = ("3.12", "3.13")
    assert made.run("add", "split")[0] == 0
    assert "  'split>=1.0',\n" in made.text
    assert {package.version for package in made.locked.packages if package.name == "split"} == {"1.0", "2.0"}
    before = made.files()
    code, _, err = made.run("add", "split; python_version > '3'", "--bounds", "exact")
    assert (code, made.files()) == (2, before)
    assert "split is locked at 1.0 and 2.0" in err


def test_extras_groups_and_the_build_have_lists_of_their_own(made: Edits) -> None:
    made.write({"pyproject.toml": PROJECT + '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'})
    assert made.run("add", "lib", "split", "--group", "dev")[0] == 0
    assert made.run("add", "lib", "--extra", "cli")[0] == 0
    assert made.run("add", "helper", "--build")[0] == 0
    text = PROJECT.replace(
        "\n[tool",
        '\n[project.optional-dependencies]\ncli = ["lib>=1.5"]\n\n[dependency-groups]\n'
        'dev = ["lib>=1.5", "split>=2.0"]\n\n[tool',
    )
    assert made.text == f'{text}[build-system]\nrequires = ["backend", "helper>=3.1"]\nbuild-backend = "backend"\n'
    lock = made.locked
    assert lock.inputs.dependency_groups == (("dev", ("lib>=1.5", "split>=2.0")),)
    assert lock.inputs.extras == (("cli", ("lib>=1.5",)),)
    (build,) = lock.builds
    assert [member.name for member in build.packages] == ["backend", "helper"]
    assert made.lock("--check").code == 0
    code, _, err = made.run("remove", "lib")
    assert code == 2
    assert "lib is not in the dependencies, but in the extra cli and the dependency group dev" in err
    assert made.run("remove", "split", "LIB", "--group", "dev")[0] == 0
    assert made.run("remove", "helper", "--build")[0] == 0
    assert "dev = []\n" in made.text
    assert made.lock("--check").code == 0
    assert made.run("add", "lib", "--build", "--group", "dev")[0] == 2


def test_a_removal_undoes_an_addition(made: Edits) -> None:
    assert made.lock().code == 0
    before = made.files()
    assert made.run("add", "lib")[0] == 0
    code, _, err = made.run("remove", "LIB")
    assert (code, made.files()) == (0, before)
    assert "changed the dependencies in pyproject.toml:\n  - lib>=1.5\nwrote deep.lock\n" in err
    assert "wrote deep.lock\n  - lib 1.5\n" in err


def test_a_script_is_edited_with_its_lock(made: Edits) -> None:
    script = made.folder / "job.py"
    text = "#!/usr/bin/env python\r\n# /// script\r\n# dependencies = [\r\n#   'dep', # why\r\n# ]\r\n# ///\r\nimport dep\r\n"
    script.write_bytes(text.encode())
    script.chmod(0o755)
    assert made.run("add", "lib", "--script", str(script))[0] == 0
    assert script.read_bytes().decode() == text.replace("why\r\n", "why\r\n#   'lib>=1.5',\r\n")
    if os.name == "posix":
        assert stat.S_IMODE(script.stat().st_mode) == 0o755
    assert (made.folder / "job.py.deep.lock").is_file()
    assert made.run("remove", "lib", "--script", str(script))[0] == 0
    assert script.read_bytes().decode() == text
    assert made.text == PROJECT


def test_a_link_to_the_file_stays_a_link(made: Edits) -> None:
    path = made.folder / "pyproject.toml"
    real = path.rename(made.folder.parent / "real.toml")
    try:
        path.symlink_to(real)
    except OSError:
        pytest.skip("no links here")
    assert made.run("add", "lib")[0] == 0
    assert path.is_symlink()
    assert "lib>=1.5" in real.read_text(encoding="utf-8")


def test_a_dry_run_shows_both_files(made: Edits) -> None:
    assert made.lock().code == 0
    before = made.files()
    code, out, err = made.run("add", "lib", "--dry-run")
    assert (code, made.files()) == (0, before)
    assert "--- a/pyproject.toml\n+++ b/pyproject.toml\n" in out
    assert "\n+  'lib>=1.5',\n" in out
    assert '\n+name = "lib"\n' in out
    assert "would write deep.lock" in err
    code, out, _ = made.run("add", "dep", "--dry-run")
    assert (code, out) == (0, "")


FAILURES = [
    (["lib>=9"], 1, "no version of lib satisfies it"),
    (["unheard-of"], 1, "no configured index has unheard-of"),
    (["lib", "lib>=x"], 2, "not a valid requirement"),
    (["lib", "app"], 2, "app is the project itself"),
    (["lib", "-o", "missing/deep.lock"], 2, "cannot be written"),
    (["lib", "--offline"], 3, "--offline"),
]


@pytest.mark.parametrize("is_locked", [True, False])
@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES, ids=[case[2] for case in FAILURES])
def test_a_failure_leaves_both_files(
    made: Edits, arguments: list[str], code: int, message: str, *, is_locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.folder)
    if is_locked:
        assert made.lock().code == 0
    before = made.files()
    ended, out, err = made.run("add", *arguments)
    assert (ended, out, made.files()) == (code, "", before)
    assert message in err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(made: Edits) -> None:
    assert made.lock().code == 0
    before = made.files()
    made.folder.chmod(0o555)
    try:
        code, _, err = made.run("add", "lib")
    finally:
        made.folder.chmod(0o755)
    assert (code, made.files()) == (2, before)
    assert "pyproject.toml: cannot be written" in err


def _options(made: Edits) -> LockOptions:
    context: RunContext = read_context()
    return LockOptions(
        inputs=InputOptions(folder=made.folder),
        resolve=ResolveOptions(pythons=("3.13",), platforms=(LINUX,)),
        network=NetworkOptions(default_index=made.server.url),
        context=context,
    )


@pytest.mark.parametrize("name", ["pyproject.toml", "deep.lock"])
def test_what_another_program_wrote_is_not_overwritten(made: Edits, name: str) -> None:
    assert made.lock().code == 0
    edited = edit.add(_options(made), ListName(), ["lib"], bounds="lower", reporter=silent)
    path = made.folder / name
    path.write_bytes(path.read_bytes() + b"# theirs\n")
    before = made.files()
    with pytest.raises(Stale, match=f"{name}: another program wrote it during this run; nothing was written"):
        write_lock(edited.outcome)
    assert made.files() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links of folders")
def test_the_first_file_is_restored_where_the_second_fails(made: Edits) -> None:
    assert made.lock().code == 0
    edited = edit.add(_options(made), ListName(), ["lib"], bounds="lower", reporter=silent)
    (made.folder / "deep.lock").unlink()
    (made.folder / "deep.lock").mkdir()
    with pytest.raises(Stale):
        write_lock(edited.outcome)
    assert made.text == PROJECT


def test_an_edit_that_cannot_be_undone_is_reported(made: Edits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.folder)

    def fail(_: Replacement) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Replacement, "undo", fail)
    code, _, err = made.run("add", "lib", "-o", "missing/deep.lock")
    assert code == 2
    assert "pyproject.toml: was edited, but the lock could not be written" in err
    assert "could not be undone: No space left on device" in err
    assert "hint: run deep-lock lock" in err


def test_where_another_tool_locks_it_adds(made: Edits) -> None:
    made.write({"pyproject.toml": f'{PROJECT}[tool.deep-lock]\nfrom-lock = "uv.lock"\n'})
    before = made.files()
    code, _, err = made.run("add", "lib")
    assert (code, made.files()) == (2, before)
    assert "uv.lock decides the packages of the run time" in err


def test_a_project_without_a_pyproject(made: Edits) -> None:
    (made.folder / "pyproject.toml").unlink()
    assert "name a folder with --project" in made.run("add", "lib")[2]
    made.write({"setup.cfg": "[metadata]\nname = app\n"})
    code, _, err = made.run("add", "lib")
    assert code == 2
    assert "edit install_requires in setup.cfg" in err


def test_a_group_that_is_not_locked_gets_no_bound(made: Edits) -> None:
    made.write(
        {"pyproject.toml": f'{PROJECT}[tool.deep-lock]\ngroups = ["dev"]\n[dependency-groups]\ndev = []\nmore=[]\n'}
    )
    code, _, err = made.run("add", "lib", "--group", "more")
    assert code == 0, err
    assert "lib: is not locked for the dependency group more, so it was added without a version" in err
    assert 'more=["lib"]\n' in made.text
    assert made.lock("--check").code == 0


def test_a_member_of_the_workspace_that_requires_the_project(made: Edits) -> None:
    member = '[project]\nname = "member"\nversion = "1"\ndependencies = ["app"]\n[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
    own = (
        '[tool.deep-lock]\nworkspace.members = ["member"]\nsources = {member = {workspace = true}, app = {workspace = true}}\n'
        '[dependency-groups]\ndev = ["member"]\n[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
    )
    made.write({"pyproject.toml": PROJECT + own, "member/pyproject.toml": member})
    code, _, err = made.run("add", "lib")
    assert code == 0, err
    assert made.lock("--check").code == 0


# -- kills


def _tries(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return what came of `add gamma`, with the signal at each step."""
    start = folder / "start"
    start.mkdir()
    with FaultServer() as server:
        url = people(server)
        base = desk(start)
        base.keep_old_lock(url)
        arguments = (str(folder), "add", "gamma", *TARGET, "-i", url)
        ended = base.run(*arguments, before=(str(CRASH),), environ={**WITH_SUPPORT, "FAULT_SIGNAL": name})
    assert ended.code == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork")
@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -9), ("SIGINT", 130)])
def test_a_signal_at_any_moment_leaves_both_files_whole(tmp_path: Path, name: str, code: int) -> None:
    tries = _tries(tmp_path, name)
    assert [each["code"] for each in tries] == [code] * (len(tries) - 1) + [0]
    old, new = tries[0], tries[-1]
    assert 'dependencies = ["alpha", "gamma>=1.0"]' in new["edited"][0]
    states = [(each["edited"][0], each["after"]) for each in tries]
    between = [(new["edited"][0], old["after"])] if name == "SIGKILL" else []  # the lock is stale
    expected = [(old["edited"][0], old["after"]), *between, (new["edited"][0], new["after"])]
    assert sorted(set(states), key=states.index) == expected
    for each in tries:
        assert each["codes"] == [0, 0], each["said"]
        assert each["edited"][1] == new["edited"][1]
        assert each["locked"] == [new["after"]] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_both_files(tmp_path: Path, number: int, code: int) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        text = (own.project / "pyproject.toml").read_bytes()
        server.script("/simple/beta/", reply(page("beta", BETA), headers=[JSON], after="drip"))
        with own.start("add", "gamma", *TARGET, "-i", url) as child:
            while not server.count("/simple/beta/"):
                time.sleep(0.01)
            child.send_signal(number)
            child.communicate()
        assert child.returncode == code
    assert own.lock.read_text(encoding="utf-8") == old
    assert (own.project / "pyproject.toml").read_bytes() == text
