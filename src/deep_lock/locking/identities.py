"""`lock --attestations`: the publishers that the indexes attest for the files of a lock (PEP 740), recorded as PEP 751 has them."""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.index import attestations, provenance_files
from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import files_of
from deep_lock.locking.settings import Settings
from deep_lock.models.distribution import Distribution
from deep_lock.models.lock import Identity, Lock, LockedPackage

_Found = provenance_files.ProvenanceFile | None  # loads the module: nothing is imported after the first request

_Key = tuple[str, str | None, str | None, frozenset[str]]
"""Name, version, index and digests of the files of a package: what its identities are about."""


class Identities:
    """Finds the publishers of packages. Each file takes one request at most."""

    def __init__(self, client: IndexClient, settings: Settings, previous: Lock | None) -> None:
        """The identities of ``previous`` are kept for packages with the same files, if it was made with the same mode.

        Raises UsageError where attestations are to be verified, and the libraries are not installed.
        """
        self._verified = settings.attestations == "verify"
        if self._verified:
            attestations.require_library()
        self._client = client
        self._conditional = frozenset(settings.network.conditional)
        self._kept: Mapping[_Key, tuple[Identity, ...]] = {}
        was = dict(previous.options).get("attestations") if previous is not None else None
        if previous is not None and was == settings.attestations and not settings.network.indexes.refresh:
            self._kept = {_key(entry): entry.attestation_identities for entry in previous.packages}

    def recorded(self, lock: Lock) -> Lock:
        """Return the lock with the identities of its packages. Raises IndexFault and SafetyError."""
        wanted = [self._files(entry) if _key(entry) not in self._kept else () for entry in lock.packages]
        for files in wanted:
            for file in files:
                self._client.prefetch(partial(self._client.provenance, file))
        return replace(
            lock,
            packages=tuple(
                replace(entry, attestation_identities=self._identities(entry, files))
                for entry, files in zip(lock.packages, wanted, strict=True)
            ),
        )

    def _identities(self, entry: LockedPackage, files: Sequence[Distribution]) -> tuple[Identity, ...]:
        """Return the publishers that every file of a package has: one file without them makes an attack possible."""
        kept = self._kept.get(_key(entry))
        if kept is not None:
            return kept
        common: frozenset[Identity] | None = None
        digests = {file.name: file.sha256 for file in files_of(entry)}
        for file in files:
            found: _Found = self._client.provenance(file)
            if self._verified and found is not None:
                attestations.verify(found.provenance, file.filename, digests[file.filename])
            own = found.provenance.identities if found is not None else frozenset()
            common = own if common is None else common & own
        return tuple(sorted(common or ()))

    def _files(self, entry: LockedPackage) -> Sequence[Distribution]:
        """Return the files of a package as its index lists them; none where one of them is not of an index."""
        digests = {file.name: file.sha256 for file in files_of(entry) if file.url is not None}
        if entry.source is not None or entry.version is None or len(digests) < len(files_of(entry)):
            return ()
        index = entry.index if entry.name in self._conditional else None
        listed = self._client.files(canonicalize_name(entry.name), Version(entry.version), index or "")
        # the same bytes may be listed twice, by a folder and by an index
        found = {file.filename: file for file in listed if file.sha256 in {None, digests.get(file.filename)}}
        found |= {file.filename: file for file in found.values() if file.provenance is not None}
        return [found[name] for name in sorted(digests)] if found.keys() >= digests.keys() else ()


def _key(entry: LockedPackage) -> _Key:
    return entry.name, entry.version, entry.index, frozenset(file.sha256 for file in files_of(entry))
