"""The file entries of a page, JSON or HTML: checked one by one, and grouped by version in a Listing.

A bad entry is left out with a note: one broken file of an old release must not end a run.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from re import compile as pattern
from typing import Annotated
from urllib.parse import urljoin, urlsplit

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.events import Warned
from deep_lock.index.listing import FileRecord, Group, Listing, pack_listing, parse_version
from deep_lock.models.distribution import SDIST_SUFFIXES, sdist_stem
from deep_lock.sanitize import show

DISTRIBUTION_SUFFIXES = (".whl", *SDIST_SUFFIXES, ".egg", ".exe", ".msi", ".rpm", ".tgz")
"""Suffixes of links to distributions, with the kinds that deep-lock does not use."""

MAX_FILENAME = 300
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
            raise FileSkipped("FilenameInvalid", "the wheel is another project's")
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
        raise FileSkipped("FilenameInvalid", "the source distribution is another project's")

    def _is_ours(self, spelling: str) -> bool:
        known = self._spellings.get(spelling)
        if known is None:
            known = self._spellings[spelling] = canonicalize_name(spelling) == self._name
        return known


def _plain(filename: str) -> str:
    # strip() of all allowed characters leaves nothing exactly when there was nothing else: a fast full match.
    if filename.strip(_PLAIN) or len(filename) > MAX_FILENAME:
        raise FileSkipped("FilenameInvalid", "characters or a length that no file name may have")
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
    hashes: Digests
    requires_python: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)] | None = None
    upload_time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    yanked: bool | str | None = None
    core_metadata: bool | Digests | None = None
    dist_info_metadata: bool | Digests | None = None


class Notes(msgspec.Struct):
    """Collects why files were left out: one note for each code, with the first case as the example."""

    name: NormalizedName
    cases: dict[str, list[str]] = msgspec.field(default_factory=dict)

    def add(self, code: str, filename: str, reason: str) -> None:
        self.cases.setdefault(code, []).append(f"{show(filename, 120)}: {reason}")

    def as_events(self) -> list[Warned]:
        return [
            Warned(
                code=code,
                subject=self.name,
                message=f"{len(cases)} {'file' if len(cases) == 1 else 'files'} of {self.name} left out; {cases[0]}",
            )
            for code, cases in sorted(self.cases.items())
        ]


class PageContent(msgspec.Struct, kw_only=True):
    """A page as read, before its entries are checked."""

    base: str
    """The URL that relative ones are joined to: the page's own, after redirects and <base>."""
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
    page: PageContent, name: NormalizedName, *, index: str, notes: Notes, events: Sequence[Warned] = ()
) -> Listing:
    """Check the entries of a page; what is left out is in the notes. ``index`` is the base URL to record."""
    groups = list(_group_by_version(page, FileNames(name), notes))
    status = None if page.status in {None, "active"} else page.status
    if status is not None and page.status_reason:
        status = f"{status}: {page.status_reason}"
    data = pack_listing(groups, status=status, notes=[*events, *notes.as_events()])
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
                _digest(entry.hashes.sha256),
                entry.size,
                entry.upload_time,
                entry.requires_python,
                _yanked(entry.yanked),
                _metadata(entry),
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
    """Leave out repeated entries, and files with two digests: neither of them can be trusted."""
    first: dict[str, FileEntry] = {entry.filename: entry for entry in reversed(entries)}
    if len(first) == len(entries):
        return entries
    for entry in entries:
        known = first.get(entry.filename)
        if known is not None and known.hashes.sha256 != entry.hashes.sha256:
            del first[entry.filename]
            notes.add("HashMismatch", entry.filename, "listed twice, with two digests")
    return reversed(first.values())


def _digest(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    # fromhex accepts blanks and capitals; hex() does not have them.
    if len(digest) != 32 or digest.hex() != text:
        raise FileSkipped("HashInvalid", "the sha256 is not 64 digits of lower-case hex")
    return digest


def _yanked(value: bool | str | None) -> str | None:  # noqa: FBT001 - the type of the field (PEP 592)
    if value is None or value is False:
        return None
    return "" if value is True else value


def _metadata(entry: FileEntry) -> bytes | None:
    # PEP 714: core-metadata is the right key and has precedence.
    offer = entry.dist_info_metadata if entry.core_metadata is None else entry.core_metadata
    if offer is None or offer is False:
        return None
    return b"" if offer is True else _digest(offer.sha256) or b""


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
            raise FileSkipped("UrlForbidden", "a URL with characters that no URL may have")
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
