"""Files that are whole or not there: a kill, a full disk or a second process never leaves half of one."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

TEMPORARY_PREFIX = ".deep-lock-"
TEMPORARY_SUFFIX = ".tmp"


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data``, or leave it as it was and raise OSError.

    The temporary file stands in the same folder, since a rename is atomic only within one file system.
    ``durable`` waits for the disk: for the lock, not for a cache.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        _give_ordinary_mode(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def _give_ordinary_mode(path: Path) -> None:
    """Undo that mkstemp makes files for the owner alone: a lock is read by others, as umask allows."""
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)


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
