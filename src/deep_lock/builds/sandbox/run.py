"""Runs a script under the supervisor in `confine.py`, and returns how it ended.

Invariant: the Command alone decides what a hook may do; it gets nothing of deep-lock's own environment variables,
descriptors or terminal. Its output and its exit code are untrusted.
"""

import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from deep_lock.builds.sandbox.bubblewrap import find_bubblewrap, wrap
from deep_lock.builds.sandbox.cgroup import Group, new_group
from deep_lock.builds.sandbox.landlock import FILE_RIGHTS, landlock_abi, make_ruleset
from deep_lock.builds.sandbox.seccomp import (
    ARCHITECTURES,
    NOTIFY,
    PRETEND,
    make_filter,
    make_last_filter,
    notified_calls,
)
from deep_lock.builds.sandbox.syscall_numbers import NUMBERS
from deep_lock.errors import HookFailed, HookRefused, raise_machine_fault, raise_printed_fault
from deep_lock.sanitize import show

MIB = 1024 * 1024
SHOWN_OUTPUT = 16 * 1024
MAX_LINE = 2000
_POLL_SECONDS = 0.25
GRACE_SECONDS = 30
"""Seconds beyond the time limit in which the supervisor starts, sweeps and reports."""

CONFINE = Path(__file__).with_name("confine.py")

LayerName = Literal["cgroup", "bubblewrap", "landlock", "seccomp", "capabilities", "limits", "sweep"]
INNER_LAYERS: frozenset[LayerName] = frozenset(get_args(LayerName)) - {"cgroup", "bubblewrap"}
UNCONFINED: frozenset[LayerName] = frozenset({"limits", "sweep"})


Stopped = Literal["", "time", "output", "space", "memory", "processes"]
"""The limit that ended a run."""


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of a hook, in bytes and seconds.

    ``memory`` (of addresses), ``cpu_seconds``, ``file_size`` and ``open_files`` are for each process; the others for the
    whole run. ``processes`` counts threads. ``folder`` is the growth of the writable folders, with deleted files that are
    still open. ``processes``, ``total_memory`` and ``folder`` are measured from time to time.
    """

    wall_seconds: float = 120
    cpu_seconds: int = 60
    memory: int = 4 * 1024 * MIB
    total_memory: int = 4 * 1024 * MIB
    processes: int = 1024
    file_size: int = 256 * MIB
    open_files: int = 256
    output: int = 16 * MIB
    folder: int = 2 * 1024 * MIB


class Command(Struct, frozen=True, kw_only=True):
    """A script to run, and everything that it has access to."""

    python: Path
    """The interpreter, CPython 3.9 or newer: started with -I -S, so that no `.pth` file runs."""
    arguments: tuple[str, ...]
    """The script and its arguments: it is run as the main program once the process is confined."""
    cwd: Path
    environ: Mapping[str, str]
    """All environment variables."""
    readable: tuple[Path, ...]
    """Files and folders to read and execute, on top of the system's: the script, and the interpreter's installation."""
    writable: tuple[Path, ...]
    """Folders with full access. None may be a link, or be in a folder that a hook can write to."""
    search_path: tuple[Path, ...] = ()
    """Appended to `sys.path` before the script runs; `.pth` files in it are not read."""
    prefix: Path | None = None
    """Becomes `sys.prefix` and `sys.exec_prefix`: with ``-S`` Python does not find its virtual environment."""
    limits: Limits = Limits()
    confined: bool = True
    """False: the same limits, sweep and clean environment, but no Landlock and no filter."""
    shown_output: int = SHOWN_OUTPUT
    """Bytes of its output that are returned, from its end."""
    cancelled: threading.Event | None = None
    """Ends the run when it is set, by another thread."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a run ended.

    ``code`` is negative for a signal. ``output`` is the end of stdout and stderr, at most ``shown_output`` bytes, made safe
    to show line by line; a line may still be a command to a CI system (``::``, ``##vso[``), which the printer escapes.
    ``stopped`` is the limit that ended the run, if one did.
    """

    code: int
    output: str
    stopped: Stopped
    seconds: float


class _Report(Struct, frozen=True):
    """The report of the supervisor. ``failed`` is the step that failed, if one did: then nothing of the hook has run."""

    failed: str
    code: int
    stopped: Stopped | Literal["abandoned"]
    seconds: float


def execute(command: Command, layers: frozenset[LayerName], *, abi: int | None = None) -> Ended:
    """Run a command within the given layers, and return how it ended; no process of it is left.

    ``abi`` is the newest version of Landlock to use. Raises HookRefused if a layer cannot be set up, HookFailed if the
    interpreter cannot be started.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="deep-lock-run-", ignore_cleanup_errors=True) as name:
            return _execute(command, layers, Path(name), landlock_abi() if abi is None else abi)
    except OSError as error:
        raise_machine_fault(error)
        raise HookFailed(f"{show(str(command.python))} cannot be started: {show(str(error))}") from error


def _execute(command: Command, layers: frozenset[LayerName], own: Path, abi: int) -> Ended:
    for folder in command.writable:  # bubblewrap would bind the target of a link
        if folder.is_symlink() or not folder.is_dir():
            raise HookRefused(f"{show(str(folder))} cannot be used in a build hook: it is not a writable folder")
    settings, output, errors = own / "settings.json", own / "output", own / "errors"
    settings.write_bytes(msgspec.json.encode(_settings(command, layers, output, abi)))
    supervisor = [str(command.python), "-I", "-S", str(CONFINE), str(settings)]
    arguments = [*_bubblewrap(command, layers, own), *supervisor]
    started = time.monotonic()
    with _group(command, layers) as group:
        report = _run_supervisor(command, arguments if group is None else [*group.enter(), *arguments], errors)
        if group is not None and group.lacked_memory():  # the kernel has ended the supervisor, too
            report = _Report("", -signal.SIGKILL, "memory", time.monotonic() - started)
    if report is None:
        printed = _tail(errors, SHOWN_OUTPUT)
        raise_printed_fault(printed, "the supervisor of a build hook")
        message = show(printed, MAX_LINE) or "no output"
        raise HookFailed(f"the supervisor of a build hook ended early ({show(str(command.python))}): {message}")
    if report.failed:
        raise_printed_fault(report.failed, "the sandbox of a build hook")
        raise HookRefused(f"the sandbox could not be set up: {show(report.failed)}")
    if report.stopped == "abandoned":  # only when this process is ending
        raise HookFailed("the build hook was cancelled")
    text = "\n".join(show(line, MAX_LINE) for line in _tail(output, command.shown_output).splitlines())
    return Ended(code=report.code, output=text, stopped=report.stopped, seconds=report.seconds)


def _group(command: Command, layers: frozenset[LayerName]) -> AbstractContextManager[Group | None]:
    """Return a control group for a run, where this layer is wanted and possible."""
    limits = command.limits
    return new_group(limits.total_memory, limits.processes) if "cgroup" in layers else nullcontext()


def _settings(command: Command, layers: frozenset[LayerName], output: Path, abi: int) -> dict[str, Any]:
    limits = command.limits
    writable = [str(path) for path in command.writable]
    landlock = "landlock" in layers
    ruleset = make_ruleset(abi, [str(path) for path in command.readable], writable) if landlock else None
    filters = {machine: make_filter(machine, abi if landlock else 0) for machine in ARCHITECTURES}
    resources = {
        "RLIMIT_AS": (limits.memory, limits.memory),
        "RLIMIT_CPU": (limits.cpu_seconds, limits.cpu_seconds + 2),  # SIGXCPU first, SIGKILL two seconds later
        "RLIMIT_FSIZE": (limits.file_size, limits.file_size),
        "RLIMIT_NOFILE": (limits.open_files, limits.open_files),
        "RLIMIT_CORE": (0, 0),
    }
    if "bubblewrap" in layers:  # in a user namespace of its own, where the processes of no one else are counted
        resources["RLIMIT_NPROC"] = (limits.processes, limits.processes)
    return {
        "linux": landlock_abi() != 0,
        "cwd": str(command.cwd),
        "arguments": command.arguments,
        "environ": command.environ,
        "search_path": [str(path) for path in command.search_path],
        "prefix": str(command.prefix) if command.prefix else "",
        "output": str(output),
        "output_limit": limits.output,
        "totals": {
            "folder": limits.folder,
            "file": limits.file_size,
            "memory": limits.total_memory,
            "processes": limits.processes,
        },
        "wall_seconds": limits.wall_seconds,
        "writable": writable,
        "landlock": None if ruleset is None else {**msgspec.to_builtins(ruleset), "file_rights": FILE_RIGHTS},
        "filters": filters if "seccomp" in layers else None,
        "last_filters": {machine: make_last_filter(machine) for machine in ARCHITECTURES},
        "notified": {machine: notified_calls(machine) for machine in ARCHITECTURES},
        "seccomp_call": dict(zip(("x86_64", "aarch64"), NUMBERS["seccomp"], strict=True)),
        "notify": NOTIFY,
        "pretend": PRETEND,
        "capabilities": "capabilities" in layers,
        "resources": resources if "limits" in layers else {},
        "sweep": "sweep" in layers,
    }


def _bubblewrap(command: Command, layers: frozenset[LayerName], own: Path) -> list[str]:
    """Return the arguments before the supervisor's command line, if any. The supervisor itself writes to ``own``."""
    if "bubblewrap" not in layers:
        return []
    program = find_bubblewrap()
    if program is None:
        raise HookRefused("bubblewrap is not installed")
    readable = (*command.readable, CONFINE.parent)
    return wrap(program, python=command.python, readable=readable, writable=(*command.writable, own))


def _run_supervisor(command: Command, arguments: list[str], errors: Path) -> _Report | None:
    """Run the supervisor; return its report, or None without one."""
    with errors.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - a program of deep-lock; what it runs is confined, or trusted by the user
            arguments,
            stdin=subprocess.PIPE,  # never written: the supervisor ends the hook when it closes
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=dict(command.environ),
            start_new_session=True,
        )
    has_ended = False
    try:
        has_ended = _wait(process, command)
    finally:
        report = _end(process)
    if has_ended and process.returncode == 0:
        with suppress(ValueError, RecursionError):
            return msgspec.json.decode(report, type=_Report)
    return None


def _wait(process: subprocess.Popen[bytes], command: Command) -> bool:
    """Wait until the supervisor ends; False after its time limit, or when the command is cancelled."""
    until = time.monotonic() + command.limits.wall_seconds + GRACE_SECONDS
    while time.monotonic() < until:
        try:
            process.wait(until - time.monotonic() if command.cancelled is None else _POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if command.cancelled is not None and command.cancelled.is_set():
                return False
        else:
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """Let the supervisor sweep and end, also when this process is interrupted, and return its report.

    A guard that does not end is killed. The supervisor then sweeps by itself.
    """
    try:
        return process.communicate(timeout=GRACE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        process.kill()
    with suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=GRACE_SECONDS)[0]
    return b""


def _tail(path: Path, limit: int) -> str:
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - limit))
        return file.read(limit).decode("utf-8", "replace")
    return ""
