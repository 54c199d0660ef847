"""The data of an SBOM about each package, for every format: package URL, role, properties.

Invariant: an SBOM says nothing that the lock does not say, but for what was read in the locked files, on request. Its time is that of the newest upload in the lock, so that
equal locks give equal documents.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlencode
from uuid import NAMESPACE_OID, UUID, uuid5

from msgspec import Struct

from deep_lock.analysis.graph import open_graph, package_paths, path_words, position_paths
from deep_lock.exports.contents import Contents, content_lines, embedded_sboms
from deep_lock.exports.view import View, builds_of, installed_labels
from deep_lock.lockfile.index import Key, called, files_of, key_of, members, record_key, referenced, roots
from deep_lock.lockfile.selection import InstallSelection
from deep_lock.models.contents import EmbeddedSbom
from deep_lock.models.lock import LockedArchive, LockedBuild, LockedFile, LockedPackage, LockedVcs, source_text

Role = Literal["runtime", "optional", "build-only"]
"""Installed at run time; only with extras or groups; only in build environments."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SbomPackage(Struct, frozen=True, kw_only=True):
    """One package, with what a document says of it."""

    key: Key
    entry: LockedPackage
    purl: str
    role: Role
    chain: tuple[str, ...]
    """A shortest way to it from the requirements of the project."""
    builds: tuple[LockedBuild, ...]
    """The records of its builds."""
    contents: tuple[tuple[str, str], ...] = ()
    """(kind, text) of what its files bring; empty where no file was to be read."""
    sboms: tuple[tuple[LockedFile, EmbeddedSbom], ...] = ()
    """The SBOMs in its files."""

    @property
    def files(self) -> tuple[LockedFile, ...]:
        return files_of(self.entry)

    @property
    def sha256(self) -> str | None:
        """The digest of the only file, or of the archive that a direct reference names."""
        if isinstance(self.entry.source, LockedArchive):
            return self.entry.source.sha256
        return self.files[0].sha256 if len(self.files) == 1 else None

    @property
    def ref(self) -> str:
        """The id inside one document."""
        return called(self.entry).replace(" ", "==", 1) if self.entry.version else called(self.entry)


class Inventory(Struct, frozen=True, kw_only=True):
    """The content of a document, in the lock's order, with edges between the keys."""

    name: str
    """Of the project, if the lock has it."""
    packages: tuple[SbomPackage, ...]
    direct: tuple[Key, ...]
    runtime: tuple[tuple[Key, Key], ...]
    """(package, a dependency of it)."""
    build: tuple[tuple[Key | None, Key], ...]
    """(package, a member of its build environment); None is the project."""
    created: datetime
    identity: UUID
    """Derived from the content."""


def inventory(view: View, public_index: str, contents: Contents | None = None) -> Inventory:
    """Return what the view covers. ``public_index`` is the one that a package URL without an index means.

    With ``contents`` each package has what its files bring, and the document has an identifier of its own.
    """
    lock_index, builds = view.lock_index, builds_of(view)
    default = InstallSelection(groups=frozenset(view.lock.default_groups))
    runtime, base = installed_labels(view, view.selections), installed_labels(view, [default])
    build_edges = dict.fromkeys(
        (None if build.needed == "project" else record_key(build), key_of(member))
        for build in builds
        for member in members(build)
    )
    used = {member for _, member in build_edges}
    graph = open_graph(lock_index, view.targets, view.selections)
    paths = package_paths(position_paths(graph))
    packages = tuple(
        SbomPackage(
            key=key,
            entry=entry,
            purl=purl_of(entry, public_index),
            role="build-only" if key not in runtime else "runtime" if key in base else "optional",
            chain=path_words(graph, paths[key]) if key in paths else (),
            builds=tuple(build for build in builds if build.needed != "project" and record_key(build) == key),
            contents=() if contents is None else tuple(content_lines(entry, contents)),
            sboms=() if contents is None else tuple(embedded_sboms(entry, contents)),
        )
        for key, entry in lock_index.entries.items()
        if key in runtime or key in used
    )
    first = roots(view.lock)
    times = [file.upload_time for each in packages for file in each.files if file.upload_time is not None]
    source = view.source.encode(errors="backslashreplace").decode()  # a file name of any bytes
    read = "" if contents is None else repr([each.contents for each in packages])
    digest = "\n".join(f"{each.ref} {' '.join(file.sha256 for file in each.files)}" for each in packages)
    return Inventory(
        name=view.project or "project",
        packages=packages,
        direct=tuple(each.key for each in packages if each.key in first and each.role != "build-only"),
        runtime=tuple(_runtime_edges(view, frozenset(runtime))),
        build=tuple(build_edges),
        created=max(times, default=EPOCH).astimezone(UTC).replace(microsecond=0),
        identity=uuid5(NAMESPACE_OID, f"{source} {digest} {builds}{read}"),
    )


def _runtime_edges(view: View, keys: frozenset[Key]) -> Iterator[tuple[Key, Key]]:
    for key in sorted(keys):
        for reference in view.lock_index.entries[key].dependencies:
            for child in map(key_of, referenced(reference, view.lock_index)):
                if child in keys and child != key:
                    yield key, child


def purl_of(entry: LockedPackage, public_index: str) -> str:
    """Return the package URL (purl-spec, type pypi), with a qualifier unless it is a release of the public index."""
    version = f"@{quote(entry.version, safe='.-_~')}" if entry.version else ""
    qualifiers: dict[str, str] = {}
    match entry.source:
        case LockedVcs() as vcs:
            qualifiers["vcs_url"] = f"git+{vcs.url or f'file:{vcs.path}'}@{vcs.commit_id}"
        case LockedArchive() as archive if archive.url:
            qualifiers["download_url"] = archive.url
        case _:
            if entry.index is not None and entry.index.rstrip("/") != public_index.rstrip("/"):
                qualifiers["repository_url"] = entry.index
    end = f"?{urlencode(sorted(qualifiers.items()), quote_via=quote, safe=':/')}" if qualifiers else ""
    return f"pkg:pypi/{entry.name}{version}{end}"


def properties(package: SbomPackage) -> list[tuple[str, str]]:
    """Return what the lock says of a package and SBOMs have no field for, as (name, value), sorted."""
    entry = package.entry
    found: list[tuple[str, str]] = [("role", package.role)]
    found += [("sdist-only", "true")] if entry.sdist_only else []
    found += [("build-on", label) for label in entry.build_on]
    found += [("yanked", entry.yanked or "true")] if entry.yanked is not None else []
    found += [("requires-python", entry.requires_python)] if entry.requires_python else []
    found += [("marker", entry.marker)] if entry.marker and not entry.build_only else []
    found += [("brought-in-by", " > ".join(package.chain))] if package.chain else []
    found += [("source", source_text(entry.source))] if entry.source is not None else []
    for build in package.builds:
        where = f" on {', '.join(build.targets)}" if build.targets else ""
        found.append(("build:backend", f"{build.backend}{where}"))
        found.append(("build:evidence", f"{build.evidence}{where}"))
        names = " ".join(f"{member.name}=={member.version}" for member in build.packages)
        found.append(("build:environment", f"{names}{where}"))
    found += [(f"contents:{kind}", text) for kind, text in package.contents]
    return sorted(set(found))
