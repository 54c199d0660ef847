"""Records of the OSV schema (1.x), the format in which databases exchange advisories.

Fields that the schema adds later are left out, as it requires. A record that cannot be read is refused as a whole.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.boundary import reading
from deep_lock.errors import AdvisoryInvalid
from deep_lock.models.advisory import ECOSYSTEM, EVENT_KINDS, Advisory, AdvisoryRecord

MAX_RECORD_BYTES = 8 * 1024 * 1024
MAX_SUMMARY = 300


class _Severity(Struct):
    type: str = ""
    score: str = ""


class _Package(Struct):
    ecosystem: str = ""
    name: str = ""


class _Range(Struct):
    type: str = ""
    events: list[dict[str, str]] = []


class _Affected(Struct):
    package: _Package | None = None
    severity: list[_Severity] | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None


class _Reference(Struct):
    type: str = ""
    url: str = ""


class _Record(Struct):
    id: str
    modified: datetime
    withdrawn: datetime | None = None
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    severity: list[_Severity] | None = None
    affected: list[_Affected] | None = None
    references: list[_Reference] | None = None
    database_specific: msgspec.Raw = msgspec.Raw(b"null")


class _KnownVulnerability(Struct):
    id: str
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    fixed_in: list[str] | None = None
    link: str | None = None
    withdrawn: str | None = None


class _Release(Struct):
    vulnerabilities: list[_KnownVulnerability]


class _Match(Struct):
    id: str
    modified: str = ""


class _Result(Struct):
    vulns: list[_Match] | None = None
    next_page_token: str | None = None


class _Results(Struct):
    results: list[_Result]


class QueryResult(Struct, frozen=True, kw_only=True):
    """The result of one query of a service."""

    records: tuple[tuple[str, str], ...]
    """(ID, when it was modified, as the service writes it)."""
    next_page: str
    """What requests the rest of the result; empty: there is none."""


_decode = msgspec.json.Decoder(_Record).decode
_decode_release = msgspec.json.Decoder(_Release).decode
_decode_results = msgspec.json.Decoder(_Results).decode


def read_record(data: bytes, source: str) -> AdvisoryRecord:
    """Read one record. Raises AdvisoryInvalid."""
    with reading(source, AdvisoryInvalid):
        if len(data) > MAX_RECORD_BYTES:
            raise AdvisoryInvalid(f"{source}: more than {MAX_RECORD_BYTES} bytes")
        try:
            record = _decode(data)
        except msgspec.MsgspecError as error:
            raise AdvisoryInvalid(f"{source}: is not a record of the OSV schema: {error}") from None
        if not record.id or not record.id.isprintable():
            raise AdvisoryInvalid(f"{source}: has no ID that can be shown")
        parts = _by_project(record)
        return AdvisoryRecord(
            id=record.id,
            modified=record.modified if record.modified.tzinfo is not None else record.modified.replace(tzinfo=UTC),
            advisories=() if record.withdrawn is not None else _advisories(record, parts),
            is_of_ecosystem=bool(parts),
        )


def read_results(data: bytes, source: str, count: int) -> tuple[QueryResult, ...]:
    """Read the response to ``count`` queries of an OSV API (``/v1/querybatch``), in their order. Raises AdvisoryInvalid."""
    with reading(source, AdvisoryInvalid):
        try:
            results = _decode_results(data).results
        except msgspec.MsgspecError as error:
            raise AdvisoryInvalid(f"{source}: is not a response of an OSV API: {error}") from None
        if len(results) != count:
            raise AdvisoryInvalid(f"{source}: has {len(results)} results for {count} queries")
        return tuple(
            QueryResult(
                records=tuple((own.id, own.modified) for own in result.vulns or ()),
                next_page=result.next_page_token or "",
            )
            for result in results
        )


def read_release(data: bytes, source: str, version: str) -> tuple[Advisory, ...]:
    """Read ``vulnerabilities`` of the JSON document of a release, as some indexes serve it. Raises AdvisoryInvalid."""
    with reading(source, AdvisoryInvalid):
        try:
            known = _decode_release(data).vulnerabilities
        except msgspec.MsgspecError as error:
            raise AdvisoryInvalid(f"{source}: has no list of vulnerabilities: {error}") from None
        return tuple(
            Advisory(
                id=own.id,
                aliases=tuple(own.aliases or ()),
                summary=_summary(own.summary, own.details),
                url=own.link if own.link is not None and own.link.startswith("https://") else "",
                # no range: the document names the versions with the fix, and not where each branch begins
                ranges=(tuple(("fixed", text) for text in own.fixed_in or ()),),
                versions=(version,),
            )
            for own in known
            if own.withdrawn is None
        )


def _summary(summary: str | None, details: str | None) -> str:
    return (summary or (details or "").strip().partition("\n")[0]).strip()[:MAX_SUMMARY]


def _by_project(record: _Record) -> dict[NormalizedName, list[_Affected]]:
    parts: dict[NormalizedName, list[_Affected]] = {}
    for affected in record.affected or ():
        package = affected.package
        # the schema allows a suffix after a colon: of a release, or of the address of an index
        if package is not None and package.ecosystem.partition(":")[0] == ECOSYSTEM and package.name:
            parts.setdefault(canonicalize_name(package.name), []).append(affected)
    return parts


def _advisories(
    record: _Record, parts: dict[NormalizedName, list[_Affected]]
) -> tuple[tuple[NormalizedName, Advisory], ...]:
    aliases = tuple(own for own in dict.fromkeys(record.aliases or ()) if own and own != record.id)
    return tuple(
        (
            name,
            Advisory(
                id=record.id,
                aliases=aliases,
                summary=_summary(record.summary, record.details),
                url=_url(record),
                vectors=_vectors(
                    [*(record.severity or ()), *(own for each in affected for own in each.severity or ())]
                ),
                rating=_rating(record.database_specific),
                ranges=tuple(_events(own) for each in affected for own in each.ranges or () if own.type != "GIT"),
                versions=tuple(dict.fromkeys(own for each in affected for own in each.versions or ())),
            ),
        )
        for name, affected in parts.items()
    )


def _vectors(severities: Iterable[_Severity]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(own.score for own in severities if own.type.startswith("CVSS")))


def _events(own: _Range) -> tuple[Any, ...]:
    return tuple((kind, event[kind]) for event in own.events for kind in EVENT_KINDS if kind in event)


def _url(record: _Record) -> str:
    """Return the page of the advisory; else the first page that the record names."""
    references = [own for own in record.references or () if own.url.startswith("https://")]
    advisory = (own.url for own in references if own.type == "ADVISORY")
    return next(advisory, references[0].url if references else "")


def _rating(specific: msgspec.Raw) -> str:
    """Return ``database_specific.severity``, which is of any type, as the whole table is."""
    table = msgspec.json.decode(specific)
    rating = table.get("severity") if isinstance(table, dict) else None
    return rating if isinstance(rating, str) else ""
