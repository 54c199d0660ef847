"""The HTTP client: requests that end, with the whole body or a typed error. All are GET requests, but queries of a service.

httpx does URLs, headers, redirects and credentials; the rules of this package are added where it lets us: its transport
(transport.py), each redirect before it is followed (addresses.py), and the raw body (responses.py).

Invariant: every request has a deadline and a size limit, and neither headers nor credentials go to another origin.
"""

import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import httpcore
import httpx
from msgspec import Struct, field

from deep_lock.errors import HashMismatch, NetworkError, UrlForbidden, raise_machine_fault
from deep_lock.events import Fetched, Fetching, Reporter
from deep_lock.lazy import load_all
from deep_lock.network.addresses import (
    Origin,
    check_redirect,
    origin_of,
    port_of,
    read_url,
    scope_of_url,
    subject_of,
)
from deep_lock.network.auth import auth_for, read_logins
from deep_lock.network.proxies import proxies_from, proxy_for
from deep_lock.network.request_budget import BUSY_HOST_SLOTS, RequestBudget, RequestLimits
from deep_lock.network.responses import (
    Response,
    TryFailedError,
    check_head,
    drain,
    empty,
    length_of,
    read_whole,
    save,
    where,
)
from deep_lock.network.retries import RetryBudget
from deep_lock.network.scopes import AddressScope, may_name, narrowest
from deep_lock.network.tls import TlsContexts
from deep_lock.network.transport import (
    FAULTS,
    SLOWEST_BYTES,
    SLOWEST_SECONDS,
    DeadlineExceeded,
    DeadlineTransport,
    Exchange,
    Shared,
    TooSlowError,
    TransportSettings,
)
from deep_lock.network.urls import shown_text, shown_url, without_user_info

__all__ = ["HttpClient", "RequestLimits", "Response", "TransportSettings", "open_client"]

MAX_REDIRECTS = 5
_PUBLIC = frozenset({AddressScope.PUBLIC})
_KEPT_ACROSS_ORIGINS = frozenset({"host", "user-agent", "accept", "accept-encoding", "range", "cache-control"})
_DESCRIPTIONS = (
    (httpcore.ConnectTimeout, "no connection in time"),
    (httpcore.TimeoutException, "no bytes for too long"),
    (httpcore.ConnectError, "no connection"),
    (httpcore.ProxyError, "the proxy refused"),
    (httpcore.RemoteProtocolError, "not a valid HTTP response"),
)

_uniform = random.SystemRandom().uniform

T = TypeVar("T")


class _BusyHost(Struct, kw_only=True):
    """A host that requested a wait."""

    slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(BUSY_HOST_SLOTS))
    open_at: float = 0.0


class _NoCookies(httpx.Cookies):
    """Stays empty: an index needs no cookies, and one server must not recognize the user at another."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep nothing."""


class _Client(httpx.Client):
    """A client without cookies."""

    @property  # type: ignore[misc]  # nothing sets them
    def cookies(self) -> httpx.Cookies:
        """No cookies."""
        return _NO_COOKIES


_NO_COOKIES = _NoCookies()


class _Worker(threading.local):
    """What each thread has for itself: a shared pool of connections costs more CPU time the more threads use it."""

    def __init__(self, settings: TransportSettings, clock: Callable[[], float], shared: Shared) -> None:
        self.exchange = Exchange(clock)
        self.client = _Client(
            transport=DeadlineTransport(settings, self.exchange, shared),
            headers={"user-agent": "deep-lock"},
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
            trust_env=False,
        )


class HttpClient:
    """Fetches over HTTP/1.1 with kept-alive connections. Threads may share it."""

    def __init__(
        self,
        settings: TransportSettings,
        reporter: Reporter,
        *,
        limits: RequestLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[float, float], float] = _uniform,
    ) -> None:
        self._settings = settings
        self._reporter = reporter
        self._clock = clock
        self._closing = threading.Event()
        # close() ends this wait: an interrupt does not wait for the next try.
        self._sleep = self._closing.wait if sleep is None else sleep
        self._jitter = jitter
        self._shared = Shared(contexts=TlsContexts(settings.ca_file))
        self._worker = _Worker(settings, clock, self._shared)
        self._busy: dict[Origin, _BusyHost] = {}
        self._budget = (
            None if limits is None else RequestBudget(limits, sleep=self._sleep, is_closing=self._closing.is_set)
        )

    def get(
        self,
        url: str,
        *,
        named_by: str,
        headers: Mapping[str, str] | None = None,
        limit: int,
        deadline: float,
    ) -> Response:
        """Fetch something small into memory: a page, metadata, a range of a file.

        ``named_by`` is the URL of the server that names this one, "" for a namer without one, and the URL itself where the user
        names it: see `may_name`. ``limit`` is in bytes and counts for the encoded and the decoded body; ``deadline`` is in seconds for one try.
        Raises NetworkError, AccessDenied (401, 403), IndexInvalid (a body that is not encoded as its header claims),
        LimitExceeded or UrlForbidden.
        """
        own = httpx.Headers(headers, encoding="latin-1")  # an ETag may have any byte
        own.setdefault("accept-encoding", "identity" if "range" in own else "gzip")
        start = read_url(url)
        with self._reported(start) as sizes:
            self._require_nameable(start, named_by)
            response = self._with_retries(start, own, deadline, partial(read_whole, limit=limit))
            sizes.append(len(response.body))
        return response

    def post(self, url: str, body: bytes, *, named_by: str, limit: int, deadline: float) -> Response:
        """Send a query as JSON, and return the response. A query changes nothing, so it is tried again as a page is.

        It is sent to this URL only: a redirect is NetworkError. Else as `get`.
        """
        own = httpx.Headers({"accept-encoding": "gzip", "content-type": "application/json"})
        start = read_url(url)
        with self._reported(start) as sizes:
            self._require_nameable(start, named_by)
            response = self._with_retries(start, own, deadline, partial(read_whole, limit=limit), body)
            sizes.append(len(response.body))
        return response

    def download(
        self, url: str, file: BinaryIO, *, named_by: str, limit: int, deadline: float, sha256: str | None
    ) -> tuple[str, int]:
        """Write a file into ``file`` (it is emptied first); return its sha256 and its size. ``named_by`` as in `get`.

        The bytes are stored as they come, with any Content-Encoding: many servers set that header on archives that
        are gzip by themselves. Bytes with another digest than ``sha256`` are fetched once more, past all caches; then
        HashMismatch is raised and ``file`` is left empty. Raises NotFound for a 404, else as `get`. An OSError is that
        of ``file``.
        """
        start = read_url(url)
        own = {"accept-encoding": "identity"}
        digest = ""
        with self._reported(start) as sizes:
            self._require_nameable(start, named_by)
            for headers in (own, {**own, "cache-control": "no-cache"}):
                read = partial(save, limit=limit, file=file)
                digest, size = self._with_retries(start, httpx.Headers(headers), deadline, read)
                if sha256 is None or digest == sha256.lower():
                    sizes.append(size)
                    return digest, size
        empty(file)
        raise HashMismatch(
            f"{shown_url(url)}: has sha256 {digest}, and not the expected {shown_text(str(sha256))} (fetched twice)",
            hint="the server or a proxy has other bytes than the index page, the URL or the lock states: do not use this file",
        )

    def close(self) -> None:
        """End all connections and waits. Requests of other threads fail soon, new ones at once."""
        self._closing.set()
        self._shared.streams.close()

    @contextmanager
    def _reported(self, url: httpx.URL) -> Iterator[list[int]]:
        """Report the start and the end of a fetch; the caller appends the sizes."""
        what = subject_of(url)
        sizes: list[int] = []
        self._reporter(Fetching(name=what))
        try:
            yield sizes
        finally:
            self._reporter(Fetched(name=what, size=sum(sizes)))

    def _with_retries(
        self,
        url: httpx.URL,
        headers: httpx.Headers,
        deadline: float,
        read: Callable[[httpx.Response], T],
        query: bytes | None = None,
    ) -> T:
        """Try until there is a response or the budget is used up. With a query it is sent by POST."""
        name = shown_url(str(url))
        budget = RetryBudget(tries=self._settings.tries, jitter=self._jitter)
        origin = origin_of(url)
        while True:
            if self._closing.is_set():
                raise NetworkError(f"{name}: not fetched, since this run is stopping")
            try:
                with self._host_slot(origin):
                    return self._try_once(url, headers, deadline, read, query)
            except _IdleConnectionEndedError:
                continue
            except TryFailedError as failure:
                wait = budget.wait_after_failure(failure.retry_after)
                if wait is None:
                    raise _out_of_budget(name, budget, failure) from None
                if failure.retry_after is not None:
                    if self._budget is not None:
                        self._budget.set_busy(origin, wait)
                    self._busy.setdefault(origin, _BusyHost()).open_at = self._clock() + wait
            self._sleep(wait)

    @contextmanager
    def _host_slot(self, origin: Origin) -> Iterator[None]:
        """Limit the requests to a busy host: few at a time, and none before the time that it named."""
        busy, budget = self._busy.get(origin), self._budget
        with nullcontext() if busy is None else busy.slots:
            wait = 0.0 if busy is None else busy.open_at - self._clock()
            if wait > 0:
                self._sleep(wait)
            with nullcontext() if budget is None else budget.request(origin):
                yield

    def _try_once(
        self,
        url: httpx.URL,
        headers: httpx.Headers,
        deadline: float,
        read: Callable[[httpx.Response], T],
        query: bytes | None,
    ) -> T:
        extensions = {"deadline": self._clock() + deadline}
        method = "GET" if query is None else "POST"
        request = self._worker.client.build_request(method, url, content=query, headers=headers, extensions=extensions)
        try:
            return self._follow_redirects(request, read)
        except TooSlowError:
            cause = f"fewer than {SLOWEST_BYTES} bytes in {SLOWEST_SECONDS:.0f} seconds"
            raise TryFailedError(cause) from None
        except (DeadlineExceeded, *FAULTS) as fault:
            raise_machine_fault(_origin(fault))
            name, exchange = shown_url(str(url)), self._worker.exchange
            if exchange.is_overdue:
                raise NetworkError(f"{name}: no whole response within {deadline:.0f} seconds") from None
            raise _translate(fault, name, is_idle_end=exchange.is_unanswered) from None

    def _follow_redirects(self, to_send: httpx.Request, read: Callable[[httpx.Response], T]) -> T:
        """Send a request and those that its redirects lead to (RFC 9110, 15.4)."""
        url = start = to_send.url
        auth = auth_for(self._settings.logins, url)
        scope = AddressScope.LOOPBACK
        for _ in range(MAX_REDIRECTS + 1):
            with self._send(to_send, auth) as response:
                if response.next_request is None:
                    check_head(response)
                    return read(response)
                target = check_redirect(url, response.next_request.url)
                if to_send.method == "POST":
                    raise NetworkError(
                        f"{shown_url(str(url))}: redirects a POST request to {shown_url(str(target))}",
                        hint="if the other URL is right, name it in the options or in the configuration",
                    )
                scope = narrowest((scope, *self._scopes(url)))
                self._require_allowed(target, url, scope, "redirects to it")
                drain(response)
            to_send = response.next_request
            to_send.url = target
            if origin_of(target) != origin_of(url):
                for name in set(to_send.headers) - _KEPT_ACROSS_ORIGINS:
                    del to_send.headers[name]
            # httpx keeps the Authorization header for requests to the same origin.
            url, auth = target, None
        raise NetworkError(
            f"{shown_url(str(start))}: more than {MAX_REDIRECTS} redirects, the last to {shown_url(str(url))}"
        )

    def _require_nameable(self, url: httpx.URL, named_by: str) -> None:
        """Raise UrlForbidden where the namer of a URL may not name it."""
        namer = httpx.URL(without_user_info(named_by))
        self._require_allowed(url, namer, None, "names it" if named_by else "")

    def _require_allowed(self, url: httpx.URL, namer: httpx.URL, scope: AddressScope | None, verb: str) -> None:
        """Raise UrlForbidden where a namer of a scope may not name a URL. Without ``scope`` it is that of the namer's host.

        A server may name its own host, whose addresses are looked up once in a run; a link-local one only if it is that of
        an index of the user.
        """
        host = url.raw_host.decode("ascii")
        scopes = self._scopes(url)
        allowed = self._settings.allowed_hosts
        if scopes <= _PUBLIC or host in allowed or f"{host}:{port_of(url)}" in allowed:
            return
        if url.raw_host == namer.raw_host and (
            AddressScope.LINK_LOCAL not in scopes or host in self._settings.own_hosts
        ):
            return
        if scope is None:
            scope = narrowest(self._scopes(namer)) if namer.host else AddressScope.PUBLIC
        refused = sorted(own.value for own in scopes if not may_name(scope, own))
        if not refused:
            return
        who = f"{shown_url(str(namer))} {verb}" if verb else "the source of the URL is not known"
        raise UrlForbidden(
            f"{shown_url(str(url))}: not requested, since it has a {refused[0]} address and does not belong to the public internet; {who}",
            hint=f"if this host is right: --allow-host {host}",
        )

    def _scopes(self, url: httpx.URL) -> frozenset[AddressScope]:
        """Return the scopes of a URL's addresses. Behind a proxy, which looks the name up itself, what its text shows."""
        if proxy_for(self._settings.proxies, url) is not None:
            return frozenset({scope_of_url(url)})
        return self._shared.addresses.scopes(url.raw_host.decode("ascii"))

    def _proxy_failure(self, fault: Exception, url: httpx.URL) -> TryFailedError | None:
        """Return the failure of a request that did not get as far as its proxy; None where there is another reason.

        A fault of TLS is that of the server behind the proxy.
        """
        proxies = self._settings.proxies
        proxy = proxy_for(proxies, url)
        if proxy is None or isinstance(_origin(fault), ssl.SSLError):
            return None
        variable = proxies.variables.get(url.scheme, "")
        named = f"{shown_url(str(proxy.url))}{f' ({variable})' if variable else ''}"
        return TryFailedError(f"no connection to the proxy {named}: {shown_text(str(_origin(fault)))}")

    @contextmanager
    def _send(self, request: httpx.Request, auth: httpx.Auth | None) -> Iterator[httpx.Response]:
        """Send one request. Afterwards its connection is free again, or closed if unread bytes are left on it."""
        try:
            response = self._worker.client.send(request, auth=auth, stream=True)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as fault:
            raise_machine_fault(_origin(fault))
            failed = self._proxy_failure(fault, request.url)
            if failed is None or self._worker.exchange.is_overdue:
                raise
            raise failed from None
        except (httpx.RemoteProtocolError, UnicodeError) as error:
            # raised by httpx itself, not by our transport: a Location that it cannot parse
            raise UrlForbidden(
                f"{shown_url(str(request.url))}: redirects to what is not a URL ({shown_text(str(error))})"
            ) from None
        with closing(response):
            if "content-length" in response.headers and "transfer-encoding" in response.headers:
                # Two parsers would find two ends of the body (RFC 9112, 6.3).
                raise NetworkError(f"{where(response)}: the response has both Content-Length and Transfer-Encoding")
            yield response
            if self._worker.exchange.has_surplus(length_of(response)):
                response.extensions["network_stream"].mark_unusable()


class _IdleConnectionEndedError(Exception):
    """The server had closed an idle connection before it was used again: that is no fault and costs no try."""


def _origin(fault: Exception) -> Exception:
    """Return the fault that the HTTP library wrapped."""
    return fault.args[0] if fault.args and isinstance(fault.args[0], Exception) else fault


def _translate(fault: Exception, where: str, *, is_idle_end: bool) -> Exception:
    """Return the error for a fault of the HTTP library: a failed try, or one that ends all tries."""
    origin = _origin(fault)
    if isinstance(origin, ssl.SSLCertVerificationError):
        reason = shown_text(origin.verify_message or str(origin))
        hint = "check the clock of this machine" if "not yet valid" in reason or "expired" in reason else ""
        return NetworkError(
            f"{where}: the certificate is not trusted: {reason}",
            hint=hint or "give the certificate authority by --cert, or the host by --allow-insecure-host",
        )
    if isinstance(fault, httpcore.LocalProtocolError | httpcore.UnsupportedProtocol):
        return NetworkError(f"{where}: cannot be requested: {shown_text(str(fault))}")
    if is_idle_end:
        return _IdleConnectionEndedError()
    detail = shown_text(str(origin) or type(origin).__name__)
    if isinstance(fault, httpcore.RemoteProtocolError) and "complete message body" in detail:
        return TryFailedError(f"truncated: {detail}")
    description = next((text for kind, text in _DESCRIPTIONS if isinstance(fault, kind)), "connection lost")
    return TryFailedError(f"{description}: {detail}")


def _out_of_budget(name: str, budget: RetryBudget, failure: TryFailedError) -> NetworkError:
    tries = budget.failed + budget.server_waits
    message = f"{name}: {failure.cause} (tried {tries} {'time' if tries == 1 else 'times'})"
    if failure.retry_after is None:
        return NetworkError(message)
    return NetworkError(
        f"{message}; the server requests a wait of {failure.retry_after:.0f} seconds", hint="try again later"
    )


def open_client(
    indexes: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    netrc_file: Path | None,
    ca_file: str | None,
    insecure_hosts: frozenset[str],
    client_certs: Mapping[str, str],
    own_hosts: frozenset[str] = frozenset(),
    allowed_hosts: frozenset[str] = frozenset(),
    keyring: bool = False,
    limits: RequestLimits | None = None,
    reporter: Reporter,
) -> HttpClient:
    """Return a transport with the logins of the indexes (name to URL, which may contain user-info).

    ``own_hosts`` and ``allowed_hosts`` as in TransportSettings. ``client_certs`` are PEM files by index name. ``keyring`` is whether the program of that name may supply passwords. ``limits`` are those of
    all processes of this machine.
    Imports every module that the run may need: nothing is imported after untrusted bytes were read. Raises ConfigError.
    """
    load_all()
    settings = TransportSettings(
        ca_file=ca_file,
        insecure_hosts=insecure_hosts,
        proxies=proxies_from(environ),
        client_certs={
            origin_of(read_url(without_user_info(indexes[name]))): path for name, path in client_certs.items()
        },
        logins=read_logins(indexes, environ=environ, netrc_file=netrc_file, keyring=keyring),
        own_hosts=own_hosts,
        allowed_hosts=allowed_hosts,
    )
    return HttpClient(settings, reporter, limits=limits)
