"""The connection pools of all threads, TLS trust, and what the HTTP library's faults mean. Only for transport.py."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import certifi
import httpcore
from msgspec import Struct

from deep_lock.errors import ConfigError, NetworkError, UrlForbidden
from deep_lock.network.auth import NO_CREDENTIALS, Credentials
from deep_lock.network.proxies import NO_PROXIES, Proxies, Proxy, proxy_for
from deep_lock.network.responses import TryFailedError
from deep_lock.network.urls import AddressScope, Url, may_reach, shown_text, zone_of_address


class Addresses:
    """The addresses of the hosts that were asked for, in the order in which the system prefers them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host. A failed look-up is not remembered. Raises OSError, UnicodeError."""
        with self._lock:
            known = self._known.get((host, port))
            if known is None:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                known = self._known[host, port] = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
            return known


SLOWEST_BYTES = 30 * 1024
SLOWEST_SECONDS = 30.0


class DeadlineExceeded(Exception):
    """The deadline of the request has passed."""


class TooSlowError(Exception):
    """Fewer than SLOWEST_BYTES came within SLOWEST_SECONDS."""


class Streams:
    """Every connection that a transport opened, so that closing it leaves none: not even one made at that moment.

    They are held until they are closed: a pool that is closed forgets the connections that are still being made.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[httpcore.NetworkStream] = set()
        self._closed = False

    def add(self, stream: httpcore.NetworkStream) -> None:
        """Remember a connection. Raises httpcore.ConnectError, and closes it, where the transport was closed."""
        with self._lock:
            if not self._closed:
                self._open.add(stream)
                return
        stream.close()
        raise httpcore.ConnectError("the transport was closed")

    def discard(self, stream: httpcore.NetworkStream) -> None:
        """Let go of a connection that needs no closing any more."""
        with self._lock:
            self._open.discard(stream)

    def close(self) -> None:
        """Close all of them, and every one to come."""
        with self._lock:
            self._closed = True
            streams, self._open = self._open, set()
        for stream in streams:
            stream.close()


class DeadlineBackend(httpcore.SyncBackend):
    """All sockets of one thread, with the state of the one request that is under way on them."""

    def __init__(self, clock: Callable[[], float], addresses: Addresses, streams: Streams) -> None:
        self._clock = clock
        self._addresses = addresses
        self._streams = streams
        self._until = 0.0
        self._window_start: float | None = None
        self._window_bytes = 0
        self._head: bytes | None = b""
        self._received = 0
        self._tail = b""
        self.pools: dict[object, httpcore.ConnectionPool] = {}
        self.zone: AddressScope | None = None
        """Where a redirect came from, whose target's address is still to be judged."""
        self.connected = False
        """Whether the request in hand had to open a connection (else it used one that stood idle)."""

    def begin(self, until: float) -> None:
        """A request starts that must be answered in full by the moment ``until``."""
        self._until = until
        self.zone = None
        self.connected = False

    def start_answer(self) -> None:
        """One exchange starts: its bytes are counted from here."""
        self._window_start, self._window_bytes = None, 0
        self._head, self._received, self._tail = b"", 0, b""

    def is_overdue(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self._until

    def left(self, timeout: float | None) -> float:
        """The given timeout, cut down to what the deadline leaves. Raises OverdueError where that is nothing."""
        left = self._until - self._clock()
        if left <= 0:
            raise DeadlineExceeded
        return left if timeout is None else min(left, timeout)

    def note(self, data: bytes) -> None:
        """Count bytes that came in. Raises TooSlowError."""
        self._received += len(data)
        if self._head is not None:
            self._find_body(data)
        self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]
        now = self._clock()
        if self._window_start is None:
            self._window_start = now
        self._window_bytes += len(data)
        if now - self._window_start >= SLOWEST_SECONDS:
            if self._window_bytes < SLOWEST_BYTES:
                raise TooSlowError
            self._window_start, self._window_bytes = now, 0

    def _find_body(self, data: bytes) -> None:
        """Find where the headers end (after any 1xx answers), so that what follows the body can be told."""
        head = (self._head or b"") + data
        while (end := head.find(b"\r\n\r\n")) >= 0:
            rest = head[end + 4 :]
            if not head[8:].lstrip().startswith(b"1"):
                self._received, self._head = len(rest), None
                return
            head = rest
        self._head = head

    @property
    def answered(self) -> bool:
        """Whether any byte of the answer came in."""
        return self._head != b""

    def has_surplus(self, length: int | None) -> bool:
        """Whether more came than one answer, as far as can be told. ``length`` is None for a chunked body."""
        if self._head is not None:
            return True
        return self._tail != b"\r\n\r\n" if length is None else self._received != length

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection within the deadline."""
        self.connected = True
        stream = self._connect(host, port, timeout, local_address, socket_options)
        self.keep(stream)
        wire = DeadlineStream(stream, self)
        if self.zone is not None and not may_reach(self.zone, zone_of_peer(stream)):
            wire.close()
            raise UrlForbidden(f"{host}: a redirect to a name whose address does not belong to the public internet")
        return wire

    def keep(self, stream: httpcore.NetworkStream) -> None:
        """Have a connection closed with the transport, at the latest."""
        self._streams.add(stream)

    def forget(self, stream: httpcore.NetworkStream) -> None:
        """Let go of a connection that is closed, or whose socket another stream has taken over."""
        self._streams.discard(stream)

    def _connect(
        self,
        host: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses in turn. Raises httpcore's ConnectError and ConnectTimeout."""
        try:
            addresses = self._addresses.of(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from None
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return super().connect_tcp(address, port, self.left(timeout), local_address, socket_options)
        return super().connect_tcp(addresses[-1], port, self.left(timeout), local_address, socket_options)


class DeadlineStream(httpcore.NetworkStream):
    """One connection of a Line."""

    def __init__(self, stream: httpcore.NetworkStream, line: DeadlineBackend) -> None:
        self._stream = stream
        self._line = line
        self._spoiled = False

    def mark_unusable(self) -> None:
        """Let this connection serve no further request."""
        self._spoiled = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes within the deadline."""
        data = self._stream.read(max_bytes, self._line.left(timeout))
        self._line.note(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes within the deadline."""
        self._stream.write(buffer, self._line.left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._line.forget(self._stream)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands within the deadline. Where that fails, the connection is closed: no pool knows of it yet."""
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, self._line.left(timeout))
        except BaseException:
            self.close()
            raise
        self._line.forget(self._stream)
        self._line.keep(stream)
        self._line.start_answer()
        return DeadlineStream(stream, self._line)

    def get_extra_info(self, info: str) -> Any:
        """As httpcore defines it. An idle connection that is readable is one that the library closes."""
        if info == "is_readable" and self._spoiled:
            return True
        return self._stream.get_extra_info(info)


def zone_of_peer(stream: httpcore.NetworkStream) -> AddressScope:
    """The zone of the other end of a connection."""
    with suppress(OSError, ValueError, TypeError, IndexError):
        host = stream.get_extra_info("server_addr")[0]
        return zone_of_address(ipaddress.ip_address(str(host).partition("%")[0]))
    return AddressScope.PUBLIC


FAULTS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
"""All that the HTTP library raises by design (it has no common root)."""

_MAX_CONNECTIONS = 4
_KEEP_ALIVE_SECONDS = 30.0
_WORDS = (
    (httpcore.ConnectTimeout, "no connection in time"),
    (httpcore.TimeoutException, "no bytes for too long"),
    (httpcore.ConnectError, "no connection"),
    (httpcore.ProxyError, "the proxy refused"),
    (httpcore.RemoteProtocolError, "not a valid HTTP answer"),
)


class TransportSettings(Struct, frozen=True, kw_only=True):
    """How to reach the network. Times in seconds. The environment is read elsewhere: see `proxies_from`."""

    connect_timeout: float = 10.0
    read_timeout: float = 20.0
    tries: int = 3
    ca_file: str | None = None
    """A PEM file, or a folder of hashed certificates, in place of the built-in set."""
    insecure_hosts: frozenset[str] = frozenset()
    """Hosts (``host`` or ``host:port``) whose certificates are not checked."""
    proxies: Proxies = NO_PROXIES
    credentials: Credentials = NO_CREDENTIALS
    user_agent: str = "deep-lock"


class Connections:
    """The connection pools: for each thread its own, since a shared pool costs more CPU the more threads use it."""

    def __init__(self, settings: TransportSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._addresses = Addresses()
        self._streams = Streams()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._pools: list[httpcore.ConnectionPool] = []
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def line(self) -> DeadlineBackend:
        """The sockets of this thread."""
        line: DeadlineBackend | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = DeadlineBackend(self._clock, self._addresses, self._streams)
        return line

    def pool(self, line: DeadlineBackend, url: Url) -> httpcore.ConnectionPool:
        """The pool of this thread that serves a URL. Raises ConfigError for a bad ``ca_file``."""
        proxy = proxy_for(self._settings.proxies, url)
        checked = None if url.scheme == "http" else not self._is_insecure(url)
        key = (proxy, checked)
        pool = line.pools.get(key)
        if pool is None:
            pool = line.pools[key] = httpcore.ConnectionPool(
                ssl_context=None if checked is None else self._context(checked=checked),
                proxy=None if proxy is None else self._proxy(proxy),
                max_connections=_MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
                network_backend=line,
            )
            with self._lock:
                self._pools.append(pool)
        return pool

    def close(self) -> None:
        """Close all connections of all threads."""
        with self._lock:
            pools, self._pools = self._pools, []
        for pool in pools:
            pool.close()
        self._streams.close()

    def _is_insecure(self, url: Url) -> bool:
        hosts = self._settings.insecure_hosts
        return bool(hosts) and (url.host in hosts or f"{url.host}:{url.port}" in hosts)

    def _proxy(self, proxy: Proxy) -> httpcore.Proxy:
        login = None if proxy.login is None else (proxy.login[0].encode(), proxy.login[1].reveal().encode())
        tls = self._context(checked=True) if proxy.url.startswith("https:") else None
        return httpcore.Proxy(proxy.url, auth=login, ssl_context=tls)

    def _context(self, *, checked: bool) -> ssl.SSLContext:
        """One TLS context for all threads: loading the certificates takes some 20 ms."""
        with self._lock:
            if checked not in self._contexts:
                self._contexts[checked] = _trusting(self._settings.ca_file) if checked else _unchecked()
            return self._contexts[checked]


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    path = Path(ca_file or certifi.where())
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{shown_text(str(path))}: no certificates can be read from it ({shown_text(str(error))})",
            hint="--cert and SSL_CERT_FILE name a PEM file, SSL_CERT_DIR a folder",
        ) from None


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def translate(fault: Exception, where: str, *, is_stale: bool) -> TryFailedError | NetworkError:
    """What a fault of the HTTP library means: a try that failed, or an error at once where trying again is idle."""
    origin = fault.args[0] if fault.args and isinstance(fault.args[0], Exception) else fault
    if isinstance(origin, ssl.SSLCertVerificationError):
        reason = shown_text(origin.verify_message or str(origin))
        hint = "check the clock of this machine" if "not yet valid" in reason or "expired" in reason else ""
        return NetworkError(
            f"{where}: the certificate is not trusted: {reason}",
            hint=hint or "give the certificate authority by --cert, or the host by --allow-insecure-host",
        )
    if isinstance(fault, httpcore.LocalProtocolError | httpcore.UnsupportedProtocol):
        return NetworkError(f"{where}: cannot be asked for: {shown_text(str(fault))}")
    return TryFailedError(_cause(fault, origin), is_stale=is_stale)


def _cause(fault: Exception, origin: Exception) -> str:
    """A fault in few words."""
    detail = shown_text(str(origin) or type(origin).__name__)
    if isinstance(fault, httpcore.RemoteProtocolError) and "complete message body" in detail:
        return f"truncated: {detail}"
    for kind, words in _WORDS:
        if isinstance(fault, kind):
            return f"{words}: {detail}"
    return f"connection lost: {detail}"
