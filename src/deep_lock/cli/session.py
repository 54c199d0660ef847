"""The environment, the clock and the user's folders, read once for every command."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.cli import progress, user_folders
from deep_lock.cli.observed import Observed
from deep_lock.cli.output import ColorMode, Printer
from deep_lock.config.options import RunContext
from deep_lock.events import Event, Warned, silent

FOREIGN_INDEX_SETTINGS = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
)


class Session(Struct, frozen=True, kw_only=True):
    """One run of the command line: its output, and the machine."""

    printer: Printer
    context: RunContext
    progress: bool
    """Whether a progress line is drawn."""

    @contextmanager
    def reporting(self, observed: Observed | None = None) -> Iterator[Observed]:
        """Give a Reporter for the duration of the work: a progress line on a terminal, and all warnings at the end.

        ``observed`` is one that the caller reads after a failure too.
        """
        observed = observed or Observed()
        try:
            with (
                progress.Progress(color=self.printer.is_colored)
                if self.progress
                else nullcontext(silent) as show_progress
            ):
                observed.receivers = (show_progress, self._log)
                yield observed
        finally:
            for warning in observed.warnings:
                self.printer.warn(warning)

    def _log(self, event: Event, /) -> None:
        if not isinstance(event, Warned):  # warnings come at the end, each once
            self.printer.progress(event)


def open_session(printer: Printer, *, verbosity: int, color: str, show_progress: bool) -> Session:
    """Read the environment, the clock and the folders, and prepare the output."""
    environ = dict(os.environ)
    printer.verbosity = verbosity
    printer.set_color(_color(color, environ))
    unused = [name for name in FOREIGN_INDEX_SETTINGS if environ.get(name)]
    if unused:
        printer.info(
            f"note: index settings of other tools are not used without --index-from: {', '.join(unused)}", level=1
        )
    return Session(
        printer=printer,
        context=read_context(),
        progress=show_progress and verbosity >= 0 and printer.log_format == "text" and _is_live(environ),
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
    return replace(session, progress=session.progress and verbosity >= 0)


def _is_live(environ: Mapping[str, str]) -> bool:
    """Whether a progress line may be drawn: never in CI, on a dumb terminal, or into a file."""
    return os.isatty(2) and environ.get("TERM") != "dumb" and not environ.get("CI")


def _color(choice: str, environ: Mapping[str, str]) -> ColorMode:
    if choice != "auto":
        return "always" if choice == "always" else "never"
    if environ.get("NO_COLOR"):
        return "never"
    return "always" if environ.get("FORCE_COLOR") else "auto"
