"""How far the run of a fleet is, in words: for the progress line, and for the lines of a run without a terminal."""

from deep_lock.events import RepositoryEnded


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
