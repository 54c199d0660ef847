"""How often a request is tried, and the wait before the next try. Pure.

Our own waits are few and jittered. A wait that the server requests (Retry-After) is kept within bounds; one beyond
them ends the tries at once.
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from msgspec import Struct

SHORTEST_WAIT = 0.5
LONGEST_WAIT = 8.0
LONGEST_SERVER_WAIT = 60.0
TOTAL_SERVER_WAIT = 300.0
MAX_SERVER_WAITS = 10


def read_retry_after(value: str | None, date: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3); None where it is absent or invalid.

    A time is measured from the response's own Date header, so that a wrong clock here has no effect; without a Date it
    is invalid.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until, since = _read_date(text), _read_date(date or "")
    return None if until is None or since is None else max(0.0, until - since)


def _read_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # A time without a zone is UTC in HTTP.
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class RetryBudget(Struct, kw_only=True):
    """The tries and waits that one request has left."""

    tries: int
    """How many tries may fail; waits that the server requests are counted apart."""
    jitter: Callable[[float, float], float]
    """Returns a number between two others."""
    failed: int = 0
    server_waits: int = 0
    server_wait_seconds: float = 0.0

    def wait_after_failure(self, retry_after: float | None) -> float | None:
        """Return the seconds before the next try; None where there is none. ``retry_after`` is the server's request."""
        if retry_after is None:
            self.failed += 1
            if self.failed >= self.tries:
                return None
            return self.jitter(SHORTEST_WAIT, min(LONGEST_WAIT, SHORTEST_WAIT * 4.0**self.failed))
        self.server_waits += 1
        if self.server_waits > MAX_SERVER_WAITS or retry_after > TOTAL_SERVER_WAIT - self.server_wait_seconds:
            return None
        # Never zero: "Retry-After: 0" from a busy server must not cause a burst of requests.
        wait = max(SHORTEST_WAIT, min(retry_after, LONGEST_SERVER_WAIT))
        self.server_wait_seconds += wait
        return wait
