"""Advisories of a server: of a service with an OSV API, and of indexes that serve the vulnerabilities of a release.

Such a server gets the names and the versions of the packages. What it answers is of now: it has no age.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import AdvisoryInvalid
from deep_lock.index.settings import SMALL_SECONDS
from deep_lock.index.workers import OnceMap, Workers
from deep_lock.locking.clients import AddressClient
from deep_lock.models.advisory import ECOSYSTEM, Advisory, AdvisoryRecord
from deep_lock.models.lock import LockedPackage
from deep_lock.network.urls import shown_url, without_user_info
from deep_lock.parsing.osv import MAX_RECORD_BYTES, QueryResult, read_record, read_release, read_results

BATCH = 1000
"""The most queries that the API accepts in one request."""
MAX_PAGES = 100
MAX_RESULT_BYTES = 32 * 1024 * 1024
RECORDS = "advisory-records-1"
"""The folder of the cache: records by service, ID and time of change."""
SIMPLE = "simple/"
_WORKERS = 8

Advisories = dict[str, tuple[Advisory, ...]]
"""By normalized project name."""


def query_service(url: str, packages: Sequence[LockedPackage], client: AddressClient) -> Advisories:
    """Return what a service with an OSV API (version 1) knows of these packages. Raises IndexFault."""
    base = without_user_info(url).rstrip("/")
    every = _query(base, packages, client)
    records = _records(base, sorted({key for keys in every.values() for key in keys}), client)
    found: Advisories = {}
    for (name, version), keys in every.items():
        for key in sorted(keys):
            own = next((own for project, own in records[key].advisories if project == name), None)
            if own is not None:  # else it is withdrawn
                # the service decided that this version is affected
                own = replace(own, versions=(*own.versions, version))
                found[name] = (*found.get(name, ()), own)
    return found


_Package = tuple[NormalizedName, str]
"""Name and version."""
_Key = tuple[str, str]
"""(ID, time of change) of a record."""


def _query(base: str, packages: Sequence[LockedPackage], client: AddressClient) -> Mapping[_Package, set[_Key]]:
    """Return the keys of the records by name and version of a package."""
    wanted = sorted({(canonicalize_name(entry.name), entry.version or "") for entry in packages})
    found: dict[_Package, set[_Key]] = {}
    for begin in range(0, len(wanted), BATCH):
        waiting = dict.fromkeys(wanted[begin : begin + BATCH], "")
        for _ in range(MAX_PAGES):
            if not waiting:
                break
            results = _one_query(base, waiting, client)
            pairs = list(zip(waiting, results, strict=True))
            for package, result in pairs:
                found.setdefault(package, set()).update(result.records)
            waiting = {package: result.next_page for package, result in pairs if result.next_page}
        if waiting:
            raise AdvisoryInvalid(f"{shown_url(base)}: a result has more than {MAX_PAGES} pages")
    return found


def _one_query(base: str, waiting: Mapping[_Package, str], client: AddressClient) -> tuple[QueryResult, ...]:
    url = f"{base}/v1/querybatch"
    queries = [
        {
            "package": {"ecosystem": ECOSYSTEM, "name": name},
            "version": version,
            **({"page_token": page} if page else {}),
        }
        for (name, version), page in waiting.items()
    ]
    fetcher = client.fetcher.open(f"what {shown_url(base)} knows of the packages")
    body = msgspec.json.encode({"queries": queries})
    response = fetcher.post(url, body, named_by=url, limit=MAX_RESULT_BYTES, deadline=SMALL_SECONDS)
    if response.status == 404:
        raise AdvisoryInvalid(
            f"{shown_url(url)}: does not exist (HTTP 404)", hint="--service is the address before /v1/querybatch"
        )
    return read_results(response.body, shown_url(url), len(queries))


def _records(base: str, keys: Sequence[_Key], client: AddressClient) -> Mapping[_Key, AdvisoryRecord]:
    """Fetch records, several at once."""
    once: OnceMap[_Key, AdvisoryRecord] = OnceMap()
    workers = Workers(_WORKERS)
    for key in keys:
        workers.submit(partial(once.begin, key, partial(_record, base, key, client)))
    try:
        return {key: once.get(key, partial(_record, base, key, client)) for key in keys}
    finally:
        workers.close()


def _record(base: str, key: _Key, client: AddressClient) -> AdvisoryRecord:
    own, modified = key
    url = f"{base}/v1/vulns/{quote(own, safe='')}"
    cached = f"{base} {own} {modified}"
    data = client.cache.get_record(RECORDS, cached) if modified else None
    if data is None:
        fetcher = client.fetcher.open(f"the advisory {own}")
        response = fetcher.get(url, named_by=url, headers={}, limit=MAX_RECORD_BYTES, deadline=SMALL_SECONDS)
        if response.status == 404:
            raise AdvisoryInvalid(f"{shown_url(url)}: does not exist (HTTP 404), and the service names it")
        data = response.body
        record = read_record(data, shown_url(url))
        if modified:
            client.cache.put_record(RECORDS, cached, data)
        return record
    return read_record(data, shown_url(url))


def query_indexes(packages: Sequence[LockedPackage], client: AddressClient) -> tuple[Advisories, Mapping[str, int]]:
    """Return what the index of each package states about its version, and by index about how many packages it states anything.

    An index whose URL does not end in "simple/" has no such documents. Raises AdvisoryInvalid where no index has any, and
    IndexFault.
    """
    once: OnceMap[str, tuple[Advisory, ...] | None] = OnceMap()
    workers = Workers(_WORKERS)
    wanted = [(entry, url) for entry in packages if (url := _document_url(entry))]
    for entry, url in wanted:
        workers.submit(partial(once.begin, url, partial(_of_release, entry, url, client)))
    found: Advisories = {}
    indexes: Counter[str] = Counter()
    try:
        for entry, url in wanted:
            own = once.get(url, partial(_of_release, entry, url, client))
            if own is not None:
                indexes[entry.index or ""] += 1
                name = canonicalize_name(entry.name)
                found[name] = (*found.get(name, ()), *own)
    finally:
        workers.close()
    if not indexes:
        raise AdvisoryInvalid(
            "no index of the lock serves the vulnerabilities of a release",
            hint="name a database or a service: --database PATH, --service URL",
        )
    return found, indexes


def _document_url(entry: LockedPackage) -> str:
    if entry.index is None or not entry.index.endswith(f"/{SIMPLE}") or entry.source is not None:
        return ""
    name, version = canonicalize_name(entry.name), quote(entry.version or "", safe="")
    return f"{entry.index.removesuffix(SIMPLE)}pypi/{name}/{version}/json"


def _of_release(entry: LockedPackage, url: str, client: AddressClient) -> tuple[Advisory, ...] | None:
    """Return the vulnerabilities of a release; None where its index has no such document."""
    fetcher = client.fetcher.open(f"what its index states about {entry.name} {entry.version}")
    response = fetcher.get(url, named_by=entry.index or url, headers={}, limit=MAX_RESULT_BYTES, deadline=SMALL_SECONDS)
    return None if response.status == 404 else read_release(response.body, shown_url(url), entry.version or "")
