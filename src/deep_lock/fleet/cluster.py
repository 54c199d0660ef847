"""Dask: a cluster of this machine, or one that runs already. The only module that imports `distributed`.

The modules of Dask are imported when a run uses a cluster: they are in the extra deep-lock[fleet].
"""

import asyncio
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import dask
import distributed
from msgspec import Struct

from deep_lock.errors import NetworkError, UsageError, raise_machine_fault
from deep_lock.fleet.worker_process import run_in_worker
from deep_lock.sanitize import show

_dask: Any = distributed
"""Its classes have no types."""
SANDBOX: Mapping[str, float] = {"sandbox": 1}
"""The resource of a worker that runs hooks: a task takes one."""
CONNECT_SECONDS = 30
STARTS = 3
"""So often a cluster of this machine is started before the run gives up."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # each kill of a worker is counted by the run
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.daemon": False,
    "distributed.worker.memory.target": False,  # tasks have bounds of their own, and results are small
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.log-length": 0,
    "distributed.scheduler.http.routes": [],  # a port for HTTP is opened in any case: it has no page
    "distributed.worker.http.routes": [],
    "distributed.diagnostics.nvml": False,
}


Done = tuple[str, bytes]
"""The address of the worker, and the `TaskResult`."""


def run_on_worker(task: bytes) -> Done:
    """Do a task: the one function that a scheduler is sent."""
    return _dask.get_worker().address, run_in_worker(task)


class _Uninterrupted(_dask.WorkerPlugin):  # type: ignore[misc]  # it has no type
    """Ctrl-C in a terminal is for all processes: a worker of this machine leaves it to the run, which ends the workers."""

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - the signature is that of Dask
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Cluster(Struct, frozen=True, kw_only=True):
    """Workers that run tasks."""

    slots: int
    submit: Callable[[bytes, str], "Future[Done]"]
    has_workers: Callable[[], bool]


@contextmanager
def local(workers: int) -> Iterator[Cluster]:
    """Start workers on this machine, each a process. Only this process has the key of their connections."""
    _quiet()
    with (
        dask.config.set(SETTINGS),
        warnings.catch_warnings(action="ignore"),  # of a port that is in use: another one is taken
        _closing(_started(workers)) as started,
        _closing(_dask.Client(started, set_as_default=False)) as client,
    ):
        yield Cluster(
            slots=workers, submit=_submitter(client, hooks=False), has_workers=lambda: _has_workers(client, hooks=False)
        )


def _started(workers: int) -> Any:
    """Start a cluster, again where a worker ends meanwhile: no task has run yet. Raises NetworkError."""
    for attempt in range(1, STARTS + 1):
        try:
            return _dask.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=_dask.Security.temporary(),
                dashboard_address=None,
                worker_dashboard_address=None,
                memory_limit=None,
                resources=dict(SANDBOX),
                silence_logs=logging.CRITICAL,
                plugins=(_Uninterrupted(),),
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            raise_machine_fault(error)
            if attempt == STARTS:
                raise NetworkError(
                    f"the workers of this machine cannot be started: {show(str(error))}",
                    hint="--workers 1 needs no cluster",
                ) from None
    return None


@contextmanager
def remote(address: str, *, ca: str, cert: str, key: str, hooks: bool) -> Iterator[Cluster]:
    """Connect to a scheduler. Raises UsageError where no worker may get the tasks, NetworkError where there is no connection."""
    _quiet()
    security = None
    if address.startswith("tls:"):
        security = _dask.Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
    with dask.config.set(SETTINGS):
        try:
            client = _dask.Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise NetworkError(
                f"--scheduler {show(address)}: no connection: {show(str(error))}",
                hint="the scheduler must run, and have a certificate of the same authority",
            ) from None
        with _closing(client):
            yield Cluster(
                slots=_slots(client, address, hooks=hooks),
                submit=_submitter(client, hooks=hooks),
                has_workers=lambda: _has_workers(client, hooks=hooks),
            )


def _slots(client: Any, address: str, *, hooks: bool) -> int:
    """Return how many tasks the workers can do at a time. Raises UsageError where there is none."""
    able = _able(client, hooks=hooks)
    if not able:
        number = len(_able(client, hooks=False))
        raise UsageError(
            f"--scheduler {show(address)}: it has {number} workers, and none with the resource sandbox",
            hint="start workers with --resources sandbox=1 where hooks may run, or use --hooks static",
        )
    return sum(own["nthreads"] for own in able)


def _able(client: Any, *, hooks: bool) -> list[Any]:
    """Return the workers that may get the tasks, as the scheduler describes them."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [own for own in workers if not hooks or "sandbox" in own.get("resources", {})]


def _has_workers(client: Any, *, hooks: bool) -> bool:
    """Whether a worker may get the tasks. A scheduler that does not answer has none: lost futures report it."""
    with suppress(Exception):
        return bool(_able(client, hooks=hooks))
    return False


def _submitter(client: Any, *, hooks: bool) -> Callable[[bytes, str], "Future[Done]"]:
    wanted: dict[str, Any] = {"pure": False}
    if hooks:
        wanted["resources"] = dict(SANDBOX)

    def submit(task: bytes, avoided: str) -> "Future[Done]":
        others = [own for own in client.scheduler_info(n_workers=-1)["workers"] if own != avoided] if avoided else []
        more = {"workers": others, "allow_other_workers": True} if others else {}
        future: Future[Done] = client.get_executor(**wanted, **more).submit(run_on_worker, task)
        return future

    return submit


@contextmanager
def _closing(opened: Any) -> Iterator[Any]:
    try:
        yield opened
    finally:
        with suppress(Exception, asyncio.CancelledError):
            opened.close(timeout=CONNECT_SECONDS)


def _quiet() -> None:
    """Leave stderr to deep-lock: lost connections are in the results."""
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
