"""The lock as an SPDX 2.3 document in JSON (https://spdx.github.io/spdx-spec/v2.3/).

Law: what the lock does not say is NOASSERTION. SPDX demands a time of creation: it is that of the newest file.
"""

import re
from typing import Any

import msgspec

from deep_lock.exports.sbom import Described, Inventory, facts, files_of, inventory
from deep_lock.exports.view import Exported, View
from deep_lock.lockfile.index import Key
from deep_lock.models.licenses import canonical_license
from deep_lock.models.lock import LockedArchive, LockedVcs

_NOTHING = "NOASSERTION"
_ROOT = "SPDXRef-project"
_DOCUMENT = "SPDXRef-DOCUMENT"


def document(view: View, public_index: str) -> Exported:
    """Return the document. ``public_index`` is the one that a package URL means by itself."""
    found = inventory(view, public_index)
    ids = _ids(found)
    made = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{found.name} ({view.source})",
        "documentNamespace": f"urn:uuid:{found.identity}",
        "creationInfo": {"created": found.created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: deep-lock"]},
        "packages": [_project(found), *(_package(each, ids[each.key]) for each in found.packages)],
        "relationships": _relationships(found, ids),
    }
    text = msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
    return Exported(
        files=(("deep-lock.spdx.json", text),),
        usage="pyspdxtools -i {file}, or: grype sbom:{file}",
        losses=(
            "which entries a target takes: markers stand in comments, which scanners do not read",
            "files of a release: one checksum where it has one file, all of them in a comment where it has several",
        ),
    )


def _ids(found: Inventory) -> dict[Key, str]:
    """Return identifiers: letters, digits, "." and "-" only, and no two alike."""
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


def _package(each: Described, identifier: str) -> dict[str, Any]:
    files, entry = files_of(each.entry), each.entry
    made: dict[str, Any] = {
        "name": entry.name,
        "SPDXID": identifier,
        **({"versionInfo": entry.version} if entry.version else {}),
        "downloadLocation": _place(each),
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": canonical_license(entry.license) or _NOTHING,
        "copyrightText": _NOTHING,
        "primaryPackagePurpose": "LIBRARY",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": each.purl}
        ],
    }
    digest = entry.source.sha256 if isinstance(entry.source, LockedArchive) else ""
    if len(files) == 1:
        made["packageFileName"], digest = files[0].name, files[0].sha256
    if digest:
        made["checksums"] = [{"algorithm": "SHA256", "checksumValue": digest}]
    told = [f"deep-lock:{name} {value}" for name, value in facts(each)]
    told += [f"file {file.name} sha256 {file.sha256}" for file in files] if len(files) > 1 else []
    made["comment"] = "\n".join(told)
    return made


def _place(each: Described) -> str:
    source, files = each.entry.source, files_of(each.entry)
    if isinstance(source, LockedVcs) and source.url:
        return f"git+{source.url}@{source.commit_id}"
    if isinstance(source, LockedArchive) and source.url:
        return source.url
    return files[0].url or _NOTHING if len(files) == 1 else _NOTHING


def _relationships(found: Inventory, ids: dict[Key, str]) -> list[dict[str, str]]:
    told = [(_DOCUMENT, "DESCRIBES", _ROOT)]
    told += [(_ROOT, "DEPENDS_ON", ids[key]) for key in found.direct]
    told += [(ids[above], "DEPENDS_ON", ids[child]) for above, child in found.runtime]
    told += [
        (ids[member], "BUILD_DEPENDENCY_OF", _ROOT if built is None else ids[built])
        for built, member in found.build
        if (built is None or built in ids) and built != member
    ]
    return [
        {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
        for one, kind, other in dict.fromkeys(told)
    ]
