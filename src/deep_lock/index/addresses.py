"""Host names, looked up once a run.

Law: two dozen threads that start at the same moment ask the resolver once. Measured: asked by all of them, it dropped
some of the questions, and each of those cost its 5 seconds of patience.
"""

import socket
import threading


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
