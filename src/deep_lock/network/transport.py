"""The transport under httpx: a deadline for every wait, a minimum speed, one look-up of each name in a run.

httpx's own transport has a timeout for each read, so a server that sends a byte now and then holds it for ever.
"""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpcore
import httpx
from msgspec import Struct, field

from deep_lock.errors import raise_machine_fault
from deep_lock.network.addresses import Origin, origin_of, port_of
from deep_lock.network.auth import Login
from deep_lock.network.proxies import Proxies, proxy_for
from deep_lock.network.scopes import Addresses
from deep_lock.network.tls import TlsContexts

SLOWEST_BYTES = 30 * 1024
SLOWEST_SECONDS = 30.0

FAULTS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
"""Everything that httpcore raises by design; its errors have no common base class."""

_MAX_CONNECTIONS = 4
_KEEP_ALIVE_SECONDS = 30.0


class TransportSettings(Struct, frozen=True, kw_only=True):
    """How to connect. Times in seconds. The environment is read elsewhere: see `proxies_from`."""

    connect_timeout: float = 10.0
    read_timeout: float = 20.0
    tries: int = 3
    ca_file: str | None = None
    """A PEM file, or a folder of hashed certificates, in place of the system's authorities."""
    insecure_hosts: frozenset[str] = frozenset()
    """Hosts (``host`` or ``host:port``) whose certificates are not checked."""
    client_certs: Mapping[Origin, str] = {}
    """PEM files with certificate and private key, by the origin that they are shown to."""
    proxies: Proxies = Proxies()
    logins: tuple[Login, ...] = ()
    own_hosts: frozenset[str] = frozenset()
    """Hosts of the user's own indexes: they alone may have a link-local address."""
    allowed_hosts: frozenset[str] = frozenset()
    """Hosts (``host`` or ``host:port``) that every server and every lock may name."""


class DeadlineExceeded(Exception):
    """The deadline of the request has passed."""


class TooSlowError(Exception):
    """Fewer than SLOWEST_BYTES came within SLOWEST_SECONDS."""


class Streams:
    """All open connections of a client: a pool that is closed forgets those that are still being opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[httpcore.NetworkStream] = set()
        self._closed = False

    def add(self, stream: httpcore.NetworkStream) -> None:
        """Add a connection. After close(), closes it and raises httpcore.ConnectError."""
        with self._lock:
            if not self._closed:
                self._open.add(stream)
                return
        stream.close()
        raise httpcore.ConnectError("the transport was closed")

    def discard(self, stream: httpcore.NetworkStream) -> None:
        """Remove a connection that is closed, or whose socket another stream has taken over."""
        with self._lock:
            self._open.discard(stream)

    def close(self) -> None:
        """Close all of them, and each one that is added later."""
        with self._lock:
            self._closed = True
            streams, self._open = self._open, set()
        for stream in streams:
            stream.close()


class Shared(Struct, frozen=True, kw_only=True):
    """What the transports of all threads share."""

    contexts: TlsContexts
    addresses: Addresses = field(default_factory=Addresses)
    streams: Streams = field(default_factory=Streams)


class Exchange:
    """One request and what came in for it: its deadline, its speed, and where its answer ends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begin(0.0)

    def begin(self, until: float) -> None:
        """Begin a request, which ends at the moment ``until``."""
        self._until = until
        self.connected = False
        """Whether this request opened a connection; else it used an idle one."""
        self.start()

    def start(self) -> None:
        """Let what comes in count from here."""
        self._window_start: float | None = None
        self._window_bytes = 0
        self._head: bytes | None = b""
        self._received = 0
        self._tail = b""

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self._until

    @property
    def is_unanswered(self) -> bool:
        """Whether an idle connection gave no byte: the server had closed it, which is no fault."""
        return not self.connected and self._head == b""

    def left(self, timeout: float | None) -> float:
        """Return the timeout, cut to the time before the deadline. Raises DeadlineExceeded where none is left."""
        left = self._until - self._clock()
        if left <= 0:
            raise DeadlineExceeded
        return left if timeout is None else min(left, timeout)

    def note(self, data: bytes) -> None:
        """Count bytes that came in. Raises TooSlowError."""
        self._received += len(data)
        if self._head is not None:
            self._find_body(data)
        self._tail = (self._tail + data)[-4:]
        now = self._clock()
        if self._window_start is None:
            self._window_start = now
        self._window_bytes += len(data)
        if now - self._window_start >= SLOWEST_SECONDS:
            if self._window_bytes < SLOWEST_BYTES:
                raise TooSlowError
            self._window_start, self._window_bytes = now, 0

    def _find_body(self, data: bytes) -> None:
        """Find the end of the headers (after any 1xx responses): `has_surplus` counts from there."""
        head = (self._head or b"") + data
        while (end := head.find(b"\r\n\r\n")) >= 0:
            rest = head[end + 4 :]
            if not head[8:].lstrip().startswith(b"1"):
                self._received, self._head = len(rest), None
                return
            head = rest
        self._head = head

    def has_surplus(self, length: int | None) -> bool:
        """Whether more came than one response, which the next request would take for its own.

        ``length`` is that of the body; None for a chunked body.
        """
        if self._head is not None:
            return True
        return self._tail != b"\r\n\r\n" if length is None else self._received != length


class DeadlineBackend(httpcore.SyncBackend):
    """Opens the connections of one thread."""

    def __init__(self, exchange: Exchange, shared: Shared) -> None:
        self._exchange = exchange
        self._shared = shared

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the host's addresses in turn, within the deadline. Raises ConnectError and ConnectTimeout."""
        exchange = self._exchange
        exchange.connected = True
        try:
            *others, last = self._shared.addresses.of(host)
        except (OSError, UnicodeError) as error:
            raise_machine_fault(error)
            raise httpcore.ConnectError(str(error)) from None
        stream = None
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                stream = super().connect_tcp(address, port, exchange.left(timeout), local_address, socket_options)
                break
        if stream is None:
            stream = super().connect_tcp(last, port, exchange.left(timeout), local_address, socket_options)
        self._shared.streams.add(stream)
        return DeadlineStream(stream, exchange, self._shared.streams)


class DeadlineStream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, stream: httpcore.NetworkStream, exchange: Exchange, streams: Streams) -> None:
        self._stream = stream
        self._exchange = exchange
        self._streams = streams
        self._is_unusable = False

    def mark_unusable(self) -> None:
        """Use this connection for no further request."""
        self._is_unusable = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes within the deadline."""
        data = self._stream.read(max_bytes, self._exchange.left(timeout))
        self._exchange.note(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes within the deadline."""
        self._stream.write(buffer, self._exchange.left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._streams.discard(self._stream)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Start TLS within the deadline. A failure closes the connection: no pool has it yet."""
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, self._exchange.left(timeout))
        except BaseException:
            self.close()
            raise
        self._streams.discard(self._stream)
        self._streams.add(stream)
        self._exchange.start()
        return DeadlineStream(stream, self._exchange, self._streams)

    def get_extra_info(self, info: str) -> Any:
        """As httpcore defines it. httpcore closes an idle connection that is readable."""
        return (info == "is_readable" and self._is_unusable) or self._stream.get_extra_info(info)


class DeadlineTransport(httpx.BaseTransport):
    """Sends the requests of one thread. Raises the errors of httpcore; `FAULTS` lists them.

    A request has the extension "deadline", a moment of the clock.
    """

    def __init__(self, settings: TransportSettings, exchange: Exchange, shared: Shared) -> None:
        self._settings = settings
        self._exchange = exchange
        self._contexts = shared.contexts
        self._backend = DeadlineBackend(exchange, shared)
        self._pools: dict[tuple[httpx.Proxy | None, ssl.SSLContext | None], httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its response. Raises ConfigError for a bad ``ca_file``."""
        self._exchange.begin(request.extensions["deadline"])
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        content = request.stream if isinstance(request.stream, httpx.SyncByteStream) else None
        response = self._pool(url).handle_request(
            httpcore.Request(
                request.method, target, headers=request.headers.raw, content=content, extensions=request.extensions
            )
        )
        headers = httpx.Headers(response.headers)
        headers.encoding = "latin-1"
        return httpx.Response(response.status, headers=headers, stream=_Body(response), extensions=response.extensions)

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        proxy = proxy_for(self._settings.proxies, url)
        context = None
        if url.scheme == "https":
            client_cert = self._settings.client_certs.get(origin_of(url))
            context = self._contexts.context(checked=not self._is_insecure(url), client_cert=client_cert)
        pool = self._pools.get((proxy, context))
        if pool is None:
            pool = self._pools[proxy, context] = httpcore.ConnectionPool(
                ssl_context=context,
                proxy=None if proxy is None else self._proxy(proxy),
                max_connections=_MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
                network_backend=self._backend,
            )
        return pool

    def _is_insecure(self, url: httpx.URL) -> bool:
        hosts, host = self._settings.insecure_hosts, url.raw_host.decode("ascii")
        return host in hosts or f"{host}:{port_of(url)}" in hosts

    def _proxy(self, proxy: httpx.Proxy) -> httpcore.Proxy:
        context = self._contexts.context(checked=True) if proxy.url.scheme == "https" else None
        return httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth, ssl_context=context)


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
