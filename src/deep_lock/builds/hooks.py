"""Asks a build backend through its hooks (PEP 517, PEP 660), by pyproject-hooks, inside the sandbox.

Law: what comes back was written by a stranger. The result file is looked at before it is parsed, and every answer is
checked to be what the hook may return; whatever else happens is one of four errors.
"""

import json
import stat
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pyproject_hooks
from msgspec import Struct

from deep_lock.builds.sandbox.run import SHOWN_OUTPUT
from deep_lock.builds.sandbox.sandbox import Command, Ended, Limits, run
from deep_lock.builds.temp_dirs import remove_folder
from deep_lock.builds.virtual_environment import VirtualEnvironment
from deep_lock.errors import DeepLockError, HookBadResult, HookFailed, HookOutputLimit, HookTimeout, LimitExceeded
from deep_lock.models.build_system import BuildSystem, ConfigSettings
from deep_lock.models.requirement import parse_requirement
from deep_lock.sanitize import show

MAX_ANSWERS = 500
MAX_RESULT_BYTES = 1024 * 1024
MAX_METADATA_BYTES = 4 * 1024 * 1024
LOG_BYTES = 1024 * 1024
_SHOWN_LINES = 12
_PROCESSOR_TIME = 24
"""SIGXCPU, on each system that has it."""
_T = TypeVar("_T")

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
"""Where compilers lie, for builds. A hook that only answers sees it if it cannot do without."""

EPOCH = 315532800
"""1980-01-01: the first moment that a zip archive can hold."""


class Call(Struct, frozen=True, kw_only=True):
    """One hook to be called: one artefact, one process, one fresh copy."""

    called: str
    """What is built, for messages."""
    system: BuildSystem
    tree: Path
    """A copy of the source tree that the hook may write to."""
    archive_root: Path | None = None
    """The whole copy where the tree is a folder in it: read only, for what a backend looks for above (``.git``)."""
    scratch: Path
    """An empty folder: home, temporary files and results of the hook."""
    environment: VirtualEnvironment
    system_path: bool = False
    confined: bool = True
    limits: Limits = Limits()
    source_date_epoch: int = EPOCH
    config_settings: ConfigSettings = ()
    on_output: Callable[[str], None] | None = None
    """Is told what the backend wrote, safe to show: the end of it, up to `LOG_BYTES`."""
    cancelled: threading.Event | None = None
    """Ends the call, with HookFailed, when another thread sets it."""


def requires_for_wheel(call: Call) -> tuple[str, ...]:
    """Return what ``get_requires_for_build_wheel`` asks for. Raises HookFailed, HookTimeout, HookBadResult..."""
    return _requires(call, "get_requires_for_build_wheel")


def requires_for_editable(call: Call) -> tuple[str, ...]:
    """Return what ``get_requires_for_build_editable`` asks for (PEP 660). Raises as `requires_for_wheel`."""
    return _requires(call, "get_requires_for_build_editable")


def read_metadata(call: Call) -> tuple[bytes, bool]:
    """Return the METADATA of the wheel that would be built, and whether the wheel had to be built for it.

    Raises as `requires_for_wheel`, and LimitExceeded.
    """
    folder = _made(call.scratch / "metadata")
    built = False
    settings = _settings(call)

    def prepare(caller: "pyproject_hooks.BuildBackendHookCaller") -> object:
        return caller.prepare_metadata_for_build_wheel(str(folder), settings, _allow_fallback=False)

    def prepare_by_building(caller: "pyproject_hooks.BuildBackendHookCaller") -> object:
        return caller.prepare_metadata_for_build_wheel(str(folder), settings, _allow_fallback=True)

    try:
        name = _asked(call, prepare)
    except _HookAbsent:
        built = True
        name = _called(call, prepare_by_building)
    path = folder / _plain_name(call, name, ".dist-info") / "METADATA"
    return _read_regular(path, MAX_METADATA_BYTES, f"{call.called}: METADATA"), built


def build_wheel(call: Call, folder: Path) -> Path:
    """Build the wheel into ``folder``, which the backend may write to, and return it.

    Raises as `requires_for_wheel`.
    """
    settings = _settings(call)
    name = _called(call, lambda caller: caller.build_wheel(str(folder), settings), writable=(folder,))
    path = folder / _plain_name(call, name, ".whl")
    if not _is_regular(path):
        raise HookBadResult(f"{call.called}: its backend names the wheel {show(path.name)}, and did not make it")
    return path


def _requires(call: Call, hook: str) -> tuple[str, ...]:
    settings = _settings(call)
    answer = _called(call, lambda caller: getattr(caller, hook)(settings))
    if not isinstance(answer, list) or not all(isinstance(text, str) for text in answer):
        raise HookBadResult(f"{call.called}: {hook} returned {show(repr(answer))[:100]}, which is no list of texts")
    if len(answer) > MAX_ANSWERS:
        raise HookBadResult(
            f"{call.called}: {hook} returned {len(answer)} requirements; at most {MAX_ANSWERS} are taken"
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


class _HookAbsent(Exception):
    """The backend has no such hook."""


def _called(
    call: Call, ask: "Callable[[pyproject_hooks.BuildBackendHookCaller], _T]", *, writable: Sequence[Path] = ()
) -> _T:
    """Call a hook that every backend has, or need not have, and return what it returned, unchecked."""
    try:
        return _asked(call, ask, writable=writable)
    except _HookAbsent:
        raise HookBadResult(f"{call.called}: its backend claims to lack a hook that it must have") from None


def _asked(
    call: Call, ask: "Callable[[pyproject_hooks.BuildBackendHookCaller], _T]", *, writable: Sequence[Path] = ()
) -> _T:
    """Call a hook and return what it returned, unchecked. Raises _HookAbsent beside all that is told of."""
    runner = _Runner(call, writable)
    try:
        caller = pyproject_hooks.BuildBackendHookCaller(
            str(call.tree),
            call.system.backend,
            backend_path=call.system.backend_path or None,
            runner=runner,
            python_executable=str(call.environment.python),
        )
        with quiet_backends():
            return ask(caller)
    except pyproject_hooks.HookMissing:
        raise _HookAbsent from None
    except pyproject_hooks.BackendUnavailable as error:
        reason = _last_lines(str(error.traceback or error))
        raise HookFailed(f"{call.called}: its backend {show(call.system.backend)} cannot be loaded\n{reason}") from None
    except pyproject_hooks.UnsupportedOperation as error:
        raise HookFailed(f"{call.called}: its backend refuses\n{_last_lines(str(error.traceback))}") from None
    except (AttributeError, KeyError, ValueError, TypeError, RecursionError, OSError) as error:
        # what pyproject-hooks makes of a result file that its own half did not write
        raise HookBadResult(
            f"{call.called}: its backend left no answer that can be read ({type(error).__name__})"
        ) from None


@contextmanager
def quiet_backends() -> Iterator[None]:
    """Keep what a backend warns of to itself: it is for who wrote the package.

    The filters of `warnings` are the process's own: who calls hooks in several threads puts this around all of them.
    """
    with warnings.catch_warnings(action="ignore", category=pyproject_hooks.BuildBackendWarning):
        yield


class _Runner:
    """Runs what pyproject-hooks would run: ``python SCRIPT HOOK FOLDER``, confined."""

    def __init__(self, call: Call, writable: Sequence[Path]) -> None:
        self._call = call
        self._writable = writable

    def __call__(
        self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        """Run the command. Raises HookTimeout, HookOutputLimit or HookFailed."""
        call, script, control = self._call, Path(cmd[1]), Path(cmd[-1])
        own = call.environment
        ended = run(
            Command(
                python=own.python,
                arguments=tuple(cmd[1:]),
                cwd=Path(cwd) if cwd else call.tree,
                environ={**_environ(call), **(extra_environ or {})},
                readable=(
                    own.folder,
                    *own.interpreter.base,
                    script.parent,
                    *((call.archive_root,) if call.archive_root is not None else ()),
                ),
                writable=(call.tree, call.scratch, control, *self._writable),
                search_path=(own.site_packages,),
                prefix=own.folder,
                limits=call.limits,
                confined=call.confined,
                shown_output=SHOWN_OUTPUT if call.on_output is None else LOG_BYTES,
                cancelled=call.cancelled,
            )
        )
        _keep_files(control)
        if call.on_output is not None:
            call.on_output(ended.output)
        _judge(call, ended)
        _judge_result(call, control / "output.json")


def _keep_files(control: Path) -> None:
    """Remove folders from where the answer lies: who made this one expects to be able to remove it. May do nothing."""
    with suppress(OSError):
        control.chmod(0o700)
        for path in list(control.iterdir()):
            if path.is_dir() and not path.is_symlink():
                remove_folder(path)


def _environ(call: Call) -> dict[str, str]:
    """Return the whole environment of a hook: nothing of ours gets in."""
    home, temporary = _made(call.scratch / "home"), _made(call.scratch / "tmp")
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
    }


def _judge(call: Call, ended: Ended) -> None:
    limits = call.limits
    said = _last_lines(ended.output)
    match ended.stopped:
        case "time":
            raise HookTimeout(f"{call.called}: its backend did not answer within {limits.wall_seconds:.0f} s\n{said}")
        case _ if ended.code == -_PROCESSOR_TIME:
            raise HookTimeout(f"{call.called}: its backend used {limits.cpu_seconds} s of processor time\n{said}")
        case "output":
            raise HookOutputLimit(f"{call.called}: its backend wrote more than {limits.output} bytes of output")
        case "space":
            raise HookOutputLimit(f"{call.called}: its backend wrote more than {limits.folder} bytes of files")
        case _ if ended.code:
            raise HookFailed(f"{call.called}: its backend failed (exit code {ended.code})\n{said}")


def _judge_result(call: Call, path: Path) -> None:
    """Look at the result file before anything parses it: the hook could write it too."""
    try:
        data = _read_regular(path, MAX_RESULT_BYTES, f"{call.called}: the answer of its backend")
        json.loads(data)
    except (LimitExceeded, HookBadResult) as error:
        raise HookBadResult(error.message) from None
    except (ValueError, RecursionError):
        raise HookBadResult(f"{call.called}: its backend left an answer that is no JSON") from None


def _read_regular(path: Path, limit: int, what: str) -> bytes:
    if not _is_regular(path):
        raise HookBadResult(f"{what} is missing, or is no regular file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"{what} has more than {limit} bytes")
    return data


def _is_regular(path: Path) -> bool:
    try:
        parent, own = path.parent.lstat(), path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(parent.st_mode) and stat.S_ISREG(own.st_mode)


def _plain_name(call: Call, name: Any, suffix: str) -> str:
    """Return the name of a result, if it is one: a hook could name any place."""
    if (
        not isinstance(name, str)
        or not name.endswith(suffix)
        or not name.isprintable()
        or Path(name).name != name
        or "\\" in name
    ):
        raise HookBadResult(f"{call.called}: its backend names {show(repr(name))[:100]} as its result")
    return name


def _last_lines(output: str) -> str:
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return "\n".join(f"    {show(line)[:200]}" for line in lines[-_SHOWN_LINES:])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
