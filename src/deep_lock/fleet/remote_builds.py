"""The builds of a wheelhouse on the workers of a scheduler: `remote_builder`.

Workers get each file of a build through the remote cache, by its sha256: the lock, sdists and wheels of the lock, and wheels that were
built before. This machine fetches them, as it does for builds of its own, and writes those that the remote cache does not have. Workers
only read the remote cache, and use no index.

Invariant: what a worker returns is not trusted. `build_wheels` checks each wheel as it checks one that was built here.
"""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from deep_lock.builds.context import BUILD_SECONDS
from deep_lock.config.options import WheelhouseOptions
from deep_lock.errors import BuildUnfinished, DeepLockError, NetworkError, UsageError, WheelDiffers, safety_error
from deep_lock.fleet.build_task import OUTPUT_CHARACTERS, WHEEL_BYTES
from deep_lock.fleet.engine import Engine, EngineOptions, check_address, open_engine
from deep_lock.fleet.records import SANDBOX, BuildResult, BuildTask, BuiltWheel, Done
from deep_lock.fleet.retries import (
    BACK_OFF_SECONDS,
    POLL_SECONDS,
    TRY_AGAIN,
    WORKER_WAIT_SECONDS,
    no_workers,
    pause,
    result_of,
)
from deep_lock.index import remote_cache
from deep_lock.index.file_cache import file_sha256
from deep_lock.index.workers import OnceMap
from deep_lock.lockfile.selection import BuiltArtifact, WheelArtifact
from deep_lock.operations.build_wheels import Builder, Site, Work
from deep_lock.operations.wheelhouse import BuilderRequest, OpenBuilder
from deep_lock.reports.document import Failure
from deep_lock.sanitize import show

AGAIN = "the same command goes on: finished wheels are kept"
TASK_SECONDS = 2 * BUILD_SECONDS + 1800
"""Of a build: two hooks, its files and its environment."""
PROBE_SECONDS = 300.0
OTHER_PROBES_SECONDS = 30.0
"""So long the first worker, and then the others, may take to state their interpreters. A build compares its version again."""
UNSAFE = 4
"""The exit code of a SafetyError."""
MAX_NAME = 255
"""Of the name of a wheel: the limit of file systems."""


def remote_builder(options: WheelhouseOptions, engine: EngineOptions) -> OpenBuilder:
    """Return what opens a builder on the workers of a scheduler. Raises UsageError on options that do not fit."""
    check_address(engine)
    network = options.network
    if not network.remote_cache:
        raise UsageError(
            "--scheduler needs a store through which workers get the files of builds",
            hint="name it with --remote-cache, as s3://BUCKET/FOLDER or file:///FOLDER",
        )
    wrong = (
        ("--remote-cache-read-only", network.remote_cache_read_only, "the files of builds are written to it"),
        ("--offline", network.offline, "the remote cache is not used offline"),
        (
            "--python",
            bool(options.hooks.interpreters),
            "workers use the Python that runs them, and those on their PATH",
        ),
    )
    for name, is_set, why in wrong:
        if is_set:
            raise UsageError(f"--scheduler and {name} cannot be used together: {why}")
    return lambda request: _opened(request, options, engine)


@contextmanager
def _opened(request: BuilderRequest, options: WheelhouseOptions, engine: EngineOptions) -> Iterator[Builder]:
    """Yield the builder. Raises UsageError and NetworkError where workers cannot build."""
    url = options.network.remote_cache or ""
    remote = remote_cache.open_remote_cache(url, request.reporter, read_only=False)
    resources = (*((SANDBOX,) if request.hooks.hooks == "sandbox" else ()), request.target.label)
    with closing(remote), open_engine(replace(engine, resources=resources)) as opened:
        task = _common_task(request, url, options.context.now)
        builds = _Builds(request, opened, remote, task)
        python = builds.python_full_version()
        yield Builder(
            python_full_version=python,
            at_once=min(opened.slots, options.jobs or opened.slots),
            may_run=request.machine.is_allowed,
            make=lambda site, taken, work: builds.make(site, taken, work, python),
        )


def _common_task(request: BuilderRequest, url: str, now: datetime) -> BuildTask:
    return BuildTask(
        remote_cache=url,
        lock=sha256(request.source.text.encode()).hexdigest(),
        lock_name=request.source.path.name,
        package=request.package,
        target=request.target.label,
        hooks=request.hooks,
        source_date_epoch=request.source_date_epoch,
        now=now,
        seconds=TASK_SECONDS,
    )


class _Builds:
    """The builds of one run. Used by several threads."""

    def __init__(
        self, request: BuilderRequest, engine: Engine, remote: "remote_cache.RemoteCache", task: BuildTask
    ) -> None:
        self._request = request
        self._engine = engine
        self._remote = remote
        self._task = task
        """What is common to all tasks."""
        self._supplied: OnceMap[str, None] = OnceMap()

    def python_full_version(self) -> str:
        """Return the version that the interpreters of all workers have. Raises UsageError, NetworkError and BuildUnfinished."""
        self._supply(self._task.lock, self._request.source.text.encode(), again=True)
        futures = self._engine.submit_to_each(msgspec.json.encode(self._task))
        if not futures:
            raise no_workers(0, again=AGAIN)
        wait(futures, PROBE_SECONDS, return_when=FIRST_COMPLETED)
        done, busy = wait(futures, OTHER_PROBES_SECONDS)
        for future in busy:
            future.cancel()
        versions: dict[str, list[str]] = defaultdict(list)
        for future in done:
            worker, result, _ = _decoded(result_of(future, again=AGAIN))
            self._report(result)
            if result.failure is not None:
                raise _error(result)
            versions[result.python_full_version].append(worker)
        if not versions:
            raise NetworkError(f"no worker has answered for {PROBE_SECONDS:.0f} s", hint="its workers may be busy")
        if len(versions) > 1:
            each = "; ".join(f"{show(own)} on {', '.join(sorted(on))}" for own, on in sorted(versions.items()))
            raise UsageError(
                f"the workers with the resource {self._task.target} have several versions of Python: {each}",
                hint="a build is identified by the full version: give the resource to workers with one version",
            )
        return next(iter(versions))

    def make(self, site: Site, taken: BuiltArtifact, work: Work, python: str) -> Path:
        """Have a worker build a wheel; return its path here. Raises SafetyError, BuildUnfinished, UsageError and NetworkError."""
        attempts = kills = 0
        avoided = ""
        while True:
            attempts += 1
            wheels = self._supply_files(site, taken, again=attempts > 1)
            task = replace(self._task, key=taken.key, wheels=wheels, python_full_version=python)
            worker, result, wheel = self._done(task, avoided, work.cancelled)
            avoided = worker or avoided
            self._report(result)
            if result.failure is None:
                work.output.append(result.output[-OUTPUT_CHARACTERS:])
                return _written(result, wheel, taken, work.folder)
            kills += result.is_killed
            is_fault = result.failure.exit_code == TRY_AGAIN
            seconds = pause(attempts, kills, is_killed=result.is_killed, is_fault=is_fault, back_off=BACK_OFF_SECONDS)
            if seconds is None or work.cancelled.wait(seconds):
                work.output.append(result.output[-OUTPUT_CHARACTERS:])
                raise _error(result, taken.called)

    def _done(self, task: BuildTask, avoided: str, cancelled: threading.Event) -> tuple[str, BuildResult, bytes]:
        future = self._engine.submit(msgspec.json.encode(task), avoided)
        had_workers = time.monotonic()
        while not wait((future,), POLL_SECONDS).done:
            if cancelled.is_set():
                future.cancel()
                raise BuildUnfinished("the run ends before this build")
            if self._engine.has_workers():
                had_workers = time.monotonic()
            elif time.monotonic() - had_workers > WORKER_WAIT_SECONDS:
                raise no_workers(WORKER_WAIT_SECONDS, again=AGAIN)
        return _decoded(result_of(future, again=AGAIN))

    def _report(self, result: BuildResult) -> None:
        for warning in result.warnings:
            self._request.reporter(warning)

    def _supply_files(self, site: Site, taken: BuiltArtifact, *, again: bool) -> tuple[BuiltWheel, ...]:
        """Let the remote cache have all files of a build; return the wheels among them that were built."""
        self._supply(self._task.lock, self._request.source.text.encode(), again=again)
        self._supply(taken.sdist.sha256, site.store.file(taken.sdist), again=again)
        found = []
        for key in taken.needed:
            member = site.taking.ordered[key]
            if isinstance(member, WheelArtifact):
                self._supply(member.wheel.sha256, site.store.file(member.wheel), again=again)
                continue
            wheel = site.store.wheel(member)
            if wheel is not None:  # else the build fails with the reason
                found.append(BuiltWheel(key=key, name=wheel.name, sha256=file_sha256(wheel)))
                self._supply(found[-1].sha256, wheel, again=again)
        return tuple(found)

    def _supply(self, digest: str, content: bytes | Path, *, again: bool) -> None:
        """Let the remote cache have an object: once, and ``again`` after a fault, which may be that of the object."""
        if again:
            self._remote.supply(digest, content, again=True)
        else:
            self._supplied.get(digest, lambda: self._remote.supply(digest, content, again=False))


def _decoded(done: Done | str) -> tuple[str, BuildResult, bytes]:
    """Return the worker, its result and the wheel. What is no result is that of a kill."""
    if isinstance(done, tuple):
        worker, raw, wheel = done
        try:
            return worker, msgspec.json.decode(raw, type=BuildResult), wheel
        except ValueError as error:  # it is of another version, or no worker of deep-lock
            reason = type(error).__name__
    else:
        worker, reason, wheel = "", done, b""
    message = f"the worker was ended before the build was done: {reason}"
    failure = Failure(code="killed", exit_code=TRY_AGAIN, message=message)
    return worker, BuildResult(is_killed=True, failure=failure), b""


def _error(result: BuildResult, called: str = "") -> DeepLockError:
    """Return the error of a failed build as this machine would raise it."""
    failure = result.failure
    if failure is None:
        return BuildUnfinished("there is no result")
    message = failure.message
    if failure.exit_code == UNSAFE:
        return safety_error(failure.code, message, failure.hint)
    if failure.exit_code == UsageError.exit_code:
        return UsageError(message, hint=failure.hint)
    return BuildUnfinished(f"{called}: {message}" if called else message, hint=failure.hint or AGAIN)


def _is_wheel_name(name: str) -> bool:
    """Whether it is a plain file name, of characters that each system has, and that of a wheel."""
    if not re.fullmatch(rf"[A-Za-z0-9._+!-]{{1,{MAX_NAME}}}", name):
        return False
    try:
        parse_wheel_filename(name)
    except InvalidWheelFilename:
        return False
    return True


def _written(result: BuildResult, wheel: bytes, taken: BuiltArtifact, folder: Path) -> Path:
    """Write the wheel of a worker into a folder, and return its path. Raises WheelDiffers for what is no such file."""
    made = f"{taken.called}: the worker returned {show(result.name)}"
    if not _is_wheel_name(result.name):
        raise WheelDiffers(f"{made}, which is not the name of a wheel")
    if len(wheel) > WHEEL_BYTES:
        raise WheelDiffers(f"{made} with more than {WHEEL_BYTES} bytes")
    if sha256(wheel).hexdigest() != result.sha256:
        raise WheelDiffers(f"{made} with other bytes than it stated: their sha256 is {sha256(wheel).hexdigest()}")
    path = folder / result.name
    path.write_bytes(wheel)
    return path
