"""The environment, the clock and the folders, read once; and what every command shares."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.cli import progress, user_folders
from deep_lock.cli.output import ColorMode, Printer
from deep_lock.config.options import RunContext
from deep_lock.events import Event, Reporter, Warned

FOREIGN_INDEX_SETTINGS = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
)


def read_surroundings(environ: Mapping[str, str]) -> RunContext:
    """Read what the library below must not read by itself."""
    return RunContext(
        cache_folder=Path(own) if (own := environ.get("DEEP_LOCK_CACHE_DIR")) else user_folders.cache_folder(),
        now=datetime.now(UTC),
        environ=dict(environ),
        home=Path.home(),
    )


def live_output(environ: Mapping[str, str]) -> bool:
    """Whether a live line may be drawn: never in CI, on a dumb terminal, or into a file."""
    return os.isatty(2) and environ.get("TERM") != "dumb" and not environ.get("CI")


class Session(Struct, frozen=True, kw_only=True):
    """What every command shares."""

    printer: Printer
    surroundings: RunContext
    progress: bool
    verbosity: int

    @contextmanager
    def reporting(self) -> Iterator[Reporter]:
        """Give a Reporter for the time of the work: a live line where there is a terminal, warnings always."""
        warned: list[Warned] = []

        def keep(event: Event, /) -> None:
            if isinstance(event, Warned):
                warned.append(event)

        try:
            if not self.progress:
                yield keep
                return
            live = progress.Progress()

            def both(event: Event, /) -> None:
                keep(event)
                live(event)

            with live:
                yield both
        finally:
            for event in sorted(set(warned), key=lambda event: (event.code, event.subject, event.message)):
                self.printer.warn(event.subject, event.message)


def open_session(*, verbosity: int, color: str, show_progress: bool) -> Session:
    """Read the surroundings and make ready to tell of them."""
    environ = dict(os.environ)
    printer = Printer(verbosity=verbosity, color=_color(color, environ))
    unused = [name for name in FOREIGN_INDEX_SETTINGS if environ.get(name)]
    if unused:
        printer.info(f"note: {', '.join(unused)} set and not used, unless --index-from names their tool", level=1)
    return Session(
        printer=printer,
        surroundings=read_surroundings(environ),
        progress=show_progress and verbosity >= 0 and live_output(environ),
        verbosity=verbosity,
    )


def with_verbosity(session: Session, *, quiet: bool, verbose: int) -> Session:
    """Return the session as -q and -v behind the command want it."""
    if not quiet and not verbose:
        return session
    verbosity = -1 if quiet else verbose
    printer = Printer(verbosity=verbosity, color=session.printer.color)
    return replace(session, printer=printer, progress=session.progress and verbosity >= 0, verbosity=verbosity)


def _color(asked: str, environ: Mapping[str, str]) -> ColorMode:
    if asked != "auto":
        return "always" if asked == "always" else "never"
    if environ.get("NO_COLOR"):
        return "never"
    return "always" if environ.get("FORCE_COLOR") else "auto"
