"""Names and addresses that are this machine's: a test says what a name resolves to, and which server has an address.

No request leaves the machine: an address without a server refuses the connection, and each address that was connected to
is in ``connected``.
"""

import socket
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

_connect = socket.create_connection


class FakeNetwork:
    """Takes the place of the resolver and of the sockets of this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: Mapping[str, str | Iterable[str]], port: int) -> None:
        """``names`` has the addresses of each name, ``port`` is that of the server behind all addresses."""
        self.names = dict(names)
        self.servers: dict[str, int] = {}
        """The port on this machine, by address, where it is not ``port``."""
        self.port = port
        self.connected: list[str] = []
        self.looked_up: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)
        monkeypatch.setattr(socket, "create_connection", self._connect)

    def _look_up(self, host: str, port: object, *_: object, **__: object) -> list[Any]:
        self.looked_up.append(host)
        found = self.names.get(host)
        if found is None:
            text = str(_address(host))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))]
        texts = [found] if isinstance(found, str) else list(found)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    def _connect(self, address: tuple[str, int], *arguments: Any, **settings: Any) -> socket.socket:
        host, _ = address
        self.connected.append(host)
        settings.pop("source_address", None)
        return _connect(("127.0.0.1", self.servers.get(host, self.port)), *arguments, **settings)


def _address(host: str) -> str:
    """Return the address that a resolver reads in a host: 127.1 and 0x7f.1 are addresses too."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        if ":" in host:
            return host
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
