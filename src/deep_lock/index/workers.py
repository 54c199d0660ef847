"""Work that is done once, by whoever needs it first.

A thing that is asked for while a worker is at it is waited for; a thing that no worker has begun is done at once by
the asking thread itself. So what was fetched ahead never delays what is needed now, and no two threads can wait for
each other's turn in the queue.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from deep_lock.errors import NetworkError, NotCached
from deep_lock.index.settings import Fetcher

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class OnceMap(Generic[K, V]):
    """A memo for threads: each value is worked out once, errors included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[K, Future[V]] = {}

    def get(self, key: K, work: Callable[[], V]) -> V:
        """Return the value of ``key``; ``work`` is called unless it was, or is being, worked out. Raises what it raised."""
        return self._claimed(key, work).result()

    def begin(self, key: K, work: Callable[[], V]) -> None:
        """As get, but without a wait for another thread and without its errors: they stay for who asks."""
        self._claimed(key, work)

    def has(self, key: K) -> bool:
        """Whether the value is there or being worked out."""
        return key in self._futures

    def _claimed(self, key: K, work: Callable[[], V]) -> Future[V]:
        with self._lock:
            future = self._futures.get(key)
            if future is not None:
                return future
            future = self._futures[key] = Future()
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):  # an interrupt ends the run: waiters must not hang, and it goes on
                raise
        return future


class Workers:
    """Threads that work ahead. Daemons: an interrupt need not wait for a slow server."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False

    def submit(self, task: Callable[[], object]) -> None:
        """Do ``task`` some time. What it raises is lost: tasks leave their errors in a Once."""
        with self._lock:
            if self._closed:
                return
            self._queue.put(task)
            if self._idle < self._queue.qsize() and len(self._threads) < self._count:
                thread = threading.Thread(target=self._work, name="deep-lock-index", daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self, patience: float = 0.25) -> None:
        """Forget what was not begun, and wait a moment (seconds) for what was."""
        with self._lock:
            self._closed = True
            with suppress(Empty):
                while True:
                    self._queue.get_nowait()
            for _ in self._threads:
                self._queue.put(None)
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            task = self._queue.get()
            with self._lock:
                self._idle -= 1
            if task is None:
                return
            with suppress(Exception):
                task()


class LazyFetcher:
    """The way to the network, opened at the first real request: a run that needs none does not pay for its import."""

    def __init__(self, make_fetcher: Callable[[], Fetcher], *, offline: bool) -> None:
        self._make_fetcher = make_fetcher
        self.is_offline = offline
        self._lock = threading.Lock()
        self._fetcher: Fetcher | None = None
        self._closed = False

    def reach(self, what: str) -> Fetcher:
        """Return the fetcher; ``what`` says what is missing. Raises NotCached when offline, NetworkError once closed."""
        if self.is_offline:
            raise NotCached(f"{what} is not in the cache", hint="Run once without --offline.")
        with self._lock:
            if self._closed:  # a worker that comes late must not open a fetcher that nobody closes
                raise NetworkError(f"{what}: not fetched, since this run is stopping")
            if self._fetcher is None:
                self._fetcher = self._make_fetcher()
            return self._fetcher

    def close(self) -> None:
        """Give up all connections, and open none from now on."""
        with self._lock:
            self._closed = True
            if self._fetcher is not None:
                self._fetcher.close()
