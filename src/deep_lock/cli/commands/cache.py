"""`deep-lock cache`: show or empty the cache. Everything in it can be fetched again."""

import click

from deep_lock.cli.session import Session
from deep_lock.index.cache import Cache
from deep_lock.sanitize import lines

PRUNE_SECONDS = 24 * 60 * 60


@click.group("cache", short_help="Show or empty the cache.")
def cache_command() -> None:
    """Show or empty the cache of index pages, metadata and build facts. Everything in it can be fetched again."""


@cache_command.command("dir")
@click.pass_obj
def cache_dir(session: Session) -> None:
    """Print the cache folder."""
    session.printer.data(lines(f"{session.context.cache_folder}\n"))


@cache_command.command("clean")
@click.pass_obj
def cache_clean(session: Session) -> None:
    """Remove everything in the cache."""
    with session.reporting() as reporter:
        files, size = Cache(session.context.cache_folder, reporter).clean()
    session.printer.info(f"removed {files} files, {size / 1e6:.1f} MB")


@cache_command.command("prune")
@click.pass_obj
def cache_prune(session: Session) -> None:
    """Remove what a killed run left behind."""
    now = session.context.now.timestamp()
    with session.reporting() as reporter:
        files = Cache(session.context.cache_folder, reporter).prune(now - PRUNE_SECONDS)
    session.printer.info(f"removed {files} files")
