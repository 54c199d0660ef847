"""Fetches the provenance objects of files (PEP 740): one request for a file, whose result is kept in the cache."""

from msgspec import Struct

from deep_lock.errors import IndexInvalid
from deep_lock.events import MayChange, Reporter, Warned
from deep_lock.index.cache import Cache
from deep_lock.index.settings import LONGEST_WAIT, SMALL_SECONDS, IndexSettings
from deep_lock.index.workers import LazyFetcher
from deep_lock.models.distribution import Distribution
from deep_lock.models.provenance import Provenance, parse_provenance
from deep_lock.network.urls import shown_url

MAX_PROVENANCE_BYTES = 2 * 1024 * 1024
ACCEPT = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
_KIND = "provenance-1"


class ProvenanceFile(Struct, frozen=True, kw_only=True):
    """The provenance of one file, with the bytes that it was read from."""

    provenance: Provenance
    body: bytes


def get(
    file: Distribution, settings: IndexSettings, cache: Cache, fetcher: LazyFetcher, reporter: Reporter
) -> ProvenanceFile | None:
    """Return the provenance of a file; None where its index has none.

    The cache has it by the sha256 of the file and the URL: attestations are about these bytes, and do not change. Only
    ``--refresh`` requests it again. Raises IndexFault and SafetyError.
    """
    if file.provenance is None:
        return None
    key = f"{file.sha256} {file.provenance}"
    with cache.once(_KIND, key, seconds=LONGEST_WAIT):
        refresh = settings.must_refresh(file.name) and not settings.offline and not cache.is_validated(_KIND, key)
        known = None if refresh else cache.get_record(_KIND, key)
        if known is not None:
            try:
                return _parsed(bytes(known), file)
            except IndexInvalid:
                cache.drop(_KIND, key)
        response = fetcher.open(f"the provenance of {file.filename}").get(
            file.provenance,
            named_by=file.named_by or file.index,
            headers={"accept": ACCEPT},
            limit=MAX_PROVENANCE_BYTES,
            deadline=SMALL_SECONDS,
        )
        if response.status == 404:
            message = f"the index lists a provenance file of {file.filename} but does not have it; the file is treated as not attested"
            reporter(Warned(code="ProvenanceMissing", subject=file.filename, message=message))
            reporter(MayChange(name=f"the provenance of {file.filename}"))
            return None
        if response.status != 200:
            raise IndexInvalid(f"{shown_url(file.provenance)}: unexpected HTTP status {response.status}")
        found = _parsed(response.body, file)
        if file.sha256 is not None:
            cache.put_record(_KIND, key, response.body)
            cache.set_validated(_KIND, key)
        return found


def _parsed(body: bytes, file: Distribution) -> ProvenanceFile:
    return ProvenanceFile(provenance=parse_provenance(body, file.filename), body=body)
