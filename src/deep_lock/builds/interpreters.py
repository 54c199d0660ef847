"""The Pythons of this machine that can run a build hook.

Invariant: each interpreter describes itself in a process of its own, isolated (-I), without site (-S: no .pth and no
sitecustomize runs) and with no environment variables. That takes some 20 ms for each, so none is started before a hook
must run. No folder that depends on the current directory is searched.
"""

import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import msgspec
from msgspec import Struct

from deep_lock.errors import raise_machine_fault, raise_printed_fault
from deep_lock.targets.factory import HostFacts, read_host, runs_on
from deep_lock.targets.target import Target

OLDEST_MINOR = 9
NEWEST_MINOR = 15
FIRST_FREE_THREADED = 13
TIME_LIMIT = 10.0
"""Seconds that an interpreter may take to describe itself."""
_MAX_ANSWER = 64 * 1024
_AT_ONCE = 4

# Runs in Pythons of any version. It imports little, since each import costs a millisecond.
# In a virtual environment before 3.11, without site, sys._base_executable is the environment's own link.
_DESCRIBE = """
import sys
if sys.version_info < (3, 9) or sys.implementation.name != "cpython":
    raise SystemExit(3)
import json, os
path, here = os.path, sys.version_info
executable = getattr(sys, "_base_executable", None) or sys.executable
folder = path.dirname(executable)
if path.exists(path.join(folder, "pyvenv.cfg")) or path.exists(path.join(path.dirname(folder), "pyvenv.cfg")):
    executable = path.realpath(executable)
libraries = set()
try:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        libraries = {line.split(None, 5)[5].strip() for line in file if "/libpython" in line}
except OSError:
    pass
stage = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(here.releaselevel)
print(json.dumps({
    "executable": executable,
    "version": "%d.%d.%d" % here[:3] + ("%s%d" % (stage, here.serial) if stage else ""),
    "minor": here.minor,
    "free_threaded": "free-threading build" in sys.version,
    "build": [sys.maxsize.bit_length(), getattr(sys.implementation, "_multiarch", "")],
    "base": [sys.base_prefix, sys.base_exec_prefix, path.dirname(os.__file__), path.dirname(path.realpath(executable))]
    + sorted(path.dirname(library) for library in libraries),
}))
"""


_read_host = lru_cache(maxsize=1)(read_host)


class Interpreter(Struct, frozen=True, kw_only=True):
    """A CPython on this machine."""

    executable: Path
    """That of the installation, never of a virtual environment."""
    python_full_version: str
    minor: int
    free_threaded: bool
    implementation: str
    base: tuple[Path, ...]
    """Existing folders, links resolved, that must be readable to run it."""
    host: HostFacts
    """The host that it makes of this machine, which decides on the targets that it is."""


class _Description(Struct, frozen=True, kw_only=True):
    executable: str
    version: str
    minor: int
    free_threaded: bool
    build: tuple[int, str]
    base: tuple[str, ...]


def inspect_interpreter(path: Path) -> Interpreter | None:
    """Return an executable's description of itself.

    None where it is not CPython 3.9 or newer, does not answer, or was built for another machine or C library than the
    running Python (for 32 bits, say): it does not see the platform of this machine.
    """
    described = _describe(path)
    own_build = (sys.maxsize.bit_length(), getattr(sys.implementation, "_multiarch", ""))
    if described is None or described.build != own_build or described.minor < OLDEST_MINOR:
        return None
    here = _read_host()
    return Interpreter(
        executable=Path(described.executable),
        python_full_version=described.version,
        minor=described.minor,
        free_threaded=described.free_threaded,
        implementation="cpython",
        base=_real_folders(described.base),
        host=HostFacts(
            implementation="cpython",
            python_full_version=described.version,
            free_threaded=described.free_threaded,
            platform=here.platform,
            machine=here.machine,
        ),
    )


def _describe(path: Path) -> _Description | None:
    try:
        process = subprocess.run(  # noqa: S603 - the user's own interpreter, by path; no shell
            [path, "-I", "-S", "-c", _DESCRIBE],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        if process.returncode:
            raise_printed_fault(process.stderr[:_MAX_ANSWER].decode("utf-8", "replace"), str(path))
        if process.returncode or len(process.stdout) > _MAX_ANSWER:
            return None
        return msgspec.json.decode(process.stdout, type=_Description)
    except (OSError, ValueError, subprocess.TimeoutExpired, msgspec.MsgspecError, RecursionError) as error:
        raise_machine_fault(error)
        return None


def _real_folders(paths: Iterable[str]) -> tuple[Path, ...]:
    real = (Path(os.path.realpath(path)) for path in paths)
    return tuple(dict.fromkeys(path for path in real if path.is_dir()))


def find_interpreters(
    named: Sequence[Path], search_path: str, *, wanted: Collection[tuple[int, bool]] | None = None
) -> tuple[Interpreter, ...]:
    """List the Pythons of this machine, one for each minor version and threading.

    The running one comes first (its base, where it is a virtual environment), then those ``named``, then ``python3.9``
    to ``python3.15t`` on ``search_path`` (the form of PATH), whose relative entries are ignored. ``wanted`` names the only
    (minor, free-threaded) that are searched for there: each costs a process, and a shim of a version manager some 100 ms.
    """
    found: dict[tuple[int, bool], Interpreter] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in pool.map(inspect_interpreter, [Path(sys.executable), *named]):
            if first is not None:
                found.setdefault((first.minor, first.free_threaded), first)
        missing = [series for series in _series() if series not in found and (wanted is None or series in wanted)]
        folders = _folders(search_path)
        for later in pool.map(partial(_find, folders), missing):
            if later is not None:
                found[later.minor, later.free_threaded] = later
    return tuple(found.values())


def _series() -> list[tuple[int, bool]]:
    minors = range(OLDEST_MINOR, NEWEST_MINOR + 1)
    return [(minor, free) for minor in minors for free in (False, True) if not free or minor >= FIRST_FREE_THREADED]


def _folders(search_path: str) -> list[Path]:
    return [Path(entry) for entry in dict.fromkeys(search_path.split(os.pathsep)) if Path(entry).is_absolute()]


def _find(folders: list[Path], series: tuple[int, bool]) -> Interpreter | None:
    minor, free_threaded = series
    name = f"python3.{minor}{'t' if free_threaded else ''}{'.exe' if os.name == 'nt' else ''}"
    for folder in folders:
        path = folder / name
        # a shim may start nothing, and the next folder may have a real interpreter
        interpreter = inspect_interpreter(path) if os.path.isfile(path) else None  # noqa: PTH113 - a closed folder has none
        if interpreter and (interpreter.minor, interpreter.free_threaded) == series:
            return interpreter
    return None


def interpreter_for(target: Target, found: Iterable[Interpreter]) -> Interpreter | None:
    """Return the first one that is the target: its Python, its machine, and a platform that runs here."""
    return next((interpreter for interpreter in found if runs_on(interpreter.host, target)), None)
