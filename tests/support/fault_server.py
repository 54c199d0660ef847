"""A server on loopback that says exactly what a test scripts, byte by byte, right or wrong. Standard library only.

It refuses what it was not given: a path without a script is answered with 599 and noted in ``surprises``, and leaving
the ``with`` block fails if there are any.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

After = Literal["keep", "close", "reset", "drip"]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Raw bytes, and what becomes of the connection: "drip" sends the bytes one by one, then nothing for ever."""

    raw: bytes
    after: After = "keep"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came in. ``connection`` counts connections from 1."""

    target: str
    headers: Mapping[str, str]
    connection: int
    body: bytes = b""


def reply(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    headers: Iterable[tuple[str, str]] = (),
    length: int | None = None,
    after: After = "keep",
) -> Reply:
    """An ordinary answer. ``length`` lies about the Content-Length."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return Reply(raw="\r\n".join([*lines, "", ""]).encode("latin-1") + body, after=after)


def headless(body: bytes, *headers: str, after: After = "close") -> Reply:
    """A 200 with just these header lines: no Content-Length of its own."""
    return Reply(raw="\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode("latin-1") + body, after=after)


def redirect(location: str, status: int = 302) -> Reply:
    """A redirect."""
    return reply(status=f"{status} Moved", headers=[("Location", location)])


@dataclass
class FaultServer:
    """Scripts by path: each request takes the next reply of its path, the last one stays."""

    tls: Path | None = None
    """A PEM file with certificate; the key lies beside it with the suffix ``.key``."""
    client_ca: Path | None = None
    """With ``tls``: clients must show a certificate that this authority signed."""
    requests: list[Asked] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scripts: dict[str, list[Reply]] = {}
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]

    @property
    def base(self) -> str:
        """The origin, without a slash at its end."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def script(self, target: str, *replies: Reply) -> str:
        """Say what a target is answered with; gives its URL."""
        self._scripts[target] = list(replies)
        return self.base + target

    def count(self, target: str) -> int:
        """How often a target was asked for."""
        return sum(asked.target == target for asked in self.requests)

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        # A listener that is only closed leaves accept() waiting on some systems.
        socket.create_connection(("127.0.0.1", self.port)).close()
        with self._lock:
            for connection in self._sockets:
                connection.close()
        for thread in self._threads:
            thread.join(timeout=10)
        self._listener.close()
        if kind is None:
            assert not self.surprises, self.surprises

    def _spawn(self, target: object, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while True:
            connection, _ = self._listener.accept()
            if self._stopping.is_set():
                connection.close()
                return
            number += 1
            with self._lock:
                self._sockets.append(connection)
            self._spawn(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            connection.settimeout(10)
            wire = self._wrapped(connection)
            with wire:
                while self._answer(wire, number):
                    pass
        except OSError:
            connection.close()

    def _wrapped(self, connection: socket.socket) -> socket.socket:
        if self.tls is None:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls, self.tls.with_suffix(".key"))
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client_ca)
        wire = context.wrap_socket(connection, server_side=True)
        with self._lock:
            self._sockets.append(wire)
        return wire

    def _answer(self, wire: socket.socket, number: int) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            data = wire.recv(65536)
            if not data:
                return False
            head += data
        first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        target = first.split(" ")[1]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = head.partition(b"\r\n\r\n")[2]
        while len(body) < int(headers.get("content-length", "0")):
            body += wire.recv(65536)
        with self._lock:
            self.requests.append(Asked(target=target, headers=headers, connection=number, body=body))
            chosen = self._next(target)
        return self._send(wire, chosen)

    def _next(self, target: str) -> Reply:
        replies = self._scripts.get(target)
        if not replies:
            self.surprises.append(target)
            return reply(status="599 Not scripted")
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _send(self, wire: socket.socket, chosen: Reply) -> bool:
        if chosen.after == "drip":
            for byte in chosen.raw:
                wire.sendall(bytes([byte]))
                if self._stopping.wait(0.02):
                    break
            self._stopping.wait()
            return False
        wire.sendall(chosen.raw)
        if chosen.after == "reset":
            # A linger time of zero makes close() send RST.
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return chosen.after == "keep"
