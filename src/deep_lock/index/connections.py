"""The connection pools of all threads, TLS trust, and what the HTTP library's faults mean. Only for transport.py."""

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import certifi
import httpcore
from msgspec import Struct

from deep_lock.errors import ConfigError, NetworkError
from deep_lock.index.addresses import Addresses
from deep_lock.index.answers import TryFailedError
from deep_lock.index.credentials import NO_CREDENTIALS, Credentials
from deep_lock.index.proxies import NO_PROXIES, Proxies, Proxy, proxy_for
from deep_lock.index.sockets import Line, Streams
from deep_lock.index.urls import Url, shown_text

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

    def line(self) -> Line:
        """The sockets of this thread."""
        line: Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = Line(self._clock, self._addresses, self._streams)
        return line

    def pool(self, line: Line, url: Url) -> httpcore.ConnectionPool:
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
