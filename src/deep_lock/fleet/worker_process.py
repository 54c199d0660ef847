"""Runs tasks in a worker: a process of its own, which is ended where a task takes too long, and replaced where it was killed.

`run_in_worker` is the one function that an engine calls, here or on another machine. Its argument and its result are JSON; a wheel
that was built is next to it, as bytes.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from deep_lock.errors import UsageError, raise_machine_fault
from deep_lock.fleet.build_task import WHEEL, WHEEL_BYTES
from deep_lock.fleet.records import AnyResult, AnyTask, BuildResult, BuildTask, RepositoryResult, Task, TaskResult
from deep_lock.fleet.worker import OUT_OF_MEMORY
from deep_lock.reports.document import Failure

COMMAND = (sys.executable, "-P", "-m", "deep_lock", "--no-progress", "-q", "fleet", "worker")
"""-P: no file of the current folder is imported."""
TASKS_OF_ONE = 200
"""After so many tasks the process is replaced: it does not grow for a whole night."""
GRACE_SECONDS = 5.0
"""From the request to end, by which temporary folders and hooks are removed, to the kill."""


class Worker:
    """The process that does tasks, and that another one replaces."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._done = 0

    def run(self, task: AnyTask) -> AnyResult:
        """Do a task. Where the process does not end it, the result is that of a kill."""
        if self._done >= TASKS_OF_ONE:
            self.close()
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = _started()
            self._done = 0
        late = threading.Event()

        def end() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(task.seconds, end)
        timer.start()
        try:
            line = _exchanged(process, task)
        finally:
            timer.cancel()
        self._done += 1
        if line.endswith(b"\n"):
            return msgspec.json.decode(line, type=AnyResult)
        code = _end(process)
        reason = f"it took more than {task.seconds:.0f} s" if late.is_set() else _reason(code, task)
        return _killed(task, reason)

    def close(self) -> None:
        """End the process, also while `run` waits for it."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)


def _killed(task: AnyTask, reason: str) -> AnyResult:
    if isinstance(task, BuildTask):
        message = f"the worker was ended before the build was done: {reason}"
        return BuildResult(is_killed=True, failure=Failure(code="killed", exit_code=3, message=message))
    return TaskResult(result=killed(task, reason))


def killed(task: Task, reason: str) -> RepositoryResult:
    """Return the result of a task whose worker was killed."""
    return RepositoryResult(
        repository=task.repository.name,
        url=task.repository.url,
        commit=task.commit,
        configuration="",
        status="killed",
        exit_code=3,
        code="killed",
        message=f"the worker was ended before the repository was done: {reason}",
        attempts=task.attempt,
    )


def _reason(code: int, task: AnyTask) -> str:
    if code == OUT_OF_MEMORY:
        return f"it took more than {task.memory // 1024**2} MiB of memory"
    if code < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _started() -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 - this Python and this program, with fixed arguments
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=tempfile.gettempdir(),
            start_new_session=os.name == "posix",  # Ctrl-C is for the program that keeps the journal
        )
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"a worker cannot be started: {error.strerror or error}") from None


def _exchanged(process: "subprocess.Popen[bytes]", task: AnyTask) -> bytes:
    """Pass a task to the process, and return the line of its result: without the end of the line where the process ended."""
    if process.stdin is None or process.stdout is None:
        return b""
    try:
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        process.stdin.flush()
        return process.stdout.readline()
    except (OSError, ValueError):  # the pipe is closed
        return b""


def _end(process: "subprocess.Popen[bytes]") -> int:
    """End a process: first so that it ends its hooks, then by a kill. Return its exit code."""
    if process.poll() is None:
        with suppress(OSError):
            process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    code = process.wait()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.close()
    return code


_own = threading.local()
_guard = threading.Lock()
_workers: list[Worker] = []


def run_in_worker(raw: bytes) -> tuple[bytes, bytes]:
    """Do a task in the worker of this thread, which is started at first use: an `AnyTask`. Return its `AnyResult`, and the wheel of a build."""
    worker: Worker | None = getattr(_own, "worker", None)
    if worker is None:
        worker = _own.worker = Worker()
        with _guard:
            _workers.append(worker)
    task: AnyTask = msgspec.json.decode(raw, type=AnyTask)
    if isinstance(task, BuildTask):
        with tempfile.TemporaryDirectory(prefix="deep-lock-wheel-", ignore_cleanup_errors=True) as folder:
            done = worker.run(msgspec.structs.replace(task, folder=folder))
            return msgspec.json.encode(done), _wheel(Path(folder))
    done = worker.run(task)
    if isinstance(done, TaskResult):
        named = msgspec.structs.replace(done.result, worker=f"{socket.gethostname()}:{os.getpid()}")
        done = msgspec.structs.replace(done, result=named)
    return msgspec.json.encode(done), b""


def _wheel(folder: Path) -> bytes:
    """Return the wheel that a process left; empty where it left none."""
    try:
        with (folder / WHEEL).open("rb") as file:
            return file.read(WHEEL_BYTES + 1)
    except FileNotFoundError:
        return b""


def close_workers() -> None:
    """End the workers of all threads of this process."""
    with _guard:
        closed, _workers[:] = [*_workers], []
    for worker in closed:
        worker.close()
