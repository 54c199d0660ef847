"""A lock as one JSON document with a version of its own, for bots: docs/formats/export-json.md names every key.

Invariant: within a version, keys are only added. Empty values are present and empty; unknown values are null.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from deep_lock.analysis.graph import (
    ROOT,
    Edge,
    Environment,
    Graph,
    Node,
    Path,
    TargetSet,
    open_graph,
    package_paths,
    path_words,
    position_paths,
)
from deep_lock.exports.view import Exported, View
from deep_lock.lockfile.index import Key, called
from deep_lock.lockfile.selection import tags_of
from deep_lock.models.lock import EnvironmentMember, LockedBuild, LockedFile, LockedReference, source_text
from deep_lock.sanitize import json_document
from deep_lock.targets.target import rank

SCHEMA = "deep-lock/export"
VERSION = 1


class _Subject(Struct, frozen=True, kw_only=True):
    """What every part of the document is made from."""

    view: View
    graph: Graph

    def labels(self, targets: TargetSet) -> list[str]:
        return list(self.graph.labels_of(targets))


def document(view: View) -> Exported:
    """Return the document."""
    found = describe(view, open_graph(view.lock_index, view.targets, view.selections))
    return Exported(
        files=(("deep-lock.json", json_document(found)),),
        usage="jq '.packages[] | select(.role == \"build-only\") | .name' {file}",
        unsupported=("the inputs of the lock",),
    )


def describe(view: View, graph: Graph) -> dict[str, Any]:
    """Return the document as values: ``graph`` is the graph of the view."""
    subject = _Subject(view=view, graph=graph)
    lock, paths = view.lock, package_paths(position_paths(graph))
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "lock": view.source,
        "project": view.project,
        "requires-python": lock.requires_python,
        "extras": sorted(view.extras),
        "dependency-groups": sorted(view.groups),
        "options": {key: _moment(value) if isinstance(value, datetime) else value for key, value in lock.options},
        "indexes": dict(lock.indexes),
        "targets": [
            {"name": target.name, "python": target.python, "platform": target.platform, "marker": target.marker}
            for target in lock.targets
            if target.name in graph.labels
        ],
        "packages": [_package(subject, node, paths[key]) for key, node in graph.nodes.items()],
        "edges": [_edge(subject, edge) for edge in graph.edges],
        "builds": [_build(subject, made, made.record) for made in graph.environments if made.record is not None],
    }


def identify(key: Key) -> str:
    """Return how the document names an entry: "name==version", "name @ source", or with both."""
    name, version, source = key
    return (f"{name}=={version}" if version else name) + (f" @ {source}" if source else "")


def _package(subject: _Subject, node: Node, path: Path) -> dict[str, Any]:
    entry = node.entry
    return {
        "id": identify(node.key),
        "name": entry.name,
        "version": entry.version,
        "role": "build-only" if not node.runtime else "both" if node.used else "runtime",
        "level": node.level,
        "chain": list(path_words(subject.graph, path)),
        "targets": subject.labels(node.runtime),
        "used-in-builds": subject.labels(node.used),
        "built": subject.labels(node.built),
        "marker": None if entry.build_only else entry.marker,
        "requires-python": entry.requires_python,
        "direct": entry.direct,
        "sdist-only": entry.sdist_only,
        "build-on": list(entry.build_on),
        "no-source": entry.no_source,
        "license": entry.license,
        "yanked": entry.yanked,
        "metadata": entry.metadata,
        "hash-origin": entry.hash_origin,
        "index": entry.index,
        "source": source_text(entry.source) or None,
        "attestation-identities": [dict(identity) for identity in entry.attestation_identities],
        "dependencies": [_reference(reference) for reference in entry.dependencies],
        "sdist": _file(entry.sdist, subject.labels(node.built)) if entry.sdist is not None else None,
        "wheels": [_file(wheel, _fitting(subject, wheel)) for wheel in entry.wheels],
    }


def _reference(reference: LockedReference) -> Mapping[str, str | None]:
    return {"name": reference.name, "version": reference.version, "source": source_text(reference.source) or None}


def _fitting(subject: _Subject, wheel: LockedFile) -> list[str]:
    tags = tags_of(wheel.name)
    return [target.label for target in subject.view.targets if rank(tags, target) is not None]


def _file(file: LockedFile, labels: list[str]) -> dict[str, Any]:
    return {
        "name": file.name,
        "url": file.url,
        "path": file.path,
        "sha256": file.sha256,
        "size": file.size,
        "upload-time": _moment(file.upload_time) if file.upload_time is not None else None,
        "targets": labels,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _edge(subject: _Subject, edge: Edge) -> dict[str, Any]:
    return {
        "from": identify(edge.parent.subject) if edge.parent.subject != ROOT else None,
        "to": identify(edge.child.subject),
        "kind": edge.kind,
        # the run time is the first environment of the graph, and no build
        "build": edge.environment.number - 1 if edge.environment.record is not None else None,
        "targets": subject.labels(edge.targets),
        "requirements": list(edge.requirements),
        "declared-only": edge.declared_only,
    }


def _build(subject: _Subject, made: Environment, build: LockedBuild) -> dict[str, Any]:
    return {
        "of": called(build),
        "package": identify(made.subject) if made.subject != ROOT else None,
        "name": build.name,
        "version": build.version,
        "source": build.source,
        "hook": build.hook or "wheel",
        "needed": build.needed,
        "level": made.level,
        "targets": subject.labels(made.targets),
        "sdist": build.sdist,
        "backend": build.backend,
        "backend-path": list(build.backend_path),
        "requires": list(build.requires),
        "requires-user": list(build.requires_user),
        "requires-from": build.requires_from,
        "requires-dynamic": None if build.requires_dynamic is None else list(build.requires_dynamic),
        "conditional": build.conditional or None,
        "evidence": build.evidence,
        "observed-on": build.observed_on,
        "ends": build.ends,
        "cargo-lock": build.cargo_lock,
        "packages": [_member(member) for member in build.packages],
        "declared-packages": None
        if build.declared_packages is None
        else [_member(member) for member in build.declared_packages],
    }


def _member(member: EnvironmentMember) -> dict[str, Any]:
    return {"name": member.name, "version": member.version, "dependencies": list(member.dependencies)}
