"""A checkout by other authors: its files may name files of the checkout only, and no other file of this machine.

`refuse_links` looks for links that lead out of it, once. `require_inside` checks each path that a file of it states.
"""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from deep_lock.errors import OutsideCheckout
from deep_lock.sanitize import show

MAX_SHOWN = 5


def require_inside(path: Path, checkout: Path | None, named_by: object) -> Path:
    """Return a path that a file of the checkout states. None: there is no checkout, and the user's own files name any path.

    Links are followed, so that no ``..`` behind a link leads out of it. Raises OutsideCheckout.
    """
    if checkout is not None and not _real(path).is_relative_to(_real(checkout)):
        raise OutsideCheckout(
            f"{named_by}: {show(Path(os.path.relpath(path, checkout)).as_posix())} is outside of the repository",
            hint="name a file or a folder of the repository, a URL, or a version of an index",
        )
    return path


def refuse_links(checkout: Path, exclude: Sequence[str], name: str) -> None:
    """Refuse a checkout with links that lead out of it. Those in folders that ``exclude`` names are removed instead.

    Links to files and folders of the checkout stay, also where these do not exist. ``name`` is that of the repository. Raises
    OutsideCheckout.
    """
    top, found = _real(checkout), list[str]()
    for link in _links(top):
        if _real(link).is_relative_to(top):
            continue
        path = link.relative_to(top).as_posix()
        if any(fnmatchcase(str(own), pattern.rstrip("/")) for own in _with_parents(path) for pattern in exclude):
            link.unlink()
        else:
            found.append(path)
    if found:
        shown = ", ".join(map(show, sorted(found)[:MAX_SHOWN]))
        more = f" and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
        raise OutsideCheckout(
            f"{name}: not used, since it has links that lead out of the repository: {shown}{more}",
            hint="replace them by files, or leave them out: exclude in the list of repositories",
        )


def _with_parents(path: str) -> Iterator[PurePosixPath]:
    yield PurePosixPath(path)
    yield from PurePosixPath(path).parents


def _links(top: Path) -> Iterator[Path]:
    """Yield the links in a folder and below it. No link is entered."""
    folders = [str(top)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve(), also for links in a circle
