"""Calls the hooks of a build backend (PEP 517, PEP 660), by pyproject-hooks, inside the sandbox.

Invariant: every result is untrusted. The result file is checked before it is parsed, and every answer is checked against
what the hook may return. Everything else ends in one of four errors.
"""

import json
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyproject_hooks
from msgspec import Struct

from deep_lock.boundary import reading
from deep_lock.builds import machine_limits
from deep_lock.builds.results import is_result, open_result
from deep_lock.builds.sandbox.run import SHOWN_OUTPUT
from deep_lock.builds.sandbox.sandbox import Command, Ended, Limits, run
from deep_lock.builds.temp_dirs import remove_folder
from deep_lock.builds.unpack import ZIP_EPOCH
from deep_lock.builds.virtual_environment import VirtualEnvironment
from deep_lock.errors import (
    DeepLockError,
    HookBadResult,
    HookFailed,
    HookOutputLimit,
    HookTimeout,
    LimitExceeded,
    raise_machine_fault,
)
from deep_lock.models.build_system import BuildSystem, ConfigSettings
from deep_lock.models.metadata import MAX_METADATA_BYTES
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.sanitize import show

MAX_ANSWERS = 500
MAX_RESULT_BYTES = 1024 * 1024
LOG_BYTES = 1024 * 1024
_SHOWN_LINES = 12
_PROCESSOR_TIME = 24
"""SIGXCPU, on each system that has it."""
_T = TypeVar("_T")

_AGAIN = {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "CI": "true"}
"""Variables of a second call. Python itself has another hash seed in each call: it runs isolated, without its variables."""

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
"""The folders of compilers, for builds. Other hooks get them only where they fail without."""


class Call(Struct, frozen=True, kw_only=True):
    """One call of a hook: one process, on a fresh copy of the source tree."""

    called: str
    """What is built, for messages."""
    system: BuildSystem
    tree: Path
    """A copy of the source tree, which the hook may write to."""
    archive_root: Path | None = None
    """The whole copy where the tree is a folder in it: read only, for what a backend reads above (``.git``)."""
    scratch: Path
    """An empty folder: home, temporary files and results of the hook."""
    environment: VirtualEnvironment
    system_path: bool = False
    confined: bool = True
    limits: Limits = Limits()
    source_date_epoch: int = ZIP_EPOCH
    config_settings: ConfigSettings = ()
    again: bool = False
    """The hook was called before: it gets other surroundings, so that a result which depends on them differs."""
    on_output: Callable[[str], None] | None = None
    """Called with the output of the backend, safe to show: the end of it, up to `LOG_BYTES`."""
    cancelled: threading.Event | None = None
    """Ends the call, with HookFailed, when another thread sets it."""


def requires_for_wheel(call: Call) -> tuple[str, ...]:
    """Return the answer of ``get_requires_for_build_wheel``.

    Raises HookFailed, HookTimeout, HookOutputLimit, HookBadResult and HookRefused.
    """
    return _requires(call, "get_requires_for_build_wheel")


def requires_for_editable(call: Call) -> tuple[str, ...]:
    """Return the answer of ``get_requires_for_build_editable`` (PEP 660). Raises as `requires_for_wheel`."""
    return _requires(call, "get_requires_for_build_editable")


def read_metadata(call: Call) -> tuple[bytes, bool]:
    """Return the METADATA of the wheel that would be built, and whether the wheel had to be built for it.

    Raises as `requires_for_wheel`, and LimitExceeded.
    """
    folder = _new_folder(call.scratch / "metadata")
    settings = _settings(call)

    def prepare(caller: "pyproject_hooks.BuildBackendHookCaller", *, by_building: bool = False) -> object:
        return caller.prepare_metadata_for_build_wheel(str(folder), settings, _allow_fallback=by_building)

    built = False
    try:
        name = _call(call, prepare, optional=True)
    except pyproject_hooks.HookMissing:
        built = True
        name = _call(call, partial(prepare, by_building=True))
    path = folder / _plain_name(call, name, ".dist-info") / "METADATA"
    return _read_result(path, call.scratch, MAX_METADATA_BYTES, f"{call.called}: METADATA"), built


def build_wheel(call: Call, folder: Path) -> Path:
    """Build the wheel into ``folder``, which the backend may write to, and return it.

    Raises as `requires_for_wheel`.
    """
    settings = _settings(call)
    name = _call(call, lambda caller: caller.build_wheel(str(folder), settings), writable=(folder,))
    path = folder / _plain_name(call, name, ".whl")
    root = call.scratch if folder.is_relative_to(call.scratch) else folder
    if not is_result(path, root):
        raise HookBadResult(
            f"{call.called}: its backend returned the wheel name {show(path.name)}, but did not create this file"
        )
    return path


def _requires(call: Call, hook: str) -> tuple[str, ...]:
    settings = _settings(call)
    answer = _call(call, lambda caller: getattr(caller, hook)(settings))
    if not isinstance(answer, list) or not all(isinstance(text, str) for text in answer):
        raise HookBadResult(
            f"{call.called}: {hook} returned {show(repr(answer))[:100]}, which is not a list of strings"
        )
    if len(answer) > MAX_ANSWERS:
        raise HookBadResult(
            f"{call.called}: {hook} returned {len(answer)} requirements; at most {MAX_ANSWERS} are allowed"
        )
    for text in answer:
        try:
            parse_requirement(text)
        except DeepLockError as error:
            raise HookBadResult(f"{call.called}: {hook}: {error.message}") from None
    return tuple(text.strip() for text in answer)


def _settings(call: Call) -> dict[str, str | list[str]] | None:
    """Return ``config_settings`` as hooks get them (PEP 517): None where there are none."""
    settings = {key: value if isinstance(value, str) else list(value) for key, value in call.config_settings}
    return settings or None


def _call(
    call: Call,
    hook: "Callable[[pyproject_hooks.BuildBackendHookCaller], _T]",
    *,
    writable: Sequence[Path] = (),
    optional: bool = False,
) -> _T:
    """Call a hook and return its result, unchecked.

    Raises as `requires_for_wheel`, and HookMissing where an ``optional`` hook has no default in pyproject-hooks.
    """
    try:
        caller = pyproject_hooks.BuildBackendHookCaller(
            str(call.tree),
            call.system.backend,
            backend_path=call.system.backend_path or None,
            runner=partial(_run, call, writable),
            python_executable=str(call.environment.python),
        )
        with quiet_backends():
            return hook(caller)
    except pyproject_hooks.HookMissing:
        if optional:
            raise
        raise HookBadResult(f"{call.called}: its backend reports that a mandatory hook is missing") from None
    except pyproject_hooks.BackendUnavailable as error:
        reason = _last_lines(str(error.traceback or error))
        raise HookFailed(f"{call.called}: its backend {show(call.system.backend)} cannot be loaded\n{reason}") from None
    except pyproject_hooks.UnsupportedOperation as error:
        raise HookFailed(
            f"{call.called}: its backend reports that it does not support this build\n{_last_lines(str(error.traceback))}"
        ) from None
    except (AttributeError, KeyError, ValueError, TypeError, RecursionError, OSError) as error:
        raise_machine_fault(error)
        # pyproject-hooks read a result file that its own script did not write
        raise HookBadResult(
            f"{call.called}: the result of its backend cannot be read ({type(error).__name__})"
        ) from None


@contextmanager
def quiet_backends() -> Iterator[None]:
    """Silence the warnings of pyproject-hooks about a backend: they concern the author of the package.

    The filters of `warnings` are global: a caller with several threads puts this around all of them.
    """
    with warnings.catch_warnings(action="ignore", category=pyproject_hooks.BuildBackendWarning):
        yield


def _run(
    call: Call,
    writable: Sequence[Path],
    cmd: Sequence[str],
    cwd: str | None = None,
    extra_environ: Mapping[str, str] | None = None,
) -> None:
    """Run the command of pyproject-hooks, ``python SCRIPT HOOK FOLDER``, confined.

    Raises HookTimeout, HookOutputLimit, HookBadResult or HookFailed.
    """
    environment, script, control = call.environment, Path(cmd[1]), Path(cmd[-1])
    archive_root = (call.archive_root,) if call.archive_root is not None else ()
    memory_kills = machine_limits.count_memory_kills()
    ended = run(
        Command(
            python=environment.python,
            arguments=tuple(cmd[1:]),
            cwd=Path(cwd) if cwd else call.tree,
            environ={**_environ(call), **(extra_environ or {})},
            readable=(environment.folder, *environment.interpreter.base, script.parent, *archive_root),
            writable=(call.tree, call.scratch, control, *writable),
            search_path=(environment.site_packages,),
            prefix=environment.folder,
            limits=call.limits,
            confined=call.confined,
            shown_output=SHOWN_OUTPUT if call.on_output is None else LOG_BYTES,
            cancelled=call.cancelled,
        )
    )
    _remove_folders(control)
    if call.on_output is not None:
        call.on_output(ended.output)
    if ended.code and not ended.stopped:
        machine_limits.raise_hook_fault(ended, call.scratch, call.limits, memory_kills=memory_kills)
    _check_ended(call, ended)
    _check_result_file(call, control / "output.json")


def _remove_folders(control: Path) -> None:
    """Remove folders from the folder of the result, so that pyproject-hooks can remove it. May do nothing."""
    with suppress(OSError):
        control.chmod(0o700)
        for path in list(control.iterdir()):
            if path.is_dir() and not path.is_symlink():
                remove_folder(path)


def _environ(call: Call) -> dict[str, str]:
    """Return all environment variables of a hook: none of this process are passed on."""
    own = call.scratch / "again" if call.again else call.scratch
    home, temporary = _new_folder(own / "home"), _new_folder(own / "tmp")
    path = [str(call.environment.scripts), *(SYSTEM_PATH if call.system_path else ())]
    return {
        "PATH": ":".join(path),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "VIRTUAL_ENV": str(call.environment.folder),
        "SOURCE_DATE_EPOCH": str(call.source_date_epoch),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PIP_NO_INDEX": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **(_AGAIN if call.again else {}),
    }


def _check_ended(call: Call, ended: Ended) -> None:
    limits = call.limits
    output = _last_lines(ended.output)
    match ended.stopped:
        case "time":
            raise HookTimeout(f"{call.called}: its backend did not finish within {limits.wall_seconds:.0f} s\n{output}")
        case _ if ended.code == -_PROCESSOR_TIME:
            raise HookTimeout(
                f"{call.called}: its backend used its limit of {limits.cpu_seconds} s of processor time\n{output}"
            )
        case "output":
            raise HookOutputLimit(f"{call.called}: its backend wrote more than {limits.output} bytes of output")
        case "space":
            raise HookOutputLimit(f"{call.called}: its backend wrote more than {limits.folder} bytes of files")
        case "memory":
            raise HookOutputLimit(f"{call.called}: its backend used more than {limits.total_memory} bytes of memory")
        case "processes":
            raise HookOutputLimit(f"{call.called}: its backend had more than {limits.processes} processes and threads")
        case _ if ended.code:
            raise HookFailed(f"{call.called}: its backend failed (exit code {ended.code})\n{output}")


def _check_result_file(call: Call, path: Path) -> None:
    """Check the result file before anything else parses it: the hook could write it too."""
    what = f"{call.called}: the result of its backend"
    try:
        data = _read_result(path, path.parent, MAX_RESULT_BYTES, what)
    except LimitExceeded as error:
        raise HookBadResult(error.message) from None
    with reading(what, HookBadResult):
        try:
            json.loads(data)
        except json.JSONDecodeError:
            raise HookBadResult(f"{call.called}: the result of its backend is not valid JSON") from None


def _read_result(path: Path, root: Path, limit: int, what: str) -> bytes:
    try:
        with open_result(path, root) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise_machine_fault(error)
        raise HookBadResult(f"{what} is missing, or is not a regular file") from None
    if len(data) > limit:
        raise LimitExceeded(f"{what} has more than {limit} bytes")
    return data


def _plain_name(call: Call, name: Any, suffix: str) -> str:
    """Return the file name of a result, if it is one: a hook could name any path."""
    if (
        not isinstance(name, str)
        or not name.endswith(suffix)
        or not name.isprintable()
        or Path(name).name != name
        or "\\" in name
    ):
        raise HookBadResult(f"{call.called}: its backend returned {show(repr(name))[:100]} as the name of its result")
    return name


def _last_lines(output: str) -> str:
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return "\n".join(f"    {show(line)[:200]}" for line in lines[-_SHOWN_LINES:])


def _new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
