"""A limit counts what is used: by all processes together, and where no folder and no process shows it."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.builds.sandbox.cgroup import Group, new_group
from deep_lock.builds.sandbox.run import INNER_LAYERS, UNCONFINED, LayerName, execute
from deep_lock.builds.sandbox.sandbox import Limits, probe
from deep_lock.errors import DeepLockError, HookFailed
from tests.support.sandboxed import EXCESSES, Bench, bench, is_locked, until

pytestmark = pytest.mark.skipif(probe().level != "strong", reason=f"no strong sandbox here: {probe().layers}")
BUBBLEWRAP = next(layer for layer in probe().layers if layer.name == "bubblewrap")

CGROUP = next(layer for layer in probe().layers if layer.name == "cgroup")
NEEDS_CGROUP = pytest.mark.skipif(not CGROUP.works, reason=f"cgroup: {CGROUP.reason}")


@pytest.fixture
def place() -> Iterator[Bench]:
    with bench() as made:
        yield made


LAYERS = [
    pytest.param(INNER_LAYERS, id="inner"),
    pytest.param(
        INNER_LAYERS | {"bubblewrap"},
        id="bubblewrap",
        marks=pytest.mark.skipif(not BUBBLEWRAP.works, reason=f"bubblewrap: {BUBBLEWRAP.reason}"),
    ),
    pytest.param(INNER_LAYERS | {"cgroup"}, id="cgroup", marks=NEEDS_CGROUP),
    pytest.param(
        INNER_LAYERS | {"bubblewrap", "cgroup"},
        id="all",
        marks=[NEEDS_CGROUP, pytest.mark.skipif(not BUBBLEWRAP.works, reason=f"bubblewrap: {BUBBLEWRAP.reason}")],
    ),
    pytest.param(UNCONFINED, id="trusted"),
]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("name", EXCESSES)
def test_every_excess_is_ended(place: Bench, name: str, layers: frozenset[LayerName]) -> None:
    done, stopped = place.excess(name, layers)
    assert (done, stopped) == (False, EXCESSES[name].limit)


HELD = """
    import fcntl, os, subprocess, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            held = open('held', 'w')
            fcntl.flock(held, fcntl.LOCK_EX)
            os.set_inheritable(held.fileno(), True)
            subprocess.run(['sleep', '60'], close_fds=False)
        os._exit(0)
    time.sleep(60)
"""
"""A process of the hook that is none of its children has a lock, and so has a program that it started."""


def _programs() -> list[int]:
    """Return the guard, the supervisor and the first process of the one hook that runs."""
    found, waiting = [], [os.getpid()]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        waiting += [int(number) for path in process.glob("task/*/children") for number in path.read_text().split()]
        line = (process / "cmdline").read_bytes().split(b"\0")
        if b"python" in line[0] and any(part.endswith(b"/confine.py") for part in line):
            found.append(int(process.name))
    return found[:3]


def _run_and_fail(place: Bench, layers: frozenset[LayerName], failures: list[DeepLockError]) -> None:
    try:
        place.run(HELD, layers)
    except DeepLockError as error:
        failures.append(error)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("killed", [(0,), (1,), (1, 2)], ids=["guard", "supervisor", "supervisor and hook"])
def test_no_process_of_a_hook_outlives_its_supervisor(
    place: Bench, killed: tuple[int, ...], layers: frozenset[LayerName]
) -> None:
    failures: list[DeepLockError] = []
    thread = threading.Thread(target=_run_and_fail, args=(place, layers, failures))
    thread.start()
    until(lambda: is_locked(place.work / "held"))
    programs = _programs()
    assert len(programs) == 3
    for at in killed:
        with suppress(ProcessLookupError):  # the end of the first one can be that of the second one
            os.kill(programs[at], signal.SIGKILL)
    until(lambda: not is_locked(place.work / "held"))
    thread.join(20)
    assert not thread.is_alive()
    assert [type(failure) for failure in failures] == [HookFailed]
    assert "ended early" in failures[0].message
    assert _programs() == []


def test_a_supervisor_that_is_stopped_ends_with_deep_lock(place: Bench) -> None:
    """Nothing of the hook is left although the supervisor can do nothing."""
    cancelled = threading.Event()
    command = replace(place.command(HELD), cancelled=cancelled)

    def run() -> None:
        with suppress(HookFailed):
            execute(command, INNER_LAYERS)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: is_locked(place.work / "held"))
    os.kill(_programs()[1], signal.SIGSTOP)
    cancelled.set()
    thread.join(40)
    assert not is_locked(place.work / "held")


def test_shared_pages_are_counted_once(place: Bench) -> None:
    code = """
        import os, time
        kept = b'x' * (64 << 20)
        for number in range(6):
            if os.fork() == 0:
                time.sleep(1.5)
                os._exit(0)
        time.sleep(1)
        print('ran')
    """
    ended = place.run(code, limits=Limits(wall_seconds=20, total_memory=160 << 20))
    assert (ended.output, ended.stopped) == ("ran", "")


@NEEDS_CGROUP
def test_in_a_group_no_process_outlives_all_supervisors(place: Bench) -> None:
    """The hook's daemon has left its group of processes, and all programs that watch it are killed at once."""
    thread = threading.Thread(target=_run_and_fail, args=(place, UNCONFINED | {"cgroup"}, []))
    thread.start()
    until(lambda: is_locked(place.work / "held"))
    for process in (programs := _programs()):
        os.kill(process, signal.SIGSTOP)
    for process in programs:
        os.kill(process, signal.SIGKILL)
    thread.join(20)
    assert not is_locked(place.work / "held")


@NEEDS_CGROUP
def test_groups_of_runs_that_were_killed_are_removed() -> None:
    """With the processes in them; the groups of runs that go on stay."""
    with new_group(1 << 30, 100) as mine:
        assert mine is not None
        with subprocess.Popen(["/bin/true"]) as gone:
            pass
        namespace, own, _ = mine.folder.name.removeprefix("deep-lock-").split("-")
        assert own == str(os.getpid())
        left = mine.folder.with_name(f"deep-lock-{namespace}-{gone.pid}-0")
        left.mkdir()
        with subprocess.Popen([*Group(folder=left).enter(), "/bin/sleep", "60"]) as sleeper:
            until(lambda: Group(folder=left).is_populated())
            with new_group(1 << 30, 100) as other:
                assert other is not None
                assert not left.exists()
                assert mine.folder.is_dir()
            assert sleeper.wait(10) == -signal.SIGKILL
    assert not mine.folder.exists()
