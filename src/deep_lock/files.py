"""Files that are whole or not there: a kill, a full disk or a second process never leaves half of one."""

import os
from contextlib import suppress
from pathlib import Path

TEMPORARY_PREFIX = ".deep-lock-"
TEMPORARY_SUFFIX = ".tmp"

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data``, or leave it as it was and raise OSError.

    The temporary file stands in the same folder, since a rename is atomic only within one file system.
    ``durable`` waits for the disk: for the lock, not for a cache.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}")
    handle = os.open(temporary, _NEW_FILE, 0o666)  # less the umask: a lock is read by others, unlike mkstemp's files
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable. Windows has no such call, and some file systems refuse it."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
