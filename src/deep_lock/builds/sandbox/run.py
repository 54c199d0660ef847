"""Starts a script under the supervisor in `confine.py`, and tells how it ended.

Law: what a hook may do stands in the Command and nowhere else; nothing of deep-lock's own environment, descriptors or
terminal reaches it. Its output and its exit code are a stranger's words.
"""

import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from deep_lock.builds.sandbox.bubblewrap import find_bubblewrap, wrap
from deep_lock.builds.sandbox.landlock import FILE_RIGHTS, landlock_abi, make_ruleset
from deep_lock.builds.sandbox.seccomp import ARCHITECTURES, NOTIFY, PRETEND, attended, make_filter
from deep_lock.builds.sandbox.syscall_numbers import NUMBERS
from deep_lock.errors import HookFailed, HookRefused
from deep_lock.sanitize import show

MIB = 1024 * 1024
SHOWN_OUTPUT = 16 * 1024
MAX_LINE = 2000
_PAUSE = 0.25
GRACE_SECONDS = 30
"""How long beyond the wall clock the supervisor may take to start, sweep and report."""

CONFINE = Path(__file__).with_name("confine.py")

LayerName = Literal["bubblewrap", "landlock", "seccomp", "capabilities", "limits", "sweep"]
INNER_LAYERS: frozenset[LayerName] = frozenset(get_args(LayerName)) - {"bubblewrap"}
UNCONFINED: frozenset[LayerName] = frozenset({"limits", "sweep"})


class Limits(Struct, frozen=True, kw_only=True):
    """How much a hook may use. Bytes and seconds.

    ``memory``, ``cpu_seconds``, ``file_size`` and ``open_files`` hold for each process; ``wall_seconds``, ``output`` and
    ``folder`` (what it writes below its writable folders; looked at from time to time) for the whole run.
    """

    wall_seconds: float = 120
    cpu_seconds: int = 60
    memory: int = 4 * 1024 * MIB
    file_size: int = 256 * MIB
    open_files: int = 256
    output: int = 16 * MIB
    folder: int = 2 * 1024 * MIB


class Command(Struct, frozen=True, kw_only=True):
    """A script to run, and all that it may see."""

    python: Path
    """The interpreter, CPython 3.9 or newer: started with -I -S, so that no `.pth` file runs."""
    arguments: tuple[str, ...]
    """The script and its arguments: it is run as the main program once the process is confined."""
    cwd: Path
    environ: Mapping[str, str]
    """The whole environment."""
    readable: tuple[Path, ...]
    """Files and folders to read and execute, on top of the system's: the script, and the interpreter's installation."""
    writable: tuple[Path, ...]
    """Folders to read, write, make, remove and execute in. None may be a link, or lie where a hook could write."""
    search_path: tuple[Path, ...] = ()
    """Appended to `sys.path` before the script runs; `.pth` files in it are not read."""
    prefix: Path | None = None
    """Becomes `sys.prefix` and `sys.exec_prefix`: ``-S`` leaves out what tells Python of its virtual environment."""
    limits: Limits = Limits()
    confined: bool = True
    """False: time, output, limits, sweep and a clean environment all the same, but no Landlock and no filter."""
    shown_output: int = SHOWN_OUTPUT
    """Bytes of its output that are told, from its end."""
    cancelled: threading.Event | None = None
    """Ends the run when it is set, by another thread."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a run ended.

    ``code`` is negative for a signal. ``output`` is the tail of what was written to stdout and stderr, at most
    ``shown_output`` of it, made safe to show line by line; a line may still be a command to a CI system (``::``, ``##vso[``), which is the
    printer's to defuse. ``stopped`` says which limit ended the run, if one did.
    """

    code: int
    output: str
    stopped: Literal["", "time", "output", "space"]
    seconds: float


class _Report(Struct, frozen=True):
    """What the supervisor says. ``failed``: the step that did not succeed; then nothing of the hook has run."""

    failed: str
    code: int
    stopped: Literal["", "time", "output", "space", "abandoned"]
    seconds: float


def execute(command: Command, layers: frozenset[LayerName], *, abi: int | None = None) -> Ended:
    """Run a command within the given layers, and return how it ended; nothing that it started is left.

    ``abi`` is the newest version of Landlock to use. Raises HookRefused if a layer cannot be set up, HookFailed if the
    interpreter cannot be started.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="deep-lock-run-", ignore_cleanup_errors=True) as name:
            return _execute(command, layers, Path(name), landlock_abi() if abi is None else abi)
    except OSError as error:
        raise HookFailed(f"{show(str(command.python))} cannot be started: {show(str(error))}") from error


def _execute(command: Command, layers: frozenset[LayerName], own: Path, abi: int) -> Ended:
    for folder in command.writable:  # bubblewrap would bind what a link leads to
        if folder.is_symlink() or not folder.is_dir():
            raise HookRefused(f"a build hook cannot be given {show(str(folder))}: it is not a folder to write to")
    settings, output, complaint = own / "settings.json", own / "output", own / "complaint"
    settings.write_bytes(msgspec.json.encode(_settings(command, layers, output, abi)))
    report = _supervised(command, [*_outer(command, layers, own), *_supervisor(command, settings)], complaint)
    if report is None:
        said = show(_tail(complaint, SHOWN_OUTPUT), MAX_LINE) or "no word of it"
        raise HookFailed(f"the supervisor of a build hook ended early ({show(str(command.python))}): {said}")
    if report.failed:
        raise HookRefused(f"the sandbox could not be set up: {show(report.failed)}")
    if report.stopped == "abandoned":  # only when this very process was on its way out
        raise HookFailed("the build hook was given up")
    text = "\n".join(show(line, MAX_LINE) for line in _tail(output, command.shown_output).splitlines())
    return Ended(code=report.code, output=text, stopped=report.stopped, seconds=report.seconds)


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
    return {
        "linux": landlock_abi() != 0,
        "cwd": str(command.cwd),
        "arguments": command.arguments,
        "environ": command.environ,
        "search_path": [str(path) for path in command.search_path],
        "prefix": str(command.prefix) if command.prefix else "",
        "output": str(output),
        "output_limit": limits.output,
        "folder_limit": limits.folder,
        "wall_seconds": limits.wall_seconds,
        "writable": writable,
        "landlock": None if ruleset is None else {**msgspec.to_builtins(ruleset), "file_rights": FILE_RIGHTS},
        "filters": filters if "seccomp" in layers else None,
        "attended": {machine: attended(machine) for machine in ARCHITECTURES},
        "seccomp_call": dict(zip(("x86_64", "aarch64"), NUMBERS["seccomp"], strict=True)),
        "notify": NOTIFY,
        "pretend": PRETEND,
        "capabilities": "capabilities" in layers,
        "resources": resources if "limits" in layers else {},
        "sweep": "sweep" in layers,
    }


def _supervisor(command: Command, settings: Path) -> list[str]:
    return [str(command.python), "-I", "-S", str(CONFINE), str(settings)]


def _outer(command: Command, layers: frozenset[LayerName], own: Path) -> list[str]:
    """Return what goes before the supervisor's command line. It has its report to write, so ``own`` must be there."""
    if "bubblewrap" not in layers:
        return []
    program = find_bubblewrap()
    if program is None:
        raise HookRefused("bubblewrap is not installed")
    readable = (*command.readable, CONFINE.parent)
    return wrap(program, python=command.python, readable=readable, writable=(*command.writable, own))


def _supervised(command: Command, arguments: list[str], complaint: Path) -> _Report | None:
    """Run the supervisor; return its report, or None if it has made none."""
    with complaint.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - the program is ours; what it runs is confined, or consented to
            arguments,
            stdin=subprocess.PIPE,  # held open, never written: its end tells the supervisor of ours
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(command.environ),
            start_new_session=True,
        )
    answered = False
    try:
        answered = _waited(process, command)
    finally:
        _end(process)
        if process.stdout is not None and not answered:
            process.stdout.close()
    if process.stdout is None or not answered:
        return None
    with process.stdout, suppress(msgspec.DecodeError):
        return msgspec.json.decode(process.stdout.read(64 * 1024), type=_Report)
    return None


def _waited(process: subprocess.Popen[bytes], command: Command) -> bool:
    """Wait until the supervisor ended; False where its time is over, or nobody wants its answer any more."""
    until = time.monotonic() + command.limits.wall_seconds + GRACE_SECONDS
    while time.monotonic() < until:
        try:
            process.wait(until - time.monotonic() if command.cancelled is None else _PAUSE)
        except subprocess.TimeoutExpired:
            if command.cancelled is not None and command.cancelled.is_set():
                return False
        else:
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the supervisor sweep and end, also when this process is interrupted; at the very last, kill it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(path: Path, limit: int) -> str:
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - limit))
        return file.read(limit).decode("utf-8", "replace")
    return ""
