"""The lock as a CycloneDX 1.6 document, through the CycloneDX project's own library.

A package is a component; one that only builds need has the scope "excluded". A component of several files has no hash
of its own; each file is an external reference with its hash.
"""

import re
from uuid import UUID

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import LicenseAcknowledgement, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deep_lock.exports.sbom import Inventory, SbomPackage, inventory, properties
from deep_lock.exports.view import Exported, View
from deep_lock.models.licenses import canonical_license
from deep_lock.models.lock import LockedFile
from deep_lock.sanitize import json_text

PREFIX = "deep-lock:"
_SCOPES = {
    "runtime": ComponentScope.REQUIRED,
    "optional": ComponentScope.OPTIONAL,
    "build-only": ComponentScope.EXCLUDED,
}
_ROOT = "project"
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def bom(view: View, public_index: str) -> Exported:
    """Return the document. ``public_index`` is the one that a package URL without an index means."""
    found = inventory(view, public_index)
    document = Bom(
        serial_number=UUID(str(found.identity)),
        metadata=BomMetaData(
            component=Component(name=found.name, type=ComponentType.APPLICATION, bom_ref=_ROOT),
            timestamp=found.created,
        ),
        components=[_component(each) for each in found.packages],
        dependencies=_dependencies(found),
    )
    return Exported(
        files=(("deep-lock.cdx.json", json_text(JsonV1Dot6(document).output_as_string(indent=2) + "\n")),),
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
        external_references=[_reference(file) for file in each.files],
        properties=[Property(name=f"{PREFIX}{name}", value=value) for name, value in properties(each)],
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


def _uri(text: str) -> str:
    """Return the same URL with one fragment and no "%" that begins no code: the library refuses others."""
    place, sign, fragment = text.partition("#")
    return _STRAY_PERCENT.sub("%25", f"{place}{sign}{fragment.replace('#', '%23')}")


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
