"""Provenance objects (PEP 740) whose attestations nobody signed: for what reads the publisher alone."""

import json
from typing import Any

ATTESTATION = {"version": 1, "verification_material": {}, "envelope": {}}


def publisher(repository: str, **more: Any) -> dict[str, Any]:
    """Return a publisher as an index has it."""
    return {"kind": "GitHub", "repository": repository, "workflow": "release.yml", "environment": None, **more}


def provenance(*publishers: dict[str, Any]) -> bytes:
    """Return a provenance object with one attestation of each."""
    bundles = [{"publisher": own, "attestations": [ATTESTATION]} for own in publishers]
    return json.dumps({"version": 1, "attestation_bundles": bundles}).encode()


def identity(repository: str) -> tuple[tuple[str, str], ...]:
    """Return what a lock records of `publisher`."""
    return (("kind", "GitHub"), ("repository", repository), ("workflow", "release.yml"))
