"""Direct references: folders, commits and archives. Each is followed once in a run.

Invariant: a commit or an archive is pinned to its bytes (commit id, sha256) before anything is read out of it; a folder is
read as it is. A pin of the previous lock is kept as long as the reference is the same.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from deep_lock.errors import DeepLockError, MetadataInvalid, NameMismatch, RequirementsInvalid
from deep_lock.index.client import IndexClient
from deep_lock.models.direct_url import Reference, parse_reference
from deep_lock.models.distribution import Archive, Direct, Directory, SourceDistribution, Vcs, Wheel, source_of
from deep_lock.models.lock import Lock, LockedArchive, LockedVcs
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import UNKNOWN_VERSION
from deep_lock.project.local_trees import LocalTrees
from deep_lock.sdist import project_tree, source_tree

if TYPE_CHECKING:
    from deep_lock.network.git import Repositories


class PreviousPins(Struct, frozen=True, kw_only=True):
    """What the previous lock pinned references to."""

    commits: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    """By location of the repository and requested revision."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """sha256 by URL of the archive."""


def previous_pins(old: Lock | None, *, without: frozenset[str]) -> PreviousPins:
    """Return the pins of a lock, less those of the projects that are upgraded."""
    commits: dict[tuple[str, str | None], str] = {}
    digests: dict[str, str] = {}
    for entry in old.packages if old is not None else ():
        if entry.name in without:
            continue
        match entry.source:
            case LockedVcs() as commit:
                commits[commit.url or commit.path or "", commit.requested_revision] = commit.commit_id
            case LockedArchive(url=str(url), sha256=digest):
                digests[url] = digest
            case _:
                continue
    return PreviousPins(commits=commits, digests=digests)


class Followed(Struct, frozen=True, kw_only=True):
    """A direct reference, pinned and read."""

    file: Direct
    tree: "project_tree.TreeFacts | None"
    """None for a wheel."""

    @property
    def version(self) -> Version | None:
        """The version; None where only the build backend knows it."""
        if self.tree is not None:
            return self.tree.version
        return self.file.file.version if isinstance(self.file, Archive) else None


class DirectSources:
    """Follows the direct references of a run."""

    def __init__(
        self,
        *,
        client: IndexClient,
        repositories: Callable[[], "Repositories"],
        trees: LocalTrees,
        previous: PreviousPins,
    ) -> None:
        """``repositories`` returns the same object at each call; it is first called for the first commit."""
        self._client = client
        self._repositories = repositories
        self._trees = trees
        self._previous = previous
        self._followed: dict[tuple[NormalizedName, str], Followed] = {}
        self._trees_read: dict[tuple[NormalizedName, str], project_tree.TreeFacts] = {}

    def follow(self, requirement: Requirement) -> Followed:
        """Return what a requirement's URL names. Raises DeepLockError, naming the requirement's origin."""
        url = requirement.url or ""
        key = (requirement.name, url)
        if key not in self._followed:
            try:
                found = self._read(parse_reference(url), requirement.name)
            except DeepLockError as error:
                origin = requirement.origin or requirement.name
                raise type(error)(f"{origin}: {error.message}", hint=error.hint) from None
            self._followed[key] = found
            if found.tree is not None:
                self._trees_read[found.file.name, source_of(found.file)] = found.tree
        return self._followed[key]

    def tree(self, file: Direct) -> "project_tree.TreeFacts":
        """Return the source tree of a reference that was followed. Raises MetadataInvalid for a wheel."""
        tree = self._trees_read.get((file.name, source_of(file)))
        if tree is None:
            raise MetadataInvalid(f"{file.name}: a wheel is not built")
        return tree

    def localized(self, folder: Directory, metadata: Metadata) -> Metadata:
        """Return metadata of a folder with its references as seen from the lock.

        Raises RequirementInvalid for one that cannot be located.
        """
        return self._trees.localized(metadata, self._trees.tree(folder.path, folder.subdirectory).folder)

    def checkout(self, commit: Vcs, folder: Path) -> Path:
        """Put a commit with its history and tags into a new folder. Raises IndexFault and UsageError."""
        location = commit.url or self._remote(commit.path or "")
        return self._repositories().checkout(location, commit.commit_id, commit.requested_revision, folder)

    # -- one kind of reference each

    def _read(self, reference: Reference, name: NormalizedName) -> Followed:
        if reference.kind == "git":
            return self._commit(reference, name)
        return self._archive(reference, name) if reference.is_archive else self._folder(reference, name)

    def _folder(self, reference: Reference, name: NormalizedName) -> Followed:
        tree = self._trees.tree(reference.place, reference.subdirectory).facts
        if tree.name != name:
            raise NameMismatch(f"{reference.place}: is the project {tree.name!r}, not {name!r}")
        file = Directory(
            name=name, path=reference.place, editable=reference.editable, subdirectory=reference.subdirectory
        )
        return Followed(file=file, tree=tree)

    def _commit(self, reference: Reference, name: NormalizedName) -> Followed:
        location = self._remote(reference.place) if reference.is_path else reference.place
        pinned = self._previous.commits.get((reference.place, reference.revision))
        commit = pinned or self._repositories().commit_of(location, reference.revision)
        file = Vcs(
            name=name,
            url=None if reference.is_path else reference.place,
            path=reference.place if reference.is_path else None,
            requested_revision=reference.revision,
            commit_id=commit,
            subdirectory=reference.subdirectory,
        )
        where = source_of(file)
        with self._repositories().archive(location, commit, reference.revision) as packed:
            members = source_tree.read_members(packed, "tree.tar.gz", inside=reference.subdirectory)
        _refuse_empty(members.names, where)
        return Followed(file=file, tree=project_tree.read_tree(members, where, name=name))

    def _remote(self, path: str) -> str:
        return self._trees.folder(path).as_uri()

    def _archive(self, reference: Reference, name: NormalizedName) -> Followed:
        if reference.is_path:
            path, digest = self._client.named_path(self._trees.folder(reference.place), sha256=reference.sha256)
            url = path.as_uri()
        else:
            url = reference.place
            pinned = reference.sha256 or self._previous.digests.get(url)
            path, digest = self._client.named_file(url, sha256=pinned)
        self._client.offer(url, path)
        filename = reference.place.partition("?")[0].rpartition("/")[2]
        size = path.stat().st_size
        if filename.endswith(".whl"):
            wheel = _wheel(filename, name, url=url, sha256=digest, size=size)
            return Followed(file=_archive_of(wheel, reference, vouched=True), tree=None)
        with path.open("rb") as packed:
            members = source_tree.read_members(packed, filename, inside=reference.subdirectory)
        _refuse_empty(members.names, filename)
        tree = project_tree.read_tree(members, filename, name=name)
        sdist = SourceDistribution(
            filename=filename,
            name=name,
            version=tree.version or UNKNOWN_VERSION,
            url=url,
            sha256=digest,
            size=size,
            upload_time=None,
            requires_python=None,
            yanked=None,
            index="",
        )
        vouched = tree.is_sdist and _states_version(filename, sdist.version)
        return Followed(file=_archive_of(sdist, reference, vouched=vouched), tree=tree)


def _refuse_empty(names: frozenset[str], where: str) -> None:
    if not names & {"pyproject.toml", "setup.py", "setup.cfg"}:
        raise RequirementsInvalid(f"{where}: holds no Python project: no pyproject.toml")


def _wheel(filename: str, name: NormalizedName, *, url: str, sha256: str, size: int) -> Wheel:
    try:
        own, version, build, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        raise RequirementsInvalid(f"{filename[:100]!r} is not the name of a wheel") from None
    if own != name:
        raise NameMismatch(f"{filename}: is a wheel of {own!r}, not of {name!r}")
    return Wheel(
        filename=filename,
        name=name,
        version=version,
        build="".join(map(str, build)),
        tags="-".join(filename.removesuffix(".whl").split("-")[-3:]),
        url=url,
        sha256=sha256,
        size=size,
        upload_time=None,
        requires_python=None,
        yanked=None,
        index="",
        metadata=None,
    )


def _states_version(filename: str, version: Version) -> bool:
    """Whether a file name states the version: then the file is an sdist, and not just any archive."""
    try:
        return parse_sdist_filename(filename)[1] == version
    except (InvalidSdistFilename, ValueError):
        return False


def _archive_of(file: Wheel | SourceDistribution, reference: Reference, *, vouched: bool) -> Archive:
    return Archive(
        name=file.name,
        file=file,
        place=reference.place,
        is_path=reference.is_path,
        version=str(file.version) if vouched else None,
        subdirectory=reference.subdirectory,
    )
