"""Runs programs that import deep_lock, each in a process of its own: a fork of one that has the modules already.

An import of all modules takes 0.1 s, more than most runs do for their work. Run as a script, this is the process that is
forked: each line of its stdin is a request, each line of its stdout what came of it, both JSON. A program is a script, or
`deep_lock` as ``python -m deep_lock`` runs it. The modules that a program imports are imported here after its end,
so that the next one finds them. POSIX only.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

SECONDS = 120
LEARNED = ("deep_lock", "click", "httpx", "httpcore", "packaging", "rich", "ssl", "tomlkit")
"""Top modules that are imported here, with what they import."""


def run(program: str, arguments: tuple[str, ...], folder: Path, environ: dict[str, str]) -> tuple[int, str, str]:
    """Run a program to its end; return the exit code (negative: a signal), stdout and stderr."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    mask = os.umask(0o22)
    os.umask(mask)
    request = {"program": program, "arguments": arguments, "folder": str(folder), "environ": environ, "mask": mask}
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdin.flush()
    ended = json.loads(server.stdout.readline())
    return ended["code"], ended["stdout"], ended["stderr"]


@cache
def _server() -> "subprocess.Popen[bytes]":
    server = subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, server)
    return server


def _end(server: "subprocess.Popen[bytes]") -> None:
    with server:
        server.kill()


def serve() -> None:
    """Answer requests until stdin ends. The child of a request ends with its program."""
    del sys.path[0]  # the folder of this script
    for line in sys.stdin.buffer:
        request = json.loads(line)
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            tempfile.TemporaryFile() as learned,
        ):
            child = os.fork()
            if child == 0:
                _become(request, stdout, stderr, os.dup(learned.fileno()))
                return
            _, status = os.waitpid(child, 0)
            ended = {"code": os.waitstatus_to_exitcode(status), "stdout": _text(stdout), "stderr": _text(stderr)}
            os.write(1, json.dumps(ended).encode() + b"\n")
            load(_text(learned).split())


def modules() -> list[str]:
    """Return the modules that a program has imported and the next one can find."""
    return [name for name in sys.modules if name.partition(".")[0] in LEARNED]


def load(names: list[str]) -> None:
    """Import the modules of another process."""
    names = [name for name in names if name not in sys.modules]
    for name in names:
        with suppress(ImportError):
            import_module(name)
    if names:
        gc.collect()
        gc.freeze()  # a collection in a fork would copy the memory of all modules


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _become(request: dict[str, Any], stdout: IO[bytes], stderr: IO[bytes], learned: int) -> None:
    """Make this process that of the request, and run its program."""
    signal.alarm(SECONDS)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    os.umask(request["mask"])
    os.chdir(request["folder"])
    tempfile.tempdir = None  # of other variables
    os.environ.clear()
    os.environ.update(request["environ"])
    atexit.register(lambda: os.write(learned, " ".join(modules()).encode()))
    program = request["program"]
    sys.argv = [program, *request["arguments"]]
    if program == "deep_lock":
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(program).parent))
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    serve()
