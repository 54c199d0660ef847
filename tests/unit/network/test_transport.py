"""The deadline and the minimum speed under the sockets, with a clock that is moved by hand."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

import httpcore
import pytest

from deep_lock.network.tls import TlsContexts
from deep_lock.network.transport import (
    SLOWEST_BYTES,
    SLOWEST_SECONDS,
    DeadlineBackend,
    DeadlineExceeded,
    DeadlineStream,
    Exchange,
    Shared,
    Streams,
    TooSlowError,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Pipe(httpcore.NetworkStream):
    """Hands out chunks, each after some seconds; refuses to wait for longer than it is allowed to."""

    def __init__(self, clock: Clock, seconds: float, chunk: bytes, peer: object = ("203.0.113.1", 1)) -> None:
        self.clock, self.seconds, self.chunk, self.peer = clock, seconds, chunk, peer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert timeout is not None
        self.clock.now += min(self.seconds, timeout)
        if timeout < self.seconds:
            raise httpcore.ReadTimeout
        return self.chunk[:max_bytes]

    def get_extra_info(self, info: str) -> Any:
        return {"server_addr": self.peer, "is_readable": False}[info]


def reads(stream: DeadlineStream, clock: Clock, *, until: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if until():
            return
        stream.read(65536, 20.0)
    raise AssertionError(clock.now)


def shared(streams: Streams | None = None) -> Shared:
    return Shared(contexts=TlsContexts(None), streams=streams or Streams())


def test_single_bytes_do_not_go_past_the_deadline() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    exchange.begin(clock.now + 25)
    stream = DeadlineStream(Pipe(clock, 0.5, b"a"), exchange, Streams())
    with pytest.raises((DeadlineExceeded, httpcore.ReadTimeout)):
        reads(stream, clock, until=lambda: False)
    assert exchange.is_overdue
    assert clock.now == pytest.approx(125, abs=0.5)


def test_one_long_wait_is_cut_to_the_deadline() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    exchange.begin(clock.now + 5)
    with pytest.raises(httpcore.ReadTimeout):
        DeadlineStream(Pipe(clock, 50, b"a"), exchange, Streams()).read(1, 20.0)
    assert clock.now == 105


def test_too_slow_for_too_long() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    exchange.begin(clock.now + 900)
    stream = DeadlineStream(Pipe(clock, 1.0, bytes(900)), exchange, Streams())
    with pytest.raises(TooSlowError):
        reads(stream, clock, until=lambda: False)
    assert clock.now == pytest.approx(100 + 1 + SLOWEST_SECONDS, abs=1)


def test_just_fast_enough() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    exchange.begin(clock.now + 900)
    stream = DeadlineStream(Pipe(clock, 1.0, bytes(SLOWEST_BYTES // 30)), exchange, Streams())
    reads(stream, clock, until=lambda: clock.now > 900)


def test_a_connection_is_not_opened_after_the_deadline() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    exchange.begin(clock.now)
    with pytest.raises(DeadlineExceeded):
        DeadlineBackend(exchange, shared()).connect_tcp("127.0.0.1", 1, timeout=10)


def test_a_connection_that_nobody_holds_is_open_until_all_are_closed() -> None:
    """As one whose pool was closed, and forgot it, while it was being made."""
    clock, streams = Clock(), Streams()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        exchange = Exchange(clock)
        exchange.begin(clock.now + 10)
        DeadlineBackend(exchange, shared(streams)).connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=10)
        with listener.accept()[0] as peer:
            peer.settimeout(0)
            with pytest.raises(BlockingIOError):
                peer.recv(1)
            streams.close()
            peer.settimeout(10)
            assert peer.recv(1) == b""


def test_a_connection_that_comes_too_late_for_its_handshake_is_closed() -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        exchange = Exchange(clock)
        exchange.begin(clock.now + 10)
        stream = DeadlineBackend(exchange, shared()).connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=10)
        clock.now += 10
        with listener.accept()[0] as peer:
            with pytest.raises(DeadlineExceeded):
                stream.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=10)
            peer.settimeout(10)
            assert peer.recv(1) == b""


@pytest.mark.parametrize(
    ("chunks", "length", "surplus"),
    [
        ([b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"], 4, False),
        ([b"HTTP/1.1 200 OK\r\nA: b\r", b"\n\r", b"\nbo", b"dy"], 4, False),
        ([b"HTTP/1.1 200 OK\r\n\r\nbody", b"!"], 4, True),
        ([b"HTTP/1.1 304 X\r\n\r\n"], 0, False),
        ([b"HTTP/1.1 304 X\r\n\r\nHTTP"], 0, True),
        ([b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody"], 4, False),
        ([b"HTTP/1.1 200 OK\r\n\r\n1\r\na\r\n0\r\n\r", b"\n"], None, False),
        ([b"HTTP/1.1 200 OK\r\n\r\n1\r\na\r\n0\r\n\r\nmore"], None, True),
        ([b"HTTP/1.1 200 OK\n\nbody"], 4, True),
    ],
)
def test_surplus(chunks: list[bytes], length: int | None, *, surplus: bool) -> None:
    exchange = Exchange(Clock())
    for chunk in chunks:
        exchange.note(chunk)
    assert exchange.has_surplus(length) is surplus


def test_a_spoiled_connection_looks_ended() -> None:
    clock = Clock()
    stream = DeadlineStream(Pipe(clock, 0, b""), Exchange(clock), Streams())
    assert not stream.get_extra_info("is_readable")
    stream.mark_unusable()
    assert stream.get_extra_info("is_readable")
