"""What the database of a fleet knows of one lock: its releases with their files, and where each of them is used."""

from collections.abc import Iterator

from msgspec import Struct

from deep_lock.analysis.graph import Graph, path_words, position_paths, whole_graph
from deep_lock.fleet.questions import Role
from deep_lock.lockfile.index import archive_file, called, files_of, index_lock
from deep_lock.models.lock import Identity, Lock, LockedPackage, source_text


class File(Struct, frozen=True, kw_only=True):
    """A file of a release."""

    name: str
    """The name of a file of an index; the URL or the path of an archive that is a direct source, since many have one name."""
    sha256: str


class Release(Struct, frozen=True, kw_only=True):
    """A package of a lock, as other locks may have it too."""

    name: str
    version: str
    """Empty for a source tree."""
    index: str
    source: str
    """The location of a direct source."""
    files: tuple[File, ...]
    publishers: tuple[Identity, ...]


class Usage(Struct, frozen=True, kw_only=True):
    """Where a release is used: at run time, or in one build."""

    role: Role
    build: str = ""
    """"NAME VERSION" of what is built."""
    backend: str = ""
    targets: tuple[str, ...] = ()
    all_targets: bool = False
    chain: tuple[str, ...] = ()
    """A shortest path to it, as `path_words`."""


def contents_of(lock: Lock, source: str) -> Iterator[tuple[Release, Usage]]:
    """Yield the uses of all packages of a lock; ``source`` names it in messages. Raises LockInvalid and UsageError."""
    graph = whole_graph(index_lock(lock), source)
    releases = {key: _release(entry) for key, entry in graph.lock_index.entries.items()}
    for position, path in position_paths(graph).items():
        if position.key is None:
            continue
        record = position.environment.record
        targets = graph.labels_of(graph.nodes[position.key].runtime if record is None else position.environment.targets)
        yield (
            releases[position.key],
            Usage(
                role="runtime" if record is None else "build",
                build="" if record is None else _built(graph, position.environment.subject, called(record)),
                backend="" if record is None else record.backend,
                targets=targets,
                all_targets=len(targets) == len(graph.labels),
                chain=path_words(graph, path),
            ),
        )
    for key, release in releases.items():
        if key not in graph.nodes:
            yield release, Usage(role="unused")


def _built(graph: Graph, subject: tuple[str, str, str], name: str) -> str:
    """Return the name of what a build makes; the project itself may have no version."""
    entry = graph.lock_index.entries.get(subject)
    return name if entry is None else called(entry)


def _release(entry: LockedPackage) -> Release:
    archive = archive_file(entry)
    files = [File(name=own.name, sha256=own.sha256) for own in files_of(entry)]
    if archive is not None:
        files.append(File(name=archive.url or archive.path or archive.name, sha256=archive.sha256))
    return Release(
        name=entry.name,
        version=entry.version or "",
        index=entry.index or "",
        source=source_text(entry.source),
        files=tuple(files),
        publishers=entry.attestation_identities,
    )
