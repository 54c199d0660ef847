"""Decompression within limits.

Invariant: every byte of output is counted. Memory is bounded by a chunk, time by the limits, and a stream that is cut,
corrupt or followed by something else is an error and never an early end of file.
"""

import bz2
import lzma
import zlib
from typing import BinaryIO, Protocol

from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, raise_machine_fault

MIB = 1024 * 1024
MAX_DECOMPRESSED = 512 * MIB
MAX_GROWTH = 4
"""An sdist larger than 512 MiB when unpacked may be up to four times its compressed size.

The download has limited its compressed size. Real ones need this: pyspark's 456 MB of jars are 500 MB.
"""
MAX_RATIO = 200
RATIO_COUNTS_FROM = 64 * MIB
MAX_PARTS = 64
CHUNK_IN = 128 * 1024
CHUNK_OUT = MIB
LZMA_MEMORY = 128 * MIB
"""The dictionary of a .tar.xz, which its header sizes freely. The largest preset of xz, -9, needs 65 MiB."""


class _Decoder(Protocol):
    """What bz2 and lzma decompressors have in common; zlib's is adapted to it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor, which checks the CRC and length in the trailer, with the interface of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._full = False
        """The last call filled ``max_length``: zlib may hold back output although it took all the input."""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not (self._full or self._inner.unconsumed_tail or self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        plain = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(plain) == max_length
        return plain


def _decoder(kind: str) -> _Decoder:
    if kind == "gz":
        return _Gzip()
    if kind == "bz2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)


_MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}


class PlainStream:
    """A forward-only reader of the decompressed bytes of ``file``.

    ``kind`` is "gz", "bz2" or "xz"; ``where`` names the archive in messages. Every method may raise ArchiveBroken,
    ArchiveTooBig or ArchiveAmbiguous.
    """

    def __init__(self, file: BinaryIO, kind: str, where: str) -> None:
        self._file = file
        self._kind = kind
        self._where = where
        self._decoder = _decoder(kind)
        self._buffer = b""
        self._at = 0
        self._consumed = 0
        self._produced = 0
        self._ended = False
        self._parts = 1
        size = file.seek(0, 2)
        file.seek(0)
        self._limit = max(MAX_DECOMPRESSED, MAX_GROWTH * size)

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes, or fewer where the stream ends."""
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        parts = [self._buffer[self._at :]]
        missing = size - len(parts[0])
        self._buffer, self._at = b"", 0
        while missing > 0 and (chunk := self._next_chunk()):
            parts.append(chunk[:missing])
            if len(chunk) > missing:
                self._buffer, self._at = chunk, missing
            missing -= len(parts[-1])
        return b"".join(parts)

    def skip(self, size: int) -> bool:
        """Drop ``size`` bytes; False where the stream ends before that."""
        missing = size - (len(self._buffer) - self._at)
        if missing <= 0:
            self._at += size
            return True
        self._buffer, self._at = b"", 0
        while missing > 0:
            chunk = self._next_chunk()
            if not chunk:
                return False
            if len(chunk) > missing:
                self._buffer, self._at = chunk, missing
            missing -= len(chunk)
        return True

    def rest_is_zeros(self) -> bool:
        """Read to the very end (so that checksums are checked); return whether only padding is left."""
        zeros = not self._buffer[self._at :].strip(b"\0")
        self._buffer, self._at = b"", 0
        while chunk := self._next_chunk():
            zeros = zeros and not chunk.strip(b"\0")
        return zeros

    def _next_chunk(self) -> bytes:
        """Return some decompressed bytes; empty only at the proper end of the stream."""
        while not self._ended:
            try:
                plain = self._decode_some()
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise_machine_fault(error)
                if str(error) == "Memory usage limit exceeded":  # liblzma's LZMA_MEMLIMIT_ERROR
                    needed = f"needs more than {LZMA_MEMORY // MIB} MiB of memory to be decompressed"
                    raise ArchiveTooBig(f"{self._where}: {needed}") from None
                raise ArchiveBroken(f"{self._where}: the compressed data is corrupt ({error})") from None
            if plain:
                self._count(len(plain))
                return plain
        return b""

    def _decode_some(self) -> bytes:
        if self._decoder.eof:
            self._end_or_next_part()
            return b""
        if not self._decoder.needs_input:
            return self._decoder.decompress(b"", CHUNK_OUT)
        data = self._file.read(CHUNK_IN)
        if not data:
            raise ArchiveBroken(f"{self._where}: the file ends in the middle of its data")
        self._consumed += len(data)
        return self._decoder.decompress(data, CHUNK_OUT)

    def _end_or_next_part(self) -> None:
        """Go on with a further compressed part (RFC 1952, section 2.2); skip padding; refuse anything else."""
        rest = self._decoder.unused_data
        if not rest:
            rest = self._file.read(CHUNK_IN)
            self._consumed += len(rest)
        if rest.startswith(_MAGIC[self._kind]) and self._parts < MAX_PARTS:
            self._parts += 1
            self._decoder = _decoder(self._kind)
            self._file.seek(-len(rest), 1)
            self._consumed -= len(rest)
            return
        while rest:
            if rest.strip(b"\0"):
                raise ArchiveAmbiguous(f"{self._where}: the file has data after the end of the archive")
            rest = self._file.read(CHUNK_IN)
        self._ended = True

    def _count(self, size: int) -> None:
        self._produced += size
        if self._produced > self._limit:
            raise ArchiveTooBig(f"{self._where}: unpacks to more than {self._limit // MIB} MiB")
        if self._produced > RATIO_COUNTS_FROM and self._produced > MAX_RATIO * self._consumed:
            raise ArchiveTooBig(f"{self._where}: unpacks to more than {MAX_RATIO} times its size")
