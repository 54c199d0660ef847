"""Files that are whole or not there: a kill, a full disk or a second process never leaves half of one."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

TEMPORARY_PREFIX = ".deep-lock-"
TEMPORARY_SUFFIX = ".tmp"

_DEVICES = Path("/dev")
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data``, or leave it as it was and raise OSError.

    A pipe or a device such as /dev/null is written to: replacing it would remove it for all other programs.
    ``durable`` waits for the disk: for a lock, not for a cache.
    """
    if _is_stream(path):
        path.write_bytes(data)
        return
    with replacing(path, durable=durable) as file:
        file.write(data)


def _is_stream(path: Path) -> bool:
    """Whether the path is a pipe or a character device. A link is followed in /dev alone: a checkout may contain any."""
    try:
        mode = (path.stat() if path.parent == _DEVICES else path.lstat()).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


class Replacement(Struct, frozen=True, kw_only=True):
    """A file that the user wrote, and its new content."""

    path: Path
    before: bytes
    after: bytes

    def is_current(self) -> bool:
        """Whether the file still has the old content. Raises OSError."""
        return self.path.read_bytes() == self.before

    def write(self) -> None:
        """Replace the file. A link is followed, and the mode stays: a script may be executable. Raises OSError."""
        self._write(self.after)

    def undo(self) -> None:
        """Put the old content back, unless another program wrote the file since. Raises OSError."""
        if self.path.read_bytes() == self.after:
            self._write(self.before)

    def _write(self, data: bytes) -> None:
        path = Path(os.path.realpath(self.path))  # unlike Path.resolve(), also for links in a circle
        with replacing(path, mode=stat.S_IMODE(path.stat().st_mode)) as file:
            file.write(data)


@contextmanager
def replacing(path: Path, *, durable: bool = True, mode: int | None = None) -> Iterator[BinaryIO]:
    """Yield a new file, to write and read, that replaces ``path`` when the block ends well; else it is removed.

    The temporary file is in the same folder, since a rename is atomic only within one file system.
    ``durable`` as in `write_atomically`; ``mode`` instead of that of a new file. Raises OSError.
    """
    temporary = temporary_path(path)
    handle = os.open(temporary, _NEW_FILE, 0o666)  # less the umask: a lock is read by others, unlike mkstemp's files
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def temporary_path(path: Path) -> Path:
    """Return a name, in the folder of ``path``, that no other file has."""
    return path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}")


def is_temporary(name: str) -> bool:
    """Whether `replacing` makes files of this name: unless a run writes one now, it was left by a killed run."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


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
