"""The lock as an SPDX 2.3 document in JSON (https://spdx.github.io/spdx-spec/v2.3/).

What the lock does not say is NOASSERTION. SPDX requires a time of creation: it is that of the newest file.
"""

import re
from typing import Any

from deep_lock.exports.contents import Contents
from deep_lock.exports.sbom import Inventory, SbomPackage, inventory, properties
from deep_lock.exports.view import Exported, View
from deep_lock.lockfile.index import Key
from deep_lock.models.licenses import canonical_license
from deep_lock.models.lock import LockedArchive, LockedVcs
from deep_lock.sanitize import json_document

_NOTHING = "NOASSERTION"
_ROOT = "SPDXRef-project"
_DOCUMENT = "SPDXRef-DOCUMENT"


def document(view: View, public_index: str, contents: Contents | None = None) -> Exported:
    """Return the document. ``public_index`` is the one that a package URL without an index means.

    With ``contents`` the comments have what the files of the packages bring.
    """
    found = inventory(view, public_index, contents)
    ids = _ids(found)
    content = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{found.name} ({view.source})",
        "documentNamespace": f"urn:uuid:{found.identity}",
        "creationInfo": {"created": found.created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: deep-lock"]},
        "packages": [_project(found), *(_package(each, ids[each.key]) for each in found.packages)],
        "relationships": _relationships(found, ids),
    }
    return Exported(
        files=(("deep-lock.spdx.json", json_document(content)),),
        usage="pyspdxtools -i {file}, or: grype sbom:{file}",
        unsupported=(
            "which packages a target installs: markers are comments, which scanners do not read",
            "checksums of a package with several files: they are in a comment",
        ),
    )


def _ids(found: Inventory) -> dict[Key, str]:
    """Return unique identifiers of letters, digits, "." and "-"."""
    ids: dict[Key, str] = {}
    for each in found.packages:
        plain = f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', each.ref)}"
        number = sum(other == plain or other.startswith(f"{plain}-again-") for other in ids.values())
        ids[each.key] = f"{plain}-again-{number}" if number else plain
    return ids


def _project(found: Inventory) -> dict[str, Any]:
    return {
        "name": found.name,
        "SPDXID": _ROOT,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _NOTHING,
        "copyrightText": _NOTHING,
    }


def _package(each: SbomPackage, identifier: str) -> dict[str, Any]:
    files, entry = each.files, each.entry
    found: dict[str, Any] = {
        "name": entry.name,
        "SPDXID": identifier,
        **({"versionInfo": entry.version} if entry.version else {}),
        "downloadLocation": _download_location(each),
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": canonical_license(entry.license) or _NOTHING,
        "copyrightText": _NOTHING,
        "primaryPackagePurpose": "LIBRARY",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": each.purl}
        ],
    }
    if len(files) == 1:
        found["packageFileName"] = files[0].name
    if each.sha256 is not None:
        found["checksums"] = [{"algorithm": "SHA256", "checksumValue": each.sha256}]
    lines = [f"deep-lock:{name} {value}" for name, value in properties(each)]
    lines += [f"file {file.name} sha256 {file.sha256}" for file in files] if len(files) > 1 else []
    found["comment"] = "\n".join(lines)
    return found


def _download_location(each: SbomPackage) -> str:
    source, files = each.entry.source, each.files
    if isinstance(source, LockedVcs) and source.url:
        return f"git+{source.url}@{source.commit_id}"
    if isinstance(source, LockedArchive) and source.url:
        return source.url
    return files[0].url or _NOTHING if len(files) == 1 else _NOTHING


def _relationships(found: Inventory, ids: dict[Key, str]) -> list[dict[str, str]]:
    edges = [(_DOCUMENT, "DESCRIBES", _ROOT)]
    edges += [(_ROOT, "DEPENDS_ON", ids[key]) for key in found.direct]
    edges += [(ids[parent], "DEPENDS_ON", ids[child]) for parent, child in found.runtime]
    edges += [
        (ids[member], "BUILD_DEPENDENCY_OF", _ROOT if built is None else ids[built])
        for built, member in found.build
        if (built is None or built in ids) and built != member
    ]
    return [
        {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
        for one, kind, other in dict.fromkeys(edges)
    ]
