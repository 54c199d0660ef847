"""Paths as a lock has them: relative to its folder, never absolute."""

import os
from pathlib import Path

from deep_lock.errors import ConfigError
from deep_lock.lockfile.fields import file_path_fault

_HINT = "A lock has relative paths only. Move the folder to the drive of the lock, or serve it as an index page."


def seen_from(folder: Path, path: Path) -> str:
    """Return the path relative to a folder, with "/". Both must be absolute; links in them are not followed.

    Raises ConfigError if a lock cannot have the path.
    """
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        raise ConfigError(f"{path}: is on another drive than the lock", hint=_HINT) from None
    fault = file_path_fault(relative) if relative != "." else ""
    if fault:
        raise ConfigError(f"{path}: its path in a lock {fault}", hint=_HINT)
    return relative
