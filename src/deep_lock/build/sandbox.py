"""Runs the code of strangers: confined, within limits, and with nothing of it left when it ended.

Law: confined means that every layer works, or nothing runs. What works here is found by trying, once a process; the
child that tries is the very child that runs hooks.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from deep_lock.build import bubblewrap, seatbelt
from deep_lock.errors import HookRefused

MIB = 1024 * 1024
GIB = 1024 * MIB
_MAIN = Path(__file__).parent / "confined" / "main.py"
_TRY = Path(__file__).parent / "confined" / "try_out.py"
NEEDED = ("limits", "landlock", "seccomp")
LAYERS = (*NEEDED, "bubblewrap")
"""On Linux: those that a strong sandbox needs, and the one that is put around them where it works."""
_TAIL = 16 * 1024
_GRACE_SECONDS = 20.0

Level = Literal["strong", "partial", "none"]
"""strong: files, network, other processes and resources are out of reach; partial: some of them; none: nothing holds."""
Stopped = Literal["", "time", "output", "space", "asked"]


class Layer(Struct, frozen=True, kw_only=True):
    """One part of the sandbox. ``reason`` says what was found, or why it does not work and what would help."""

    name: str
    works: bool
    reason: str


class Ability(Struct, frozen=True, kw_only=True):
    """What this machine can do."""

    level: Level
    layers: tuple[Layer, ...]


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds, bytes and numbers that one run may use."""

    wall_seconds: float = 120.0
    cpu_seconds: int = 60
    memory: int = 4 * GIB
    """Of address space, of each process."""
    file_size: int = 256 * MIB
    open_files: int = 256
    output: int = MIB
    folder: int = 2 * GIB
    """Of all files in the writable folders; looked at every two seconds."""


class Command(Struct, frozen=True, kw_only=True):
    """A script to run. ``readable`` and ``writable`` are on top of what any program needs (landlock.SYSTEM)."""

    python: Path
    arguments: tuple[str, ...]
    """The script and its arguments."""
    cwd: Path
    environ: Mapping[str, str]
    """The whole environment."""
    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    search_path: tuple[Path, ...] = ()
    """Appended to sys.path once confined; no ``.pth`` file is read."""
    prefix: Path | None = None
    """sys.prefix of the script: ``-S`` leaves the virtual environment out."""
    limits: Limits = Limits()
    confined: bool = True


class Ended(Struct, frozen=True, kw_only=True):
    """How a run ended. ``output`` is the end of what it wrote, raw: a stranger's text."""

    code: int
    output: str
    stopped: Stopped
    seconds: float


class _Status(Struct, frozen=True, kw_only=True):
    """What the supervisor reports."""

    code: int
    stopped: Stopped
    fault: str


def run(command: Command, layers: Sequence[str] = LAYERS) -> Ended:
    """Run a script, and kill whatever it left behind.

    ``layers`` is for trying them one by one. Raises HookRefused where it must be confined and cannot be.
    """
    if command.confined and layers == LAYERS and probe().level != "strong":
        raise HookRefused("no strong sandbox is available on this machine", hint="see deep-lock doctor")
    try:
        return _run(command, layers if command.confined else ())
    except OSError as error:
        raise HookRefused(f"the sandbox cannot be set up: {error.strerror or error}") from None


def _run(command: Command, layers: Sequence[str]) -> Ended:
    with tempfile.TemporaryDirectory(prefix="deep-lock-run-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        settings, status, output = folder / "settings.json", folder / "status.json", folder / "output"
        settings.write_bytes(_settings(command, layers, status))
        arguments = [str(command.python), "-I", "-S", str(_MAIN), str(settings)]
        if command.confined:
            arguments = _wrapped(arguments, command, folder, layers)
        started = time.monotonic()
        with output.open("wb") as file:
            code = _waited(arguments, command, file.fileno())
        said = _tail(output)
        seconds = time.monotonic() - started
        if code is None:
            return Ended(code=-9, output=said, stopped="time", seconds=seconds)
        if not status.is_file():
            too_long = output.stat().st_size > command.limits.output
            return Ended(code=code or 1, output=said, stopped="output" if too_long else "", seconds=seconds)
        report = msgspec.json.decode(status.read_bytes(), type=_Status)
        if report.fault:
            raise HookRefused(f"the sandbox cannot be set up: {report.fault}", hint="see deep-lock doctor")
        return Ended(code=report.code, output=said, stopped=report.stopped, seconds=seconds)


def _settings(command: Command, layers: Sequence[str], status: Path) -> bytes:
    return json.dumps(
        {
            "arguments": command.arguments,
            "cwd": str(command.cwd.resolve()),
            "environ": dict(command.environ),
            "readable": [str(path.resolve()) for path in (*command.readable, command.python.parent)],
            "writable": [str(path.resolve()) for path in command.writable],
            "search_path": [str(path) for path in command.search_path],
            "prefix": str(command.prefix) if command.prefix else "",
            "limits": msgspec.to_builtins(command.limits),
            "layers": list(layers),
            "status": str(status),
        }
    ).encode()


def _wrapped(arguments: list[str], command: Command, folder: Path, layers: Sequence[str]) -> list[str]:
    if sys.platform == "darwin":
        return seatbelt.wrapped(arguments, command.readable, (*command.writable, folder))
    if "bubblewrap" in layers and _bubblewrap().works:
        readable = (*command.readable, command.python.parent, _MAIN.parents[3])
        return bubblewrap.wrapped(arguments, readable, (*command.writable, folder), command.cwd)
    return arguments


def _waited(arguments: Sequence[str], command: Command, output: int) -> int | None:
    """Return the exit code of the supervisor; None where it had to be killed after its time."""
    process = subprocess.Popen(  # noqa: S603 - this is where strangers' code is run, and how
        arguments,
        cwd=command.cwd,
        env=dict(command.environ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        return process.wait(command.limits.wall_seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask the supervisor to kill everything below it and to end; then be sure."""
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return file.read().decode("utf-8", "replace")


# -- what works here


@cache
def probe() -> Ability:
    """Return what this machine can do, by trying it for real."""
    if sys.platform == "linux":
        layers = (*(_tried(name) for name in NEEDED), _bubblewrap())
        working = [layer for layer in layers if layer.works and layer.name in NEEDED]
        level: Level = "strong" if len(working) == len(NEEDED) else "partial" if working else "none"
        return Ability(level=level, layers=layers)
    if sys.platform == "darwin":
        works, reason = seatbelt.tried()
        return Ability(level="strong" if works else "none", layers=(_layer("sandbox-exec", works, reason),))
    reason = f"deep-lock has no sandbox for {sys.platform}: use --hooks static, or run where Landlock exists"
    return Ability(level="none", layers=(_layer("sandbox", works=False, reason=reason),))


def _layer(name: str, works: bool, reason: str) -> Layer:  # noqa: FBT001 - positional in this file only
    return Layer(name=name, works=works, reason=reason)


@cache
def _bubblewrap() -> Layer:
    works, reason = bubblewrap.tried()
    return _layer("bubblewrap", works, reason)


def _tried(name: str) -> Layer:
    """Try one layer alone: what it is there for must fail."""
    base = (Path(sys.base_prefix), Path(sys.base_exec_prefix), _TRY.parent)
    with tempfile.TemporaryDirectory(prefix="deep-lock-try-", ignore_cleanup_errors=True) as folder:
        command = Command(
            python=Path(sys.executable),
            arguments=(str(_TRY), name),
            cwd=Path(folder),
            environ={"PATH": os.defpath},
            readable=base,
            writable=(Path(folder),),
            limits=Limits(wall_seconds=20),
        )
        try:
            ended = _run(command, ("limits", name) if name != "limits" else ("limits",))
        except (OSError, HookRefused) as error:
            return _layer(name, works=False, reason=f"{_message(error)} ({_REMEDIES[name]})")
    said = ended.output.strip().rpartition("\n")[2]
    works = ended.code == 0 and not ended.stopped
    return _layer(name, works, said if works else f"{said or 'the trial failed'} ({_REMEDIES[name]})")


_REMEDIES = {
    "limits": "needs setrlimit",
    "landlock": "needs Linux 5.13 or newer with Landlock enabled",
    "seccomp": "needs Linux 5.5 or newer on x86_64 or aarch64, and a container that allows seccomp",
}


def _message(error: Exception) -> str:
    return error.message if isinstance(error, HookRefused) else str(error)
