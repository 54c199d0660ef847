"""The listing of a project on an index: made from the file entries of a page, cached in a compact form, read in parts.

A file has three forms, each made from the one before: a `FileEntry` of the page, a `FileRecord` of the cache, and a
`Distribution`. Entries are checked one by one; a bad one is left out with a note, because one broken file of an old release
must not end a run.

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
from re import compile as pattern
from typing import Annotated, overload
from urllib.parse import urljoin, urlsplit

import msgspec
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.boundary import reading
from deep_lock.errors import CacheInvalid
from deep_lock.events import Warned
from deep_lock.models.distribution import SDIST_SUFFIXES, Distribution, SourceDistribution, Wheel, sdist_stem
from deep_lock.network.urls import host_and_port, is_signed
from deep_lock.sanitize import counted, show

# -- the compact form


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
    provenance: str | None = None
    """PEP 740: the URL of the provenance of the file; None where the page has none."""


class _Header(msgspec.Struct, array_like=True):
    status: str | None
    notes: list[tuple[str, str, str]]
    texts: list[str]
    """The versions in normal form, newest first, no two equal."""
    ends: list[int]
    """Where the chunk of each version ends, counted from the end of the header."""
    named_by: str = ""
    """The URL of the page where a redirect led to another host than the index's."""


_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(_Header).decode
_decode_files = msgspec.msgpack.Decoder(list[FileRecord]).decode

parse_version = lru_cache(maxsize=20_000)(Version)
"""Versions of the same text are the same object: projects share many. The texts have at most MAX_VERSION characters."""


Group = tuple[Version, list[FileRecord]]
"""Files of one version. A version may be in several groups: "1.0" and "1.0.0"."""


def pack_listing(
    groups: Iterable[Group], *, status: str | None = None, notes: Iterable[Warned] = (), named_by: str = ""
) -> bytes:
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
            named_by=named_by,
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
        self.named_by = header.named_by
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
        with reading(f"the cached page of {self.name}", CacheInvalid):
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
                provenance=record.provenance,
                named_by=self.named_by,
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
            provenance=record.provenance,
            named_by=self.named_by,
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


# -- the entries of a page


DISTRIBUTION_SUFFIXES = (".whl", *SDIST_SUFFIXES, ".egg", ".exe", ".msi", ".rpm", ".tgz")
"""Suffixes of links to distributions, with the kinds that deep-lock does not use."""

MAX_FILENAME = 255
"""The limit of file systems, and of a lock."""
MAX_VERSION = 128
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+!-"


class FileSkipped(Exception):  # not a DeepLockError: it never leaves this package
    """One file of a page is left out. ``code`` is that of the note, ``reason`` a sentence part."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FileNames:
    """Splits the file names of one project. Remembers each spelling of the project's name."""

    def __init__(self, name: NormalizedName) -> None:
        self._name = name
        self._spellings: dict[str, bool] = {}

    def version_text(self, filename: str) -> str | None:
        """Return the version as it is in the file name; None for kinds of files that are ignored.

        Raises FileSkipped for no proper name, and for that of another project.
        """
        # Nearly all names are of this form. One match in place of a dozen calls is a tenth of the time of a large page.
        usual = _USUAL_NAME(filename)
        if usual is not None and len(filename) <= MAX_FILENAME and self._is_ours(usual[1]):
            return usual[2]
        if filename.endswith(".whl"):
            return self._of_wheel(_plain(filename))
        if filename.endswith(SDIST_SUFFIXES):
            return self._of_sdist(sdist_stem(_plain(filename)))
        return None

    def _of_wheel(self, filename: str) -> str:
        head, _, rest = filename.partition("-")
        version, _, tail = rest.partition("-")
        dashes = tail.count("-")
        # Three tags; before them there may be a build tag, which begins with a digit.
        if dashes != 2 and not (dashes == 3 and tail[0].isdigit()):
            raise FileSkipped("FilenameInvalid", "not the name of a wheel")
        if not self._is_ours(head):
            raise FileSkipped("FilenameInvalid", "the wheel belongs to another project")
        return _checked(version)

    def _of_sdist(self, stem: str) -> str:
        # The name, and an old version, may have dashes: the last one is tried first.
        head, _, version = stem.rpartition("-")
        if self._is_ours(head):
            return _checked(version)
        at = stem.find("-")
        while at != -1:
            if self._is_ours(stem[:at]):
                return _checked(stem[at + 1 :])
            at = stem.find("-", at + 1)
        raise FileSkipped("FilenameInvalid", "the source distribution belongs to another project")

    def _is_ours(self, spelling: str) -> bool:
        known = self._spellings.get(spelling)
        if known is None:
            known = self._spellings[spelling] = canonicalize_name(spelling) == self._name
        return known


_USUAL_NAME = pattern(
    r"([A-Za-z0-9._+!]+)-([A-Za-z0-9._+!]{1,128})(?:(?:-[0-9][A-Za-z0-9._+!]*)?(?:-[A-Za-z0-9._+!]+){3}\.whl|\.tar\.gz)"
).fullmatch
"""Project and version of a wheel, and of an sdist whose name has one dash."""


def _plain(filename: str) -> str:
    # strip() of all allowed characters leaves nothing exactly when there was nothing else: a fast full match.
    if filename.strip(_PLAIN) or len(filename) > MAX_FILENAME:
        raise FileSkipped("FilenameInvalid", "a file name with invalid characters, or one that is too long")
    return filename


def _checked(version: str) -> str:
    if not version or len(version) > MAX_VERSION:
        raise FileSkipped("VersionInvalid", "no version, or one that is too long")
    return version


MAX_SIZE = 2**53


class Digests(msgspec.Struct, gc=False):
    """Only sha256 counts; weaker digests are not read."""

    sha256: str | None = None


class FileEntry(msgspec.Struct, gc=False, rename="kebab"):
    """One file, with the keys of PEP 691. Other keys are ignored."""

    filename: str
    url: str
    hashes: Digests | None = None
    requires_python: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)] | None = None
    upload_time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    yanked: bool | str | None = None
    core_metadata: bool | Digests | None = None
    dist_info_metadata: bool | Digests | None = None
    provenance: str | None = None


class Notes(msgspec.Struct):
    """Collects why files were left out: one note for each code, with the first case as the example."""

    name: NormalizedName
    cases: dict[str, list[str]] = msgspec.field(default_factory=dict)
    ignored: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """File names by the field that counts as missing."""

    def add(self, code: str, filename: str, reason: str) -> None:
        self.cases.setdefault(code, []).append(f"{show(filename, 120)}: {reason}")

    def ignore(self, field: str, filename: str) -> None:
        """Note that a field that no lock needs cannot be read, and counts as missing."""
        self.ignored.setdefault(field, []).append(show(filename, 120))

    def as_events(self) -> list[Warned]:
        return [*self._left_out(), *self._ignored()]

    def _ignored(self) -> list[Warned]:
        return [
            Warned(
                code="FieldIgnored",
                subject=self.name,
                message=f"the {field} of {counted(len(files), 'file')} of {self.name} cannot be"
                f" read, and is treated as unknown; {files[0]}",
            )
            for field, files in sorted(self.ignored.items())
        ]

    def _left_out(self) -> list[Warned]:
        return [
            Warned(
                code=code,
                subject=self.name,
                message=f"{counted(len(cases), 'file')} of {self.name} left out; {cases[0]}",
            )
            for code, cases in sorted(self.cases.items())
        ]


class PageContent(msgspec.Struct, kw_only=True):
    """A page as read, before its entries are checked."""

    base: str
    """The URL that relative ones are joined to: the page's own, after redirects and <base>."""
    url: str = ""
    """The page's own, after redirects."""
    entries: list[FileEntry] = msgspec.field(default_factory=list)
    """Links to distributions, with the kinds that deep-lock does not use."""
    api_version: str | None = None
    """None where an HTML page does not have one, which counts as 1.0."""
    status: str | None = None
    status_reason: str | None = None


def media_type(content_type: str) -> str:
    """Return the type of a Content-Type header without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def build_listing(
    page: PageContent,
    name: NormalizedName,
    *,
    index: str,
    notes: Notes,
    events: Sequence[Warned] = (),
) -> Listing:
    """Check the entries of a page; what is left out is in the notes. ``index`` is the base URL to record."""
    moved = page.url != "" and host_and_port(page.url) != host_and_port(index)
    groups = list(_group_by_version(page, FileNames(name), notes))
    status = None if page.status in {None, "active"} else page.status
    if status is not None and page.status_reason:
        status = f"{status}: {page.status_reason}"
    data = pack_listing(groups, status=status, notes=[*events, *notes.as_events()], named_by=page.url if moved else "")
    return Listing(data, name=name, index=index)


def _group_by_version(page: PageContent, names: FileNames, notes: Notes) -> Iterator[Group]:
    """Check the entries and group them by version; texts that are no version are left out."""
    groups: dict[str, list[FileRecord]] = {}
    urls = FileUrls(page.base)
    for entry in _without_contradictions(page.entries, notes):
        try:
            text = names.version_text(entry.filename)
            if text is None:
                continue
            record = FileRecord(
                entry.filename,
                urls.checked(entry.url),
                _digest(_sha256(entry)),
                entry.size,
                entry.upload_time,
                entry.requires_python,
                _yanked(entry.yanked),
                _metadata(entry, notes),
                _provenance(entry, urls, notes),
            )
        except FileSkipped as skipped:
            notes.add(skipped.code, entry.filename, skipped.reason)
            continue
        groups.setdefault(text, []).append(record)
    for text, records in groups.items():
        # PEP 440: "unparsable versions are ignored"; mostly old builds for one platform
        try:
            yield parse_version(text), records
        except ValueError:
            for record in records:
                notes.add("VersionInvalid", record.filename, f"{show(text, 40)!r} is not a version")


def _without_contradictions(entries: Sequence[FileEntry], notes: Notes) -> Iterable[FileEntry]:
    """Leave out repeated entries, and files with two digests: neither of them can be trusted.

    Of several links to a file one without a signature is taken, else the first one.
    """
    first: dict[str, FileEntry] = {entry.filename: entry for entry in reversed(entries)}
    if len(first) == len(entries):
        return entries
    for entry in entries:
        known = first.get(entry.filename)
        if known is not None and (_sha256(known) or "").lower() != (_sha256(entry) or "").lower():
            del first[entry.filename]
            notes.add("HashMismatch", entry.filename, "listed twice, with two digests")
        elif known is not None and is_signed(known.url) and not is_signed(entry.url):
            first[entry.filename] = entry
    return reversed(first.values())


def _sha256(entry: FileEntry) -> str | None:
    return None if entry.hashes is None else entry.hashes.sha256


def _digest(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    # fromhex accepts blanks; hex() does not have them.
    if len(digest) != 32 or digest.hex() != text.lower():
        raise FileSkipped("HashInvalid", "the sha256 is not 64 hexadecimal digits")
    return digest


def _yanked(value: bool | str | None) -> str | None:  # noqa: FBT001 - the type of the field (PEP 592)
    if value is None or value is False:
        return None
    return "" if value is True else value


def _metadata(entry: FileEntry, notes: Notes) -> bytes | None:
    # PEP 714: core-metadata is the right key and has precedence.
    offer = entry.dist_info_metadata if entry.core_metadata is None else entry.core_metadata
    if offer is None or offer is False:
        return None
    try:
        return b"" if offer is True else _digest(offer.sha256) or b""
    except FileSkipped:  # the metadata are then read from the wheel
        notes.ignore("core-metadata", entry.filename)
        return None


def _provenance(entry: FileEntry, urls: "FileUrls", notes: Notes) -> str | None:
    if not entry.provenance:
        return None
    try:
        return urls.checked(entry.provenance)
    except FileSkipped:  # the file counts as one without an attestation
        notes.ignore("provenance", entry.filename)
        return None


class FileUrls:
    """Checks and completes the file URLs of one page. Remembers the origins that are allowed."""

    def __init__(self, base: str) -> None:
        """``base`` is the URL that relative ones are joined to: the page's own, after redirects and <base>."""
        self._base = base
        self._schemes = {"http", "https"} if base.startswith("http:") else {"https"}
        self._origins: set[str] = set()

    def checked(self, url: str) -> str:
        """Return the absolute URL without its fragment. Raises FileSkipped (UrlForbidden)."""
        if "#" in url:
            url = url.partition("#")[0]
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise FileSkipped("UrlForbidden", "a URL with invalid characters")
        # Up to the first slash after "https://": an origin is checked once for a page, not for each file.
        origin = url[: url.find("/", 8)]
        if origin not in self._origins:
            url = self._joined(url)
        return url

    def _joined(self, url: str) -> str:
        try:
            url = urljoin(self._base, url)
            parts = urlsplit(url)
        except ValueError:
            raise FileSkipped("UrlForbidden", "a URL that cannot be read") from None
        if parts.scheme not in self._schemes:
            raise FileSkipped("UrlForbidden", f"a URL of scheme {show(parts.scheme, 20)!r}")
        if not _HOST(parts.netloc):
            raise FileSkipped("UrlForbidden", "a URL with user-info or without a proper host")
        self._origins.add(f"{parts.scheme}://{parts.netloc}")
        return url


_HOST = pattern(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
