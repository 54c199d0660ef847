"""The build of one wheel, on the machine of a worker: the same build as on one machine, with files of the remote cache.

The remote cache is only read, and each file is compared with its sha256. No index is used, and no configuration of this machine.
`run_build` raises nothing for a fault of the build: the fault is in the result, with the exit code that the command has.
"""

import socket
import threading
from contextlib import ExitStack, closing
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from deep_lock.builds import hooks, interpreters
from deep_lock.builds.host import Machine
from deep_lock.builds.sandbox import sandbox
from deep_lock.builds.temp_dirs import disposable_folder
from deep_lock.config.config import Config
from deep_lock.config.options import RunContext
from deep_lock.errors import LimitExceeded, NetworkError, UsageError
from deep_lock.events import Event, Reporter, Warned
from deep_lock.fleet.records import BuildResult, BuildTask
from deep_lock.fleet.task import failure_of
from deep_lock.index import remote_cache
from deep_lock.index.cache import Cache
from deep_lock.index.file_cache import FileCache, file_sha256
from deep_lock.lazy import load_all, shutil
from deep_lock.lockfile.build_digests import build_digests
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.selection import BuiltArtifact, plan_of
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.locking.settings import hook_policy
from deep_lock.models.lock import Lock, LockedFile
from deep_lock.operations.build_wheels import Site, Work, builder_here, overridden_names
from deep_lock.operations.inputs import part_of
from deep_lock.targets.target import Target

WHEEL = "wheel"
"""The name of a wheel in the folder of its task."""
WHEEL_BYTES = 512 * 1024**2
"""The largest wheel that a worker returns."""
OUTPUT_CHARACTERS = 1024**2
"""The end of the output of a backend that is returned."""


def run_build(task: BuildTask, context: RunContext) -> BuildResult:
    """Build a wheel, and put it into the folder of the task. ``context`` is of this machine: its cache, and its environment."""
    context = replace(context, now=task.now)
    warnings: list[Warned] = []
    output: list[str] = []

    def reporter(event: Event, /) -> None:
        if isinstance(event, Warned):
            warnings.append(event)

    try:
        with ExitStack() as opened:
            load_all()  # untrusted code is about to be unpacked
            remote = remote_cache.open_remote_cache(task.remote_cache, reporter, read_only=True)
            opened.enter_context(closing(remote))
            files = FileCache(Cache(context.cache_folder, reporter, remote=remote).files_folder, remote)
            opened.enter_context(closing(files))
            opened.enter_context(hooks.quiet_backends())
            folder = opened.enter_context(disposable_folder("deep-lock-build-")).resolve()
            done = _done(task, context, reporter, _Store(task, files, folder / "wheels"), folder, output)
    except Exception as error:  # noqa: BLE001 - a fault of one build is its result
        done = BuildResult(failure=failure_of(error))
    return replace(done, output="\n".join(output)[-OUTPUT_CHARACTERS:], warnings=tuple(warnings))


class _Store:
    """The files of a build, from the cache of this machine and the remote cache: `build_wheels.Store`."""

    def __init__(self, task: BuildTask, files: FileCache, folder: Path) -> None:
        self._wheels = {own.key: own for own in task.wheels}
        self._files = files
        self._folder = folder

    def path(self, sha256: str, name: str) -> Path:
        """Return the path of the file with this sha256. Raises NetworkError where the remote cache does not have it."""
        path = self._files.get(sha256) or self._files.fetch(sha256)
        if path is None:
            raise NetworkError(f"{name} (sha256 {sha256}) cannot be read from the remote cache")
        return path

    def file(self, file: LockedFile) -> Path:
        """Return the path of a file of the lock."""
        return self.path(file.sha256, file.name)

    def wheel(self, taken: BuiltArtifact) -> Path | None:
        """Return a copy of a wheel that was built, under its own file name."""
        built = self._wheels.get(taken.key)
        if built is None:
            return None
        copy = self._folder / built.name
        if not copy.exists():
            self._folder.mkdir(exist_ok=True)
            shutil.copyfile(self.path(built.sha256, built.name), copy)
        return copy


def _done(  # noqa: PLR0917 - all that one build needs
    task: BuildTask, context: RunContext, reporter: Reporter, store: _Store, folder: Path, output: list[str]
) -> BuildResult:
    text = store.path(task.lock, task.lock_name).read_text(encoding="utf-8")
    lock, targets = _read(text, task.lock_name, task.package)
    target = next(own for own in targets if own.label == task.target)
    machine = Machine(hook_policy(task.hooks, Config(source=""), context), targets, reporter)
    interpreter = _interpreter(task, machine, target)
    if task.key is None:
        return BuildResult(python_full_version=interpreter.python_full_version)
    plan = plan_of(index_lock(lock), target, [task.key])
    taken = plan.ordered[task.key]
    if not isinstance(taken, BuiltArtifact):
        raise UsageError(f"{taken.entry.name} is not built on {target.label}")
    builder = builder_here(machine, interpreter, jobs=1)
    site = Site(
        taking=plan,
        builds=build_digests(plan),
        target=target,
        targets=targets,
        overridden=overridden_names(lock),
        machine=machine,
        builder=builder,
        source_date_epoch=task.source_date_epoch,
        store=store,
        reporter=reporter,
    )
    wheel = builder.make(site, taken, Work(folder=folder, output=output, cancelled=threading.Event()))
    size = wheel.stat().st_size
    if size > WHEEL_BYTES:
        raise LimitExceeded(f"{wheel.name} has {size} bytes, and a worker returns at most {WHEEL_BYTES}")
    sha256 = file_sha256(wheel)
    shutil.move(wheel, Path(task.folder) / WHEEL)
    return BuildResult(python_full_version=interpreter.python_full_version, name=wheel.name, sha256=sha256)


@lru_cache(maxsize=1)
def _read(text: str, name: str, package: str) -> tuple[Lock, tuple[Target, ...]]:
    """Return the part of a lock that belongs to a package, and its targets. The next build of a run has the same lock."""
    lock = part_of(from_text(text, name), package, Path(name))
    return lock, chosen_targets(lock, (), name)


def _interpreter(task: BuildTask, machine: Machine, target: Target) -> "interpreters.Interpreter":
    """Return the interpreter of the target. Raises UsageError where this machine is not what the resources of its worker state."""
    host = socket.gethostname()
    interpreter = machine.interpreter(target)
    if interpreter is None:
        raise UsageError(
            f"a worker on {host} has the resource {target.label}, and no Python there is that target",
            hint="start it without the resource, or with such a Python on its PATH; it must be CPython of the same platform",
        )
    if task.hooks.hooks == "sandbox" and not sandbox.is_possible():
        raise UsageError(
            f"a worker on {host} has the resource sandbox, and no strong sandbox", hint="see deep-lock doctor there"
        )
    version = interpreter.python_full_version
    if task.python_full_version and version != task.python_full_version:
        raise UsageError(
            f"a worker on {host} has Python {version} for {target.label}, and other workers {task.python_full_version}",
            hint="a build is identified by the full version: give the resource to workers with one version",
        )
    return interpreter
