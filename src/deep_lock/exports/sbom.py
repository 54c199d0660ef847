"""What an SBOM says of each entry, whatever its form: package URL, role, times. The forms write it.

Law: nothing is told that the lock does not say. A time is the newest upload in the lock, so that equal locks give equal
documents.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlencode
from uuid import NAMESPACE_OID, UUID, uuid5

from msgspec import Struct

from deep_lock.analysis.graph import open_graph, package_paths, path_words, position_paths
from deep_lock.exports.view import View, builds_of, installed
from deep_lock.lockfile.index import Key, LockIndex, called, key_of, meant, members, record_key
from deep_lock.models.lock import LockedArchive, LockedBuild, LockedFile, LockedPackage, LockedVcs, source_text

Role = Literal["runtime", "optional", "build-only"]
"""At run time; there for extras or groups alone; in build environments only."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Described(Struct, frozen=True, kw_only=True):
    """One entry, with what its document says of it."""

    key: Key
    entry: LockedPackage
    purl: str
    role: Role
    chain: tuple[str, ...]
    labels: tuple[str, ...]
    """Targets on which it is installed at run time."""
    builds: tuple[LockedBuild, ...]
    """How it is built, where it is."""

    @property
    def ref(self) -> str:
        """What names it inside one document."""
        return called(self.entry).replace(" ", "==", 1) if self.entry.version else called(self.entry)


class Inventory(Struct, frozen=True, kw_only=True):
    """All of it, in the lock's order, with edges between the keys."""

    name: str
    """The project's, as far as the lock tells."""
    packages: tuple[Described, ...]
    direct: tuple[Key, ...]
    runtime: tuple[tuple[Key, Key], ...]
    """(needs, needed)."""
    build: tuple[tuple[Key | None, Key], ...]
    """(built, a member of its environment); None is the project."""
    created: datetime
    identity: UUID
    """Of the content."""


def files_of(entry: LockedPackage) -> tuple[LockedFile, ...]:
    """Return the files of an entry, the sdist last."""
    return (*entry.wheels, *((entry.sdist,) if entry.sdist is not None else ()))


def inventory(view: View, public_index: str) -> Inventory:
    """Return what the view holds. ``public_index`` is the one that a package URL of type pypi means by itself."""
    register, builds = view.register, builds_of(view)
    labels = {key_of(own.entry): own.labels for own in installed(view)}
    bare = _without_selection(view)
    used = {key_of(member) for build in builds for member in members(build)}
    graph = open_graph(register, view.targets, view.chosen)
    paths = package_paths(position_paths(graph))
    packages = tuple(
        Described(
            key=key,
            entry=entry,
            purl=purl_of(entry, public_index),
            role="build-only" if key not in labels else "runtime" if key in bare else "optional",
            chain=path_words(graph, paths[key]) if key in paths else (),
            labels=tuple(sorted(labels.get(key, ()))),
            builds=tuple(build for build in builds if build.needed != "project" and record_key(build) == key),
        )
        for key, entry in register.entries.items()
        if key in labels or key in used
    )
    shown = {own.key for own in packages}
    own = next((build for build in builds if build.needed == "project"), None)
    times = [file.upload_time for each in packages for file in files_of(each.entry) if file.upload_time is not None]
    digest = "\n".join(f"{each.ref} {' '.join(file.sha256 for file in files_of(each.entry))}" for each in packages)
    return Inventory(
        name=own.name if own is not None else "project",
        packages=packages,
        direct=tuple(each.key for each in packages if each.entry.direct and each.role != "build-only"),
        runtime=tuple(_runtime(register, labels.keys() & shown)),
        build=tuple(dict.fromkeys(_build(builds))),
        created=max(times, default=EPOCH).astimezone(UTC).replace(microsecond=0),
        identity=uuid5(NAMESPACE_OID, f"{view.source} {digest} {builds}"),
    )


def _without_selection(view: View) -> set[Key]:
    """Return what is installed without any extra and group."""
    lean = View(register=view.register, source=view.source, targets=view.targets, chosen=type(view.chosen)())
    return {key_of(own.entry) for own in installed(lean)}


def _runtime(register: LockIndex, shown: set[Key]) -> Iterator[tuple[Key, Key]]:
    for key in sorted(shown):
        for reference in register.entries[key].dependencies:
            for child in meant(reference, register):
                if key_of(child) in shown and key_of(child) != key:
                    yield key, key_of(child)


def _build(builds: tuple[LockedBuild, ...]) -> Iterator[tuple[Key | None, Key]]:
    for build in builds:
        above = None if build.needed == "project" else record_key(build)
        for member in members(build):
            yield above, key_of(member)


def purl_of(entry: LockedPackage, public_index: str) -> str:
    """Return the package URL (purl-spec, type pypi), with a qualifier where it is not a release of the public index."""
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


def facts(described: Described) -> list[tuple[str, str]]:
    """Return what the lock says of an entry and SBOMs have no field for, as (name, value), sorted."""
    entry = described.entry
    found: list[tuple[str, str]] = [("role", described.role)]
    found += [("sdist-only", "true")] if entry.sdist_only else []
    found += [("build-on", label) for label in entry.build_on]
    found += [("yanked", entry.yanked or "true")] if entry.yanked is not None else []
    found += [("requires-python", entry.requires_python)] if entry.requires_python else []
    found += [("marker", entry.marker)] if entry.marker and not entry.build_only else []
    found += [("brought-in-by", " > ".join(described.chain))] if described.chain else []
    found += [("source", source_text(entry.source))] if entry.source is not None else []
    for build in described.builds:
        where = f" on {', '.join(build.targets)}" if build.targets else ""
        found.append(("build:backend", f"{build.backend}{where}"))
        found.append(("build:evidence", f"{build.evidence}{where}"))
        names = " ".join(f"{member.name}=={member.version}" for member in build.packages)
        found.append(("build:environment", f"{names}{where}"))
    return sorted(set(found))
