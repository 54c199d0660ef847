"""A lock as one JSON document with a version of its own, for bots: docs/export-json.md names every key.

Law: keys are only added within a version. What is empty is there and empty; what is unknown is null.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from deep_lock.exports.view import Exported, View, builds_of, installed
from deep_lock.model.chains import Chains, find_chains
from deep_lock.model.lock import EnvironmentMember, LockedBuild, LockedFile, LockedPackage, LockedReference, source_text
from deep_lock.model.register import called, key_of, members

SCHEMA = "deep-lock/export"
VERSION = 1


def document(view: View) -> Exported:
    """Return the document."""
    found = _document(view)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
    return Exported(
        files=(("deep-lock.json", text),),
        usage="jq '.packages[] | select(.role == \"build-only\") | .name' {file}",
    )


def _document(view: View) -> dict[str, Any]:
    lock, builds = view.lock, builds_of(view)
    labels = {key_of(own.entry): sorted(own.labels) for own in installed(view)}
    used = {key_of(member) for build in builds for member in members(build)}
    chains = find_chains(view.register)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "lock": view.source,
        "requires-python": lock.requires_python,
        "extras": sorted(view.chosen.extras),
        "dependency-groups": sorted(view.chosen.groups),
        "indexes": dict(lock.indexes),
        "targets": [
            {"name": own.name, "python": own.python, "platform": own.platform, "marker": own.marker}
            for own in lock.targets
            if own.name in {target.label for target in view.targets}
        ],
        "packages": [
            _package(entry, labels.get(key_of(entry), []), chains, used=key_of(entry) in used)
            for entry in lock.packages
            if key_of(entry) in labels or key_of(entry) in used
        ],
        "builds": [_build(build) for build in builds],
    }


def _package(entry: LockedPackage, labels: list[str], chains: Chains, *, used: bool) -> dict[str, Any]:
    return {
        "name": entry.name,
        "version": entry.version,
        "role": "build-only" if not labels else "both" if used else "runtime",
        "level": chains.level(key_of(entry)),
        "chain": list(chains.chain(key_of(entry))),
        "targets": labels,
        "marker": None if entry.build_only else entry.marker,
        "requires-python": entry.requires_python,
        "direct": entry.direct,
        "sdist-only": entry.sdist_only,
        "build-on": list(entry.build_on),
        "index": entry.index,
        "source": source_text(entry.source) or None,
        "dependencies": [_reference(reference) for reference in entry.dependencies],
        "sdist": _file(entry.sdist) if entry.sdist is not None else None,
        "wheels": [_file(wheel) for wheel in entry.wheels],
    }


def _reference(reference: LockedReference) -> Mapping[str, str | None]:
    return {"name": reference.name, "version": reference.version, "source": source_text(reference.source) or None}


def _file(file: LockedFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "url": file.url,
        "path": file.path,
        "sha256": file.sha256,
        "size": file.size,
        "upload-time": file.upload_time.isoformat().replace("+00:00", "Z") if file.upload_time is not None else None,
    }


def _build(build: LockedBuild) -> dict[str, Any]:
    return {
        "of": called(build),
        "name": build.name,
        "version": build.version,
        "source": build.source,
        "hook": build.hook or "wheel",
        "needed": build.needed,
        "targets": list(build.targets),
        "sdist": build.sdist,
        "backend": build.backend,
        "backend-path": list(build.backend_path),
        "requires": list(build.requires),
        "requires-user": list(build.requires_user),
        "requires-dynamic": None if build.requires_dynamic is None else list(build.requires_dynamic),
        "evidence": build.evidence,
        "observed-on": build.observed_on,
        "cargo-lock": build.cargo_lock,
        "packages": [_member(member) for member in build.packages],
        "declared-packages": None
        if build.declared_packages is None
        else [_member(member) for member in build.declared_packages],
    }


def _member(member: EnvironmentMember) -> dict[str, Any]:
    return {"name": member.name, "version": member.version, "dependencies": list(member.dependencies)}
