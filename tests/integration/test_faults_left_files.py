"""What a killed run leaves is removed by the next run; what a run that is alive writes to, or another user's, is not."""

import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deep_lock.builds.sandbox import sandbox
from deep_lock.files import TEMPORARY_FOLDER_PREFIX, content_now, sweep, temporary_path
from deep_lock.index.cache import TEMPORARY
from deep_lock.index.file_cache import FileCache
from tests.support import kill_soak
from tests.support.fault_server import FaultServer
from tests.support.fault_world import TARGET, desk, people
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import MINOR, PLAIN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
NOT_MINE = 12345


@contextmanager
def _held_by_another(path: Path) -> Iterator[None]:
    """Let another process hold a file or folder, as a run that is alive does."""
    code = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print(1, flush=True); time.sleep(99)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield
        child.kill()


def _left(folder: Path) -> Path:
    path = temporary_path(folder / "deep.lock")
    path.write_bytes(b"half")
    return path


def test_a_run_that_writes_sweeps_beside_the_lock(tmp_path: Path) -> None:
    own = desk(tmp_path)
    dead, alive = _left(own.project), _left(own.project)
    with FaultServer() as server, _held_by_another(alive):
        assert own.make_lock(people(server)).code == 0
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_run_after_a_kill_before_the_rename_sweeps_too(tmp_path: Path) -> None:
    """The lock is up to date, and the note in the cache is that of the lock which the killed run began to write."""
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        assert own.make_lock(url).code == 0
        dead = _left(own.project)
        for note in (own.cache / "writing").glob("*.form"):
            note.write_text("0" * 64)
        checked = own.run("lock", *TARGET, "-i", url, "--check")
        assert (checked.code, dead.exists()) == (0, True), "a check removes nothing"
        for note in (own.cache / "writing").glob("*.form"):
            note.write_text("0" * 64)
        assert own.make_lock(url).code == 0
    assert not dead.exists()


def test_only_files_of_this_user_and_of_this_name_are_swept(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".deep-lock-x", "x.tmp", "deep.lock.tmp")]
    for path in kept:
        path.write_bytes(b"")
    (tmp_path / ".deep-lock-folder.tmp").mkdir()
    (tmp_path / ".deep-lock-link.tmp").symlink_to(kept[0])
    kept += [tmp_path / ".deep-lock-folder.tmp", tmp_path / ".deep-lock-link.tmp"]
    if os.geteuid() == 0:
        kept.append(_left(tmp_path))
        os.chown(kept[-1], NOT_MINE, NOT_MINE)
    dead = _left(tmp_path)
    sweep(tmp_path)
    assert not dead.exists()
    assert all(os.path.lexists(path) for path in kept)


def test_the_folder_of_unfinished_files_in_the_cache_is_swept(tmp_path: Path) -> None:
    own = desk(tmp_path)
    folders = [own.cache / "v1" / "tmp"]
    for folder in folders:
        folder.mkdir(parents=True)
    dead, alive = _left(folders[0]), _left(folders[0])
    with FaultServer() as server, _held_by_another(alive):
        assert own.make_lock(people(server)).code == 0
    assert (dead.exists(), alive.exists()) == (False, True)


def test_the_folder_of_unfinished_whole_files_is_swept(tmp_path: Path) -> None:
    unfinished = tmp_path / TEMPORARY
    unfinished.mkdir()
    dead, alive = _left(unfinished), _left(unfinished)
    with _held_by_another(alive):
        FileCache(tmp_path).put(io.BytesIO(b"x"), hashlib.sha256(b"x").hexdigest())
    assert (dead.exists(), alive.exists()) == (False, True)


def test_the_merge_driver_sweeps(tmp_path: Path) -> None:
    """Next to its files, which are those of git, and next to the lock."""
    own, sides = desk(tmp_path), tmp_path / "project" / "sides"
    sides.mkdir()
    with FaultServer() as server:
        assert own.make_lock(people(server)).code == 0
    for side in ("base", "ours", "theirs"):
        (sides / side).write_bytes(own.lock.read_bytes())
    dead, alive = [_left(sides), _left(own.project)], _left(sides)
    with _held_by_another(alive):
        ended = own.run("git-merge", "sides/base", "sides/ours", "sides/theirs", "deep.lock")
    assert ended.code == 0, ended.stderr
    assert [path.exists() for path in (*dead, alive)] == [False, False, True]


def test_temporary_folders_of_killed_runs_are_swept(tmp_path: Path) -> None:
    own, temporary = desk(tmp_path), tmp_path / "tmp"
    dead, alive, other = (
        temporary / f"{prefix}x" for prefix in (TEMPORARY_FOLDER_PREFIX, f"{TEMPORARY_FOLDER_PREFIX}2", "tmp")
    )
    for folder in (dead, alive, other):
        (folder / "closed" / "inner").mkdir(parents=True)
        (folder / "closed").chmod(0o000)
    (own.project / "pyproject.toml").write_text(PLAIN.format(["thing"]), encoding="utf-8")
    with ScenarioServer() as server, _held_by_another(alive):
        server.hold({"thing 1.0": {"wheels": [], "sdist": True, "build": ["base"]}, "base 1.0": {}})
        arguments = ("lock", f"--python-version={MINOR}", "--platform=host", "--hooks=static", "-i", server.url)
        ended = own.run(*arguments, environ={"TMPDIR": str(temporary)})
    assert ended.code == 0, ended.stderr
    assert (dead.exists(), alive.exists(), other.exists()) == (False, True, True)


def test_a_file_that_is_being_written_is_held(tmp_path: Path) -> None:
    own = desk(tmp_path)
    code = """
import fcntl, os, sys
from pathlib import Path
from deep_lock import files
def look(handle, real=os.fsync):
    found = [path for path in Path().glob(".deep-lock-*.tmp")]
    for path in found:
        other = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("held", flush=True)
    real(handle)
os.fsync = look
from deep_lock.__main__ import main
main()
"""
    with FaultServer() as server:
        ended = own.make_lock(people(server), before=("-c", code))
    assert (ended.code, ended.stdout) == (0, "held\n")


# -- messages of a write that failed


GUARD_FAILS = """
import errno, fcntl, os
real = fcntl.flock
def flock(handle, operation):
    if operation == fcntl.LOCK_UN:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    real(handle, operation)
fcntl.flock = flock
from deep_lock.__main__ import main
main()
"""


def test_a_guard_that_cannot_be_released_is_no_failed_write(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        ended = own.make_lock(url, before=("-c", GUARD_FAILS))
    assert ended.code == 0, ended.stderr
    assert "as it was" not in ended.stderr
    assert own.lock.read_text(encoding="utf-8") != old


def test_a_failure_says_what_the_file_contains(tmp_path: Path) -> None:
    path = tmp_path / "deep.lock"
    assert content_now(path, None, b"new") == "nothing was written"
    for content, says in {
        b"old": "it is as it was",
        b"new": "it has the new content",
        b"x": "another program has written it",
    }.items():
        path.write_bytes(content)
        assert content_now(path, b"old", b"new") == says
    path.unlink()
    path.mkdir()
    assert content_now(path, b"old", b"new") == "what it contains now is not known"


# -- kills at random moments: more of them with `python -m tests.support.kill_soak`


@pytest.mark.parametrize("command", ["lock", "fetch", "merge", "wheelhouse"])
def test_kills_at_random_moments(command: str) -> None:
    if command == "wheelhouse" and sandbox.probe().level != "strong":
        pytest.skip("no strong sandbox on this machine")
    found = kill_soak.soak(command, int(os.environ.get("KILLS", "2")), int(time.time()))
    assert found["faults"] == []
