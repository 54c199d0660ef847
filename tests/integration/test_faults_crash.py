"""kill -9: the old lock stays or the new one stands, the cache never lies, and the next run is as if nothing was."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, reply
from tests.support.fault_world import BETA, JSON, SOURCE, TARGET, WITH_SUPPORT, Desk, desk, page, people

CRASH = Path(__file__).parents[1] / "support" / "fault_crash.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork")


def _expected(folder: Path, old: Desk, url: str) -> str:
    """What an undisturbed run writes."""
    shutil.copytree(old.project, folder / "project")
    (folder / "cache").mkdir(mode=0o700)
    calm = Desk(project=folder / "project", cache=folder / "cache")
    assert calm.make_lock(url).code == 0
    return calm.lock.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, list[dict[str, Any]]]:
    """Old lock, new lock, and what came of each try."""
    folder = tmp_path_factory.mktemp("crash")
    start = folder / "start"
    start.mkdir()
    with FaultServer() as server:
        url = people(server)
        base = desk(start)
        old = base.keep_old_lock(url)
        calm = folder / "calm"
        calm.mkdir()
        new = _expected(calm, base, url)
        ended = base.run(str(folder), "lock", *TARGET, "-i", url, before=(str(CRASH),), environ=WITH_SUPPORT)
    assert ended.code == 0, ended.stderr
    return old, new, [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_kills_reached_every_step(tries: tuple[str, str, list[dict[str, Any]]]) -> None:
    old, new, tried = tries
    assert old != new
    assert [each["code"] for each in tried] == [-9] * (len(tried) - 1) + [0]
    # at least: three pages, three metadata or facts, and the lock; each is opened, written, moved
    assert len(tried) > 7 * 3
    assert any(each["litter"] for each in tried)


def test_the_lock_is_the_old_or_the_new_one(tries: tuple[str, str, list[dict[str, Any]]]) -> None:
    old, new, tried = tries
    seen = [each["after"] for each in tried]
    assert set(seen) == {old, new}
    assert seen.index(new) > len(seen) - 5, "the lock is what a run writes last"


def test_the_next_run_is_as_if_nothing_was(tries: tuple[str, str, list[dict[str, Any]]]) -> None:
    _, new, tried = tries
    for each in tried:
        assert each["codes"] == [0, 0], each["said"]
        assert each["locked"] == [new, new]


def test_no_entry_of_the_cache_is_ever_damaged(tries: tuple[str, str, list[dict[str, Any]]]) -> None:
    for each in tries[2]:
        assert not [said for said in each["said"] if "damaged" in said or "cannot be written" in said]


def test_prune_sweeps_what_a_kill_left_in_the_cache(tmp_path: Path) -> None:
    own = desk(tmp_path)
    folder = own.cache / "v1" / "pages-2" / "ab"
    folder.mkdir(parents=True)
    names = (".deep-lock-old.tmp", ".deep-lock-new.tmp", "entry")
    for name in names:
        (folder / name).write_bytes(b"half")
    for name, days in zip(names, (2, 0, 2), strict=True):  # the clock of a file system can be another one
        os.utime(folder / name, (time.time() - days * 86400,) * 2)
    ended = own.run("cache", "prune")
    assert ended.code == 0
    assert sorted(path.name for path in folder.iterdir()) == [names[1], names[2]]


def test_a_kill_from_outside_while_an_index_is_slow(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        server.script("/simple/beta/", reply(page("beta", BETA), headers=[JSON], after="drip"))
        with own.start("lock", *TARGET, "-i", url) as child:
            while not server.count("/simple/beta/"):
                time.sleep(0.01)
            child.kill()
            child.communicate()
        assert child.returncode < 0
        assert own.lock.read_text(encoding="utf-8") == old
        url = people(server)
        assert own.make_lock(url).code == 0
    assert own.litter() == []


def test_the_source_under_test_is_this_one(tmp_path: Path) -> None:
    ended = desk(tmp_path).run(before=("-c", "import deep_lock; print(deep_lock.__file__)"))
    assert Path(ended.stdout.strip()).parent.parent == SOURCE
