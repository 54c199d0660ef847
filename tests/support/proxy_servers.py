"""Proxies on loopback that require a login: HTTP (also CONNECT) and SOCKS5 (RFC 1928, RFC 1929). Standard library only."""

import base64
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

USER, PASSWORD = "proxy-user", "pr0xy:w@rd"


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions until both ends are closed."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join(timeout=10)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise OSError
        data += more
    return data


@dataclass
class ProxyServer:
    """A proxy; ``targets`` are the hosts and ports that it connected to, ``refused`` counts wrong logins."""

    serve: Callable[["ProxyServer", socket.socket], None]
    scheme: str
    targets: list[tuple[str, int]] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._stopping = False

    def url(self, user: str = USER, password: str = "pr0xy%3Aw%40rd") -> str:  # noqa: S107 - made up
        """Its URL with a login."""
        return f"{self.scheme}://{user}:{password}@127.0.0.1:{self._listener.getsockname()[1]}"

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a target. Names end at loopback: a proxy looks them up, not its client."""
        self.targets.append((host, port))
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._sockets.append(connection)
        return connection

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        socket.create_connection(self._listener.getsockname()).close()
        self._listener.close()
        for connection in self._sockets:
            connection.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping:
                connection.close()
                return
            connection.settimeout(10)
            self._sockets.append(connection)
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.serve(self, connection)
            except OSError:
                return


def _serve_http(proxy: ProxyServer, connection: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += _read(connection, 1)
    lines = head.split(b"\r\n")
    expected = b"basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode())
    named = [line.partition(b":")[2].strip() for line in lines if line.lower().startswith(b"proxy-authorization:")]
    if [login[:6].lower() + login[6:] for login in named] != [expected]:
        proxy.refused += 1
        connection.sendall(
            b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        return
    method, target, _ = lines[0].split(b" ")
    if method == b"CONNECT":
        host, _, port = target.decode().rpartition(":")
        with proxy.connect(host, int(port)) as server:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            _relay(connection, server)
        return
    parts = urlsplit(target.decode())
    with proxy.connect(parts.hostname or "", parts.port or 80) as server:
        kept = [line for line in lines[1:-2] if not line.lower().startswith((b"proxy-", b"connection:"))]
        path = target.decode().split(parts.netloc, 1)[1].encode()
        server.sendall(b"\r\n".join([b"GET " + path + b" HTTP/1.1", *kept, b"Connection: close", b"", b""]))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += _read(server, 1)
        size = next(
            int(line.partition(b":")[2])
            for line in answer.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        connection.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + _read(server, size))


def _serve_socks5(proxy: ProxyServer, connection: socket.socket) -> None:
    version, count = _read(connection, 2)
    assert version == 5
    if 2 not in _read(connection, count):
        proxy.refused += 1
        connection.sendall(b"\x05\xff")
        return
    connection.sendall(b"\x05\x02")
    _, length = _read(connection, 2)
    user = _read(connection, length)
    password = _read(connection, _read(connection, 1)[0])
    if (user.decode(), password.decode()) != (USER, PASSWORD):
        proxy.refused += 1
        connection.sendall(b"\x01\x01")
        return
    connection.sendall(b"\x01\x00")
    _, _, _, kind = _read(connection, 4)
    host = socket.inet_ntoa(_read(connection, 4)) if kind == 1 else _read(connection, _read(connection, 1)[0]).decode()
    port = int.from_bytes(_read(connection, 2), "big")
    with proxy.connect(host, port) as server:
        connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        _relay(connection, server)


def http_proxy() -> ProxyServer:
    """Return an HTTP proxy."""
    return ProxyServer(_serve_http, "http")


def socks_proxy(scheme: str = "socks5") -> ProxyServer:
    """Return a SOCKS5 proxy."""
    return ProxyServer(_serve_socks5, scheme)
