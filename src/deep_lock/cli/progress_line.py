"""The progress of a run as text: for the line on a terminal, and for the lines of a run without a terminal.

This module loads nothing that draws: a run without a terminal uses it too.
"""

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from deep_lock.cli.fleet_progress import fleet_progress, planning
from deep_lock.events import (
    BuildEnded,
    Building,
    Event,
    Fetched,
    Fetching,
    Planning,
    RepositoryEnded,
    Solving,
    TargetStarted,
)
from deep_lock.sanitize import Safe, lines, show

SECONDS_BETWEEN_LINES = 10.0
"""In a log: a step that takes less has no line."""


class State:
    """What the events so far amount to. Not safe to call from several threads."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._waiting: dict[str, int] = {}
        self._fetched = 0
        self._bytes = 0
        self._subject = ""
        self._target: TargetStarted | None = None
        self._building: list[str] = []
        self._built = 0
        self._builds = 0
        self._fleet: RepositoryEnded | None = None
        self._plan: Planning | None = None
        self.own_line_at = self._started
        """When a repository of a fleet ended: it has a line of its own."""

    def receive(self, event: Event) -> None:
        """Receive an event."""
        match event:
            case Fetching(name=name):
                self._waiting[name] = self._waiting.get(name, 0) + 1
            case Fetched(name=name, size=size):
                self._waiting.pop(name, None)
                self._fetched += 1
                self._bytes += size
            case TargetStarted():
                self._target = event
            case Solving(subject=subject, target=target):
                self._subject = subject if self._target is not None else f"{subject} on {target}"
            case Building(name=name):
                self._building.append(name)
            case BuildEnded(name=name, total=total):
                self._building.remove(name)
                self._built += 1
                self._builds = total
            case Planning():
                self._plan = event
            case RepositoryEnded():
                self._fleet = event
                self.own_line_at = time.monotonic()
            case _:
                pass

    def line(self, width: int) -> Safe:
        """Return the line in at most ``width`` characters: counts and time first, then what is worked on."""
        if self._fleet is not None:
            return lines(cut(f"{fleet_progress(self._fleet)}; {show(self._fleet.name)}", width))
        if self._plan is not None and self._plan.done < self._plan.total:
            return lines(cut(planning(self._plan), width))
        if self._plan is not None:
            return lines(f"no repository is done yet, {time.monotonic() - self._started:.0f} s")
        return lines(cut(", ".join([*self._counts(), *self._work()]), width))

    def _counts(self) -> Iterable[str]:
        if self._target is not None:
            yield f"{self._target.number} of {self._target.total} targets"
        if self._built or self._building:
            yield f"{self._built} of {self._builds} built" if self._builds else "0 built"
        if self._fetched:
            yield f"{self._fetched} fetched"
            yield f"{self._bytes / 1e6:.1f} MB"
        yield f"{time.monotonic() - self._started:.0f} s"

    def _work(self) -> Iterable[str]:
        if self._building:
            yield f"building {' and '.join(show(name) for name in self._building)}"
        elif self._waiting:
            first, *others = sorted(self._waiting)
            yield f"waiting for {show(first)}{f' and {len(others)} more' if others else ''}"
        elif self._subject:
            yield f"solving {show(self._subject)}"


def cut(text: str, width: int) -> str:
    """Return the text in at most ``width`` characters; a shortened one ends in "..."."""
    return text if len(text) <= width else text[: max(0, width - 3)].rstrip() + "..."[:width]


class LoggedProgress:
    """A Reporter for a run without a terminal: a line each time that `SECONDS_BETWEEN_LINES` have passed without one.

    Safe to call from worker threads. ``write`` gets one line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._state = State()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="progress")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            self._state.receive(event)

    def _run(self) -> None:
        while not self._end.wait(SECONDS_BETWEEN_LINES):
            with self._lock:
                has_own_line = time.monotonic() - self._state.own_line_at < SECONDS_BETWEEN_LINES
                text = self._state.line(200)
            if not has_own_line:
                self._write(f"still working: {text}")
