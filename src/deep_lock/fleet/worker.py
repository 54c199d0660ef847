"""The program that does the tasks, one after the other: `deep-lock fleet worker`, which `worker_process` starts.

Protocol: a line of standard input is an `AnyTask` in JSON, and a line of standard output its `AnyResult`. A wheel that was built is in the folder that its task names. The end of standard input means that the program
which started this one has ended: the task that runs is interrupted, so that no task runs twice at a time.
"""

import os
import queue
import signal
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable
from pathlib import Path

import msgspec

from deep_lock.config.options import RunContext
from deep_lock.fleet.build_task import run_build
from deep_lock.fleet.records import AnyTask, BuildTask
from deep_lock.fleet.task import run_task
from deep_lock.lazy import add_to_load_all
from deep_lock.sanitize import Safe, joined, json_line

OUT_OF_MEMORY = 77
"""The exit code of a worker whose task takes too much memory."""
STANDARD_INPUT = 0
READ_BYTES = 65536
MEASURE_SECONDS = 0.05
STATISTICS = Path("/proc/self/statm")
"""Of Linux: elsewhere the memory of a task has no bound."""
LOADED = ("deep_lock.analysis", "deep_lock.builds", "deep_lock.foreign_locks", "deep_lock.locking", "deep_lock.project")
"""Packages with modules that not every task needs: a later one may, and no module is loaded after the first request."""


def serve(context: RunContext, write: Callable[[Safe], None]) -> None:
    """Do the tasks of standard input, until it ends; ``write`` gets each result."""
    for package in LOADED:
        add_to_load_all(package)
    tasks: queue.SimpleQueue[AnyTask | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read_tasks, args=(tasks, busy), daemon=True).start()
    memory = _MemoryBound()
    while (task := tasks.get()) is not None:
        busy.set()
        memory.most = task.memory
        result = run_build(task, context) if isinstance(task, BuildTask) else run_task(task, context)
        memory.most = 0
        busy.clear()
        write(joined([json_line(result)]))


def _read_tasks(tasks: "queue.SimpleQueue[AnyTask | None]", busy: threading.Event) -> None:
    """Read standard input without Python's buffer: a thread that waits in it disturbs the end of the process."""
    begun = b""
    while part := os.read(STANDARD_INPUT, READ_BYTES):
        *complete, begun = (begun + part).split(b"\n")
        for line in complete:
            tasks.put(msgspec.json.decode(line, type=AnyTask))
    tasks.put(None)
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
