"""Dask: a cluster of this machine, or one that runs already. The only module that imports `distributed`.

The modules of Dask are imported when a run uses a cluster: they are in the extra deep-lock[fleet].
"""

import asyncio
import logging
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import dask
import distributed
from msgspec import Struct

from deep_lock.errors import NetworkError, UsageError, raise_machine_fault
from deep_lock.fleet.records import SANDBOX, Done
from deep_lock.fleet.worker_process import run_in_worker
from deep_lock.network import tls
from deep_lock.sanitize import listed, show

_dask: Any = distributed
"""Its classes have no types."""
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
MOST_SHOWN = 10


def run_on_worker(task: bytes) -> Done:
    """Do a task: the one function that a scheduler is sent."""
    return _dask.get_worker().address, *run_in_worker(task)


class _Uninterrupted(_dask.WorkerPlugin):  # type: ignore[misc]  # it has no type
    """Ctrl-C in a terminal is for all processes: a worker of this machine leaves it to the run, which ends the workers."""

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - the signature is that of Dask
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Cluster(Struct, frozen=True, kw_only=True):
    """Workers that run tasks."""

    slots: int
    submit: Callable[[bytes, str], "Future[Done]"]
    submit_to_each: "Callable[[bytes], list[Future[Done]]]"
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
        yield _cluster(client, (), slots=workers)


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
                resources={SANDBOX: 1},
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
def remote(address: str, *, ca: str, cert: str, key: str, resources: tuple[str, ...]) -> Iterator[Cluster]:
    """Connect to a scheduler, whose workers with all ``resources`` get the tasks.

    Raises UsageError where no worker may get the tasks, NetworkError where there is no connection.
    """
    _quiet()
    security = None
    if address.startswith("tls:"):
        _require_pair(cert, key)
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
            yield _cluster(client, resources, slots=_slots(client, address, resources))


def _require_pair(cert: str, key: str) -> None:
    """Raise UsageError where the certificate of the client and its key cannot be used together."""
    reason = tls.not_a_pair(cert, key)
    if reason:
        raise UsageError(
            f"--tls-cert {show(cert)} and --tls-key {show(key)}: cannot be used together: {show(reason)}",
            hint="name a certificate in PEM format, and its own key without a password",
        )


def _cluster(client: Any, resources: tuple[str, ...], *, slots: int) -> Cluster:
    return Cluster(
        slots=slots,
        submit=lambda task, avoided: _submit(client, resources, task, avoided),
        submit_to_each=lambda task: [
            _executor(client, resources, workers=[own]).submit(run_on_worker, task) for own in _able(client, resources)
        ],
        has_workers=lambda: _has_workers(client, resources),
    )


def _slots(client: Any, address: str, resources: tuple[str, ...]) -> int:
    """Return how many tasks the workers can do at a time. Raises UsageError where there is none."""
    able = _able(client, resources)
    if not able:
        every = _able(client, ())
        known = Counter(
            ", ".join(f"{name}={number:g}" for name, number in sorted(own["resources"].items())) or "no resources"
            for own in every.values()
        )
        have = f": {listed([f'{number} with {show(text)}' for text, number in sorted(known.items())], MOST_SHOWN)}"
        raise UsageError(
            f"--scheduler {show(address)}: it has {len(every)} workers, and none with the"
            f" {'resource' if len(resources) == 1 else 'resources'} {' and '.join(resources)}{have if every else ''}",
            hint=f'start workers with --resources "{" ".join(f"{name}=1" for name in resources)}"'
            + (" where hooks may run, or use --hooks static" if resources == (SANDBOX,) else ""),
        )
    return sum(
        max(1, min([own["nthreads"], *(int(own["resources"][name]) for name in resources)])) for own in able.values()
    )


def _able(client: Any, resources: tuple[str, ...]) -> dict[str, Any]:
    """Return the workers that may get the tasks, by address, as the scheduler describes them."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {
        address: own | {"resources": own.get("resources") or {}}
        for address, own in workers.items()
        if all((own.get("resources") or {}).get(name, 0) >= 1 for name in resources)
    }


def _has_workers(client: Any, resources: tuple[str, ...]) -> bool:
    """Whether a worker may get the tasks. A scheduler that does not answer has none: lost futures report it."""
    with suppress(Exception):
        return bool(_able(client, resources))
    return False


def _executor(client: Any, resources: tuple[str, ...], **more: Any) -> Any:
    wanted: dict[str, Any] = {"resources": dict.fromkeys(resources, 1)} if resources else {}
    return client.get_executor(pure=False, **wanted, **more)


def _submit(client: Any, resources: tuple[str, ...], task: bytes, avoided: str) -> "Future[Done]":
    others = [own for own in _able(client, resources) if own != avoided] if avoided else []
    more = {"workers": others, "allow_other_workers": True} if others else {}
    future: Future[Done] = _executor(client, resources, **more).submit(run_on_worker, task)
    return future


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
