"""The compact form of a project page: the cache holds it, and a run reads versions and files from it.

A run decodes only what it needs: a header with the version texts, newest first, then the files of each version as a chunk
of its own. A popular project has thousands of versions and ten thousand files; a run looks at a handful.

::

    4 bytes   length of the header, big-endian
    header    msgpack: see _Header
    chunks    msgpack, one for each version: a list of FileRecord
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import overload

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.events import Warned
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel


class FileRecord(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One file in the cache. Digests are raw bytes: half the size, and checked."""

    filename: str
    url: str
    sha256: bytes | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: str | None
    metadata: bytes | None
    """PEP 658: digest of the metadata file; empty for a file without a digest; None without a metadata file."""


class _Header(msgspec.Struct, array_like=True):
    status: str | None
    notes: list[tuple[str, str, str]]
    texts: list[str]
    """The versions in normal form, newest first, no two equal."""
    ends: list[int]
    """Where the chunk of each version ends, counted from the end of the header."""


_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(_Header).decode
_decode_files = msgspec.msgpack.Decoder(list[FileRecord]).decode

parse_version = lru_cache(maxsize=20_000)(Version)
"""Versions of the same text are the same object: projects share many."""


Group = tuple[Version, list[FileRecord]]
"""Files of one version. A version may be in several groups: "1.0" and "1.0.0"."""


def pack_listing(groups: Iterable[Group], *, status: str | None = None, notes: Iterable[Warned] = ()) -> bytes:
    """Return the compact form of files that are grouped by version."""
    texts: list[str] = []
    ends: list[int] = []
    chunks: list[bytes] = []
    end = 0
    newest_first = sorted(groups, key=itemgetter(0), reverse=True)
    for _, same in groupby(newest_first, key=itemgetter(0)):
        spellings = list(same)
        chunk = _encode([record for _, records in spellings for record in records])
        end += len(chunk)
        # The spelling of a version must not depend on the order of the page.
        texts.append(min(str(version) for version, _ in spellings))
        ends.append(end)
        chunks.append(chunk)
    header = _encode(
        _Header(
            status=status,
            notes=[(note.code, note.subject, note.message) for note in notes],
            texts=texts,
            ends=ends,
        )
    )
    return b"".join((_LENGTH.pack(len(header)), header, *chunks))


class Listing:
    """One project on one index. Cheap to open; objects are made at the first access, and kept."""

    def __init__(self, data: bytes | memoryview, *, name: NormalizedName, index: str) -> None:
        """Open the data of `pack_listing`; ``index`` is the base URL that its files record.

        Raises ValueError for other data (msgspec's errors are ValueErrors).
        """
        self.data = data
        self.name = name
        self.index = index
        view = memoryview(data)
        if len(view) < _LENGTH.size:
            raise ValueError("too short for a listing")
        self._start = _LENGTH.size + _LENGTH.unpack_from(view)[0]
        header = _decode_header(view[_LENGTH.size : self._start])
        if len(header.texts) != len(header.ends) or self._start + (header.ends or [0])[-1] != len(view):
            raise ValueError("lengths do not fit")
        self.status = header.status
        self.notes = tuple(Warned(code=code, subject=subject, message=text) for code, subject, text in header.notes)
        self._ends = header.ends
        self._texts = header.texts
        self._by_text: dict[str, int] | None = None
        self._files: dict[int, tuple[Distribution, ...]] = {}
        self.versions: Sequence[Version] = LazyVersions(header.texts)

    def files(self, version: Version) -> tuple[Distribution, ...]:
        """Return the files of one version in file name order; none where the page does not have the version."""
        position = self._position(version)
        if position is None:
            return ()
        files = self._files.get(position)
        if files is None:
            files = self._files[position] = self._read(position, version)
        return files

    def _position(self, version: Version) -> int | None:
        by_text = self._by_text
        if by_text is None:
            by_text = self._by_text = {text: position for position, text in enumerate(self._texts)}
        position = by_text.get(str(version))
        if position is None:  # 1.0 for 1.0.0, or missing: rare enough to compare all
            matches = (index for index, other in enumerate(self.versions) if other == version)
            position = next(matches, None)
        return position

    def _read(self, position: int, version: Version) -> tuple[Distribution, ...]:
        begin = self._ends[position - 1] if position else 0
        chunk = memoryview(self.data)[self._start + begin : self._start + self._ends[position]]
        records = sorted(_decode_files(chunk), key=lambda record: record.filename)
        return tuple(self._distribution(record, version) for record in records)

    def _distribution(self, record: FileRecord, version: Version) -> Distribution:
        if record.filename.endswith(".whl"):
            _, _, *build, python, abi, platform = record.filename[: -len(".whl")].split("-")
            return Wheel(
                filename=record.filename,
                name=self.name,
                version=version,
                build=build[0] if build else "",
                tags=f"{python}-{abi}-{platform}",
                url=record.url,
                sha256=None if record.sha256 is None else record.sha256.hex(),
                size=record.size,
                upload_time=record.upload_time,
                requires_python=record.requires_python,
                yanked=record.yanked,
                index=self.index,
                metadata=None if record.metadata is None else record.metadata.hex(),
            )
        return SourceDistribution(
            filename=record.filename,
            name=self.name,
            version=version,
            url=record.url,
            sha256=None if record.sha256 is None else record.sha256.hex(),
            size=record.size,
            upload_time=record.upload_time,
            requires_python=record.requires_python,
            yanked=record.yanked,
            index=self.index,
        )


class LazyVersions(Sequence[Version]):
    """Version texts that become Version objects at the first access."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Version: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Version]: ...
    def __getitem__(self, index: int | slice) -> Version | Sequence[Version]:
        if isinstance(index, slice):
            return LazyVersions(self._texts[index])
        return parse_version(self._texts[index])

    def __iter__(self) -> Iterator[Version]:
        return map(parse_version, self._texts)

    def __repr__(self) -> str:
        return f"LazyVersions({list(self._texts)!r})"
