"""The program that does the tasks, one after the other: `deep-lock fleet worker`, which `worker_process` starts.

Protocol: a line of standard input names a file with a `Task`, and the file for its `TaskResult`; a line of standard output follows
when that one is complete. The end of standard input means that the program which started this one has ended: the task that runs
is interrupted, so that no task runs twice at a time.
"""

import os
import queue
import signal
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable
from pathlib import Path

import msgspec

from deep_lock.config.options import RunContext
from deep_lock.files import write_atomically
from deep_lock.fleet.records import Task
from deep_lock.fleet.task import run_task
from deep_lock.lazy import add_to_load_all

DONE = "done\n"
OUT_OF_MEMORY = 77
"""The exit code of a worker whose task takes too much memory."""
MEASURE_SECONDS = 0.05
STATISTICS = Path("/proc/self/statm")
"""Of Linux: elsewhere the memory of a task has no bound."""
LOADED = ("deep_lock.analysis", "deep_lock.builds", "deep_lock.foreign_locks", "deep_lock.locking", "deep_lock.project")
"""Packages with modules that not every task needs: a later one may, and no module is loaded after the first request."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A line of standard input: two files."""

    task: str
    result: str


def serve(context: RunContext, report_done: Callable[[], None]) -> None:
    """Do the tasks that standard input names, until it ends."""
    for package in LOADED:
        add_to_load_all(package)
    jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read_jobs, args=(jobs, busy), daemon=True).start()
    memory = _MemoryBound()
    while (job := jobs.get()) is not None:
        busy.set()
        task = msgspec.json.decode(Path(job.task).read_bytes(), type=Task)
        memory.most = task.memory
        result = run_task(task, context)
        memory.most = 0
        write_atomically(Path(job.result), msgspec.json.encode(result), durable=False)
        busy.clear()
        report_done()


def _read_jobs(jobs: "queue.SimpleQueue[Job | None]", busy: threading.Event) -> None:
    for line in sys.stdin.buffer:
        jobs.put(msgspec.json.decode(line, type=Job))
    jobs.put(None)
    if busy.is_set():
        interrupt_main(signal.SIGTERM)


class _MemoryBound:
    """Ends this process where it takes more memory than its task may. Build hooks have limits of their own."""

    def __init__(self) -> None:
        self.most = 0
        """Resident bytes; 0: no bound."""
        if STATISTICS.exists():
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(MEASURE_SECONDS)
            if 0 < self.most < resident_bytes():
                os._exit(OUT_OF_MEMORY)


def resident_bytes() -> int:
    """Return the memory that this process takes now."""
    return int(STATISTICS.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
