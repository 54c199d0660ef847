"""The requests of all processes of a machine to one origin: how many a second, how many at once, and the waits that it requests.

The processes share files in the cache folder, and a killed process leaves nothing behind:

- one file for each origin has two moments: that of the last request that got its turn, and the end of the wait that the server
  requested (Retry-After). It is locked while a process reads and writes it. The moments are of the wall clock: the monotonic
  clock begins again when the machine does, and the file stays;
- a request that runs has the lock of one of as many files as requests may run at once.

Where there are no locks, as on Windows, each process has a budget of its own.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from math import inf
from pathlib import Path
from struct import Struct as Layout

from msgspec import Struct

from deep_lock.files import locked, take_lock
from deep_lock.network.addresses import Origin
from deep_lock.network.retries import LONGEST_SERVER_WAIT

BUSY_HOST_SLOTS = 4
"""How many requests at once may go to a host that answered that it is busy."""

_BUSY_SECONDS = 600.0
"""For how long after its last wait a host counts as busy."""
_LOCK_SECONDS = 5.0
_SLOT_SECONDS = 900.0
"""The longest wait for another process: it may be stopped."""
_LONGEST_QUEUE = 600.0
_MOST_WAITING = 500
"""Seconds, and requests: a moment further ahead is of a clock that was set back."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05
_MOMENTS = Layout("<dd")


class RequestLimits(Struct, frozen=True, kw_only=True):
    """The budget of each origin."""

    folder: Path
    """Shared by the processes."""
    per_second: float | None = None
    at_once: int | None = None
    clock: Callable[[], float] = time.time
    """Returns the seconds since 1970."""


class RequestBudget:
    """The budget, as one process uses it. May be used by several threads."""

    def __init__(
        self,
        limits: RequestLimits,
        *,
        sleep: Callable[[float], object] = time.sleep,
        is_closing: Callable[[], bool] = lambda: False,
    ) -> None:
        """``is_closing``: whether no request waits any longer."""
        self._limits = limits
        self._clock = limits.clock
        self._sleep = sleep
        self._is_closing = is_closing
        self._lock = threading.Lock()
        self._own: dict[Origin, tuple[float, float]] = {}
        """The moments of this process, where there are no locks."""

    @contextmanager
    def request(self, origin: Origin) -> Iterator[None]:
        """Wait for the turn of a request, which the block makes."""
        self._take_turn(origin)
        while (wait := self._server_wait(origin)) > 0 and not self._is_closing():
            self._sleep(wait)
            self._take_turn(origin)  # else all processes continue at the same moment
        at_once = self._limits.at_once or (BUSY_HOST_SLOTS if wait > -_BUSY_SECONDS else 0)
        slot = self._take_slot(origin, at_once) if at_once else None
        try:
            yield
        finally:
            if slot is not None:
                os.close(slot)

    def set_busy(self, origin: Origin, seconds: float) -> None:
        """Let no process make a request for so long: the server requested it."""
        with self._moments(origin) as moments:
            moments[1] = max(moments[1], self._clock() + min(seconds, LONGEST_SERVER_WAIT))

    def _take_turn(self, origin: Origin) -> None:
        """Wait as the rate demands. A second without requests lets a second's worth of them start at once."""
        rate = self._limits.per_second
        if rate is not None:
            with self._moments(origin) as moments:
                now = self._clock()
                moments[0] = max(moments[0], now - max(1.0, 1 / rate)) + 1 / rate
                wait = moments[0] - now
            if wait > 0:
                self._sleep(wait)

    def _server_wait(self, origin: Origin) -> float:
        """Return the seconds before the wait ends that the server requested; negative after its end, and without a wait."""
        with self._moments(origin) as moments:
            return moments[1] - self._clock() if moments[1] else -inf

    def _take_slot(self, origin: Origin, count: int) -> int | None:
        """Return the locked file of one of the requests that may run at once; None where it came to no lock."""
        path = self._path(origin)
        until, pause = self._clock() + _SLOT_SECONDS, _SHORTEST_PAUSE
        with suppress(OSError):
            while self._clock() < until and not self._is_closing():
                for number in range(count):
                    handle = take_lock(path.with_name(f"{path.name}.{number}"))
                    if handle is not None:
                        return handle
                self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return None

    @contextmanager
    def _moments(self, origin: Origin) -> Iterator[list[float]]:
        """Yield the two moments of an origin, to be changed."""
        path = self._path(origin)
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock, locked(path, seconds=_LOCK_SECONDS) as handle:
            if handle is None:
                moments = [*self._own.get(origin, (0.0, 0.0))]
            else:
                data = os.pread(handle, _MOMENTS.size, 0)
                moments = [*_MOMENTS.unpack(data)] if len(data) == _MOMENTS.size else [0.0, 0.0]
            latest = self._clock() + max(_LONGEST_QUEUE, _MOST_WAITING / (self._limits.per_second or inf))
            moments = [moment if 0.0 <= moment <= latest else 0.0 for moment in moments]
            yield moments
            self._own[origin] = moments[0], moments[1]
            if handle is not None:
                with suppress(OSError):
                    os.pwrite(handle, _MOMENTS.pack(*moments), 0)

    def _path(self, origin: Origin) -> Path:
        return self._limits.folder / sha256(repr(origin).encode()).hexdigest()
