"""The progress of a fleet as text: for the progress line, and for the lines of a run without a terminal."""

import time

from deep_lock.cli.output import Printer
from deep_lock.events import Event, Planning, RepositoryEnded, RepositoryRetried
from deep_lock.sanitize import show

LINE_SECONDS = 10.0
"""Between two lines about the plan."""


class Lines:
    """Writes lines for people: each retry, and without a progress line how far the plan is."""

    def __init__(self, printer: Printer, *, has_progress: bool) -> None:
        self._printer = printer
        self._has_progress = has_progress
        self._next = time.monotonic() + LINE_SECONDS

    def __call__(self, event: Event, /) -> None:
        """Receive an event, in the main thread."""
        if self._printer.log_format == "json":  # the log has the events
            return
        if isinstance(event, RepositoryRetried):
            self._printer.info(retried(event))
        elif isinstance(event, Planning) and not self._has_progress and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            self._printer.info(planning(event))


def retried(event: RepositoryRetried) -> str:
    """Return why a repository is tried again, and when."""
    reason = show(event.reason.partition("\n")[0], limit=300)
    when = f"in {event.pause:.0f} s" if event.pause else "now"
    return f"{show(event.name)}: attempt {event.attempt} failed, the next one is {when}: {reason}"


def planning(event: Planning) -> str:
    """Return how far the plan is."""
    return f"{event.subject}: {event.done} of {event.total}"


def fleet_progress(event: RepositoryEnded) -> str:
    """Return how many repositories are done and failed, with the rate and the time that is left at this rate."""
    parts = [f"{event.done} of {event.total} repositories"]
    if event.failed:
        parts.append(f"{event.failed} failed")
    return ", ".join([*parts, *_rate(event)])


def rate_and_time_left(event: RepositoryEnded) -> str:
    """Return the rate, and the time that is left; empty where no time has passed."""
    return ", ".join(_rate(event))


def _rate(event: RepositoryEnded) -> list[str]:
    if event.seconds <= 0:
        return []
    rate = event.done / event.seconds
    shown = [f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"]
    return [*shown, f"{_duration((event.total - event.done) / rate)} left"] if event.done < event.total else shown


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
