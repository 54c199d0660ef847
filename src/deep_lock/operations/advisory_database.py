"""Databases of advisories: an export of the OSV schema as a zip, a folder of records or of zips, or the URL of a zip.

A database is read once, and indexed by project in the cache. A run then reads what is about the projects of its lock.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from deep_lock.boundary import reading
from deep_lock.errors import (
    AdvisoriesOld,
    AdvisoryInvalid,
    ArchiveError,
    NotFound,
    UsageError,
    raise_machine_fault,
)
from deep_lock.events import Reporter, Warned
from deep_lock.files import open_regular
from deep_lock.index.cache import Cache
from deep_lock.index.lazy_wheel import unpack
from deep_lock.index.settings import FILE_SECONDS
from deep_lock.lazy import load_all
from deep_lock.locking.clients import AddressClient
from deep_lock.models.advisory import ECOSYSTEM, Advisory, AdvisorySource
from deep_lock.network.urls import shown_url, without_user_info
from deep_lock.parsing.osv import MAX_RECORD_BYTES, read_record
from deep_lock.parsing.zip_archive import read_archive

MAX_DATABASE_BYTES = 512 * 1024 * 1024
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_FILES = 200_000
"""Records in one folder."""
INDEXED = "advisories-1"
"""The folder of the cache. The number changes with `Advisory`, `_Contents`, and the way that records are read."""
KNOWN = "advisory-databases-1"

_ZIP = b"PK\x03\x04"
_LENGTH_BYTES = 8
_DAY = timedelta(days=1)


class _Contents(Struct, frozen=True, kw_only=True, array_like=True):
    """The head of an indexed database. The advisories of each project follow it."""

    advisories: int
    """How many records are about projects of PyPI and are not withdrawn."""
    newest: datetime | None
    unreadable: int
    first_fault: str
    names: dict[str, tuple[int, int]]
    """By project, where its advisories begin, after the head, and how many bytes they take."""


class _Known(Struct, frozen=True, kw_only=True, array_like=True):
    """What the last run knew of the path or the URL of a database."""

    digest: str
    etag: str = ""
    fetched: datetime | None = None


class Database(Struct, frozen=True, kw_only=True):
    """An indexed database."""

    source: AdvisorySource
    names: dict[str, tuple[int, int]]
    data: memoryview

    def of(self, names: Iterable[str]) -> dict[str, tuple[Advisory, ...]]:
        """Return the advisories about these projects (normalized names), by project."""
        found: dict[str, tuple[Advisory, ...]] = {}
        for name in names:
            if name in self.names:
                begin, size = self.names[name]
                found[name] = _decode_advisories(self.data[begin : begin + size])
        return found


_encode = msgspec.msgpack.Encoder().encode
_decode_contents = msgspec.msgpack.Decoder(_Contents).decode
_decode_advisories = msgspec.msgpack.Decoder(tuple[Advisory, ...]).decode
_decode_known = msgspec.msgpack.Decoder(_Known).decode


def is_url(name: str) -> bool:
    """Whether the name of a database is a URL."""
    return name.startswith(("http://", "https://"))


def open_database(name: str, client: AddressClient, now: datetime, reporter: Reporter) -> Database:
    """Open a database: a URL, or a path. Raises UsageError and IndexFault; LimitExceeded for a download that is too large."""
    load_all()
    if is_url(name):
        database = _from_url(name, client, now)
    else:
        path = Path(name)
        database = _from_folder(path, client.cache, now) if path.is_dir() else _from_file(path, client.cache, now)
    source = database.source
    if source.unreadable:
        reporter(Warned(code="AdvisoryInvalid", subject=source.name, message=_fault(database)))
    return database


def _fault(database: Database) -> str:
    contents = _contents(database.data)[0]
    records = "record cannot" if contents.unreadable == 1 else "records cannot"
    return f"{contents.unreadable} {records} be read and are not compared; the first: {contents.first_fault}"


def require_fresh(source: AdvisorySource, max_age: timedelta, now: datetime) -> None:
    """Raise AdvisoriesOld where the newest record of a database is older than allowed, or its last download."""
    for what, time in (("its newest record was modified", source.newest), ("it was downloaded", source.fetched)):
        if time is not None and now - time > max_age:
            days = (now - time).days
            raise AdvisoriesOld(
                f"{source.name}: {what} on {time:%Y-%m-%d}, {days} days ago; at most {_days(max_age)} are allowed",
                hint=f"use a newer export of the database, or allow this age: --max-age P{days + 1}D",
            )


def _days(age: timedelta) -> str:
    return (
        f"{age.days} {'day' if age.days == 1 else 'days'}" if age >= _DAY else f"{age.total_seconds() / 3600:.1f} hours"
    )


# -- where a database is


def _from_url(name: str, client: AddressClient, now: datetime) -> Database:
    url, shown, cache = without_user_info(name), shown_url(without_user_info(name)), client.cache
    with cache.once(KNOWN, url, seconds=FILE_SECONDS):
        known = _last_known(cache, url)
        database = None if known is None else _indexed(cache, known.digest, shown)
        is_usable = client.fetcher.is_offline or cache.is_validated(KNOWN, url)
        if known is not None and database is not None and is_usable:
            return replace(database, source=replace(database.source, fetched=known.fetched))
        fetcher = client.fetcher.open(f"the database of advisories {shown}")
        headers = {"if-none-match": known.etag} if known is not None and database is not None and known.etag else {}
        response = fetcher.get(url, named_by=url, headers=headers, limit=MAX_DATABASE_BYTES, deadline=FILE_SECONDS)
        if response.status == 404:
            raise NotFound(f"{shown}: does not exist (HTTP 404)", hint="name the export for the ecosystem PyPI")
        if response.status != 304 or known is None or database is None:
            digest = sha256(response.body).hexdigest()
            database = _indexed(cache, digest, shown) or _index(
                cache, digest, _records_of_file(response.body, shown), shown, now
            )
            known = _Known(etag=response.headers.get("etag", ""), digest=digest, fetched=now)
        _remember(cache, url, replace(known, fetched=now))
        cache.set_validated(KNOWN, url)
        return replace(database, source=replace(database.source, fetched=now))


def _last_known(cache: Cache, url: str) -> _Known | None:
    data = cache.get_record(KNOWN, url)
    if data is not None:
        try:
            return _decode_known(data)
        except (ValueError, RecursionError):
            cache.drop(KNOWN, url)
    return None


def _remember(cache: Cache, name: str, known: _Known) -> None:
    """Note what a path or a URL has now. Of each only one index stays in the cache: a database may change every hour."""
    last = _last_known(cache, name)
    if last is not None and last.digest != known.digest:
        cache.remove(INDEXED, last.digest)
    if last != known:
        cache.put_record(KNOWN, name, _encode(known))


def _from_file(path: Path, cache: Cache, now: datetime) -> Database:
    data = _read(path, MAX_DATABASE_BYTES)
    digest = sha256(data).hexdigest()
    with cache.once(INDEXED, digest, seconds=FILE_SECONDS):  # an index takes seconds and much memory
        _remember(cache, str(path.resolve()), _Known(digest=digest))
        return _indexed(cache, digest, str(path)) or _index(
            cache, digest, _records_of_file(data, path.name), str(path), now
        )


def _read(path: Path, limit: int) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: there is no database of advisories",
            hint="name an export of the OSV schema for PyPI: a zip, a folder, or its URL",
        ) from None
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"{path}: {error.strerror or error}") from None
    if len(data) > limit:
        raise AdvisoryInvalid(f"{path}: more than {limit} bytes")
    return data


def _from_folder(folder: Path, cache: Cache, now: datetime) -> Database:
    """Read a folder. Its digest is that of the names, sizes and times of its files: to read each of them is slow."""
    files = sorted(_files_below(folder))
    if len(files) > MAX_FILES:
        raise AdvisoryInvalid(f"{folder}: more than {MAX_FILES} files")
    name = str(folder.resolve())
    digest = sha256(repr([name, *files]).encode(errors="surrogateescape")).hexdigest()
    _remember(cache, name, _Known(digest=digest))
    return _indexed(cache, digest, str(folder)) or _index(cache, digest, _records_of_folder(files), str(folder), now)


def _files_below(folder: Path) -> Iterator[tuple[str, int, int]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.endswith((".json", ".zip")) and not name.startswith("."):
                path = os.path.join(parent, name)  # noqa: PTH118 - a text: there may be very many
                status = os.stat(path)  # noqa: PTH116 - as above
                yield path, status.st_size, status.st_mtime_ns


# -- what is in it

_Records = Iterator[tuple[str, bytes]]
"""(name for messages, bytes) of each record."""


def _records_of_folder(files: Iterable[tuple[str, int, int]]) -> _Records:
    for name, _, _ in files:
        path = Path(name)
        if name.endswith(".zip"):
            yield from _records_of_zip(_read(path, MAX_DATABASE_BYTES), path.name)
        else:
            yield path.name, _read(path, MAX_RECORD_BYTES)


def _records_of_file(data: bytes, where: str) -> _Records:
    if data.startswith(_ZIP):
        return _records_of_zip(data, where)
    if data[:1].isspace() or data.startswith(b"{"):
        return iter([(where, data)])
    raise AdvisoryInvalid(
        f"{where}: is neither a zip nor a record of the OSV schema",
        hint="name an export of the OSV schema for PyPI: a zip, a folder, or its URL",
    )


def _records_of_zip(data: bytes, where: str) -> _Records:
    try:
        members, directory = read_archive(BytesIO(data), where)
        if sum(member.size for member in members) > MAX_UNPACKED_BYTES:
            raise AdvisoryInvalid(f"{where}: unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        ends = [*(member.start for member in members[1:]), directory.start]
        for member, end in zip(members, ends, strict=True):
            if member.name.endswith(b".json"):
                name = member.name.decode("utf-8", "replace")
                if member.size > MAX_RECORD_BYTES:
                    raise AdvisoryInvalid(f"{where}: {name[:200]!a} has more than {MAX_RECORD_BYTES} bytes")
                yield name, unpack(data[member.start : end], member, where)
    except (ArchiveError, zlib.error) as error:
        raise AdvisoryInvalid(f"{where}: the zip cannot be read: {error}", hint="download it again") from None


# -- the index of a database


def _index(cache: Cache, digest: str, records: _Records, where: str, now: datetime) -> Database:
    """Read every record, and cache what is about PyPI. Raises AdvisoryInvalid where nothing is."""
    by_name: dict[str, dict[str, tuple[datetime, Advisory]]] = {}
    ids: set[str] = set()
    newest: datetime | None = None
    unreadable, first_fault, is_of_ecosystem = 0, "", False
    for name, data in records:
        try:
            record = read_record(data, name)
        except AdvisoryInvalid as error:
            unreadable += 1
            first_fault = first_fault or error.message
            continue
        is_of_ecosystem = is_of_ecosystem or record.is_of_ecosystem
        # a wrong time in the future must not make an old database a new one
        if record.is_of_ecosystem and record.modified <= now + _DAY and (newest is None or record.modified > newest):
            newest = record.modified
        for project, advisory in record.advisories:
            known = by_name.setdefault(project, {})
            if advisory.id not in known or known[advisory.id][0] < record.modified:
                known[advisory.id] = record.modified, advisory
            ids.add(advisory.id)
    if not is_of_ecosystem:
        raise AdvisoryInvalid(
            f"{where}: no record in it is about the ecosystem {ECOSYSTEM}"
            + (f"; {unreadable} cannot be read, the first: {first_fault}" if unreadable else ""),
            hint=f"name an export of the OSV schema for {ECOSYSTEM}: a zip, a folder, or its URL",
        )
    data = _packed(
        {name: [advisory for _, advisory in own.values()] for name, own in by_name.items()},
        _Contents(
            advisories=len(ids),
            newest=newest.astimezone(UTC) if newest is not None else None,
            unreadable=unreadable,
            first_fault=first_fault,
            names={},
        ),
    )
    cache.put_record(INDEXED, digest, data)
    return _database(data, where)


def _packed(by_name: dict[str, list[Advisory]], contents: _Contents) -> bytes:
    names: dict[str, tuple[int, int]] = {}
    parts: list[bytes] = []
    at = 0
    for name, advisories in sorted(by_name.items()):
        part = _encode(advisories)
        names[name] = at, len(part)
        parts.append(part)
        at += len(part)
    head = _encode(replace(contents, names=names))
    return b"".join((len(head).to_bytes(_LENGTH_BYTES, "big"), head, *parts))


def _indexed(cache: Cache, digest: str, where: str) -> Database | None:
    """Return the database of this digest, if it was read before."""
    data = cache.get_record(INDEXED, digest)
    if data is not None:
        try:
            with reading(where, AdvisoryInvalid):
                return _database(data, where)
        except AdvisoryInvalid:
            cache.drop(INDEXED, digest)
    return None


def _database(data: bytes, where: str) -> Database:
    contents, begin = _contents(memoryview(data))
    return Database(
        source=AdvisorySource(
            kind="database",
            name=where,
            advisories=contents.advisories,
            newest=contents.newest,
            unreadable=contents.unreadable,
        ),
        names={name: (begin + at, size) for name, (at, size) in contents.names.items()},
        data=memoryview(data),
    )


def _contents(data: memoryview) -> tuple[_Contents, int]:
    begin = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    return _decode_contents(data[_LENGTH_BYTES:begin]), begin
