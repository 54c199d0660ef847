"""The transport through its front door, against a server that misbehaves byte by byte."""

import gzip
import hashlib
import io
import socket
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deep_lock.errors import (
    AccessDenied,
    ConfigError,
    DeepLockError,
    HashMismatch,
    IndexInvalid,
    LimitExceeded,
    NetworkError,
    NotFound,
    UrlForbidden,
)
from deep_lock.events import Event, Fetched, Fetching
from deep_lock.network.auth import read_logins
from deep_lock.network.client import HttpClient, Response, TransportSettings
from deep_lock.network.proxies import proxies_from
from tests.support.fault_server import FaultServer, Reply, headless, redirect, reply

PAGE = b"<html>" + b"x" * 3000 + b"</html>"
LIMIT = 100_000
CERTIFICATE = Path(__file__).parents[3] / "fixtures" / "tls" / "localhost.pem"


@dataclass
class World:
    """A server, and a transport whose waits are noted and take no time."""

    server: FaultServer
    transport: HttpClient
    waits: list[float] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def get(self, url: str, limit: int = LIMIT, deadline: float = 20.0, **headers: str) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.transport.get(url, named_by=url, headers=named, limit=limit, deadline=deadline)

    def download(self, url: str, sha256: str | None = None, limit: int = LIMIT) -> tuple[bytes, str, int]:
        file = io.BytesIO(b"what stood there before, and is longer than what comes")
        try:
            digest, size = self.transport.download(url, file, named_by=url, limit=limit, deadline=20.0, sha256=sha256)
        finally:
            self.left = file.getvalue()
        return file.getvalue(), digest, size


def world_of(server: FaultServer, settings: TransportSettings) -> World:
    now = [1000.0]
    waits: list[float] = []
    events: list[Event] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    transport = HttpClient(settings, events.append, clock=lambda: now[0], sleep=sleep, jitter=lambda low, _: low)
    return World(server, transport, waits, events)


@pytest.fixture
def world() -> Iterator[World]:
    with FaultServer() as server:
        made = world_of(server, TransportSettings(read_timeout=5.0))
        yield made
        made.transport.close()


# What goes well


def test_a_page_comes_whole_with_its_headers(world: World) -> None:
    url = world.server.script("/simple/demo/", reply(PAGE, headers=[("ETag", '"1"'), ("X-A", "a"), ("x-a", "b")]))
    answer = world.get(url, Accept="text/html")
    assert (answer.status, answer.url, answer.body) == (200, url, PAGE)
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["x-a"] == "a, b"
    asked = world.server.requests[0].headers
    assert asked["accept"] == "text/html"
    assert asked["accept-encoding"] == "gzip"
    assert asked["user-agent"] == "deep-lock"
    assert "cookie" not in asked


def test_requests_share_a_connection(world: World) -> None:
    url = world.server.script("/page", reply(PAGE, headers=[("Set-Cookie", "a=b")]))
    gone = world.server.script("/gone", reply(b"x" * 500, status="404 Not Found"))
    for path in (url, gone, url):
        world.get(path)
    assert {asked.connection for asked in world.server.requests} == {1}
    assert all("cookie" not in asked.headers for asked in world.server.requests)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_is_decoded(world: World, coding: str) -> None:
    url = world.server.script("/page", reply(gzip.compress(PAGE), headers=[("Content-Encoding", coding)]))
    assert world.get(url).body == PAGE


def test_chunked_and_unmeasured_bodies(world: World) -> None:
    chunked = headless(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked", after="keep")
    assert world.get(world.server.script("/chunked", chunked)).body == b"abcde"
    unmeasured = world.get(world.server.script("/open", headless(b"abc")))
    assert unmeasured.body == b"abc"
    assert "content-length" not in unmeasured.headers


def test_404_is_an_answer(world: World) -> None:
    url = world.server.script("/simple/none/", reply(b"nothing here", status="404 Not Found"))
    answer = world.get(url)
    assert (answer.status, answer.body) == (404, b"")


def test_304_where_a_condition_was_sent(world: World) -> None:
    url = world.server.script("/page", Reply(raw=b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'))
    assert world.get(url, If_None_Match='"1"').status == 304


def test_a_condition_may_have_any_byte(world: World) -> None:
    url = world.server.script("/page", Reply(raw='HTTP/1.1 304 Not Modified\r\nETag: "\xe9"\r\n\r\n'.encode("latin-1")))
    answer = world.get(url, If_None_Match='"\xe9"')
    assert answer.headers["etag"] == '"\xe9"'
    assert world.server.requests[0].headers["if-none-match"] == '"\xe9"'


def test_206_where_a_range_was_asked_for(world: World) -> None:
    part = reply(b"tail", status="206 Partial Content", headers=[("Content-Range", "bytes 6-9/10")])
    answer = world.get(world.server.script("/file.whl", part), Range="bytes=-4")
    assert (answer.status, answer.body) == (206, b"tail")
    assert world.server.requests[0].headers["accept-encoding"] == "identity"


def test_informational_answers_are_passed_over(world: World) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(PAGE).raw
    url = world.server.script("/page", Reply(raw=raw))
    assert [world.get(url).body for _ in range(2)] == [PAGE, PAGE]
    assert world.server.requests[-1].connection == 1


def test_many_threads(world: World) -> None:
    url = world.server.script("/page", reply(PAGE))
    with ThreadPoolExecutor(8) as threads:
        assert {answer.body for answer in threads.map(lambda _: world.get(url), range(40))} == {PAGE}
    assert len({asked.connection for asked in world.server.requests}) <= 8


def test_events_tell_start_and_end(world: World) -> None:
    url = world.server.script("/simple/demo%1b/", reply(PAGE))
    world.get(url)
    assert world.events == [Fetching(name="demo\\u{1b}"), Fetched(name="demo\\u{1b}", size=len(PAGE))]
    bad = world.server.script("/files/demo.whl", reply(status="410 Gone"))
    with pytest.raises(NetworkError):
        world.download(bad)
    assert world.events[2:] == [Fetching(name="demo.whl"), Fetched(name="demo.whl", size=0)]


# Faults: what they are called, and how often they are tried

TWICE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"
FAULTS: list[tuple[str, Reply, type[DeepLockError], str, int]] = [
    ("reset", Reply(raw=b"", after="reset"), NetworkError, "(tried 3 times)", 3),
    ("no answer", Reply(raw=b"", after="close"), NetworkError, "disconnected", 3),
    ("reset in the body", reply(PAGE[:9], length=99, after="reset"), NetworkError, "", 3),
    ("short body", reply(PAGE[:9], length=99, after="close"), NetworkError, "truncated", 3),
    (
        "short chunk",
        headless(b"9\r\nabc", "Transfer-Encoding: chunked"),
        NetworkError,
        "truncated",
        3,
    ),
    (
        "gzip cut",
        reply(gzip.compress(PAGE)[:-3], headers=[("Content-Encoding", "gzip")]),
        NetworkError,
        "truncated",
        3,
    ),
    ("500", reply(status="500 Oops"), NetworkError, "HTTP 500", 3),
    ("503", reply(status="503 Busy"), NetworkError, "HTTP 503", 3),
    ("two lengths", Reply(raw=TWICE), NetworkError, "Content-Length", 3),
    ("negative length", reply(b"abc", length=-1), NetworkError, "Content-Length", 3),
    ("not HTTP", Reply(raw=b"\x1b[2Jhello\r\n\r\n"), NetworkError, "not a valid HTTP response", 3),
    ("large header", reply(headers=[("X", "a" * 200_000)]), NetworkError, "not a valid HTTP response", 3),
    (
        "length and chunked",
        headless(b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 3"),
        NetworkError,
        "both",
        1,
    ),
    ("410", reply(status="410 Gone"), NetworkError, "HTTP 410", 1),
    ("416", reply(status="416 Range"), NetworkError, "HTTP 416", 1),
    ("401", reply(status="401 Who"), AccessDenied, "HTTP 401", 1),
    ("403", reply(status="403 No"), AccessDenied, "HTTP 403", 1),
    ("204", Reply(raw=b"HTTP/1.1 204 Nothing\r\n\r\n"), NetworkError, "unexpected HTTP status", 1),
    ("unasked 206", reply(b"ab", status="206 Part"), NetworkError, "unexpected HTTP status", 1),
    ("unasked 304", Reply(raw=b"HTTP/1.1 304 Same\r\n\r\n"), NetworkError, "unexpected HTTP status", 1),
    ("no location", reply(status="302 Found"), NetworkError, "without a Location", 1),
    ("not gzip", reply(b"plain", headers=[("Content-Encoding", "gzip")]), IndexInvalid, "not", 1),
    ("other coding", reply(b"?", headers=[("Content-Encoding", "br")]), IndexInvalid, "encoding", 1),
    ("two codings", reply(b"?", headers=[("Content-Encoding", "gzip, gzip")]), IndexInvalid, "encoding", 1),
    (
        "bomb",
        reply(gzip.compress(bytes(50 * LIMIT)), headers=[("Content-Encoding", "gzip")]),
        LimitExceeded,
        "larger than",
        1,
    ),
    ("large", reply(b"", length=LIMIT + 1), LimitExceeded, "larger than", 1),
    ("large, unmeasured", headless(bytes(LIMIT + 1)), LimitExceeded, "larger than", 1),
]


@pytest.mark.parametrize(
    ("script", "kind", "words", "times"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_faults(world: World, script: Reply, kind: type[DeepLockError], words: str, times: int) -> None:
    url = world.server.script("/simple/demo/", script)
    with pytest.raises(kind) as caught:
        world.get(url)
    assert type(caught.value) is kind
    assert url in caught.value.message
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert world.server.count("/simple/demo/") == times
    assert len(world.waits) == times - 1
    # The transport is as good as new afterwards.
    assert world.get(world.server.script("/fine", reply(PAGE))).body == PAGE


def test_nobody_listens() -> None:
    with FaultServer() as server:
        world = world_of(server, TransportSettings())
        url = server.base + "/"
    with pytest.raises(NetworkError, match="no connection"):
        world.get(url)
    assert len(world.waits) == 2
    world.transport.close()


@pytest.mark.parametrize(
    "script", [Reply(raw=b"", after="reset"), reply(status="502 X"), reply(b"a", length=9, after="close")]
)
def test_a_fault_that_passes(world: World, script: Reply) -> None:
    url = world.server.script("/page", script, script, reply(PAGE))
    assert world.get(url).body == PAGE
    assert world.server.count("/page") == 3


def test_a_server_that_drips_meets_the_deadline() -> None:
    with FaultServer() as server:
        transport = HttpClient(TransportSettings(), lambda _: None)
        url = server.script("/page", Reply(raw=reply(PAGE).raw, after="drip"))
        with pytest.raises(NetworkError, match="no whole response within"):
            transport.get(url, named_by=url, limit=LIMIT, deadline=0.3)
        transport.close()
        assert server.count("/page") == 1


@pytest.mark.parametrize(
    ("deadline", "words", "tries"), [(1e6, "fewer than 30720 bytes in 30 seconds", 2), (100.0, "no whole response", 1)]
)
def test_slow_servers_by_a_clock_that_runs(deadline: float, words: str, tries: int) -> None:
    now = iter(range(0, 1_000_000, 40))
    with FaultServer() as server:
        settings = TransportSettings(tries=2)
        transport = HttpClient(settings, lambda _: None, clock=lambda: float(next(now)), sleep=lambda _: None)
        url = server.script("/page", Reply(raw=reply(PAGE).raw, after="drip"))
        with pytest.raises(NetworkError, match=words):
            transport.get(url, named_by=url, limit=LIMIT, deadline=deadline)
        transport.close()
        assert server.count("/page") <= tries


def test_a_server_that_falls_silent_meets_the_read_timeout() -> None:
    with FaultServer() as server:
        world = world_of(server, TransportSettings(read_timeout=0.2, tries=2))
        url = server.script("/page", Reply(raw=b"HTTP", after="drip"))
        with pytest.raises(NetworkError, match="no bytes for too long"):
            world.get(url)
        world.transport.close()
        assert server.count("/page") == 2


def test_a_connection_that_ended_while_idle_costs_no_try(world: World) -> None:
    # No "Connection: close": the client learns of the end only when it asks again.
    url = world.server.script("/page", reply(PAGE, after="close"))
    for _ in range(4):
        assert world.get(url).body == PAGE
    assert world.waits == []


def test_a_connection_that_ends_at_the_next_request_costs_no_try(world: World) -> None:
    """The server gave the idle connection up in the very moment it was used again."""
    url = world.server.script("/page", reply(PAGE), Reply(raw=b"", after="close"), reply(PAGE))
    for _ in range(2):
        assert world.get(url).body == PAGE
    assert [asked.connection for asked in world.server.requests] == [1, 1, 2]
    assert world.waits == []


def test_an_idle_connection_behind_a_redirect_that_ended_costs_no_try(world: World) -> None:
    with FaultServer() as away:
        end = away.script("/page", reply(PAGE), Reply(raw=b"", after="close"), reply(PAGE))
        assert world.get(end).body == PAGE
        assert world.get(world.server.script("/start", redirect(end))).body == PAGE
        assert world.waits == []


def test_bytes_behind_an_answer_are_not_the_next_answer(world: World) -> None:
    poison = reply(b"poison").raw
    for path, raw in (("/a", reply(b"good").raw), ("/b", headless(b"0\r\n\r\n", "Transfer-Encoding: chunked").raw)):
        first = world.server.script(path, Reply(raw=raw + poison))
        second = world.server.script(path + "2", reply(b"fine"))
        world.get(first)
        assert world.get(second).body == b"fine"
        assert world.waits == []


# Waiting when told


@pytest.mark.parametrize("status", ["429 Slow down", "503 Busy"])
def test_retry_after_is_obeyed(world: World, status: str) -> None:
    busy = reply(status=status, headers=[("Retry-After", "7")])
    url = world.server.script("/page", busy, busy, busy, busy, reply(PAGE))
    assert world.get(url).body == PAGE
    assert world.waits == [7, 7, 7, 7]


def test_retry_after_is_cut_and_then_given_up(world: World) -> None:
    url = world.server.script("/page", reply(status="429 X", headers=[("Retry-After", "200")]))
    with pytest.raises(NetworkError, match="requests a wait of 200 seconds"):
        world.get(url)
    assert world.waits == [60, 60]


def test_a_wish_beyond_all_patience_ends_it_at_once(world: World) -> None:
    url = world.server.script("/page", reply(status="429 X", headers=[("Retry-After", "86400")]))
    with pytest.raises(NetworkError, match=r"requests a wait of 86400 seconds") as caught:
        world.get(url)
    assert world.waits == []
    assert caught.value.exit_code == 3


def test_a_busy_host_is_spared_by_others_too() -> None:
    """While one thread waits as told, another one's request to the same host waits as long."""
    with FaultServer() as server:
        now, log = [1000.0], list[str]()
        busy = server.script("/busy", reply(status="429 X", headers=[("Retry-After", "7")]), reply(PAGE))
        other = server.script("/other", reply(PAGE))

        def sleep(seconds: float) -> None:
            log.append(f"wait {seconds:.0f}")
            if len(log) == 1:
                transport.get(other, named_by=other, limit=LIMIT, deadline=20.0)
                log.append("other came")
            now[0] += seconds

        transport = HttpClient(TransportSettings(), lambda _: None, clock=lambda: now[0], sleep=sleep)
        assert transport.get(busy, named_by=busy, limit=LIMIT, deadline=20.0).body == PAGE
        transport.close()
        assert log == ["wait 7", "wait 7", "other came"]


# Queries


def _post(world: World, url: str, body: bytes = b'{"a": 1}') -> Response:
    return world.transport.post(url, body, named_by=url, limit=LIMIT, deadline=20.0)


@pytest.mark.parametrize(
    "script", [Reply(raw=b"", after="reset"), reply(status="503 X", headers=[("Retry-After", "3")])]
)
def test_a_query_is_sent_whole_with_each_try(world: World, script: Reply) -> None:
    url = world.server.script("/query", script, reply(gzip.compress(PAGE), headers=[("Content-Encoding", "gzip")]))
    body = b"x" * 200_000
    assert _post(world, url, body).body == PAGE
    assert [asked.body for asked in world.server.requests] == [body, body]
    assert world.server.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_query_follows_no_redirect(world: World, status: int) -> None:
    url = world.server.script("/query", redirect("/other", status))
    with pytest.raises(NetworkError, match="redirects a POST request to"):
        _post(world, url)
    assert world.server.count("/other") == 0


def test_a_query_has_the_rules_of_every_request(world: World) -> None:
    assert _post(world, world.server.script("/none", reply(status="404 X"))).status == 404
    with pytest.raises(LimitExceeded):
        _post(world, world.server.script("/large", reply(b"x" * (LIMIT + 1))))
    with pytest.raises(AccessDenied):
        _post(world, world.server.script("/denied", reply(status="403 X")))
    with pytest.raises(UrlForbidden):
        world.transport.post(f"{world.server.base}/x", b"", named_by="https://other.example/", limit=1, deadline=1.0)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(world: World, status: int) -> None:
    start = world.server.script("/simple/Demo", redirect("/simple/demo/?a b", status))
    end = world.server.script("/simple/demo/?a%20b", reply(PAGE))
    answer = world.get(start)
    assert (answer.body, answer.url) == (PAGE, end)
    assert {asked.connection for asked in world.server.requests} == {1}


def test_redirects_end(world: World) -> None:
    url = world.server.script("/loop", redirect("/loop"))
    with pytest.raises(NetworkError, match="more than 5 redirects"):
        world.get(url)
    assert world.server.count("/loop") == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("//user:pw@127.0.0.1:1/x", "credentials"),
        ("http://169.254.169.254/latest/", "public internet"),
        ("http://[::ffff:169.254.169.254]/", "public internet"),
        ("http://[oops/", "not a host name"),
        ("http://xn--zzzz/", "not a URL"),
        ("http://\x1b[31m/", "not a URL"),
    ],
)
def test_redirects_that_are_refused(world: World, location: str, words: str) -> None:
    url = world.server.script("/page", redirect(location))
    with pytest.raises(UrlForbidden) as caught:
        world.get(url)
    assert words in caught.value.message
    assert "pw" not in caught.value.message
    assert caught.value.message.isprintable()
    assert world.server.count("/page") == 1


def test_another_origin_gets_neither_credentials_nor_own_headers() -> None:
    with FaultServer() as home, FaultServer() as away:
        logins = read_logins({"x": home.base.replace("//", "//u:p@")}, environ={})
        world = world_of(home, TransportSettings(logins=logins))
        end = away.script("/file", redirect("/file2"))
        away.script("/file2", reply(b"ab", status="206 Part"))
        near = home.script("/near", redirect(end))
        start = home.script("/start", redirect(near))
        answer = world.get(
            start, X_Api_Key="k", Authorization="mine", Accept="a/b", Range="bytes=0-1", If_None_Match="e"
        )
        assert answer.body == b"ab"
        for asked in home.requests:
            assert asked.headers["authorization"] == "Basic dTpw"
            assert asked.headers["x-api-key"] == "k"
        for asked in away.requests:
            names = {"host", "user-agent", "accept", "accept-encoding", "range"}
            assert set(asked.headers) == names
        world.transport.close()


def test_a_condition_does_not_outlive_the_origin() -> None:
    with FaultServer() as home, FaultServer() as away:
        world = world_of(home, TransportSettings())
        end = away.script("/page", Reply(raw=b"HTTP/1.1 304 Same\r\n\r\n"))
        with pytest.raises(NetworkError, match="unexpected HTTP status"):
            world.get(home.script("/page", redirect(end)), If_None_Match='"1"')
        world.transport.close()


def test_an_index_with_a_private_address_may_name_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *_: object, **__: object) -> list[object]:
        assert host in {"index.example", "localhost", "127.0.0.1"}
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with FaultServer() as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        world = world_of(server, TransportSettings())
        server.script("/page", redirect(f"http://localhost:{server.port}/next"))
        server.script("/next", reply(PAGE))
        assert world.get(f"http://index.example:{server.port}/page").body == PAGE
        world.transport.close()
        monkeypatch.undo()


# Files

FILE = bytes(range(256)) * 50
DIGEST = hashlib.sha256(FILE).hexdigest()


def test_a_file_is_streamed_and_hashed(world: World) -> None:
    url = world.server.script("/demo.whl", reply(FILE))
    assert world.download(url, DIGEST.upper()) == (FILE, DIGEST, len(FILE))
    assert world.download(url) == (FILE, DIGEST, len(FILE))
    assert world.server.requests[0].headers["accept-encoding"] == "identity"


def test_a_file_is_stored_as_it_comes(world: World) -> None:
    packed = gzip.compress(FILE)
    url = world.server.script("/demo.tar.gz", reply(packed, headers=[("Content-Encoding", "x-gzip")]))
    assert world.download(url)[0] == packed


def test_a_second_try_starts_the_file_from_zero(world: World) -> None:
    url = world.server.script("/demo.whl", reply(FILE[:99], length=len(FILE), after="close"), reply(FILE))
    assert world.download(url, DIGEST)[0] == FILE
    assert len(world.waits) == 1


def test_a_wrong_hash_is_fetched_once_more_past_caches(world: World) -> None:
    url = world.server.script("/demo.whl", reply(FILE[1:]), reply(FILE))
    assert world.download(url, DIGEST)[0] == FILE
    first, second = (asked.headers for asked in world.server.requests)
    assert "cache-control" not in first
    assert second["cache-control"] == "no-cache"


def test_a_hash_that_stays_wrong(world: World) -> None:
    url = world.server.script("/demo.whl", reply(FILE[1:]))
    with pytest.raises(HashMismatch) as caught:
        world.download(url, DIGEST)
    assert DIGEST in caught.value.message
    assert world.left == b""
    assert world.server.count("/demo.whl") == 2


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(status="404 Not Found"), NotFound),
        (reply(status="403 No"), AccessDenied),
        (reply(FILE, status="206 Part"), NetworkError),
        (reply(bytes(LIMIT + 1)), LimitExceeded),
        (headless(bytes(LIMIT + 1)), LimitExceeded),
        (reply(b"a", length=9, after="close"), NetworkError),
    ],
)
def test_files_that_do_not_come(world: World, script: Reply, kind: type[DeepLockError]) -> None:
    url = world.server.script("/demo.whl", script)
    with pytest.raises(DeepLockError) as caught:
        world.download(url, DIGEST)
    assert type(caught.value) is kind


def test_a_whole_file_for_a_range(world: World) -> None:
    small = world.server.script("/small.whl", reply(b"whole"))
    assert world.get(small, Range="bytes=-2").status == 200
    large = world.server.script("/large.whl", reply(bytes(LIMIT + 1)))
    with pytest.raises(NetworkError, match="the whole file"):
        world.get(large, Range="bytes=-2")
    coded = reply(zlib.compress(b"a"), status="206 Part", headers=[("Content-Encoding", "gzip")])
    with pytest.raises(IndexInvalid):
        world.get(world.server.script("/coded.whl", coded), Range="bytes=-2")


# The way there


def test_credentials_go_to_their_origin_only() -> None:
    with FaultServer() as home, FaultServer() as away:
        logins = read_logins({"x": home.base.replace("//", "//u:p@")}, environ={})
        world = world_of(home, TransportSettings(logins=logins))
        for server in (home, away):
            world.get(server.script("/page", reply(PAGE)))
        assert home.requests[0].headers["authorization"] == "Basic dTpw"
        assert "authorization" not in away.requests[0].headers
        world.transport.close()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.0.0.1:99999/", "no url", ""])
def test_urls_that_are_not_asked(world: World, url: str) -> None:
    with pytest.raises(UrlForbidden):
        world.get(url)
    with pytest.raises(UrlForbidden):
        world.download(url)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.5", "127.1", "localhost", "metadata.google.internal", "[::1]"]
)
def test_behind_a_proxy_the_text_of_a_host_counts(host: str) -> None:
    with FaultServer() as proxy:
        world = world_of(proxy, TransportSettings(proxies=proxies_from({"http_proxy": proxy.base})))
        proxy.script("http://files.example/x", reply(PAGE))
        namer = "http://index.example/simple/"
        for url in (f"http://{host}/x", "http://files.example/x"):
            if host in url:
                with pytest.raises(UrlForbidden, match="does not belong to the public internet"):
                    world.transport.get(url, named_by=namer, limit=LIMIT, deadline=20.0)
                assert proxy.requests == []
            else:
                assert world.transport.get(url, named_by=namer, limit=LIMIT, deadline=20.0).body == PAGE
        world.transport.close()


def test_through_a_proxy() -> None:
    with FaultServer() as proxy:
        environ = {"http_proxy": proxy.base.replace("//", "//me:%40@")}
        world = world_of(proxy, TransportSettings(proxies=proxies_from(environ)))
        proxy.script("http://index.example/simple/", redirect("http://files.example/x"))
        proxy.script("http://files.example/x", reply(PAGE))
        answer = world.get("http://index.example/simple/")
        assert (answer.url, answer.body) == ("http://files.example/x", PAGE)
        assert {asked.headers["proxy-authorization"] for asked in proxy.requests} == {"Basic bWU6QA=="}
        proxy.script("http://index.example/no", reply(status="407 Login"))
        with pytest.raises(NetworkError, match="proxy requires a login"):
            world.get("http://index.example/no")
        world.transport.close()


@pytest.mark.parametrize(
    ("settings", "works"),
    [
        (TransportSettings(), False),
        (TransportSettings(ca_file=str(CERTIFICATE)), True),
        (TransportSettings(insecure_hosts=frozenset({"127.0.0.1"})), True),
        (TransportSettings(insecure_hosts=frozenset({"127.0.0.2", "127.0.0.1:1"})), False),
    ],
)
def test_certificates(settings: TransportSettings, *, works: bool) -> None:
    with FaultServer(tls=CERTIFICATE) as server:
        world = world_of(server, settings)
        url = server.script("/page", reply(PAGE))
        if works:
            assert world.get(url).body == PAGE
            assert world.get(url).body == PAGE
            assert server.requests[-1].connection == 1
        else:
            with pytest.raises(NetworkError, match="certificate is not trusted") as caught:
                world.get(url)
            assert "--cert" in caught.value.hint
            assert world.waits == []
        world.transport.close()


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("not a certificate", encoding="ascii")
    for path in (tmp_path / "bad.pem", tmp_path / "none.pem"):
        transport = HttpClient(TransportSettings(ca_file=str(path)), lambda _: None)
        with pytest.raises(ConfigError, match="no certificates"):
            transport.get("https://127.0.0.1:1/", named_by="https://127.0.0.1:1/", limit=1, deadline=1.0)
        transport.close()


def test_a_closed_transport_asks_nothing(world: World) -> None:
    url = world.server.script("/page", reply(PAGE))
    world.get(url)
    world.transport.close()
    with pytest.raises(NetworkError, match="stopping"):
        world.get(url)
    assert world.server.count("/page") == 1
