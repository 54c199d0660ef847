"""How far the run of a fleet is, in words: for the progress line, and for the lines of a run without a terminal."""

from deep_lock.events import RepositoryEnded


def fleet_progress(event: RepositoryEnded) -> str:
    """Return how far a run of a fleet is, with its rate and the time that is left at this rate."""
    rate = event.done / event.seconds if event.seconds > 0 else 0.0
    parts = [f"{event.done} of {event.total} repositories"]
    if event.failed:
        parts.append(f"{event.failed} failed")
    if rate:
        parts.append(f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min")
        if event.done < event.total:
            parts.append(f"{_duration((event.total - event.done) / rate)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
