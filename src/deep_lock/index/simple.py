"""Project pages of the simple repository API: bytes to a Listing. No I/O; a broken page raises only its own errors.

Specifications: PEP 503 (HTML), PEP 691 (JSON), 592 (yanked), 629 (versions of the API), 658 and 714 (metadata files),
700 (size, upload-time), 792 (project status). Only the Content-Type decides which of the two a page is.
"""

from collections.abc import Mapping, Sequence

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.boundary import reading
from deep_lock.errors import IndexInvalid, NameMismatch
from deep_lock.events import Warned
from deep_lock.index import html
from deep_lock.index.listing import FileEntry, Listing, Notes, PageContent, build_listing, media_type
from deep_lock.network.urls import host_and_port, shown_url
from deep_lock.sanitize import show

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"  # PEP 691
KNOWN_API = (1, 4)
_JSON_TYPES = {"application/vnd.pypi.simple.v1+json"}
_HTML_TYPES = {"application/vnd.pypi.simple.v1+html", "text/html"}


class _Status(msgspec.Struct):
    status: str = "active"
    reason: str | None = None


class _Meta(msgspec.Struct, rename="kebab"):
    api_version: str = "1.0"
    project_status: _Status | None = None  # where the specification had it by mistake until January 2026


class _Page(msgspec.Struct, rename="kebab"):
    """A page whose fields are all right.

    Duplicate keys are not found: that takes a hook in Python for each object, ten times the time of the rest.

    The last one wins, here as in other readers; the digest that is read is the digest that is checked and locked.
    """

    name: str
    files: list[FileEntry]
    meta: _Meta = msgspec.field(default_factory=_Meta)
    project_status: _Status | None = None


class _LooseMeta(msgspec.Struct, rename="kebab"):
    api_version: str = "1.0"
    project_status: msgspec.Raw = msgspec.Raw(b"null")


class _LoosePage(msgspec.Struct, rename="kebab"):
    name: str
    files: list[msgspec.Raw]
    meta: _LooseMeta | None = None
    project_status: msgspec.Raw = msgspec.Raw(b"null")


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_loose_page = msgspec.json.Decoder(_LoosePage).decode
_decode_entry = msgspec.json.Decoder(FileEntry).decode
_decode_status = msgspec.json.Decoder(_Status).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode

_NEEDED = {"filename": "EntryInvalid", "url": "UrlForbidden", "hashes": "HashInvalid", "size": "SizeInvalid"}
"""Keys of an entry whose faults leave the file out, with the code of the note. Any other key counts as missing then."""
_OTHER_KEYS = frozenset(FileEntry.__struct_encode_fields__) - _NEEDED.keys()


def parse_page(body: bytes, content_type: str, url: str, name: NormalizedName, index: str) -> Listing:
    """Read the project page of ``name``; ``url`` is its URL after redirects, ``index`` the base URL to record.

    The notes of the Listing name what was left out. Raises IndexInvalid, or NameMismatch for another project's page.
    """
    with reading(shown_url(url), IndexInvalid):
        notes = Notes(name)
        kind = media_type(content_type)
        if kind in _JSON_TYPES:
            page = _read_json(body, url, name, notes)
        elif kind in _HTML_TYPES:
            page = _read_html(body, url)
        else:
            raise IndexInvalid(
                f"{shown_url(url)}: Content-Type {show(content_type, 80)!r} is not that of a package index",
                hint="Check that this is the URL of a simple repository API, and not of a login page.",
            )
        newer = _check_api_version("1.0" if page.api_version is None else page.api_version, url, index)
        return build_listing(page, name, index=index, notes=notes, events=[*_other_host(url, index), *newer])


def _read_json(body: bytes, url: str, name: NormalizedName, notes: Notes) -> PageContent:
    try:
        try:
            page = _decode_page(body)
        except msgspec.DecodeError:  # one wrong entry, or a wrong page: read them one by one
            page = _loose_page(body, notes)
    except ValueError as error:
        raise IndexInvalid(f"{shown_url(url)}: not a project page (PEP 691): {show(str(error))}") from error
    if canonicalize_name(page.name) != name:
        raise NameMismatch(f"{shown_url(url)}: is the page of {show(page.name, 80)!r}, not of {name!r}")
    status = page.project_status or page.meta.project_status
    return PageContent(
        base=url,
        url=url,
        entries=page.files,
        api_version=page.meta.api_version,
        status=None if status is None else status.status,
        status_reason=None if status is None else status.reason,
    )


def _loose_page(body: bytes, notes: Notes) -> _Page:
    page = _decode_loose_page(body)
    meta = page.meta or _LooseMeta()
    return _Page(
        name=page.name,
        files=_salvaged(page.files, notes),
        meta=_Meta(api_version=meta.api_version, project_status=_loose_status(meta.project_status)),
        project_status=_loose_status(page.project_status),
    )


def _loose_status(raw: msgspec.Raw) -> _Status | None:
    try:
        return None if bytes(raw) == b"null" else _decode_status(raw)
    except (ValueError, RecursionError):
        return None


def _salvaged(files: Sequence[msgspec.Raw], notes: Notes) -> list[FileEntry]:
    """Read entries one by one; fields that no lock needs are ignored where they are wrong."""
    entries: list[FileEntry] = []
    for raw in files:
        try:
            entries.append(_decode_entry(raw))
        except (ValueError, RecursionError):
            entry = _without_faults(raw, notes)
            if entry is not None:
                entries.append(entry)
    return entries


def _without_faults(raw: msgspec.Raw, notes: Notes) -> FileEntry | None:
    """Return an entry without its wrong fields; None, and a note, where one of them is needed."""
    filename = "?"
    try:
        fields = _decode_fields(raw)
        filename = _decode_text(fields.get("filename", msgspec.Raw(b"null")))
        own: dict[str, msgspec.Raw] = {key: fields[key] for key in _NEEDED if key in fields}
        if bytes(own.get("hashes", b"")) == b"[]":  # an empty table, as PHP writes it
            del own["hashes"]
        entry = _entry(own)
    except (ValueError, RecursionError) as error:
        reason = str(error)
        key = reason.rpartition("`$.")[2].partition("`")[0].partition(".")[0]
        notes.add(_NEEDED.get(key, "EntryInvalid"), filename, show(reason, 120))
        return None
    for key in sorted(_OTHER_KEYS & fields.keys()):
        try:
            entry = _entry({**own, key: fields[key]})
        except (ValueError, RecursionError):
            notes.ignore(key, filename)
        else:
            own[key] = fields[key]
    return entry


def _entry(fields: Mapping[str, msgspec.Raw]) -> FileEntry:
    return _decode_entry(msgspec.json.encode(fields))


def _read_html(body: bytes, url: str) -> PageContent:
    page = html.read_anchors(body, url)
    if page.api_version is None and not page.entries:
        raise IndexInvalid(
            f"{shown_url(url)}: an HTML page without a link to a file, and without the mark of a package index",
            hint="It is often a login page, or the listing of another folder.",
        )
    return page


def _other_host(url: str, index: str) -> list[Warned]:
    """Warn of an index that redirects to another one: a private name that it does not have is requested there."""
    host = host_and_port(url)
    if host == host_and_port(index):
        return []
    message = f"redirects pages of projects to {show(host)}: names that this index does not have may be requested there"
    return [Warned(code="PageRedirected", subject=index, message=message)]


def _check_api_version(text: str, url: str, index: str) -> list[Warned]:
    """PEP 629: a newer major version must be refused, a newer minor one should be reported."""
    major, dot, minor = text.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal() and len(text) < 20):
        raise IndexInvalid(f"{shown_url(url)}: the API version {show(text, 40)!r} cannot be read")
    if int(major) != KNOWN_API[0]:
        raise IndexInvalid(
            f"{shown_url(url)}: version {text} of the simple repository API is not known", hint="Upgrade deep-lock."
        )
    if int(minor) <= KNOWN_API[1]:
        return []
    return [
        Warned(
            code="ApiVersionNewer",
            subject=index,
            message=f"the index has version {text} of the simple repository API; what is new in it is ignored",
        )
    ]
