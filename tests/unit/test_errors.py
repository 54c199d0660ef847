"""Errors of the machine, and that no handler makes a statement about a package of them."""

import ast
import errno
import os
import socket
import ssl
from pathlib import Path

import pytest

from deep_lock.errors import HookFailed, MachineFault, machine_fault, raise_machine_fault, raise_printed_fault

SOURCE = Path(__file__).parents[2] / "src" / "deep_lock"
CAUGHT = {"OSError", "MemoryError", "Exception", "BaseException"}
IN_CHILDREN = {"confine.py", "supervise.py", "seccomp_notify.py", "probe.py", "usage.py"}
"""Programs of the sandbox: what they print is read by raise_printed_fault."""
CHECKED = ("builds", "sdist", "index", "network", "project", "foreign_locks", "parsing")
WITHOUT = {
    "builds/sandbox/cgroup.py": "without a control group the other limits hold",
    "index/cache.py": "a cache that cannot be read or written only makes a run slower",
    "index/workers.py:_claimed": "the error is kept and raised later",
    "index/file_cache.py:put": "the temporary folder is tried, and its error is raised",
    "index/file_cache.py:may_be_shared": "then the file is copied",
    "index/download.py:put": "the message names the file that the user wants",
    "index/download.py:_is": "then the file is downloaded",
    "index/download.py:_share": "then the file is copied",
    "network/transport.py:start_tls": "the error is raised again",
    "network/git.py:_limited": "git is ended, and the error is raised again",
    "builds/machine_limits.py:count_memory_kills": "a count that is missing excludes no cause",
    "builds/interpreters.py:None": "a text that other interpreters run",
    "builds/unpack.py:link": "the system has no links, or the copy that follows fails too",
    "sdist/setup_py.py:parse_python": "ast raises MemoryError for code that is nested too deeply",
    "parsing/toml.py:parse_toml": "the text is short: only a value in it can be too large",
    "index/remote_cache.py:_written": "it is a thread of its own, and the run needs no object of the store",
    "index/remote_cache.py:run": "it is raised again in the thread that waits",
    "project/edit.py:write_all": "the error is raised again, after the other files are as they were",
    "project/edit.py:write": "the message names the file that the user wants",
}


def _names(node: ast.expr | None) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} if node is not None else {"BaseException"}


def _handlers(path: Path) -> list[tuple[str, ast.ExceptHandler]]:
    found: list[tuple[str, ast.ExceptHandler]] = []

    def visit(node: ast.AST, inside: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ExceptHandler) and _names(child.type) & CAUGHT:
                found.append((inside, child))
            visit(child, child.name if isinstance(child, ast.FunctionDef) else inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), "None")
    return found


def test_every_handler_lets_the_faults_of_the_machine_pass() -> None:
    wrong = []
    for path in sorted(own for folder in CHECKED for own in (SOURCE / folder).rglob("*.py")):
        where = path.relative_to(SOURCE).as_posix()
        if path.name in IN_CHILDREN or where in WITHOUT:
            continue
        for function, handler in _handlers(path):
            first = ast.unparse(handler.body[0])
            if not first.startswith("raise_machine_fault(") and f"{where}:{function}" not in WITHOUT:
                wrong.append(f"{where}:{handler.lineno} in {function}")
    assert wrong == []


@pytest.mark.parametrize(
    "number",
    [errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EAGAIN],
)
def test_what_is_a_fault_of_the_machine(number: int) -> None:
    error = OSError(number, os.strerror(number), "some/file")
    fault = machine_fault(error)
    assert fault is not None
    assert (fault.exit_code, os.strerror(number) in fault.message, "some/file" in fault.message) == (3, True, True)
    assert "then run it again" in fault.hint
    with pytest.raises(MachineFault):
        raise_machine_fault(error)
    with pytest.raises(MachineFault):
        raise_printed_fault(f"OSError: [Errno {number}] x\n", "a program")
    wrapped = HookFailed("cannot be started")
    wrapped.__cause__ = error
    assert machine_fault(wrapped) is not None


def test_other_faults_of_the_machine() -> None:
    assert machine_fault(MemoryError()) is not None
    assert machine_fault(RuntimeError("can't start new thread")) is not None
    assert machine_fault(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")) is not None


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        TimeoutError(),
        OSError("Invalid data stream"),
        ssl.SSLError(errno.EIO, "EOF occurred"),
        socket.gaierror(errno.EIO, "family"),
        RuntimeError("other"),
        ValueError("x"),
    ],
)
def test_what_is_none(error: Exception) -> None:
    assert machine_fault(error) is None
    raise_machine_fault(error)


def test_what_a_program_prints_of_other_faults() -> None:
    raise_printed_fault("[Errno 2] No such file or directory: 'x'\nError 13", "a program")
