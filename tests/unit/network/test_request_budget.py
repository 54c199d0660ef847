"""The budget of requests: each budget here has own handles of the shared files, as another process has."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deep_lock.network.client import HttpClient, TransportSettings
from deep_lock.network.request_budget import BUSY_HOST_SLOTS, RequestBudget, RequestLimits
from tests.support.fault_server import FaultServer, reply
from tests.support.paths import ROOT

posix_only = pytest.mark.skipif(os.name != "posix", reason="without flock each process has a budget of its own")
ORIGIN, OTHER = ("https", b"index.example", 443), ("https", b"other.example", 443)
HOLDER = """
import sys, time
from pathlib import Path
from deep_lock.network.request_budget import RequestBudget, RequestLimits
with RequestBudget(RequestLimits(folder=Path(sys.argv[1]), at_once=1)).request(("https", b"index.example", 443)):
    print("holds", flush=True)
    time.sleep(60)
"""


def in_threads(count: int, work: Callable[[], None]) -> float:
    """Run the work in threads at once, and return the seconds."""
    began = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work) for _ in range(count)]:
            future.result()
    return time.monotonic() - began


@pytest.mark.parametrize("is_shared", [pytest.param(True, marks=posix_only), False])
def test_a_rate_is_that_of_all(tmp_path: Path, *, is_shared: bool) -> None:
    folder = tmp_path / "shared"
    if not is_shared:
        folder.write_text("no folder")  # then one process has its own budget
    one = RequestBudget(RequestLimits(folder=folder, per_second=20))

    def work() -> None:
        budget = RequestBudget(RequestLimits(folder=folder, per_second=20)) if is_shared else one
        for _ in range(10):
            with budget.request(ORIGIN):
                pass

    assert 0.45 <= in_threads(3, work) < 3  # 20 at once, and 10 more in half a second
    began = time.monotonic()
    with one.request(OTHER):
        assert time.monotonic() - began < 0.3


def most_at_once(folder: Path, limits: RequestLimits) -> int:
    """Return how many of eight requests ran at once."""
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with RequestBudget(limits).request(ORIGIN):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1

    in_threads(8, work)
    assert folder.is_dir()
    return most


@posix_only
def test_few_requests_run_at_once(tmp_path: Path) -> None:
    assert most_at_once(tmp_path, RequestLimits(folder=tmp_path, at_once=2)) == 2


@posix_only
def test_a_wait_that_the_server_requests_is_that_of_all(tmp_path: Path) -> None:
    limits = RequestLimits(folder=tmp_path)
    began = time.monotonic()
    RequestBudget(limits).set_busy(ORIGIN, 0.4)
    with RequestBudget(limits).request(OTHER):
        assert time.monotonic() - began < 0.3
    assert most_at_once(tmp_path, limits) == BUSY_HOST_SLOTS
    assert time.monotonic() - began >= 0.4


@posix_only
def test_a_client_waits_as_the_server_requested_from_another_one(tmp_path: Path) -> None:
    now, waits = [1000.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def client() -> HttpClient:
        limits = RequestLimits(folder=tmp_path, clock=lambda: now[0])
        return HttpClient(TransportSettings(tries=1), lambda _: None, limits=limits, clock=lambda: now[0], sleep=sleep)

    with FaultServer() as server:
        busy = server.script("/busy", reply(status="429 X", headers=[("Retry-After", "7")]), reply(b"x"))
        first, second = client(), client()
        first.get(busy, named_by=busy, limit=100, deadline=20.0)
        assert waits == [7]
        now[0] -= 3  # as if the second client made its request within the wait
        second.get(busy, named_by=busy, limit=100, deadline=20.0)
        assert waits == [7, 3]
        for made in (first, second):
            made.close()


@posix_only
def test_a_killed_process_gives_its_part_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        taken = threading.Event()

        def take() -> None:
            with RequestBudget(RequestLimits(folder=tmp_path, at_once=1)).request(ORIGIN):
                taken.set()

        thread = threading.Thread(target=take)
        thread.start()
        assert not taken.wait(0.2)
        holder.send_signal(signal.SIGKILL)
        thread.join(10)
        assert taken.is_set()


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 16, b"\x00\x00\x00\x00\x00\x00\xf0\x7f" * 2])
def test_a_damaged_file_is_no_wait(tmp_path: Path, content: bytes) -> None:
    budget = RequestBudget(RequestLimits(folder=tmp_path, per_second=1000), sleep=lambda _: pytest.fail("a wait"))
    with budget.request(ORIGIN):
        (path,) = (path for path in tmp_path.iterdir() if not path.suffix)
    path.write_bytes(content)
    with budget.request(ORIGIN):
        pass


@posix_only
def test_a_long_queue_keeps_its_rate(tmp_path: Path) -> None:
    waits = list[float]()
    limits = RequestLimits(folder=tmp_path, per_second=0.1, clock=lambda: 1e9)
    for _ in range(200):
        with RequestBudget(limits, sleep=waits.append).request(ORIGIN):
            pass
    assert waits == pytest.approx([10.0 * number for number in range(1, 200)])


@posix_only
def test_a_clock_that_was_set_back_is_no_wait(tmp_path: Path) -> None:
    later = RequestLimits(folder=tmp_path, per_second=1000, clock=lambda: 10_000.0)
    RequestBudget(later).set_busy(ORIGIN, 60)
    now = RequestLimits(folder=tmp_path, per_second=1000, clock=lambda: 5_000.0)
    with RequestBudget(now, sleep=lambda _: pytest.fail("a wait")).request(ORIGIN):
        pass


def test_a_client_that_is_closing_waits_no_longer(tmp_path: Path) -> None:
    budget = RequestBudget(RequestLimits(folder=tmp_path), sleep=lambda _: None, is_closing=lambda: True)
    budget.set_busy(ORIGIN, 60)
    with budget.request(ORIGIN):
        pass
