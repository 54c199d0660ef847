"""Where tasks run: `concurrent.futures` executors. In this process, or with Dask on this machine or on those of a scheduler.

The port of a scheduler runs code for each program that can connect to it. So it is on loopback, or it has TLS with a certificate
of the client; the rest is refused. The dashboard is off.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.errors import UsageError
from deep_lock.fleet import cluster
from deep_lock.fleet.records import Done
from deep_lock.fleet.worker_process import close_workers, run_in_worker
from deep_lock.sanitize import show


class EngineOptions(Struct, frozen=True, kw_only=True):
    """Where tasks run."""

    workers: int = 1
    """On this machine."""
    is_default: bool = False
    """Whether no option gave the number: without the extra it is one then."""
    scheduler: str = ""
    """The address of a scheduler of Dask; empty: this machine."""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    resources: tuple[str, ...] = ()
    """Only workers of the scheduler that have these get tasks; a task takes one of each."""


class Engine(Struct, frozen=True, kw_only=True):
    """An executor, and what it can do."""

    slots: int
    """Tasks at a time."""
    submit: Callable[[bytes, str], "Future[Done]"]
    """Takes a task, and the worker that shall not get it (empty: each one may)."""
    submit_to_each: "Callable[[bytes], list[Future[Done]]]"
    """Takes a task that each worker does."""
    has_workers: Callable[[], bool]
    """Whether a worker could take a task now."""


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[Engine]:
    """Yield an engine. Raises UsageError where its address is refused, or nothing is behind it."""
    if options.scheduler:
        check_address(options)
        _require_cluster("--scheduler")
        with cluster.remote(
            options.scheduler,
            ca=options.tls_ca,
            cert=options.tls_cert,
            key=options.tls_key,
            resources=options.resources,
        ) as opened:
            yield _engine_of(opened)
    elif options.workers > 1 and (not options.is_default or _has_cluster()):
        _require_cluster(f"--workers {options.workers}")
        with cluster.local(options.workers) as opened:
            yield _engine_of(opened)
    else:
        with _in_this_process() as executor:
            yield Engine(
                slots=1,
                submit=lambda task, _: executor.submit(_run_here, task),
                submit_to_each=lambda task: [executor.submit(_run_here, task)],
                has_workers=lambda: True,
            )


def _engine_of(opened: "cluster.Cluster") -> Engine:
    return Engine(
        slots=opened.slots,
        submit=opened.submit,
        submit_to_each=opened.submit_to_each,
        has_workers=opened.has_workers,
    )


def _run_here(task: bytes) -> Done:
    return "", *run_in_worker(task)


def _has_cluster() -> bool:
    """Whether the libraries of clusters are installed."""
    try:
        return bool(cluster.CONNECT_SECONDS)
    except ModuleNotFoundError:
        return False


def _require_cluster(what: str) -> None:
    if not _has_cluster():
        raise UsageError(
            f"{what} needs the library distributed, which is not installed",
            hint="install deep-lock[fleet], or use --workers 1, and --shard for several jobs",
        )


@contextmanager
def _in_this_process() -> Iterator[Executor]:
    """Yield an executor of one thread: the base install has all that it needs. The work is done in a worker process."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="fleet")
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        close_workers()
        executor.shutdown(wait=True)


def check_address(options: EngineOptions) -> None:
    """Refuse the address of a scheduler that other machines, or programs without a certificate, could use."""
    address = options.scheduler
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        # Dask takes all before the port as the host: with a user or a space it would look up another one
        has_more = "@" in address or address != f"{scheme}://{parts.netloc}"
    except ValueError:
        scheme, host, port, has_more = "", "", None, True
    if scheme not in {"tcp", "tls"} or not host or not port or has_more:
        raise UsageError(f"--scheduler {show(address)}: must be tls://HOST:PORT, or tcp://127.0.0.1:PORT")
    if scheme == "tcp" and not _is_loopback(host):
        raise UsageError(
            f"--scheduler {show(address)}: not used: each program that can connect to the port of a scheduler without TLS runs"
            " code there",
            hint="use tls:// with --tls-ca, --tls-cert and --tls-key; tcp:// is for an address such as 127.0.0.1",
        )
    if scheme == "tls" and not (options.tls_ca and options.tls_cert and options.tls_key):
        raise UsageError(
            f"--scheduler {show(address)}: TLS needs the certificate of its authority, and one of this client",
            hint="name them with --tls-ca, --tls-cert and --tls-key",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name can mean any address
