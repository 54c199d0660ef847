"""Provenance objects of an index (PEP 740): which publisher attested a file. JSON alone; no signature is checked here.

The specification is "Index hosted attestations" of the Python packaging guide.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from deep_lock.boundary import reading
from deep_lock.errors import IndexInvalid
from deep_lock.models.lock import Identity
from deep_lock.sanitize import show

MAX_BUNDLES = 100
MAX_KEYS = 50
"""Of one publisher."""
MAX_TEXT = 1000
"""Characters of one text of a publisher."""


class Bundle(Struct, frozen=True, kw_only=True):
    """Attestations of one publisher. An attestation is kept as it is: the library that verifies it reads it."""

    publisher: dict[str, Any]
    attestations: tuple[msgspec.Raw, ...]


class Provenance(Struct, frozen=True, kw_only=True):
    """What an index states about one file."""

    version: Literal[1]
    attestation_bundles: tuple[Bundle, ...]

    @property
    def identities(self) -> frozenset[Identity]:
        """The publishers of the attestations. A bundle without an attestation states nothing."""
        return frozenset(identity_of(bundle.publisher) for bundle in self.attestation_bundles if bundle.attestations)


_decode = msgspec.json.Decoder(Provenance).decode


def parse_provenance(body: bytes, filename: str) -> Provenance:
    """Read the provenance object of a file. Raises IndexInvalid."""
    where = f"the provenance of {filename}"
    with reading(where, IndexInvalid):
        try:
            provenance = _decode(body)
        except msgspec.ValidationError as error:
            raise _invalid(where, str(error)) from None
        if len(provenance.attestation_bundles) > MAX_BUNDLES:
            raise _invalid(where, f"more than {MAX_BUNDLES} bundles")
        for bundle in provenance.attestation_bundles:
            _check_publisher(bundle.publisher, where)
        return provenance


def _check_publisher(publisher: dict[str, Any], where: str) -> None:
    kind = publisher.get("kind")
    if not isinstance(kind, str) or not kind:
        raise _invalid(where, "a publisher without a kind")
    if len(publisher) > MAX_KEYS:
        raise _invalid(where, f"a publisher with more than {MAX_KEYS} keys")
    for key, value in publisher.items():
        for text in (key, value) if isinstance(value, str) else (key,):
            if len(text) > MAX_TEXT or not text.isprintable():
                raise _invalid(where, f"{show(text, 80)!r} of a publisher is too long or not printable")


def _invalid(where: str, reason: str) -> IndexInvalid:
    return IndexInvalid(
        f"{where}: not a provenance object (PEP 740): {show(reason, 200)}",
        hint="report it to the index; --attestations off locks without publishers",
    )


def identity_of(publisher: dict[str, Any]) -> Identity:
    """Return the texts of a publisher (PEP 751: its keys as they are). Empty ones, null and claims say nothing about it."""
    return tuple(sorted((key, value) for key, value in publisher.items() if isinstance(value, str) and value))
