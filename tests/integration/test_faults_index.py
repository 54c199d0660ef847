"""An index that dies half-way, or lies: a typed error, few requests, the old lock as it was, nothing bad kept."""

import gzip
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, Reply, headless, reply
from tests.support.fault_world import (
    ALPHA,
    BETA,
    FILES,
    JSON,
    PLACE,
    Desk,
    core_metadata,
    desk,
    file_path,
    lock_of,
    page,
    people,
    sdist,
)

QUICK = (str(Path(__file__).parents[1] / "support" / "fault_quick.py"),)
STEPS = ("/simple/alpha/", file_path(ALPHA), "/simple/beta/", file_path(BETA), "/simple/gamma/")
"""What a run asks for, in its order: each needs the answer before it."""


@pytest.fixture(scope="module")
def new_lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run writes where nothing goes wrong."""
    return lock_of(tmp_path_factory.mktemp("calm"))


def _locked(own: Desk, server: FaultServer) -> str:
    return own.lock.read_text(encoding="utf-8").replace(server.base, PLACE)


def _truncated(body: bytes) -> Reply:
    return reply(body[: len(body) // 2], headers=[JSON], length=len(body), after="close")


def _body_of(target: str) -> bytes:
    for filename, content in FILES.items():
        if target == file_path(filename):
            return content
    name = target.split("/")[2]
    return page(name, next(filename for filename in FILES if filename.startswith(name)))


FAULTS: dict[str, Callable[[bytes], Reply]] = {
    "503": lambda _: reply(b"later", status="503 Unavailable"),
    "reset": lambda _: Reply(raw=b"", after="reset"),
    "reset in the body": lambda body: reply(body[:20], headers=[JSON], length=len(body), after="reset"),
    "truncated": _truncated,
    "cut gzip": lambda body: reply(gzip.compress(body)[:-8], headers=[JSON, ("Content-Encoding", "gzip")]),
    "stall": lambda _: Reply(raw=b"HTTP/1.1 200 OK\r\n", after="drip"),
    "garbage": lambda _: Reply(raw=b"\x16\x03\x01\x02\x00 what?\r\n\r\n", after="close"),
}


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        *(("503", step) for step in STEPS),
        *((fault, "/simple/beta/") for fault in FAULTS if fault != "503"),
        ("reset in the body", file_path(BETA)),
        ("truncated", file_path(BETA)),
        ("truncated", file_path(ALPHA)),
    ],
)
def test_an_index_that_dies_half_way(tmp_path: Path, fault: str, step: str, new_lock: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        server.requests.clear()
        server.script(step, FAULTS[fault](_body_of(step)))
        ended = own.make_lock(url, before=QUICK)
        assert ended.code == 3, ended.stderr
        assert f"error: {server.base}{step}: " in ended.stderr
        assert "(tried 3 times)" in ended.stderr
        assert own.lock.read_text(encoding="utf-8") == old
        # a kept connection that turns out dead is no try of its own
        assert server.count(step) in {3, 4}
        # what is guessed ahead may be asked for as well, but nothing twice
        assert all(server.count(other) <= 1 for other in STEPS if other != step)
        assert own.litter() == []
        # what came before is kept, what went wrong is not
        people(server)
        assert own.make_lock(url).code == 0
        assert _locked(own, server) == new_lock


def test_an_index_that_is_gone_in_the_middle(tmp_path: Path, new_lock: str) -> None:
    own = desk(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        server.script("/simple/beta/", reply(page("beta", BETA, files=f"http://127.0.0.1:{port}"), headers=[JSON]))
        ended = own.make_lock(url, "--refresh", before=QUICK)
        assert ended.code == 3
        assert f"127.0.0.1:{port}/files/{BETA}: no connection:" in ended.stderr
        assert own.lock.read_text(encoding="utf-8") == old
        people(server)
        assert own.make_lock(url, "--refresh").code == 0
        assert _locked(own, server) == new_lock


def test_no_index_at_all_with_ordinary_patience(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        old = own.keep_old_lock(people(server))
        server.script("/simple/alpha/", reply(b"", status="503 Unavailable"))
        ended = own.make_lock(f"{server.base}/simple/")
        assert ended.code == 3
        assert "HTTP 503 (tried 3 times)" in ended.stderr
        assert server.count("/simple/alpha/") == 3
    assert own.lock.read_text(encoding="utf-8") == old


def test_a_page_without_a_length_that_is_cut(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        whole = page("alpha", ALPHA)
        server.script("/simple/alpha/", headless(whole[: len(whole) // 2], f"{JSON[0]}: {JSON[1]}"))
        ended = own.make_lock(url)
        assert ended.code == 3
        assert "truncated" in ended.stderr
        assert server.count("/simple/alpha/") == 2
    assert not own.lock.exists()


EVIL = b"Requires-Dist: planted-evil\n"
CHANGED = {ALPHA: core_metadata("alpha") + EVIL, BETA: sdist("beta", builds_with="planted-evil")}


@pytest.mark.parametrize("filename", [ALPHA, BETA])
def test_bytes_that_were_not_promised(tmp_path: Path, filename: str, new_lock: str) -> None:
    own, bad = desk(tmp_path), CHANGED[filename]
    with FaultServer() as server:
        url = people(server)
        old = own.keep_old_lock(url)
        server.script(file_path(filename), reply(bad))
        ended = own.make_lock(url)
        assert ended.code == 4
        for part in (filename, *(hashlib.sha256(each).hexdigest() for each in (bad, FILES[filename]))):
            assert part in ended.stderr
        assert server.count(file_path(filename)) == 2, "once more past all caches, then no more"
        assert own.lock.read_text(encoding="utf-8") == old
        assert own.files_with(b"planted-evil") == []
        assert own.files_with(bad) == []
        people(server)
        assert own.make_lock(url).code == 0
        assert _locked(own, server) == new_lock
