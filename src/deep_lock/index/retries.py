"""When to ask again, and how long to wait before it. Pure.

Law: a GET may be repeated, but never for ever. Our own waits are few and jittered; a server's wish (Retry-After) is
obeyed within bounds, and a wish beyond them ends the matter at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST_WAIT = 0.5
LONGEST_WAIT = 8.0
LONGEST_TOLD_WAIT = 60.0
TOTAL_TOLD_WAIT = 300.0
MAX_TOLD_WAITS = 10


def read_retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """The seconds that Retry-After asks for (RFC 9110, 10.2.3); None where it is absent or senseless.

    A date is measured from the server's own Date header where there is one, so that a wrong clock here does no harm;
    else from ``now``, in seconds since the epoch.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = _read_date(text)
    if until is None:
        return None
    since = _read_date(date) if date is not None else None
    return max(0.0, until - (now if since is None else since))


def _read_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # A time without a zone is UTC in HTTP.
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def now_in_seconds() -> float:
    """The wall clock, which only a Retry-After date without a Date header needs."""
    return datetime.now(UTC).timestamp()


@dataclass(kw_only=True, slots=True)
class Patience:
    """What is left of one request's tries and waits."""

    tries: int
    """How many tries may fail by themselves; waits that a server asked for are counted apart."""
    jitter: Callable[[float, float], float]
    """A number between the two given."""
    failed: int = 0
    told: int = 0
    told_seconds: float = 0.0

    def wait_after_failure(self, wish: float | None) -> float | None:
        """The seconds to wait before the next try; None where there shall be none.

        ``wish`` is what the server asked for, None where it asked for nothing.
        """
        if wish is not None:
            return self._wait_as_told(wish)
        self.failed += 1
        if self.failed >= self.tries:
            return None
        longest = min(LONGEST_WAIT, SHORTEST_WAIT * 4.0**self.failed)
        return self.jitter(SHORTEST_WAIT, longest)

    def _wait_as_told(self, wish: float) -> float | None:
        self.told += 1
        left = TOTAL_TOLD_WAIT - self.told_seconds
        if self.told > MAX_TOLD_WAITS or wish > left:
            return None
        # At least a little: "Retry-After: 0" from a busy server must not become a storm.
        wait = max(SHORTEST_WAIT, min(wish, LONGEST_TOLD_WAIT))
        self.told_seconds += wait
        return wait
