"""A progress line on a terminal: current work, and pending requests. Loaded only where there is a terminal."""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from deep_lock.cli.fleet_progress import fleet_progress, planning
from deep_lock.events import BuildEnded, Building, Event, Fetched, Fetching, Planning, RepositoryEnded, Solving
from deep_lock.sanitize import lines, show


class Progress:
    """Shows events as one line on stderr. Safe to call from worker threads."""

    def __init__(self, *, color: bool | None = None) -> None:
        console = Console(stderr=True, no_color=None if color is None else not color)
        self._status = Status("starting", console=console)
        self._lock = threading.Lock()
        self._waiting: dict[str, int] = {}
        self._fetched = 0
        self._bytes = 0
        self._subject = ""
        self._building: list[str] = []
        self._built = 0
        self._builds = 0
        self._fleet: RepositoryEnded | None = None
        self._plan: Planning | None = None

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            match event:
                case Fetching(name=name):
                    self._waiting[name] = self._waiting.get(name, 0) + 1
                case Fetched(name=name, size=size):
                    self._waiting.pop(name, None)
                    self._fetched += 1
                    self._bytes += size
                case Solving(subject=subject, target=target):
                    self._subject = f"{subject} on {target}"
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
                case _:
                    return
            self._status.update(self.line())

    def line(self) -> str:
        """Return the current line, in rich's markup."""
        if self._fleet is not None:
            return lines(f"{fleet_progress(self._fleet)}; {show(self._fleet.name)}").replace("[", r"\[")
        if self._plan is not None and self._plan.done < self._plan.total:
            return lines(planning(self._plan))
        parts = [f"solving {show(self._subject)}"] if self._subject else []
        if self._building:
            parts.append(f"building {', '.join(show(name) for name in self._building)}")
        if self._built:
            parts.append(f"{self._built} of {self._builds} built")
        parts.append(f"{self._fetched} fetched, {self._bytes / 1e6:.1f} MB")
        if self._waiting:
            names = sorted(self._waiting)
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            parts.append(f"waiting for {', '.join(show(name) for name in names[:2])}{more}")
        return lines("; ".join(parts)).replace("[", r"\[")
