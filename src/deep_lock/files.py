"""Writes files atomically: after a kill, a full disk or with a second process, a file is complete or does not exist."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be removed there
    fcntl = None  # type: ignore[assignment]  # its absence is recorded

_HAS_LOCKS = os.name == "posix"
TEMPORARY_PREFIX = ".deep-lock-"
TEMPORARY_SUFFIX = ".tmp"
TEMPORARY_FOLDER_PREFIX = "deep-lock-tmp-"
"""Of folders in the system's folder for temporary files. The run that makes one holds it (`hold`)."""

_STREAM_FOLDERS = frozenset(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))
"""Only in these is a pipe or a terminal what the user passes to this program: /dev/stdin, or ``<(...)`` of a shell."""
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05
"""Seconds between two tries to get a lock: a wait in the system would have no end."""
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_atomically(path: Path, data: bytes, *, durable: bool = True, temporary_in: Path | None = None) -> None:
    """Replace ``path`` by ``data``, or leave it as it was and raise OSError.

    A pipe or a device such as /dev/null is written to: replacing it would remove it for all other programs.
    ``durable`` waits for the disk: for a lock, not for a cache. ``temporary_in`` as in `replacing`.
    """
    if is_stream(path) or _is_pipe(path):
        _write_stream(path, data)
        return
    with replacing(path, durable=durable, temporary_in=temporary_in) as file:
        file.write(data)


def open_regular(path: Path | str) -> BufferedReader:
    """Open a file that the user or another program names, for reading: never one whose opening or content has no end.

    A pipe or a terminal is accepted where the user passes it: see `is_stream`. Raises OSError, also for a folder.
    """
    try:
        handle = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise _not_regular(error.errno, "a socket", path) from None
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    if is_stream(Path(path)):
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise _not_regular(errno.EINVAL, next((kind for is_kind, kind in _KINDS if is_kind(mode)), "special"), path)


def _not_regular(number: int, kind: str, path: Path | str) -> OSError:
    return OSError(number, f"is {kind}, and not a regular file", str(path))


def is_there(path: Path) -> bool:
    """Whether there is anything at a path; a link to itself leads to nothing.

    What is no file that can be read is refused when it is opened, with the reason.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        return error.errno != errno.ELOOP  # else a folder that may not be searched: opening reports it
    return True


def is_stream(path: Path) -> bool:
    """Whether the path is a pipe or a character device that the user passes: /dev/stdin, /dev/null, ``<(...)`` of a shell.

    Only in /dev and in the folders of descriptors: a checkout may contain any.
    """
    if path.parent not in _STREAM_FOLDERS:
        return False
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_pipe(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _write_stream(path: Path, data: bytes) -> None:
    """Write to a pipe that another program reads, or to a device. Raises OSError, also where no program reads it."""
    try:
        handle = os.open(path, _WRITE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "no program reads this pipe", str(path)) from None
        raise
    with os.fdopen(handle, "wb") as file:
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(handle, True)
        file.write(data)


class Replacement(Struct, frozen=True, kw_only=True):
    """A file that the user wrote, and its new content."""

    path: Path
    before: bytes
    after: bytes

    def is_of(self, path: Path) -> bool:
        """Whether a path leads to the file."""
        return os.path.realpath(path) == os.path.realpath(
            self.path
        )  # unlike Path.resolve(), also for links in a circle

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


def content_now(path: Path, before: bytes | None, after: bytes) -> str:
    """Return what a file contains after a failure: a sentence for its message. ``before`` is None where there was no file."""
    try:
        now = path.read_bytes() if path.exists() else None
    except OSError:
        return "what it contains now is not known"
    if (now or None) == (before or None):
        return "it is as it was" if before else "nothing was written"
    return "it has the new content" if now == after else "another program has written it"


@contextmanager
def replacing(
    path: Path, *, durable: bool = True, mode: int | None = None, temporary_in: Path | None = None
) -> Iterator[BinaryIO]:
    """Yield a new file, to write and read, that replaces ``path`` when the block ends well; else it is removed.

    The temporary file is in the same folder, or in ``temporary_in``, since a rename is atomic only within one file system.
    ``durable`` as in `write_atomically`; ``mode`` instead of that of a new file. Raises OSError.
    """
    with temporary_file(path if temporary_in is None else temporary_in / path.name) as (temporary, file):
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        if not _HAS_LOCKS:  # Windows renames no open file
            file.close()
        temporary.replace(path)
    if durable:
        _sync_folder(path.parent)


@contextmanager
def temporary_file(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield a new file in the folder of ``path``, with a name of its own, and remove it in the end. Raises OSError.

    It is locked until then, so that `sweep` distinguishes it from one that a killed run left.
    """
    temporary, handle = _new_file(path)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield temporary, file
    finally:
        with suppress(OSError):  # it may have its final name
            temporary.unlink()


def _new_file(path: Path) -> tuple[Path, int]:
    while True:
        temporary = temporary_path(path)
        handle = os.open(
            temporary, _NEW_FILE, 0o666
        )  # less the umask: a lock is read by others, unlike mkstemp's files
        hold(handle)
        if not _HAS_LOCKS or os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)  # another run swept it before it was locked


def hold(handle: int) -> None:
    """Lock an open file or folder until it is closed, also by a kill. Some file systems have no locks: then do nothing."""
    if _HAS_LOCKS:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)


def is_left(handle: int) -> bool:
    """Whether an open file or folder is of this user, and no run that is alive holds it. It is held from now on."""
    if not _HAS_LOCKS or os.fstat(handle).st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def take_lock(path: Path) -> int | None:
    """Lock a file, which is made where it is missing, and return its open handle; None where another thread or process has it.

    Closing the handle ends the lock, and so does a kill. Raises OSError where there are no locks, as on Windows.
    """
    if not _HAS_LOCKS:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(path))
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[int | None]:
    """Let one thread or process at a time run the block; yield the open handle of the lock, as `take_lock` returns it.

    It is None, and the block runs without the lock, where there are no locks, and after ``seconds``: another process may be
    stopped.
    """
    handle, until, pause = None, time.monotonic() + seconds, _SHORTEST_PAUSE
    with suppress(OSError):
        while (handle := take_lock(path)) is None and time.monotonic() < until:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def outer_folder(folder: Path) -> Path:
    """Return the system's folder for temporary files, where this one is a run's own."""
    return folder.parent if folder.name.startswith(TEMPORARY_FOLDER_PREFIX) else folder


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed runs left in a folder. Does nothing where that is not possible, as on Windows."""
    if not _HAS_LOCKS:
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_left(entry.path)


def _remove_left(path: str) -> None:
    with suppress(OSError):
        handle = os.open(path, _READ | getattr(os, "O_NOFOLLOW", 0))
        try:
            if is_left(handle):
                os.unlink(path)  # noqa: PTH108 - a text, as the folder's list has it
        finally:
            os.close(handle)


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
