"""`deep-lock cache`: show or empty the cache. Everything in it can be fetched again."""

import click

from deep_lock.cli.options import TEXT_OR_JSON, sectioned
from deep_lock.cli.session import Session
from deep_lock.cli.usage_errors import CommandGroup
from deep_lock.index.cache import Cache
from deep_lock.reports import document
from deep_lock.sanitize import Safe, lines

PRUNE_SECONDS = 24 * 60 * 60


@click.group("cache", cls=CommandGroup, short_help="Show or empty the cache.")
def cache_command() -> None:
    """Show or empty the cache of index pages, metadata, files and results of build hooks. A later run downloads what it needs again."""


@sectioned("dir", output=(TEXT_OR_JSON,), help="Print the path of the cache folder.")
def cache_dir(session: Session, /, *, form: str) -> None:
    """Write the path."""
    is_json = form == "json"
    session.printer.data(_document(session) if is_json else lines(f"{session.context.cache_folder}\n"))


@sectioned("clean", output=(TEXT_OR_JSON,), help="Remove everything from the cache.")
def cache_clean(session: Session, /, *, form: str) -> None:
    """Remove everything."""
    with session.reporting() as reporter:
        files, size = Cache(session.context.cache_folder, reporter).clean()
    if form == "json":
        session.printer.data(_document(session, files=files, size=size))
    session.printer.info(f"removed {files} files, {size / 1e6:.1f} MB")


@sectioned(
    "prune", output=(TEXT_OR_JSON,), help="Remove temporary files of interrupted runs that are older than one day."
)
def cache_prune(session: Session, /, *, form: str) -> None:
    """Remove old temporary files."""
    now = session.context.now.timestamp()
    with session.reporting() as reporter:
        files = Cache(session.context.cache_folder, reporter).prune(now - PRUNE_SECONDS)
    if form == "json":
        session.printer.data(_document(session, files=files))
    session.printer.info(f"removed {files} files")


def _document(session: Session, *, files: int | None = None, size: int | None = None) -> Safe:
    payload = {"folder": str(session.context.cache_folder), "removed-files": files, "removed-bytes": size}
    return document.document("cache", 1, payload)


for _command in (cache_dir, cache_clean, cache_prune):
    cache_command.add_command(_command)
