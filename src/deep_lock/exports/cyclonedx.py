"""The lock as a CycloneDX 1.6 document, through the CycloneDX project's own library.

A package is a component; one that only builds need has the scope "excluded". A component of several files has no hash
of its own; each file is an external reference with its hash.
"""

import re
import warnings
from collections.abc import Sequence
from decimal import Decimal
from urllib.parse import quote
from uuid import UUID, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.impact_analysis import ImpactAnalysisJustification, ImpactAnalysisState
from cyclonedx.model.license import LicenseAcknowledgement, LicenseExpression
from cyclonedx.model.vulnerability import (
    BomTarget,
    Vulnerability,
    VulnerabilityAdvisory,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilityReference,
    VulnerabilityScoreSource,
    VulnerabilitySeverity,
    VulnerabilitySource,
)
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deep_lock.exports.contents import SBOM, Contents
from deep_lock.exports.sbom import Inventory, SbomPackage, inventory, properties
from deep_lock.exports.view import Exported, View
from deep_lock.models.advisory import SbomVulnerability
from deep_lock.models.contents import EmbeddedSbom
from deep_lock.models.licenses import canonical_license
from deep_lock.models.lock import LockedFile
from deep_lock.sanitize import json_text

PREFIX = "deep-lock:"
_SCOPES = {
    "runtime": ComponentScope.REQUIRED,
    "optional": ComponentScope.OPTIONAL,
    "build-only": ComponentScope.EXCLUDED,
}
_STATES = {"not_affected": ImpactAnalysisState.NOT_AFFECTED, "fixed": ImpactAnalysisState.RESOLVED}
_JUSTIFICATIONS = {
    "component_not_present": ImpactAnalysisJustification.CODE_NOT_PRESENT,
    "vulnerable_code_not_present": ImpactAnalysisJustification.CODE_NOT_PRESENT,
    "vulnerable_code_not_in_execute_path": ImpactAnalysisJustification.CODE_NOT_REACHABLE,
    "inline_mitigations_already_exist": ImpactAnalysisJustification.PROTECTED_BY_MITIGATING_CONTROL,
}
"""The words of OpenVEX in those of CycloneDX, where there is one with this meaning."""
_ROOT = "project"
_UNQUOTED_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def bom(
    view: View,
    public_index: str,
    vulnerabilities: Sequence[SbomVulnerability] = (),
    contents: Contents | None = None,
) -> Exported:
    """Return the document. ``public_index`` is the one that a package URL without an index means.

    With ``vulnerabilities`` it is also a VEX document: what is ignored has an analysis. With ``contents`` components have
    what their files bring, and the SBOMs in them are external references.
    """
    found = inventory(view, public_index, contents)
    refs = {each.key: each.ref for each in found.packages}
    known = [own for own in vulnerabilities if own.key in refs]
    document = Bom(
        # a document with other vulnerabilities is another document
        serial_number=uuid5(found.identity, repr(known)) if known else UUID(str(found.identity)),
        metadata=BomMetaData(
            component=Component(name=found.name, type=ComponentType.APPLICATION, bom_ref=_ROOT),
            timestamp=found.created,
        ),
        components=[_component(each) for each in found.packages],
        dependencies=_dependencies(found),
        vulnerabilities=[_vulnerability(own, refs[own.key]) for own in known],
    )
    with warnings.catch_warnings():
        # a lock of builds alone: the project depends on none of the components
        warnings.filterwarnings("ignore", "The Component this BOM is describing", UserWarning)
        text = JsonV1Dot6(document).output_as_string(indent=2)
    return Exported(
        files=(("deep-lock.cdx.json", json_text(f"{text}\n")),),
        usage="cyclonedx validate --input-file {file}, or: grype sbom:{file}",
        unsupported=("which packages a target installs: markers are properties, which scanners do not evaluate",),
    )


def _component(each: SbomPackage) -> Component:
    return Component(
        name=each.entry.name,
        version=each.entry.version,
        type=ComponentType.LIBRARY,
        bom_ref=each.ref,
        scope=_SCOPES[each.role],
        purl=PackageURL.from_string(each.purl),
        hashes=[_hash(each.sha256)] if each.sha256 is not None else [],
        licenses=_licenses(canonical_license(each.entry.license)),
        external_references=[
            *(_reference(file) for file in each.files),
            *(_sbom_reference(file, own) for file, own in each.sboms),
        ],
        properties=[
            Property(name=f"{PREFIX}{name}", value=value)
            for name, value in properties(each)
            if name != f"contents:{SBOM}"  # these are external references
        ],
    )


def _vulnerability(own: SbomVulnerability, ref: str) -> Vulnerability:
    fixed = f"Use {own.key[0]} {' or '.join(own.fixed_in)}." if own.fixed_in else None
    return Vulnerability(
        bom_ref=f"{own.ids[0]} in {ref}",
        id=own.ids[0],
        source=VulnerabilitySource(name=_database(own.ids[0]), url=XsUri(_uri(own.url)) if own.url else None),
        references=[
            VulnerabilityReference(id=alias, source=VulnerabilitySource(name=_database(alias))) for alias in own.ids[1:]
        ],
        ratings=[
            VulnerabilityRating(
                score=Decimal(str(own.score)) if own.score is not None else None,
                severity=VulnerabilitySeverity(own.severity),
                method=VulnerabilityScoreSource.get_from_vector(own.vector) if own.vector else None,
                vector=own.vector or None,
            )
        ],
        description=own.summary or None,
        recommendation=fixed,
        advisories=[VulnerabilityAdvisory(url=XsUri(_uri(own.url)))] if own.url else [],
        analysis=_analysis(own) if own.ignored else None,
        affects=[BomTarget(ref=ref)],
    )


def _database(own: str) -> str:
    """Return the database that an ID belongs to: the schema has it before the first hyphen."""
    return own.partition("-")[0]


def _analysis(own: SbomVulnerability) -> VulnerabilityAnalysis:
    """Return why a vulnerability is ignored. Only an OpenVEX document states that it does not affect the package."""
    return VulnerabilityAnalysis(
        state=_STATES.get(own.status, ImpactAnalysisState.IN_TRIAGE),
        justification=_JUSTIFICATIONS.get(own.justification) if own.status == "not_affected" else None,
        detail=own.ignored,
    )


def _licenses(expression: str | None) -> list[LicenseExpression]:
    return [LicenseExpression(value=expression, acknowledgement=LicenseAcknowledgement.DECLARED)] if expression else []


def _hash(sha256: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)


def _reference(file: LockedFile) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(_uri(file.url or file.path or file.name)),
        comment=file.name,
        hashes=[_hash(file.sha256)],
    )


def _sbom_reference(file: LockedFile, own: EmbeddedSbom) -> ExternalReference:
    """Return a reference to an SBOM in a wheel: the fragment of its URL is the path in the wheel."""
    return ExternalReference(
        type=ExternalReferenceType.BOM,
        url=XsUri(_uri(f"{file.url or file.path or file.name}#{quote(own.path)}")),
        comment=f"{own.path} in {file.name}",
        hashes=[_hash(own.sha256)],
    )


def _uri(text: str) -> str:
    """Return the same URL with one fragment and no "%" that begins no code: the library refuses others."""
    place, sign, fragment = text.partition("#")
    return _UNQUOTED_PERCENT.sub("%25", f"{place}{sign}{fragment.replace('#', '%23')}")


def _dependencies(found: Inventory) -> list[Dependency]:
    """Return what each package needs, to run or to be built."""
    refs = {each.key: each.ref for each in found.packages}
    below: dict[str, set[str]] = {_ROOT: {refs[key] for key in found.direct}}
    for each in found.packages:
        below.setdefault(each.ref, set())
    for parent, child in found.runtime:
        below[refs[parent]].add(refs[child])
    for built, member in found.build:
        if built is None:
            below[_ROOT].add(refs[member])
        elif built in refs and refs[built] != refs[member]:
            below[refs[built]].add(refs[member])
    return [
        Dependency(ref=BomRef(ref), dependencies=[Dependency(ref=BomRef(child)) for child in sorted(children)])
        for ref, children in sorted(below.items())
    ]
