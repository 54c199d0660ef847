"""The environment, the clock and the user's folders, read once for every command."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.cli import progress, user_folders
from deep_lock.cli.observed import Observed
from deep_lock.cli.output import ColorMode, Printer
from deep_lock.cli.progress_line import LoggedProgress
from deep_lock.config.options import RunContext
from deep_lock.events import Event, Reporter, Warned, silent

FOREIGN_INDEX_SETTINGS = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
)


ProgressKind = Literal["line", "log", "none"]
"""A line that is drawn again and again; a line in a log after each ten seconds; or none."""


class Session(Struct, frozen=True, kw_only=True):
    """One run of the command line: its output, and the machine."""

    printer: Printer
    context: RunContext
    progress: ProgressKind

    @contextmanager
    def reporting(self, observed: Observed | None = None) -> Iterator[Observed]:
        """Give a Reporter for the duration of the work: progress on a terminal or in a log, and all warnings at the end.

        ``observed`` is one that the caller reads after a failure too.
        """
        observed = observed or Observed()
        try:
            with self._shown_progress() as show_progress:
                observed.receivers = (show_progress, self._log)
                yield observed
        finally:
            for warning in observed.warnings:
                self.printer.warn(warning)

    def _shown_progress(self) -> AbstractContextManager[Reporter]:
        match self.progress:
            case "line":
                return progress.Progress(color=self.printer.is_colored)
            case "log":
                return LoggedProgress(self.printer.info)
        return nullcontext(silent)

    def _log(self, event: Event, /) -> None:
        if not isinstance(event, Warned):  # warnings come at the end, each once
            self.printer.progress(event)


def open_session(printer: Printer, *, verbosity: int, show_progress: bool) -> Session:
    """Read the environment, the clock and the folders, and prepare the output."""
    environ = dict(os.environ)
    printer.verbosity = verbosity
    unused = [name for name in FOREIGN_INDEX_SETTINGS if environ.get(name)]
    if unused:
        printer.info(
            f"note: index settings of other tools are not used without --index-from: {', '.join(unused)}", level=1
        )
    return Session(
        printer=printer,
        context=read_context(),
        progress=_progress_kind(environ)
        if show_progress and verbosity >= 0 and printer.log_format == "text"
        else "none",
    )


def read_context() -> RunContext:
    """Read the environment, the clock and the user's folders."""
    environ = dict(os.environ)
    own_cache = environ.get("DEEP_LOCK_CACHE_DIR")
    return RunContext(
        cache_folder=Path(own_cache) if own_cache else user_folders.cache_folder(),
        now=datetime.now(UTC),
        environ=environ,
        home=Path.home(),
    )


def with_verbosity(session: Session, *, quiet: bool, verbose: int) -> Session:
    """Return the session as -q and -v after the command request it."""
    if not quiet and not verbose:
        return session
    verbosity = -1 if quiet else verbose
    session.printer.verbosity = verbosity
    return replace(session, progress=session.progress if verbosity >= 0 else "none")


def _progress_kind(environ: Mapping[str, str]) -> ProgressKind:
    """Return how progress is shown: a line is never drawn in CI, on a dumb terminal, or into a file."""
    is_live = os.isatty(2) and environ.get("TERM") != "dumb" and not environ.get("CI")
    return "line" if is_live else "log"


def color_mode(choice: str, environ: Mapping[str, str]) -> ColorMode:
    """Return whether output is colored, by the option --color and the variables that decide on "auto"."""
    if choice not in {"", "auto"}:
        return "always" if choice == "always" else "never"
    if environ.get("NO_COLOR"):
        return "never"
    if environ.get("FORCE_COLOR"):
        return "always"
    return "never" if environ.get("TERM") == "dumb" else "auto"
