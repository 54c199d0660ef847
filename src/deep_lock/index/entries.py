"""The entries of a project page, as JSON and HTML both give them, judged one by one and grouped by version.

A bad entry is left out with a note and the rest is kept: one broken file of an old release must not end a run.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from re import compile as pattern
from typing import Annotated
from urllib.parse import urljoin, urlsplit

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.events import Warned
from deep_lock.index.listing import FileRecord, Group, parse_version
from deep_lock.sanitize import show

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz")
DISTRIBUTION_SUFFIXES = (".whl", *SDIST_SUFFIXES, ".egg", ".exe", ".msi", ".rpm", ".tgz")
"""What a link to some distribution ends with, the kinds included that deep-lock has no use for."""

MAX_FILENAME = 300
MAX_VERSION = 128
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+!-"


class FileSkipped(Exception):  # not a DeepLockError: it never leaves this wing
    """One file of a page is left out. ``code`` is that of the note, ``reason`` a sentence part."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FileNames:
    """Cuts the file names of one project. Remembers each spelling of the project's name that it met."""

    def __init__(self, name: NormalizedName) -> None:
        self._name = name
        self._spellings: dict[str, bool] = {}

    def version_text(self, filename: str) -> str | None:
        """Return the version as the file name spells it; None for kinds of files that are ignored.

        Raises FileSkipped: not a proper name, or another project's.
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
        # Three tags; four parts where a build tag, which begins with a digit, stands before them.
        if dashes != 2 and not (dashes == 3 and tail[0].isdigit()):
            raise FileSkipped("FilenameInvalid", "not the name of a wheel")
        if not self._is_ours(head):
            raise FileSkipped("FilenameInvalid", "the wheel is another project's")
        return _checked(version)

    def _of_sdist(self, stem: str) -> str:
        # A dash may stand in the name, and in a version of old: the last one that leaves our name is tried first.
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


def sdist_stem(filename: str) -> str:
    """Return the file name without its archive suffix, or as it is where it has none."""
    for suffix in SDIST_SUFFIXES:
        if filename.endswith(suffix):
            return filename[: -len(suffix)]
    return filename


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
    """Only sha256 counts; weaker ones are not even read."""

    sha256: str | None = None


class Entry(msgspec.Struct, gc=False, rename="kebab"):
    """One file, spelled as in PEP 691. Whatever else an index says of it is passed over."""

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
    """Collects why files were left out: one note for each kind, with the first case as the example."""

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


def group_entries(entries: Sequence[Entry], names: FileNames, urls: "FileUrls", notes: Notes) -> list[Group]:
    """Judge the entries of a page and group them by version; texts that are no version are left out."""
    groups: dict[str, list[FileRecord]] = {}
    for entry in _without_contradictions(entries, notes):
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
        group = groups.get(text)
        if group is None:
            groups[text] = [record]
        else:
            group.append(record)
    return list(_with_versions(groups, notes))


def _with_versions(groups: dict[str, list[FileRecord]], notes: Notes) -> Iterator[Group]:
    """Leave out what is no version (PEP 440: "unparsable versions are ignored"): builds of old for one platform, mostly."""
    for text, records in groups.items():
        try:
            yield parse_version(text), records
        except ValueError:
            for record in records:
                notes.add("VersionInvalid", record.filename, f"{show(text, 40)!r} is not a version")


def _without_contradictions(entries: Sequence[Entry], notes: Notes) -> Iterable[Entry]:
    """Leave out what a page says twice. Two digests for one file name: neither can be believed."""
    first: dict[str, Entry] = {entry.filename: entry for entry in reversed(entries)}
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
    # fromhex takes blanks and capitals; what it gives back does not have them.
    if len(digest) != 32 or digest.hex() != text:
        raise FileSkipped("HashInvalid", "the sha256 is not 64 digits of lower-case hex")
    return digest


def _yanked(value: bool | str | None) -> str | None:  # noqa: FBT001 - the index says it so (PEP 592)
    if value is None or value is False:
        return None
    return "" if value is True else value


def _metadata(entry: Entry) -> bytes | None:
    # PEP 714: core-metadata is the right spelling and wins wherever it stands.
    offer = entry.dist_info_metadata if entry.core_metadata is None else entry.core_metadata
    if offer is None or offer is False:
        return None
    return b"" if offer is True else _digest(offer.sha256) or b""


class FileUrls:
    """Judges and completes the file URLs of one page. Remembers the origins that it found in order."""

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
        # The first slash after "https://": what stands before it is judged once for a page, not for each file.
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
