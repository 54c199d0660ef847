"""A progress line on a terminal: current work, and pending requests. Loaded only where there is a terminal."""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from deep_lock.cli.progress_line import State
from deep_lock.events import Event

_SPINNER_WIDTH = 3
"""Columns of the spinner with the space after it, and one at the end: a full line would wrap in some terminals."""


class Progress:
    """Shows events as one line on stderr, which fits the width of the terminal. Safe to call from worker threads."""

    def __init__(self, *, color: bool | None = None) -> None:
        self._console = Console(stderr=True, no_color=None if color is None else not color)
        self._state = State()
        self._lock = threading.Lock()
        self._spinner = Spinner("dots")
        self._live = Live(
            console=self._console,
            get_renderable=self._shown,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            self._state.receive(event)

    def _shown(self) -> RenderableType:
        """Return the line: it is drawn ten times a second, for the time in it and when the width changes."""
        self._spinner.update(text=Text(self.line(), no_wrap=True, overflow="crop"))
        return self._spinner

    def line(self) -> str:
        """Return the current line, without the spinner."""
        with self._lock:
            return self._state.line(self._console.width - _SPINNER_WIDTH)
