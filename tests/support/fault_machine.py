"""Runs the command line on a machine that fails, once for each moment. Run as a script; POSIX only.

    python fault_machine.py FOLDER ERRNO KIND ARGUMENTS...

FOLDER holds `project`, `cache`, `tmp` and `start`; the first three are made anew from `start` before each try. In try
number n a forked child runs the command line, and its n-th event of KIND fails with the error ERRNO ("EMFILE"): "open"
is each opening of a file or socket and each new process, "write" each opening for writing, rename, new folder or link.
With KIND "open-on" or "write-on" all later events fail too. MEMORY as ERRNO raises MemoryError. A line of JSON is printed
for each try; the first try without a failure is the last one. With STEP in the environment only
every STEP-th moment is tried, from FIRST on.
"""

import errno
import json
import os
import shutil
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from deep_lock.cli.main import run
from deep_lock.lazy import load_all
from deep_lock.network import client

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WRITERS = {"os.rename", "os.mkdir", "os.link", "os.symlink", "os.truncate", "tempfile.mkdtemp", "tempfile.mkstemp"}
OPENERS = {"subprocess.Popen", "socket.__new__", "os.listdir", "os.scandir", "os.fork", "os.posix_spawn"}
LOADED = (client.__name__,)  # imported here, so that no child has to


class Machine:
    """Counts the events of one kind, and fails at the chosen one."""

    def __init__(self, folder: Path, fault: str, kind: str, moment: int) -> None:
        self._folder = str(folder)
        self._fault = fault
        self._writes_only = kind.startswith("write")
        self._goes_on = kind.endswith("-on")
        self._moment = moment
        self._count = 0
        self._lock = threading.RLock()

    def arm(self) -> None:
        self._note = os.open(NOTE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
        sys.addaudithook(self._hear)

    def _counts(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event in {"open", "os.listdir"}:
            name = arguments[0]
            if not isinstance(name, str) or (name.startswith("/") and not name.startswith(self._folder)):
                return False  # of Python itself
        if event == "open":
            return bool(arguments[2] & WRITING) or not self._writes_only
        return event in WRITERS or (event in OPENERS and not self._writes_only)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._counts(event, arguments):
            return
        with self._lock:
            self._count += 1
            if self._count < self._moment or (self._count > self._moment and not self._goes_on):
                return
            if self._count == self._moment:
                os.write(self._note, f"{event} {arguments}"[:300].encode())
        if self._fault == "MEMORY":
            raise MemoryError
        number = getattr(errno, self._fault)
        raise OSError(number, os.strerror(number))


NOTE = Path()


def in_child(folder: Path, arguments: list[str], fault: str, kind: str, moment: int) -> tuple[int, str]:
    """Run the command line in a fork; gives its exit code and its stderr."""
    said = folder / "said.txt"
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sink = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            Machine(folder, fault, kind, moment).arm()
            code = run(arguments)
        except BaseException:  # noqa: BLE001 - the child's end; the test reads it
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8")


def main() -> None:
    global NOTE  # noqa: PLW0603 - one of each process
    folder, fault, kind, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    os.environ["DEEP_LOCK_CACHE_DIR"], os.environ["TMPDIR"] = str(folder / "cache"), str(folder / "tmp")
    NOTE = folder / "event.txt"
    load_all()  # here, so that no child has to
    step, moment, hit = int(os.environ.get("STEP", "1")), int(os.environ.get("FIRST", "1")), True
    while hit:
        for part in ("project", "cache", "tmp"):
            shutil.rmtree(folder / part, ignore_errors=True)
            shutil.copytree(folder / "start" / part, folder / part)
            (folder / part).chmod(0o700)
        os.chdir(folder / "project")
        NOTE.unlink(missing_ok=True)
        code, said = in_child(folder, arguments, fault, kind, moment)
        lock = folder / "project" / "deep.lock"
        hit = NOTE.stat().st_size > 0
        tried = {
            "moment": moment,
            "event": NOTE.read_text() if hit else "",
            "code": code,
            "said": said,
            "lock": lock.read_text(encoding="utf-8") if lock.exists() else "",
            "left": sorted(path.name for part in ("project", "tmp") for path in (folder / part).iterdir()),
        }
        os.write(1, json.dumps(tried).encode() + b"\n")
        moment += step


if __name__ == "__main__":
    main()
