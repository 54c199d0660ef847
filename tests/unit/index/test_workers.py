"""Work is done once, whoever asks; errors stay for who asks."""

import threading
import time

import pytest

from deep_lock.errors import NetworkError, NotCached
from deep_lock.index.workers import LazyFetcher, OnceMap, Workers


def test_a_value_is_worked_out_once_for_many_threads() -> None:
    once: OnceMap[str, int] = OnceMap()
    calls: list[int] = []
    gate = threading.Event()

    def work() -> int:
        calls.append(1)
        gate.wait(5)
        return 42

    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(once.get("x", work))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert once.has("x") or not calls
    gate.set()
    for thread in threads:
        thread.join()
    assert results == [42] * 8
    assert len(calls) == 1


def test_an_error_is_kept_for_who_asks() -> None:
    once: OnceMap[str, int] = OnceMap()
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        raise NotCached("x")

    once.begin("x", work)
    for _ in range(2):
        with pytest.raises(NotCached):
            once.get("x", work)
    assert len(calls) == 1


def test_an_interrupt_goes_on_and_leaves_nobody_waiting() -> None:
    once: OnceMap[str, int] = OnceMap()

    def work() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once.begin("x", work)
    with pytest.raises(KeyboardInterrupt):
        once.get("x", lambda: 1)


def test_who_asks_does_not_wait_for_the_queue() -> None:
    once: OnceMap[str, str] = OnceMap()
    workers = Workers(1)
    gate = threading.Event()
    workers.submit(lambda: gate.wait(5))
    workers.submit(lambda: once.get("x", lambda: threading.current_thread().name))
    assert once.get("x", lambda: threading.current_thread().name) == threading.current_thread().name
    gate.set()
    workers.close()


def test_workers_lose_errors_and_go_on() -> None:
    workers = Workers(2)
    done = threading.Event()

    def fail() -> None:
        raise ValueError

    for _ in range(5):
        workers.submit(fail)
    workers.submit(done.set)
    assert done.wait(5)
    workers.close()


def test_no_more_threads_than_allowed_and_no_more_than_needed() -> None:
    workers = Workers(3)
    gate, lock = threading.Event(), threading.Lock()
    names: set[str | int | None] = set()

    def note() -> None:
        with lock:
            names.add(threading.get_ident())
        gate.wait(5)

    before = threading.active_count()
    for _ in range(10):
        workers.submit(note)
    end = time.monotonic() + 5
    while len(names) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(names) == 3
    assert threading.active_count() - before == 3
    gate.set()
    workers.close(grace=5)
    assert threading.active_count() == before


def test_closing_forgets_what_was_not_begun() -> None:
    workers = Workers(1)
    gate, begun = threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        gate.wait(5)

    workers.submit(first)
    assert begun.wait(5)
    workers.submit(lambda: done.append(1))
    workers.close(grace=0)
    gate.set()
    workers.submit(lambda: done.append(2))
    time.sleep(0.05)
    assert done == []


def test_offline_opens_nothing_and_names_what_is_missing() -> None:
    def refuse() -> None:
        raise AssertionError

    fetcher = LazyFetcher(refuse, offline=True)  # type: ignore[arg-type]  # it must not be called at all
    with pytest.raises(NotCached, match="the page of foo is not in the cache"):
        fetcher.open("the page of foo")
    fetcher.close()


def test_a_closed_lazy_fetcher_opens_nothing() -> None:
    def refuse() -> None:
        raise AssertionError

    fetcher = LazyFetcher(refuse, offline=False)  # type: ignore[arg-type]  # it must not be called at all
    fetcher.close()
    with pytest.raises(NetworkError, match="the page of foo: not fetched, since this run is stopping"):
        fetcher.open("the page of foo")
