"""Verifies attestations (PEP 740) with pypi-attestations and sigstore, which the extra ``deep-lock[attestations]`` installs.

No request is made: certificates and log entries are checked against the trusted root that sigstore has on this machine.
"""

import logging

import msgspec

from deep_lock.boundary import reading
from deep_lock.errors import AttestationInvalid, UsageError
from deep_lock.models.provenance import Provenance, identity_of
from deep_lock.sanitize import show

try:
    import pypi_attestations
except ImportError:
    pypi_attestations = None  # type: ignore[assignment]  # an optional dependency; `require_library` comes first

logging.getLogger("sigstore").addHandler(logging.NullHandler())  # else its warning about no updates goes to stderr


def require_library() -> None:
    """Raise UsageError where the libraries are not installed."""
    if pypi_attestations is None:
        raise UsageError(
            "attestations cannot be verified: pypi-attestations is not installed",
            hint="install deep-lock[attestations]",
        )


def verify(provenance: Provenance, filename: str, sha256: str) -> None:
    """Verify every attestation of a file: signature, certificate, log entry, publisher, file name and digest.

    Raises AttestationInvalid where one of them is not valid, or the library does not know the kind of its publisher.
    """
    with reading(f"the attestation of {filename}", AttestationInvalid):
        file = pypi_attestations.Distribution(name=filename, digest=sha256)
        for bundle in provenance.attestation_bundles:
            # the library reads the publisher that is recorded: there is no second reading of the document
            own = pypi_attestations.AttestationBundle.model_validate_json(msgspec.json.encode(bundle))
            for attestation in own.attestations:
                try:
                    attestation.verify(own.publisher, file, offline=True)
                except pypi_attestations.AttestationError as error:
                    publisher = ", ".join(" ".join(pair) for pair in identity_of(bundle.publisher))
                    raise AttestationInvalid(
                        f"{filename}: its attestation by {show(publisher, 200)} is not valid: {show(str(error), 300)}",
                        hint="find out why before you use the file",
                    ) from None
