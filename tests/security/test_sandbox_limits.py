"""A limit counts what is used: by all processes together, and where no folder and no process shows it."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.builds.sandbox.cgroup import (
    SUPERVISOR_MEMORY,
    SUPERVISOR_PROCESSES,
    Group,
    Parent,
    find_parent,
    new_group,
)
from deep_lock.builds.sandbox.run import INNER_LAYERS, UNCONFINED, LayerName, execute
from deep_lock.builds.sandbox.sandbox import Limits, probe
from deep_lock.errors import HookFailed
from tests.support.sandbox_layers import HERE
from tests.support.sandboxed import EXCESSES, HELD, KILLS, Bench, bench, is_locked, programs, until

pytestmark = pytest.mark.skipif(probe().level != "strong", reason=f"no strong sandbox here: {probe().layers}")
CGROUP = next(layer for layer in probe().layers if layer.name == "cgroup")
NEEDS_CGROUP = pytest.mark.skipif(not CGROUP.works, reason=f"cgroup: {CGROUP.reason}")


@pytest.fixture
def place() -> Iterator[Bench]:
    with bench() as made:
        yield made


LAYERS = [*HERE, pytest.param(UNCONFINED, id="trusted")]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("name", EXCESSES)
def test_every_excess_is_ended(place: Bench, name: str, layers: frozenset[LayerName]) -> None:
    done, stopped = place.excess(name, layers)
    assert (done, stopped) == (False, EXCESSES[name].limit)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("killed", KILLS)
def test_no_process_of_a_hook_outlives_its_supervisor(place: Bench, killed: str, layers: frozenset[LayerName]) -> None:
    assert "the supervisor of a build hook ended early" in place.kill(KILLS[killed], layers)


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
    os.kill(programs()[1], signal.SIGSTOP)
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


def test_blocks_are_counted_and_not_sizes(place: Bench) -> None:
    """Of files that have more on disk than their size, which the filter does not let a hook make, and of files with holes."""
    large = """
        import ctypes, time
        for number in range(8):
            file = os.open(str(number), os.O_RDWR | os.O_CREAT)
            keep_size, length = 1, ctypes.c_long(15 << 20)
            if ctypes.CDLL(None).fallocate(file, keep_size, ctypes.c_long(0), length):
                raise OSError("no fallocate here")
        time.sleep(9)
    """
    limits = Limits(wall_seconds=20, folder=48 << 20)
    ended = place.run(f"import os\n{textwrap.dedent(large)}", UNCONFINED, limits=limits)
    if "no fallocate here" in ended.output:
        pytest.skip("this file system has no fallocate")
    assert ended.stopped == "space"
    holes = """
        import os, time
        for number in range(8):
            os.truncate(os.open(f"hole{number}", os.O_RDWR | os.O_CREAT), 15 << 20)
        time.sleep(1)
        print("ran")
    """
    ended = place.run(holes, limits=limits)
    assert (ended.stopped, ended.output) == ("", "ran")


@pytest.mark.parametrize("layers", HERE)
def test_the_kernel_limits_processes_too_within_bubblewrap(place: Bench, layers: frozenset[LayerName]) -> None:
    """Outside of a user namespace all processes of the user would count."""
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC)[0])"
    own = place.run(code, layers, limits=Limits(wall_seconds=20, processes=77)).output
    assert (own == "77") is ("bubblewrap" in layers)


CONTROLLERS = (find_parent() or Parent(folder=Path(), controllers=frozenset())).controllers


@pytest.mark.skipif(
    not {"memory", "pids"} <= CONTROLLERS, reason=f"the control groups here limit {sorted(CONTROLLERS) or 'nothing'}"
)
def test_the_kernel_limits_a_group_as_a_whole(place: Bench) -> None:
    """Processes that no supervisor counts: they are in the group, and it has none."""
    with new_group(64 << 20, 8) as group:
        assert group is not None
        assert int((group.folder / "memory.max").read_text()) == (64 << 20) + SUPERVISOR_MEMORY
        assert int((group.folder / "pids.max").read_text()) == 8 + SUPERVISOR_PROCESSES
        forks = "import os, time\nfor number in range(40):\n    if os.fork() == 0:\n        os.closerange(0, 3)\n        time.sleep(9)\n        os._exit(0)"
        ended = subprocess.run(
            [*group.enter(), sys.executable, "-c", forks], capture_output=True, text=True, check=False
        )
        assert "BlockingIOError" in ended.stderr
    with new_group(64 << 20, 8) as group:
        assert group is not None
        taken = [*group.enter(), sys.executable, "-c", "kept = b'x' * (512 << 20)"]
        assert subprocess.run(taken, check=False).returncode == -signal.SIGKILL
        assert group.lacked_memory()
    limits = Limits(wall_seconds=20, memory=1 << 40, total_memory=128 << 20)
    code = "kept = [bytes(8 << 20).replace(b'\\0', b'x') for number in range(99)]\nprint('got it')"
    ended_hook = place.run(code, INNER_LAYERS | {"cgroup"}, limits=limits)
    assert (ended_hook.stopped, "got it" in ended_hook.output) == ("memory", False)


@pytest.mark.parametrize(
    ("events", "lacked"), [("low 0\noom 1\noom_kill 1\n", True), ("oom 1\noom_kill 0\n", False), ("", False)]
)
def test_a_group_that_lacked_memory(tmp_path: Path, events: str, *, lacked: bool) -> None:
    (tmp_path / "memory.events").write_text(events)
    assert Group(folder=tmp_path).lacked_memory() is lacked
    assert not Group(folder=tmp_path / "none").lacked_memory()


@NEEDS_CGROUP
def test_in_a_group_no_process_outlives_all_supervisors(place: Bench) -> None:
    """The hook's daemon has left its group of processes, and all programs that watch it are killed at once."""

    def run() -> None:
        with suppress(HookFailed):
            place.run(HELD, UNCONFINED | {"cgroup"})

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: is_locked(place.work / "held"))
    for process in (found := programs()):
        os.kill(process, signal.SIGSTOP)
    for process in found:
        os.kill(process, signal.SIGKILL)
    thread.join(20)
    assert not is_locked(place.work / "held")


@NEEDS_CGROUP
def test_groups_of_runs_that_were_killed_are_removed() -> None:
    """With the processes in them; the groups of runs that go on stay."""
    with new_group(1 << 30, 100) as mine:
        assert mine is not None
        namespace, own, _ = mine.folder.name.removeprefix("deep-lock-").split("-")
        assert own == str(os.getpid())
        # its run ends when all is there: tests of other processes remove the groups of runs that ended, too
        run = subprocess.Popen(["/bin/sleep", "60"])
        left = mine.folder.with_name(f"deep-lock-{namespace}-{run.pid}-0")
        left.mkdir()
        with subprocess.Popen([*Group(folder=left).enter(), "/bin/sleep", "60"]) as sleeper:
            until(lambda: Group(folder=left).is_populated())
            run.kill()
            run.wait()
            with new_group(1 << 30, 100) as other:
                assert other is not None
                assert not left.exists()
                assert mine.folder.is_dir()
            assert sleeper.wait(10) == -signal.SIGKILL
    assert not mine.folder.exists()
