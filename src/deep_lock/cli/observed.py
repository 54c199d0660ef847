"""The warnings of a command, and the number of its requests."""

import threading
import time
from typing import Any

from deep_lock.events import Event, Fetched, FromCache, Reporter, Warned
from deep_lock.reports.document import warning_row


class Observed:
    """A Reporter that counts events, and passes each to ``receivers``. Safe to call from worker threads."""

    def __init__(self) -> None:
        self.receivers: tuple[Reporter, ...] = ()
        self.requests = 0
        self.received_bytes = 0
        self.cache_hits = 0
        """The number of index pages, metadata and files that were in the cache, so that no request was made."""
        self._warnings: set[Warned] = set()
        self._counting = threading.Lock()
        self._started = time.monotonic()

    def __call__(self, event: Event, /) -> None:
        """Receive an event."""
        with self._counting:
            match event:
                case Warned():
                    self._warnings.add(event)
                case Fetched(size=size):
                    self.requests += 1
                    self.received_bytes += size
                case FromCache():
                    self.cache_hits += 1
                case _:
                    pass
        for receive in self.receivers:
            receive(event)

    def row(self) -> dict[str, Any]:
        """Return the counts as JSON documents have them; the time is that since the work began."""
        return {
            "warnings": [warning_row(own) for own in self.warnings],
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "received-bytes": self.received_bytes,
            "cache-hits": self.cache_hits,
        }

    @property
    def seconds(self) -> float:
        """The time since the work began."""
        return time.monotonic() - self._started

    @property
    def warnings(self) -> list[Warned]:
        """The warnings, each once, in the order of their codes and subjects."""
        return sorted(self._warnings, key=lambda own: (own.code, own.subject, own.message))
