"""Kills the command line at each thing that it does to a disk, one after another. Run as a script; POSIX only.

    python fault_crash.py FOLDER ARGUMENTS...

FOLDER holds `project`, `cache` and `start`, which are made anew from `start/project` and `start/cache` before each
try. In try number n a forked child runs the command line and sends itself SIGKILL just before its n-th open for
writing, rename, unlink, mkdir, chmod, utime or fsync below FOLDER, or in the middle of its n-th write. Of another command
than `lock` only what it does in the project counts: the cache is the same. Then the same
command runs undisturbed, and once more `--offline` (and `-U`, if it is `lock`). A line of JSON is printed for each try;
the first try that nothing killed is the last one.

With FAULT_SIGNAL=SIGINT in the environment it is the signal of Ctrl-C instead.
"""

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from deep_lock.cli.main import run
from deep_lock.network import client
from tests.support.forked import load, modules

EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.chmod", "os.utime", "os.truncate", "os.link", "os.symlink"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LOADED = (client.__name__,)  # imported here, so that no child has to


class Killer:
    """Counts what is done to the disk, and kills at the chosen moment."""

    def __init__(self, folder: Path, moment: int) -> None:
        self._folder = str(folder)
        self._moment = moment
        self._count = 0
        self._lock = threading.RLock()

    def arm(self) -> None:
        sys.addaudithook(self._hear)
        fdopen = os.fdopen

        def tearing(handle: int, *arguments: Any, **named: Any) -> Any:
            file = fdopen(handle, *arguments, **named)
            return Tearing(file, self) if file.writable() and self._is_below(handle) else file

        vars(os).update(fdopen=tearing, fsync=self._before(os.fsync))

    def _is_below(self, handle: int) -> bool:
        """Whether an open file or folder is one that counts."""
        found = os.fstat(handle)
        paths = (Path(self._folder), *Path(self._folder).rglob("*"))
        return any(os.path.samestat(found, path.stat()) for path in paths if path.exists())

    def is_now(self) -> bool:
        with self._lock:
            self._count += 1
            return self._count == self._moment

    def _before(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any) -> Any:
            if self._is_below(arguments[0]) and self.is_now():
                kill()
            return act(*arguments)

        return acting

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & WRITING:
                return
        elif event not in EVENTS:
            return
        if isinstance(arguments[0], str) and arguments[0].startswith(self._folder) and self.is_now():
            kill()


class Tearing:
    """A file that may be killed when half of a write is done."""

    def __init__(self, file: Any, killer: Killer) -> None:
        self._file = file
        self._killer = killer

    def write(self, data: bytes) -> int:
        if self._killer.is_now():
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            kill()
        written: int = self._file.write(data)
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


SIGNAL = signal.Signals[os.environ.get("FAULT_SIGNAL", "SIGKILL")]
ENDED = 130 if SIGNAL == signal.SIGINT else -SIGNAL


def kill() -> None:
    """End this process as a power cut would, or as Ctrl-C does."""
    os.kill(os.getpid(), SIGNAL)


def in_child(folder: Path, arguments: list[str], moment: int | None = None) -> tuple[int, str]:
    """Run the command line in a fork; gives its exit code (negative: the signal) and its stderr."""
    said = folder / "said.txt"
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sink = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            if moment is not None:
                Killer(folder if arguments[0] == "lock" else folder / "project", moment).arm()
            code = run(arguments)
            (folder / "modules.txt").write_text("\n".join(modules()))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if moment is None:
        load((folder / "modules.txt").read_text().split())  # here, so that the next child has them
    return os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8")


def litter(folder: Path) -> list[str]:
    """Temporary files that lie about."""
    return sorted(str(path) for part in ("project", "cache") for path in (folder / part).rglob(".deep-lock-*"))


def try_once(folder: Path, arguments: list[str], moment: int) -> dict[str, Any]:
    """One try: kill, look, run again."""
    for part in ("project", "cache"):
        shutil.rmtree(folder / part, ignore_errors=True)
        shutil.copytree(folder / "start" / part, folder / part)
    (folder / "cache").chmod(0o700)
    os.chdir(folder / "project")
    lock = folder / "project" / "deep.lock"
    code, said = in_child(folder, arguments, moment)
    after, left = lock.read_text(encoding="utf-8"), litter(folder)
    pyproject = folder / "project" / "pyproject.toml"
    edited = pyproject.read_text(encoding="utf-8")
    again, said_again = in_child(folder, arguments)
    locked = lock.read_text(encoding="utf-8")
    last = [*arguments, "--offline", "-U"] if arguments[0] == "lock" else [*arguments, "--offline"]
    offline, said_offline = in_child(folder, last)
    return {
        "code": code,
        "after": after,
        "edited": [edited, pyproject.read_text(encoding="utf-8")],
        "litter": left,
        "codes": [again, offline],
        "said": [said, said_again, said_offline],
        "locked": [locked, lock.read_text(encoding="utf-8")],
    }


def main() -> None:
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    os.environ["DEEP_LOCK_CACHE_DIR"] = str(folder / "cache")
    moment, code = 0, ENDED
    while code == ENDED:
        moment += 1
        tried = try_once(folder, arguments, moment)
        code = tried["code"]
        os.write(1, json.dumps(tried).encode() + b"\n")


if __name__ == "__main__":
    main()
