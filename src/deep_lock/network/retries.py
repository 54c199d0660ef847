"""When to ask again, and how long to wait before it. Pure.

Law: a GET may be repeated, but never for ever. Our own waits are few and jittered; a server's retry_after (Retry-After) is
obeyed within bounds, and a retry_after beyond them ends the matter at once.
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
    """The seconds that Retry-After asks for (RFC 9110, 10.2.3); None where it is absent or senseless.

    A moment is measured from the answer's own Date header, so that a wrong clock here does no harm; a moment without
    a Date counts as senseless.
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
    """What is left of one request's tries and waits."""

    tries: int
    """How many tries may fail by themselves; waits that a server asked for are counted apart."""
    jitter: Callable[[float, float], float]
    """A number between the two given."""
    failed: int = 0
    server_waits: int = 0
    server_wait_seconds: float = 0.0

    def wait_after_failure(self, retry_after: float | None) -> float | None:
        """The seconds to wait before the next try; None where there shall be none.

        ``retry_after`` is what the server asked for, None where it asked for nothing.
        """
        if retry_after is not None:
            return self._wait_as_asked(retry_after)
        self.failed += 1
        if self.failed >= self.tries:
            return None
        longest = min(LONGEST_WAIT, SHORTEST_WAIT * 4.0**self.failed)
        return self.jitter(SHORTEST_WAIT, longest)

    def _wait_as_asked(self, retry_after: float) -> float | None:
        self.server_waits += 1
        left = TOTAL_SERVER_WAIT - self.server_wait_seconds
        if self.server_waits > MAX_SERVER_WAITS or retry_after > left:
            return None
        # At least a little: "Retry-After: 0" from a busy server must not become a storm.
        wait = max(SHORTEST_WAIT, min(retry_after, LONGEST_SERVER_WAIT))
        self.server_wait_seconds += wait
        return wait
