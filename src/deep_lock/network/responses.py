"""Which responses are accepted, which are tried again, and how a body is read whole. No sockets.

Invariant: 404 alone means "does not exist". What was not requested (206, 304, another coding) is a fault and never data.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import httpx
from msgspec import Struct

from deep_lock.errors import AccessDenied, IndexInvalid, LimitExceeded, NetworkError, NotFound
from deep_lock.network.retries import read_retry_after
from deep_lock.network.urls import shown_url

MAX_DRAINED = 64 * 1024

_GZIP_WINDOW = 31
_STEP = 1024 * 1024
"""Bytes decoded at a time: zlib doubles its buffer, so one step would use twice the limit for a gzip bomb."""


class Response(Struct, frozen=True, kw_only=True):
    """A response: 200, 206 (a range was requested), 304 (a condition was sent) or 404, the last two without a body."""

    status: int
    url: str
    """The final URL, after redirects; without user-info."""
    headers: Mapping[str, str]
    """Lower-case names. Without Content-Length and Transfer-Encoding only the end of the connection ends the body."""
    body: bytes


class TryFailedError(Exception):
    """One try failed in a way that another may not. ``retry_after`` is the wait in seconds that the server requests."""

    def __init__(self, cause: str, *, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after


def where(response: httpx.Response) -> str:
    """Return the URL of a response for messages."""
    return shown_url(str(response.url))


def length_of(response: httpx.Response) -> int | None:
    """Return the size of the encoded body in bytes; None where the headers do not contain it."""
    if response.status_code in {204, 304}:
        return 0
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def check_head(response: httpx.Response) -> None:
    """Accept what `Response` may contain. Raises TryFailedError (429, 5xx), AccessDenied (401, 403) or NetworkError."""
    status, sent = response.status_code, response.request.headers
    if status in {200, 404} or (status == 206 and "range" in sent):
        return
    if status == 304 and ("if-none-match" in sent or "if-modified-since" in sent):
        return
    if status == 429 or 500 <= status <= 599:
        headers = response.headers
        retry_after = read_retry_after(headers.get("retry-after"), headers.get("date"))
        raise TryFailedError(f"HTTP {status}", retry_after=retry_after)
    if status in {401, 403}:
        raise AccessDenied(
            f"{where(response)}: access denied (HTTP {status})",
            hint="credentials: DEEP_LOCK_INDEX_<NAME>_USERNAME and _PASSWORD, netrc, or user:password@ in the index URL",
        )
    if status in {204, 206, 304}:
        raise NetworkError(f"{where(response)}: unexpected HTTP status {status}")
    if status == 407:
        raise NetworkError(
            f"{where(response)}: the proxy requires a login (HTTP 407)", hint="put it into the URL of the proxy"
        )
    if status in {301, 302, 303, 307, 308}:
        raise NetworkError(f"{where(response)}: HTTP {status} without a Location")
    raise NetworkError(f"{where(response)}: HTTP {status}")


def read_whole(response: httpx.Response, limit: int) -> Response:
    """Return the response with its decoded body in memory; ``limit`` is in bytes, encoded and decoded."""
    body = b""
    if response.status_code in {404, 304}:
        drain(response)
    else:
        _check_length(response, limit)
        coding = response.headers.get("content-encoding", "")
        if response.status_code == 206 and coding.strip().lower() not in {"", "identity"}:
            raise IndexInvalid(f"{where(response)}: the response is a range of an encoded body")
        body = collect_body(response.iter_raw(), coding=coding, limit=limit, where=where(response))
    headers = dict(response.headers.items())
    return Response(status=response.status_code, url=str(response.url), headers=headers, body=body)


def save(response: httpx.Response, limit: int, file: BinaryIO) -> tuple[str, int]:
    """Empty the file and write the body into it as it comes; return its sha256 and size. Raises NotFound."""
    if response.status_code == 404:
        drain(response)
        raise NotFound(f"{where(response)}: does not exist (HTTP 404)")
    _check_length(response, limit)
    empty(file)
    digest, size = hashlib.sha256(), 0
    for chunk in _bounded(response.iter_raw(), limit=limit, where=where(response)):
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def empty(file: BinaryIO) -> None:
    """Cut a file to no bytes and go to its start."""
    file.seek(0)
    file.truncate()


def drain(response: httpx.Response) -> None:
    """Read a small body that is not used, so that the connection can be used again; leave a large one."""
    left = MAX_DRAINED
    if (length_of(response) or 0) > left:
        return
    for chunk in response.iter_raw():
        left -= len(chunk)
        if left < 0:
            return


def collect_body(chunks: Iterable[bytes], *, coding: str, limit: int, where: str) -> bytes:
    """Return the decoded body. ``coding`` is the Content-Encoding header; ``where`` is the URL for messages.

    httpx could decode it, but accepts a gzip stream without its end, and has no limit. Raises LimitExceeded for more
    than ``limit`` bytes, encoded or decoded, TryFailedError for a gzip stream without its end, and IndexInvalid for any
    coding but one gzip and for what is no gzip.
    """
    chunks = _bounded(chunks, limit=limit, where=where)
    name = coding.strip().lower()
    if name in {"", "identity"}:
        return b"".join(chunks)
    if name not in {"gzip", "x-gzip"}:
        raise IndexInvalid(f"{where}: the response has an encoding that was not requested")
    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        pending = chunk
        while pending and not inflater.eof:
            try:
                part = inflater.decompress(pending, min(_STEP, limit - size + 1))
            except zlib.error:
                raise IndexInvalid(f"{where}: is labeled as gzip, but is not in gzip format") from None
            size += len(part)
            if size > limit:
                raise _too_large(limit, where)
            parts.append(part)
            pending = inflater.unconsumed_tail
        if pending or inflater.unused_data:
            raise IndexInvalid(f"{where}: the response has data after the end of the gzip stream")
    if not inflater.eof:
        raise TryFailedError("truncated: the gzip stream has no end")
    return b"".join(parts)


def _bounded(chunks: Iterable[bytes], *, limit: int, where: str) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, where)
        yield chunk


def _check_length(response: httpx.Response, limit: int) -> None:
    """Refuse a body whose length is in the headers and over the limit."""
    if (length_of(response) or 0) <= limit:
        return
    if "range" in response.request.headers and response.status_code == 200:
        raise NetworkError(f"{where(response)}: a range was requested, but the server sends the whole file")
    raise _too_large(limit, where(response))


def _too_large(limit: int, where: str) -> LimitExceeded:
    return LimitExceeded(f"{where}: the response is larger than {limit} bytes")
