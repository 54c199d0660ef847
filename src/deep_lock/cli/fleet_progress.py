"""The progress of a fleet as text: for the progress line, and for the lines of a run without a terminal."""

from deep_lock.cli.output import Printer
from deep_lock.events import Event, Planning, Reporter, RepositoryEnded, RepositoryRetried
from deep_lock.sanitize import show


def retry_lines(printer: Printer) -> Reporter:
    """Return a receiver of events that prints a line for each retry; a log in JSON has the events instead."""

    def receive(event: Event, /) -> None:
        if isinstance(event, RepositoryRetried) and printer.log_format != "json":
            printer.info(retried(event))

    return receive


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
