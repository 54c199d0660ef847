"""Patience: how often, and how long between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.network.retries import LONGEST_WAIT, SHORTEST_WAIT, TOTAL_SERVER_WAIT, RetryBudget, read_retry_after

DATE = "Sun, 06 Nov 2044 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("0", None, 0.0),
        (" 120 ", None, 120.0),
        ("9" * 5000, None, 999999999.0),
        ("Sun, 06 Nov 2044 08:50:07 GMT", DATE, 30.0),
        ("Sun, 06 Nov 2044 08:00:00 GMT", DATE, 0.0),
        ("Sun, 06 Nov 2044 08:50:07 GMT", None, None),
        ("Sun, 06 Nov 2044 08:50:07 GMT", "yesterday", None),
        ("soon", DATE, None),
        ("-5", DATE, None),
        ("1.5", DATE, None),
        ("\u0661", None, None),
        ("", DATE, None),
        ("Sun, 06 Nov 99999999999 08:50:07 GMT", DATE, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, date) == seconds


@given(st.text(), st.text())
def test_retry_after_of_any_text(value: str, date: str) -> None:
    seconds = read_retry_after(value, date)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("tries", [1, 2, 3, 7])
def test_own_tries(tries: int) -> None:
    bounds: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    patience = RetryBudget(tries=tries, jitter=jitter)
    waits = [patience.wait_after_failure(None) for _ in range(tries)]
    assert waits[-1] is None
    assert None not in waits[:-1]
    assert all(SHORTEST_WAIT == low < high <= LONGEST_WAIT for low, high in bounds)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=60))
def test_patience_ends(wishes: list[float | None]) -> None:
    patience = RetryBudget(tries=3, jitter=lambda low, _: low)
    waits = [patience.wait_after_failure(wish) for wish in wishes]
    told = [wait for wish, wait in zip(wishes, waits, strict=True) if wish is not None and wait is not None]
    own = [wait for wish, wait in zip(wishes, waits, strict=True) if wish is None and wait is not None]
    assert sum(told) <= TOTAL_SERVER_WAIT + SHORTEST_WAIT
    assert len(told) <= 10
    assert len(own) <= 2
    assert all(wait >= SHORTEST_WAIT for wait in told + own)
