"""Full and read-only disks, a cache that other users can write to, and two runs at once."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from deep_lock.locking.lock import guard_of
from tests.support.fault_server import FaultServer
from tests.support.fault_world import GAMMA, PLACE, PROJECT, TARGET, Desk, desk, file_path, lock_of, people

SUPPORT = Path(__file__).parents[1] / "support"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts, /proc")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


@pytest.fixture(scope="module")
def new_lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run writes where nothing goes wrong."""
    return lock_of(tmp_path_factory.mktemp("calm"))


def _locked(own: Desk, server: FaultServer) -> str:
    return own.lock.read_text(encoding="utf-8").replace(server.base, PLACE)


@contextmanager
def _mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something on the folder for a while; skips the test where this may not be done."""
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting needs rights that this run does not have")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only: by its mode, or by a mount for one whom no mode stops."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        try:
            yield
        finally:
            folder.chmod(0o700)
        return
    with _mounted(folder, "--bind", "-o", "ro", str(folder)):
        yield


# -- a full disk


def _full(folder: Path, size: int) -> tuple[str, ...]:
    return (str(SUPPORT / "fault_full_disk.py"), str(folder), str(size))


@LINUX
def test_no_room_for_the_lock(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        ended = own.make_lock(url, before=_full(own.project, 100))
    assert ended.code == 2
    assert "deep.lock: cannot be written: No space left on device; it is as it was" in ended.stderr
    assert own.lock.read_text(encoding="utf-8") == old
    assert own.litter() == []


@LINUX
def test_no_room_for_the_first_lock(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        ended = own.make_lock(people(server), before=_full(own.project, 100))
    assert ended.code == 2
    assert not own.lock.exists()
    assert own.litter() == []


@LINUX
@pytest.mark.parametrize("size", [0, 300, 700])
def test_no_room_for_the_cache(tmp_path: Path, size: int, new_lock: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        ended = own.make_lock(url, before=_full(own.cache, size))
        assert ended.code == 0
        assert ended.stderr.count("the cache cannot be written, the run goes on without it: No space left") == 1
        assert _locked(own, server) == new_lock
        assert own.litter() == []
        again = own.make_lock(url, "-U")
        assert (again.code, _locked(own, server)) == (0, new_lock)
        assert "cache" not in again.stderr


@LINUX
def test_a_disk_that_is_really_full_for_the_lock(tmp_path: Path) -> None:
    own = desk(tmp_path)
    # three pages of memory: pyproject.toml, the old lock, and a filler
    with FaultServer() as server, _mounted(own.project, "-t", "tmpfs", "-o", "size=12k", "tmpfs"):
        (own.project / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        old = own.keep_old_lock(people(server))
        (own.project / "filler").write_bytes(b"x" * (12288 - 4096 - len(old.encode()) // 4096 * 4096 - 4096))
        ended = own.make_lock(f"{server.base}/simple/")
        assert ended.code == 2
        assert "No space left on device" in ended.stderr
        assert own.lock.read_text(encoding="utf-8") == old
        assert own.litter() == []


@LINUX
def test_a_disk_that_is_really_full_for_the_cache(tmp_path: Path, new_lock: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as server, _mounted(own.cache, "-t", "tmpfs", "-o", "size=12k,mode=700", "tmpfs"):
        ended = own.make_lock(people(server))
        assert ended.code == 0
        assert ended.stderr.count("the cache cannot be written") == 1
        assert _locked(own, server) == new_lock
        assert own.litter() == []


# -- folders that may not be written to, or by others too


@LINUX
def test_a_read_only_project(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        with _read_only(own.project):
            ended = own.make_lock(url)
            checked = own.run("lock", *TARGET, "-i", url, "--check")
            dry = own.make_lock(url, "--dry-run")
    assert ended.code == 2
    assert "deep.lock: cannot be written: " in ended.stderr
    assert own.lock.read_text(encoding="utf-8") == old
    assert (checked.code, dry.code) == (1, 0), "what writes nothing needs no right to write"


@LINUX
def test_a_read_only_cache(tmp_path: Path, new_lock: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as server, _read_only(own.cache):
        ended = own.make_lock(people(server))
        assert ended.code == 0
        assert ended.stderr.count("the cache cannot be written") == 1
        assert _locked(own, server) == new_lock


@LINUX
def test_a_cache_that_cannot_be_made(tmp_path: Path, new_lock: str) -> None:
    own = desk(tmp_path)
    own.cache.rmdir()
    own.cache.write_bytes(b"a file stands here")
    with FaultServer() as server:
        ended = own.make_lock(people(server))
        assert ended.code == 0, ended.stderr
        assert ended.stderr.count("the cache cannot be written") == 1
        assert _locked(own, server) == new_lock


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_cache_that_others_may_write_to(tmp_path: Path, mode: int) -> None:
    own = desk(tmp_path)
    own.cache.chmod(mode)
    with FaultServer() as server:
        ended = own.make_lock(people(server))
        assert ended.code == 2
        assert "other users can write to the cache folder" in ended.stderr
        assert server.requests == []
    assert not own.lock.exists()


@POSIX
def test_a_new_cache_is_for_its_owner_alone(tmp_path: Path) -> None:
    own = desk(tmp_path)
    own.cache.rmdir()
    with FaultServer() as server:
        assert own.make_lock(people(server)).code == 0
    assert {stat.S_IMODE(path.stat().st_mode) & 0o022 for path in own.cache.rglob("*")} == {0}
    assert stat.S_IMODE(own.cache.stat().st_mode) == 0o700


# -- others that write


def _wait_for_writers(server: FaultServer, count: int) -> None:
    """Wait until so many runs have asked for all that they need."""
    while server.count(file_path(GAMMA)) < count:
        time.sleep(0.01)
    time.sleep(0.2)


def _held(lock: Path, cache: Path) -> FileLock:
    guard = guard_of(lock, cache)
    guard.parent.mkdir(exist_ok=True)
    return FileLock(guard)


def test_two_runs_at_once(tmp_path: Path, new_lock: str) -> None:
    own, other = desk(tmp_path), tmp_path / "other"
    other.mkdir(mode=0o700)
    with FaultServer() as server:
        url = people(server)
        own.keep_old_lock(url)
        arguments = ("lock", *TARGET, "-i", url)
        with _held(own.lock, own.cache), _held(own.lock, other):  # so that both come to write at the same moment
            runs = [own.start(*arguments), own.start(*arguments, environ={"DEEP_LOCK_CACHE_DIR": str(other)})]
            _wait_for_writers(server, 2)
        for run in runs:
            with run:
                _, said = run.communicate(timeout=60)
                assert run.returncode == 0, said
        assert _locked(own, server) == new_lock
    assert own.litter() == []


def test_two_runs_that_share_a_cache(tmp_path: Path, new_lock: str) -> None:
    own, twin = desk(tmp_path), tmp_path / "twin"
    twin.mkdir()
    other = Desk(project=twin, cache=own.cache)
    (twin / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    with FaultServer() as server:
        url = people(server)
        runs = [each.start("lock", *TARGET, "-i", url) for each in (own, other) * 2]
        for run in runs:
            with run:
                _, said = run.communicate(timeout=60)
                assert run.returncode == 0, said
                assert "damaged" not in said
        assert _locked(own, server) == _locked(other, server) == new_lock
        calm = own.make_lock(url, "-U", "--offline")
        assert (calm.code, _locked(own, server)) == (0, new_lock)


@pytest.mark.parametrize("before", [True, False])
def test_a_lock_that_somebody_else_changes_meanwhile(tmp_path: Path, *, before: bool) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        if before:
            own.keep_old_lock(url)
        with _held(own.lock, own.cache):
            run = own.start("lock", *TARGET, "-i", url)
            _wait_for_writers(server, 1)
            own.lock.write_bytes(b"# theirs\n")
        with run:
            _, said = run.communicate(timeout=60)
        assert run.returncode == 1
        assert "another program wrote it during this run; nothing was written" in said
    assert own.lock.read_bytes() == b"# theirs\n"
    assert own.litter() == []


def test_a_lock_that_another_run_holds_for_long(tmp_path: Path) -> None:
    own = desk(tmp_path)
    code = "from deep_lock.locking import lock; from deep_lock.__main__ import main; lock.WAIT_SECONDS = 0.2; main()"
    with FaultServer() as server, _held(own.lock, own.cache):
        ended = own.make_lock(people(server), before=("-c", code))
    assert ended.code == 2
    assert "deep.lock: another deep-lock has been writing it for 0.2 s" in ended.stderr
    assert not own.lock.exists()
