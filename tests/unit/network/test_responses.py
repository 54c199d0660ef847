"""Bodies: whole, bounded, decoded once."""

import gzip
import tracemalloc
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.errors import IndexInvalid, LimitExceeded
from deep_lock.network.responses import TryFailedError, collect_body

WHERE = "https://index.example/"


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[start:end] for start, end in pairwise(ends)]


def collect(chunks: list[bytes], coding: str = "gzip", limit: int = 1_000_000) -> bytes:
    return collect_body(chunks, coding=coding, limit=limit, where=WHERE)


@given(st.binary(max_size=5000), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cut_into_chunks_gives_the_same(body: bytes, places: list[int]) -> None:
    assert collect(cut(gzip.compress(body), places)) == body
    assert collect(cut(body, places), coding="") == body
    assert collect(cut(body, places), coding=" Identity ") == body


@given(st.binary(max_size=200), st.data())
def test_a_cut_stream_is_never_taken(body: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(body)
    kept = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(TryFailedError, match="truncated"):
        collect([packed[:kept]])


@given(st.binary(max_size=300))
def test_any_bytes_give_a_body_or_a_typed_error(raw: bytes) -> None:
    with suppress(TryFailedError, IndexInvalid, LimitExceeded):
        collect([raw])


@given(st.binary(min_size=1, max_size=50))
def test_nothing_may_follow_the_stream(rest: bytes) -> None:
    packed = gzip.compress(b"body")
    for chunks in ([packed, rest], [packed + rest]):
        with pytest.raises(IndexInvalid, match="after the end"):
            collect(chunks)


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_up_to_the_limit(size: int) -> None:
    assert len(collect([gzip.compress(bytes(size))], limit=100)) == size
    assert len(collect([bytes(size)], coding="", limit=100)) == size


def test_beyond_the_limit_nothing_is_unpacked() -> None:
    with pytest.raises(LimitExceeded):
        collect([gzip.compress(bytes(101))], limit=100)
    with pytest.raises(LimitExceeded):
        collect([bytes(60), bytes(60)], coding="", limit=100)
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        collect([bomb], limit=60_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "gzip\x1b"])
def test_one_coding_only(coding: str) -> None:
    with pytest.raises(IndexInvalid) as caught:
        collect([gzip.compress(b"")], coding=coding)
    assert caught.value.message.isprintable()
