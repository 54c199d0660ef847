"""Bodies of answers, whole and bounded: of what the wire gives nothing is trusted, neither its length nor its end. Pure.

A gzip body is decoded here and not by the HTTP library, because only so can its end be demanded (a cut gzip body
looks whole to most clients) and its growth be stopped in time.
"""

import zlib
from collections.abc import Iterable, Iterator

from deep_lock.errors import IndexInvalid, LimitExceeded

_GZIP_WINDOW = 31
_STEP = 1024 * 1024
"""Bytes decoded at a time: zlib doubles its buffer, so one great step would hold a bomb's limit twice over."""


class CutBodyError(Exception):
    """A body ended before its coding did: another try may bring the rest."""


def collect_body(chunks: Iterable[bytes], *, coding: str, limit: int, where: str) -> bytes:
    """The decoded body. ``coding`` is the Content-Encoding header; ``where`` names the URL in messages.

    Raises LimitExceeded beyond ``limit`` bytes on the wire or decoded, CutBodyError where a gzip stream has no end,
    IndexInvalid for any coding but one gzip and for what is no gzip.
    """
    name = coding.strip().lower()
    if name in {"", "identity"}:
        return b"".join(bounded(chunks, limit=limit, where=where))
    if name not in {"gzip", "x-gzip"}:
        raise IndexInvalid(f"{where}: answered with an encoding that was not asked for")
    return _collect_gzip(bounded(chunks, limit=limit, where=where), limit=limit, where=where)


def bounded(chunks: Iterable[bytes], *, limit: int, where: str) -> Iterator[bytes]:
    """The chunks as they come; raises LimitExceeded once they are more than ``limit`` bytes."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise too_large(limit, where)
        yield chunk


def too_large(limit: int, where: str) -> LimitExceeded:
    """The error for an answer of more than ``limit`` bytes."""
    return LimitExceeded(f"{where}: the answer is larger than {limit} bytes")


def _collect_gzip(chunks: Iterable[bytes], *, limit: int, where: str) -> bytes:
    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        if inflater.eof:
            raise IndexInvalid(f"{where}: bytes follow the end of the gzip stream")
        pending = chunk
        while pending:
            try:
                part = inflater.decompress(pending, min(_STEP, limit - size + 1))
            except zlib.error:
                raise IndexInvalid(f"{where}: says it is gzip, but is not") from None
            size += len(part)
            if size > limit:
                raise too_large(limit, where)
            parts.append(part)
            pending = inflater.unconsumed_tail
    if not inflater.eof:
        raise CutBodyError
    if inflater.unused_data:
        raise IndexInvalid(f"{where}: bytes follow the end of the gzip stream")
    return b"".join(parts)
