"""A store that several machines share: files and metadata files of indexes, by the sha256 of their bytes.

Invariants:

- The store is not trusted. Bytes with another sha256 than the name of their object are refused with a warning that names the
  object, and the index is used instead. So the store has only what its name proves: no pages, and no parsed records.
- A store that fails or is slow never fails a run: after a few faults it is used no more, with one warning.
- Objects are written in the background, only where the run may write.

fsspec, which the extra ``deep-lock[fleet]`` installs, connects to the store; the store's own credentials are its matter.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from deep_lock.boundary import MAX_REASON
from deep_lock.errors import ConfigError, NetworkError, UsageError, raise_machine_fault
from deep_lock.events import Reporter, Warned
from deep_lock.index.workers import Workers
from deep_lock.lazy import tempfile
from deep_lock.network.urls import shown_url
from deep_lock.sanitize import show

try:
    import fsspec
except ImportError:
    fsspec = None  # an optional dependency; `open_remote_cache` reports it

SILENT_SECONDS = 10.0
"""How long the store may take for the next bytes of an object, and at the end of a run to write one more."""
READ_SECONDS = 120.0
"""How long it may take for an object."""
WRITE_SECONDS = 600.0
"""How long it may take for an object that the run waits for."""
MOST_FAULTS = 3
"""Faults in a row after which the store is used no more. One that took too long is as bad."""

_LAYOUT = "v1"
_WRITERS = 4
_CHUNK = 1 << 20

T = TypeVar("T")


def open_remote_cache(url: str, reporter: Reporter, *, read_only: bool) -> "RemoteCache":
    """Prepare to use a store, as ``s3://bucket/folder`` or ``file:///mnt/cache``; nothing is requested yet.

    Imports what the store needs: nothing is imported after the first response. Raises UsageError and ConfigError.
    """
    if fsspec is None:
        raise UsageError("a remote cache cannot be used: fsspec is not installed", hint="install deep-lock[fleet]")
    shown = shown_url(url)
    try:
        system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"the remote cache {shown} cannot be used: {show(str(error), MAX_REASON)}",
            hint="install the library that fsspec needs for it, as s3fs, gcsfs or adlfs",
        ) from None
    except Exception as error:  # noqa: BLE001 - each kind of store has its own
        raise_machine_fault(error)
        raise ConfigError(f"the remote cache {shown} cannot be used: {show(str(error), MAX_REASON)}") from None
    return RemoteCache(system, str(root), shown, reporter, read_only=read_only)


class RemoteCache:
    """The store, as one run uses it. May be used by several threads."""

    def __init__(self, system: Any, root: str, shown: str, reporter: Reporter, *, read_only: bool) -> None:
        """``system`` is a file system of fsspec, ``root`` the folder in it, and ``shown`` its URL for messages."""
        self._system = system
        self._root = root.rstrip("/")
        self._shown = shown.rstrip("/")
        self._reporter = reporter
        self._read_only = read_only
        self._is_folder = "file" in ((protocol,) if isinstance(protocol := system.protocol, str) else protocol)
        self._lock = threading.Condition()
        self._faults = 0
        self._warned = False
        self._pending = 0
        self._writers = Workers(_WRITERS)

    def read(self, digest: str, *, limit: int) -> bytes | None:
        """Return the bytes with this sha256; None where the store does not have them, or cannot be used."""
        file = self.open(digest, limit=limit)
        if file is None:
            return None
        with file:
            return file.read()

    def write(self, digest: str, content: bytes | Path) -> None:
        """Write bytes, or a file, with this sha256 in the background. What has other bytes is refused by those who read it."""
        if self._read_only or not self._is_usable:
            return
        with self._lock:
            self._pending += 1
        self._writers.submit(lambda: self._written(digest, content))

    def supply(self, digest: str, content: bytes | Path, *, again: bool) -> None:
        """Write bytes, or a file, with this sha256 now, where the store does not have the object, or ``again``. Raises NetworkError."""
        try:
            _in_time(lambda _: self._supplied(digest, content, again=again), silent=WRITE_SECONDS, total=WRITE_SECONDS)
        except Exception as error:  # noqa: BLE001 - each kind of store has its own
            raise_machine_fault(error)
            reason = show(str(error), MAX_REASON) or "no response in time"
            raise NetworkError(
                f"the remote cache {self._shown} cannot be written: {reason} ({type(error).__name__})"
            ) from None

    def _supplied(self, digest: str, content: bytes | Path, *, again: bool) -> None:
        if again or not self._system.exists(self._path(digest)):
            self._put(self._path(digest), content)

    def close(self) -> None:
        """Wait until the objects are written, as long as there is progress, and use the store no more."""
        with self._lock:
            while self._pending and self._is_usable and self._lock.wait(SILENT_SECONDS):
                pass
            is_late = bool(self._pending) and self._is_usable
        if is_late:
            self._count_fault("written", TimeoutError())
        with self._lock:
            self._faults = MOST_FAULTS
        self._writers.close(0.0)

    @property
    def _is_usable(self) -> bool:
        return self._faults < MOST_FAULTS

    def _path(self, digest: str) -> str:
        return f"{self._root}/{_LAYOUT}/{digest[:2]}/{digest}"

    # -- reading

    def open(self, digest: str, *, limit: int) -> BinaryIO | None:
        """Return the file with this sha256, at its start, as a temporary file; else as `read`. ``limit`` is in bytes."""
        if not self._is_usable:
            return None
        try:
            file, found = _in_time(
                lambda progress: self._copied(digest, limit, progress), silent=SILENT_SECONDS, total=READ_SECONDS
            )
        except FileNotFoundError:
            self._count_success()
            return None
        except Exception as error:  # noqa: BLE001 - each kind of store has its own
            raise_machine_fault(error)
            self._count_fault("read", error)
            return None
        self._count_success()
        if found == digest:
            return file
        file.close()
        self._reporter(
            Warned(
                code="RemoteObjectRefused",
                subject=f"{self._shown}/{_LAYOUT}/{digest[:2]}/{digest}",
                message=f"this object of the remote cache is not used: its bytes have sha256 {found}",
            )
        )
        return None

    def _copied(self, digest: str, limit: int, progress: Callable[[], None]) -> tuple[BinaryIO, str]:
        """Copy an object to a temporary file; return it and its sha256. Of one that is too large: of its first bytes."""
        with self._system.open(self._path(digest), "rb") as source, ExitStack() as stack:
            file: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
            found, size = sha256(), 0
            while size <= limit and (chunk := source.read(_CHUNK)):
                progress()
                size += len(chunk)
                found.update(chunk)
                file.write(chunk)
            file.seek(0)
            stack.pop_all()
        return file, found.hexdigest()

    # -- writing

    def _written(self, digest: str, content: bytes | Path) -> None:
        try:
            if self._is_usable:
                self._put(self._path(digest), content)
        except Exception as error:  # noqa: BLE001 - each kind of store has its own
            self._count_fault("written", error)
        finally:
            with self._lock:
                self._pending -= 1
                self._lock.notify_all()

    def _put(self, path: str, content: bytes | Path) -> None:
        # an object of a store appears whole; a file in a folder only by a rename
        place = f"{path}.{os.urandom(8).hex()}.tmp" if self._is_folder else path
        if self._is_folder:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if isinstance(content, bytes):
            self._system.pipe_file(place, content)
        else:
            self._system.put_file(str(content), place)
        if self._is_folder:
            self._system.mv(place, path)

    def _count_success(self) -> None:
        """End the faults in a row. A store that is given up or closed stays so."""
        with self._lock:
            if self._is_usable:
                self._faults = 0

    def _count_fault(self, verb: str, error: Exception) -> None:
        with self._lock:
            self._faults += MOST_FAULTS if isinstance(error, TimeoutError) else 1
            is_first, self._warned = not self._warned, True
        if is_first:
            reason = show(str(error), MAX_REASON) or "no response in time"
            message = (
                f"the remote cache cannot be {verb}; the run goes on without it: {reason} ({type(error).__name__})"
            )
            self._reporter(Warned(code="RemoteCacheFailed", subject=self._shown, message=message))


def _in_time(work: Callable[[Callable[[], None]], T], *, silent: float, total: float) -> T:
    """Return what work returns, or raise what it raises; TimeoutError where it takes too long: no library has a deadline.

    Work calls its argument whenever it has made progress. It may take ``silent`` seconds without progress.
    """
    future: Future[T] = Future()
    began = last = time.monotonic()

    def progress() -> None:
        nonlocal last
        last = time.monotonic()

    def run() -> None:
        try:
            future.set_result(work(progress))
        except BaseException as error:  # noqa: BLE001 - it is raised below
            future.set_exception(error)

    threading.Thread(target=run, name="deep-lock-remote-cache", daemon=True).start()
    while True:
        left = min(last + silent, began + total) - time.monotonic()
        with suppress(TimeoutError):
            return future.result(max(left, 0.0))
        if future.done() or left <= 0:
            return future.result(0.0)
