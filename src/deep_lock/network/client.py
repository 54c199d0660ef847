"""The one door to the network: GETs that end, whole or with a typed error.

Law: nothing is taken from the wire on trust. Each request has a deadline and a limit, each failure is tried again
only where that can help, redirects are followed by hand, and no header of ours goes to another origin.

It stands on httpcore, the engine of httpx: measured, that takes half the import time and a third less CPU per
request, and only there a deadline can be put under the sockets (sockets.py).
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar

import httpcore
from msgspec import Struct, field

from deep_lock.errors import HashMismatch, NetworkError
from deep_lock.events import Fetched, Fetching, Reporter
from deep_lock.lazy import load_all
from deep_lock.network.auth import authorization_for, gather_credentials
from deep_lock.network.proxies import proxies_from, proxy_for
from deep_lock.network.responses import (
    REDIRECTS,
    Response,
    StreamedResponse,
    TryFailedError,
    drain,
    empty,
    raise_for_status,
    read_headers,
    read_whole,
    save,
)
from deep_lock.network.retries import RetryBudget
from deep_lock.network.transport import (
    FAULTS,
    SLOWEST_BYTES,
    SLOWEST_SECONDS,
    Connections,
    DeadlineBackend,
    DeadlineExceeded,
    DeadlineStream,
    TooSlowError,
    TransportSettings,
    translate,
    zone_of_peer,
)
from deep_lock.network.urls import (
    AddressScope,
    Origin,
    Url,
    follow,
    read_url,
    shown_text,
    shown_url,
    subject_of,
    zone_of_host,
)

__all__ = ["FILE_DEADLINE", "PAGE_DEADLINE", "Response", "Transport", "TransportSettings", "proxies_from"]

PAGE_DEADLINE = 60.0
FILE_DEADLINE = 900.0
"""Seconds that one try for a page, and for a file, may take in all."""

MAX_REDIRECTS = 5
BUSY_HOST_SLOTS = 4
"""How many threads at once may ask a host that said it is busy."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_KEPT_ACROSS_ORIGINS = frozenset({"accept", "accept-encoding", "range", "cache-control"})

_uniform = random.SystemRandom().uniform

T = TypeVar("T")


class _Request(Struct, frozen=True, kw_only=True):
    """What a caller wants; ``headers`` by lower-case name."""

    start: Url
    headers: Mapping[str, str]
    limit: int
    deadline: float

    @property
    def where(self) -> str:
        return shown_url(str(self.start))


class _BusyHost(Struct, kw_only=True):
    """A host that asked us to wait."""

    slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(BUSY_HOST_SLOTS))
    open_at: float = 0.0


class Transport:
    """Fetches over HTTP/1.1 with kept-alive connections. May be shared by threads; each has its own connections."""

    def __init__(
        self,
        settings: TransportSettings,
        reporter: Reporter,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[float, float], float] = _uniform,
    ) -> None:
        self._settings = settings
        self._reporter = reporter
        self._clock = clock
        self._closing = threading.Event()
        # A wait that close() ends, so that an interrupt does not sit out a back-off.
        self._sleep = self._closing.wait if sleep is None else sleep
        self._jitter = jitter
        self._connections = Connections(settings, clock)
        self._busy: dict[Origin, _BusyHost] = {}
        self._user_agent = (b"User-Agent", settings.user_agent.encode("ascii", "replace"))
        read = settings.read_timeout
        timeouts = {"connect": settings.connect_timeout, "read": read, "write": read, "pool": read}
        self._extensions = {"timeout": timeouts}

    def get(self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, limit: int, deadline: float) -> Response:
        """Fetch something small into memory: a page, metadata, a range of a file.

        ``limit`` is in bytes and holds for the body on the wire and decoded; ``deadline`` is in seconds for one try.
        Raises NetworkError, AccessDenied (401, 403), IndexInvalid (a body that is not coded as it says),
        LimitExceeded or UrlForbidden.
        """
        own = {name.lower(): value for name, value in headers.items()}
        own.setdefault("accept-encoding", "identity" if "range" in own else "gzip")
        ask = _Request(start=read_url(url), headers=own, limit=limit, deadline=deadline)
        with self._reported(ask.start) as sizes:
            response = self._with_retries(ask, read_whole)
            sizes.append(len(response.body))
        return response

    def download(self, url: str, file: BinaryIO, *, limit: int, deadline: float, sha256: str | None) -> tuple[str, int]:
        """Stream a file into ``file`` (from its start; it is emptied first) and give its sha256 and its size.

        The bytes are stored as they come, whatever Content-Encoding says of them: that header is often set on
        archives that are gzip by themselves. Where they have not the digest ``sha256``, they are fetched once more
        past all caches; then HashMismatch is raised and ``file`` is left empty. Raises NotFound for a 404, else as
        `get`. An OSError is the file's own.
        """
        start = read_url(url)
        own = {"accept": "*/*", "accept-encoding": "identity"}
        digest = ""
        with self._reported(start) as sizes:
            for headers in (own, {**own, "cache-control": "no-cache"}):
                ask = _Request(start=start, headers=headers, limit=limit, deadline=deadline)
                digest, size = self._with_retries(ask, partial(save, file=file))
                if sha256 is None or digest == sha256.lower():
                    sizes.append(size)
                    return digest, size
        empty(file)
        raise HashMismatch(
            f"{shown_url(url)}: has sha256 {digest}, but {shown_text(str(sha256))} was promised (fetched twice)",
            hint="the index or a proxy gives other bytes than the index page promises: do not use this file",
        )

    def close(self) -> None:
        """End all connections and waits. Requests of other threads fail soon, further ones at once."""
        self._closing.set()
        self._connections.close()

    @contextmanager
    def _reported(self, url: Url) -> Iterator[list[int]]:
        """Tell the reporter when a fetch starts and ends; the caller appends the sizes."""
        what = subject_of(url)
        sizes: list[int] = []
        self._reporter(Fetching(name=what))
        try:
            yield sizes
        finally:
            self._reporter(Fetched(name=what, size=sum(sizes)))

    def _with_retries(self, ask: _Request, read: Callable[[StreamedResponse], T]) -> T:
        """Try until there is an answer or no budget is left."""
        budget = RetryBudget(tries=self._settings.tries, jitter=self._jitter)
        while True:
            if self._closing.is_set():
                raise NetworkError(f"{ask.where}: not fetched, since this run is stopping")
            try:
                with self._host_slot(ask.start.origin):
                    return self._try_once(ask, read)
            except TryFailedError as failure:
                if failure.is_stale:
                    continue
                wait = budget.wait_after_failure(failure.retry_after)
                if wait is None:
                    raise _out_of_budget(ask, budget, failure) from None
                if failure.retry_after is not None:
                    self._busy.setdefault(ask.start.origin, _BusyHost()).open_at = self._clock() + wait
            self._sleep(wait)

    @contextmanager
    def _host_slot(self, origin: Origin) -> Iterator[None]:
        """Hold back from a host that said it is busy: few at a time, and none before the moment it named."""
        busy = self._busy.get(origin)
        if busy is None:
            yield
            return
        with busy.slots:
            wait = busy.open_at - self._clock()
            if wait > 0:
                self._sleep(wait)
            yield

    def _try_once(self, ask: _Request, read: Callable[[StreamedResponse], T]) -> T:
        line = self._connections.line()
        line.begin(self._clock() + ask.deadline)
        try:
            return self._follow_redirects(line, ask, read)
        except DeadlineExceeded:
            raise _overdue(ask) from None
        except TooSlowError:
            cause = f"fewer than {SLOWEST_BYTES} bytes in {SLOWEST_SECONDS:.0f} seconds"
            raise TryFailedError(cause) from None
        except FAULTS as fault:
            if line.is_overdue():
                raise _overdue(ask) from None
            raise translate(fault, ask.where, is_stale=not (line.connected or line.answered)) from None

    def _follow_redirects(self, line: DeadlineBackend, ask: _Request, read: Callable[[StreamedResponse], T]) -> T:
        """Ask, and follow redirects by hand (RFC 9110, 15.4)."""
        at, headers = ask.start, ask.headers
        authorization = authorization_for(self._settings.credentials, at)
        zone = zone_of_host(at.host)
        for _ in range(MAX_REDIRECTS + 1):
            own = headers if authorization is None else {**headers, "authorization": authorization.reveal()}
            with self._send(line, at, own, ask.limit) as (answer, wire):
                if answer.status not in REDIRECTS:
                    raise_for_status(answer)
                    return read(answer)
                if at is ask.start and zone is AddressScope.PUBLIC and self._is_direct(at):
                    zone = zone_of_peer(wire)
                target = _read_location(answer, zone)
                drain(answer)
            if target.origin != at.origin:
                headers = {name: value for name, value in headers.items() if name in _KEPT_ACROSS_ORIGINS}
                authorization = None
            line.zone = zone if self._is_direct(target) else None
            at = target
        raise NetworkError(f"{ask.where}: more than {MAX_REDIRECTS} redirects, the last to {shown_url(str(at))}")

    def _is_direct(self, url: Url) -> bool:
        return proxy_for(self._settings.proxies, url) is None

    @contextmanager
    def _send(
        self, line: DeadlineBackend, url: Url, headers: Mapping[str, str], limit: int
    ) -> Iterator[tuple[StreamedResponse, DeadlineStream]]:
        """One request and its answer. Afterwards the connection is free again, or closed if bytes are left on it."""
        line.start_answer()
        fields = [(b"Host", url.authority.encode("ascii")), self._user_agent]
        fields += [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()
        ]
        target = httpcore.URL(
            scheme=url.scheme.encode("ascii"),
            host=url.host.encode("ascii"),
            port=url.port,
            target=url.target.encode("ascii"),
        )
        request = httpcore.Request(b"GET", target, headers=fields, extensions=self._extensions)
        response = self._connections.pool(line, url).handle_request(request)
        wire: DeadlineStream = response.extensions["network_stream"]
        try:
            answer = StreamedResponse(
                status=response.status,
                url=url,
                headers=read_headers(response.headers, shown_url(str(url))),
                chunks=response.iter_stream(),
                asked=frozenset(headers),
                limit=limit,
            )
            yield answer, wire
            if line.has_surplus(answer.length):
                wire.mark_unusable()
        finally:
            response.close()


def _read_location(answer: StreamedResponse, zone: AddressScope) -> Url:
    location = answer.headers.get("location")
    if location is None:
        raise NetworkError(f"{answer.where}: HTTP {answer.status} without a Location")
    return follow(location, at=answer.url, zone=zone)


def _overdue(ask: _Request) -> NetworkError:
    return NetworkError(f"{ask.where}: no whole answer within {ask.deadline:.0f} seconds")


def _out_of_budget(ask: _Request, budget: RetryBudget, failure: TryFailedError) -> NetworkError:
    tries = budget.failed + budget.server_waits
    message = f"{ask.where}: {failure.cause} (tried {tries} {'time' if tries == 1 else 'times'})"
    if failure.retry_after is None:
        return NetworkError(message)
    return NetworkError(f"{message}; the server asks to wait {failure.retry_after:.0f} seconds", hint="try again later")


def open_transport(
    indexes: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    netrc_file: Path | None,
    ca_file: str | None,
    insecure_hosts: frozenset[str],
    reporter: Reporter,
) -> Transport:
    """Return a transport that knows the logins of the indexes (name to URL, which may carry user-info).

    Whatever the run may need is imported before it: from the first foreign byte on, nothing is. Raises ConfigError.
    """
    load_all()
    settings = TransportSettings(
        ca_file=ca_file,
        insecure_hosts=insecure_hosts,
        proxies=proxies_from(environ),
        credentials=gather_credentials(indexes, environ=environ, netrc_file=netrc_file),
    )
    return Transport(settings, reporter)
