"""What an answer is worth: which statuses count, which are tried again, and how a body is read whole. No sockets.

Law: 404 alone means "not here". What was not asked for (206, 304, another coding) is a fault and never data.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from msgspec import Struct

from deep_lock.errors import AccessDenied, IndexInvalid, LimitExceeded, NetworkError, NotFound
from deep_lock.network.retries import read_retry_after
from deep_lock.network.urls import Url, shown_url

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


REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_DRAINED = 64 * 1024
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


class Response(Struct, frozen=True, kw_only=True):
    """An answer: 200, 206 (a Range was asked for), 304 (a condition was sent) or 404, the last two without a body."""

    status: int
    url: str
    """Where the answer came from in the end, after redirects; without user-info."""
    headers: Mapping[str, str]
    """Lower-case names. Without Content-Length and Transfer-Encoding the end of the body is only the connection's."""
    body: bytes


class TryFailedError(Exception):
    """One try failed in a way that another may not. ``retry_after`` is the wait in seconds that the server asked for."""

    def __init__(self, cause: str, *, retry_after: float | None = None, is_stale: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after
        self.is_stale = is_stale
        """Whether a kept-alive connection had ended before it could be used: no fault of the server's."""


class StreamedResponse(Struct, frozen=True, kw_only=True):
    """Status and headers of one exchange, and its body as it comes."""

    status: int
    url: Url
    headers: Mapping[str, str]
    chunks: Iterable[bytes]
    asked: frozenset[str]
    """Lower-case names of the headers that were sent."""
    limit: int

    @property
    def where(self) -> str:
        """The URL, as messages show it."""
        return shown_url(str(self.url))

    @property
    def length(self) -> int | None:
        """Bytes of the body on the wire, where the headers tell."""
        if self.status in {204, 304}:
            return 0
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def read_headers(raw: Iterable[tuple[bytes, bytes]], where: str) -> Mapping[str, str]:
    """Headers by lower-case name; repeated ones joined by commas (RFC 9110, 5.3).

    Raises NetworkError for a body of two lengths, which two readers would cut in two ways (RFC 9112, 6.3).
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "content-length" in headers and "transfer-encoding" in headers:
        raise NetworkError(f"{where}: answered with both Content-Length and Transfer-Encoding")
    return headers


def raise_for_status(answer: StreamedResponse) -> None:
    """Let pass what `Response` may hold. Raises TryFailedError (429, 5xx), AccessDenied (401, 403) or NetworkError."""
    status = answer.status
    if status in {200, 404} or (status == 206 and "range" in answer.asked):
        return
    if status == 304 and not answer.asked.isdisjoint(_CONDITIONS):
        return
    if status == 429 or 500 <= status <= 599:
        headers = answer.headers
        retry_after = read_retry_after(headers.get("retry-after"), headers.get("date"))
        raise TryFailedError(f"HTTP {status}", retry_after=retry_after)
    if status in {401, 403}:
        raise AccessDenied(
            f"{answer.where}: access denied (HTTP {status})",
            hint="credentials: DEEP_LOCK_INDEX_<NAME>_USERNAME and _PASSWORD, netrc, or user:password@ in the index URL",
        )
    if status in {204, 206, 304}:
        raise NetworkError(f"{answer.where}: answered HTTP {status}, which was not asked for")
    if status == 407:
        raise NetworkError(f"{answer.where}: the proxy asks for a login (HTTP 407)", hint="put it in the proxy's URL")
    raise NetworkError(f"{answer.where}: HTTP {status}")


def read_whole(answer: StreamedResponse) -> Response:
    """The answer with its body in memory, decoded."""
    body = b""
    if answer.status in {404, 304}:
        drain(answer)
    else:
        _check_length(answer)
        coding = answer.headers.get("content-encoding", "")
        if answer.status == 206 and coding.strip().lower() not in {"", "identity"}:
            raise IndexInvalid(f"{answer.where}: answered with a range of an encoded body")
        try:
            body = collect_body(answer.chunks, coding=coding, limit=answer.limit, where=answer.where)
        except CutBodyError:
            raise TryFailedError("truncated: the gzip stream has no end") from None
    return Response(status=answer.status, url=str(answer.url), headers=answer.headers, body=body)


def save(answer: StreamedResponse, file: BinaryIO) -> tuple[str, int]:
    """Write the body as it comes into an emptied file; its sha256 and size. Raises NotFound."""
    if answer.status == 404:
        drain(answer)
        raise NotFound(f"{answer.where}: not there (HTTP 404)")
    _check_length(answer)
    empty(file)
    digest = hashlib.sha256()
    size = 0
    for chunk in bounded(answer.chunks, limit=answer.limit, where=answer.where):
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def empty(file: BinaryIO) -> None:
    """Cut a file to nothing and go to its start."""
    file.seek(0)
    file.truncate()


def drain(answer: StreamedResponse) -> None:
    """Read a small body that nobody needs, so that the connection can serve again; leave a large one."""
    left = MAX_DRAINED
    if answer.length is not None and answer.length > left:
        return
    for chunk in answer.chunks:
        left -= len(chunk)
        if left < 0:
            return


def _check_length(answer: StreamedResponse) -> None:
    """Refuse a body that says beforehand that it is too large."""
    if answer.length is None or answer.length <= answer.limit:
        return
    if "range" in answer.asked and answer.status == 200:
        raise NetworkError(f"{answer.where}: a range was asked for, and the whole file is being sent")
    raise too_large(answer.limit, answer.where)
