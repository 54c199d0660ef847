"""Work that is done once, by the first thread that needs it.

A value that a worker is computing is waited for; a value that no worker has begun is computed at once by the calling
thread itself. So prefetching never delays what is needed now, and no two threads can wait for each other in the queue.
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
    """A memo for threads: each value is computed once, errors included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[K, Future[V]] = {}

    def get(self, key: K, work: Callable[[], V]) -> V:
        """Return the value of ``key``; ``work`` is called for the first caller only. Raises what it raised."""
        return self._claimed(key, work).result()

    def begin(self, key: K, work: Callable[[], V]) -> None:
        """As get, but without a wait for another thread and without errors: `get` raises them later."""
        self._claimed(key, work)

    def has(self, key: K) -> bool:
        """Whether the value is computed or being computed."""
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
            if not isinstance(error, Exception):  # an interrupt ends the run: waiters must not hang, and it continues
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
        """Run ``task`` in the background. What it raises is lost: tasks leave their errors in a OnceMap."""
        with self._lock:
            if self._closed:
                return
            self._queue.put(task)
            if self._idle < self._queue.qsize() and len(self._threads) < self._count:
                thread = threading.Thread(target=self._work, name="deep-lock-index", daemon=True)
                with suppress(RuntimeError):  # no more threads: the calling thread does the work when it needs it
                    thread.start()
                    self._threads.append(thread)

    def close(self, grace: float = 0.25) -> None:
        """Drop the tasks that were not begun, and wait up to ``grace`` seconds for the others."""
        with self._lock:
            self._closed = True
            with suppress(Empty):
                while True:
                    self._queue.get_nowait()
            for _ in self._threads:
                self._queue.put(None)
        end = time.monotonic() + grace
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
            with suppress(BaseException):  # also the interrupt of a thread that computed the value
                task()


class LazyFetcher:
    """The fetcher, made at the first real request: a run without requests does not pay for the import."""

    def __init__(self, make_fetcher: Callable[[], Fetcher], *, offline: bool) -> None:
        self._make_fetcher = make_fetcher
        self.is_offline = offline
        self._lock = threading.Lock()
        self._fetcher: Fetcher | None = None
        self._closed = False

    def open(self, what: str) -> Fetcher:
        """Return the fetcher; ``what`` names what is missing. Raises NotCached when offline, NetworkError once closed."""
        if self.is_offline:
            raise NotCached(f"{what} is not in the cache", hint="Run once without --offline.")
        with self._lock:
            if self._closed:  # a late worker must not make a fetcher that is never closed
                raise NetworkError(f"{what}: not fetched, since this run is stopping")
            if self._fetcher is None:
                self._fetcher = self._make_fetcher()
            return self._fetcher

    def close(self) -> None:
        """Close all connections, and open none from now on."""
        with self._lock:
            self._closed = True
            if self._fetcher is not None:
                self._fetcher.close()
