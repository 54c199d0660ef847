"""Direct references: folders, commits and archives. Each is followed once in a run.

Invariant: a commit or an archive is pinned to its bytes (commit id, sha256) before anything is read out of it; a folder is
read as it is. A pin of the previous lock is kept as long as the reference is the same.
"""

import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from deep_lock.boundary import reading
from deep_lock.config.config import read_config
from deep_lock.config.declared_indexes import DEFAULT, declared_indexes, with_declared
from deep_lock.errors import (
    ConfigError,
    DeepLockError,
    MetadataInvalid,
    NameMismatch,
    RequirementInvalid,
    RequirementsInvalid,
)
from deep_lock.events import MayChange, Reporter
from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import archive_file
from deep_lock.models import distribution
from deep_lock.models.direct_url import Reference, parse_reference
from deep_lock.models.distribution import Archive, Direct, Directory, SourceDistribution, Vcs, Wheel, source_of
from deep_lock.models.lock import Lock, LockedArchive, LockedVcs
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.models.resolution import UNKNOWN_VERSION
from deep_lock.network.urls import shown_url
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.project.local_trees import LocalTrees
from deep_lock.sdist import project_tree, pyproject, source_tree

if TYPE_CHECKING:
    from deep_lock.network.git import Repositories


_ASSIGN_HINT = "assign it in the project: [tool.deep-lock.sources] {name}"


class PreviousPins(Struct, frozen=True, kw_only=True):
    """What the previous lock pinned references to."""

    commits: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    """By location of the repository and requested revision."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """sha256 by URL of the archive."""


def previous_pins(
    old: Lock | None, *, without: frozenset[str], accepted_files: frozenset[str] = frozenset()
) -> PreviousPins:
    """Return the pins of a lock, less those of the projects that are upgraded and of changed files that the user accepts."""
    commits: dict[tuple[str, str | None], str] = {}
    digests: dict[str, str] = {}
    moved: set[tuple[str, str | None]] = set()  # folders of one repository move together
    for entry in old.packages if old is not None else ():
        match entry.source:
            case LockedVcs() as commit:
                key = (commit.url or commit.path or "", commit.requested_revision)
                commits[key] = commit.commit_id
                if entry.name in without:
                    moved.add(key)
            case LockedArchive(url=str(url), sha256=digest) if entry.name not in without:
                file = archive_file(entry)
                if file is None or file.name not in accepted_files:
                    digests[url] = digest
            case _:
                continue
    return PreviousPins(commits={key: own for key, own in commits.items() if key not in moved}, digests=digests)


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
        reporter: Reporter,
        is_assigned: Callable[[NormalizedName], bool] = lambda _name: False,
        foreign: str | None = None,
        index: str = "",
    ) -> None:
        """``repositories`` returns the same object at each call; it is first called for the first commit.

        ``is_assigned`` returns whether the run has one index for a name. ``foreign`` is the source of requirements of another
        tool's lock, ``index`` the URL of the first index.
        """
        self._foreign = foreign
        self._index = index
        self._is_assigned = is_assigned
        self._client = client
        self._repositories = repositories
        self._trees = trees
        self._previous = previous
        self._reporter = reporter
        self._followed: dict[tuple[NormalizedName, str], Followed] = {}
        self._inner: dict[
            tuple[NormalizedName, str], tuple[Reference, Callable[[NormalizedName], Reference | None]]
        ] = {}
        """By commit or archive: its reference, and the sources that it declares."""
        self._trees_read: dict[tuple[NormalizedName, str], project_tree.TreeFacts] = {}

    def follow(self, requirement: Requirement) -> Followed:
        """Return what a requirement's URL names. Raises DeepLockError, naming the requirement's origin."""
        url = requirement.url or ""
        key = (requirement.name, url)
        if key not in self._followed:
            try:
                found = self._read(parse_reference(url), requirement.name, self._namer_of(requirement))
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

    def localized(self, file: Direct, metadata: Metadata) -> Metadata:
        """Return metadata of a reference that was followed, with its references as seen from the lock.

        Raises RequirementInvalid for one that cannot be located.
        """
        if isinstance(file, Directory):
            return self._trees.localized(metadata, self._trees.tree(file.path, file.subdirectory).folder)
        reference, source_of_name = self._inner[file.name, source_of(file)]
        origin = Origin(source=f"the metadata of {source_of(file)}")
        required = (parse_requirement(text, origin) for text in metadata.requires_dist)
        texts = (str(self._located(own, reference, source_of_name)) for own in required)
        return replace(metadata, requires_dist=tuple(texts))

    def checkout(self, commit: Vcs, folder: Path) -> Path:
        """Put a commit with its history and tags into a new folder. Raises IndexFault and UsageError."""
        location = commit.url or self._remote(commit.path or "")
        return self._repositories().checkout(location, commit.commit_id, commit.requested_revision, folder)

    # -- one kind of reference each

    def _namer_of(self, requirement: Requirement) -> str:
        """Return who names a direct reference, as in `Fetcher.get`: a server, where it comes from the metadata of a file.

        What the project names may have any address but a link-local one. A lock of another tool names what the index may name.
        """
        if requirement.origin is None:
            return ""
        return self._index if requirement.origin.source == self._foreign else requirement.url or ""

    def _read(self, reference: Reference, name: NormalizedName, named_by: str) -> Followed:
        if reference.kind == "git":
            return self._commit(reference, name, named_by)
        return self._archive(reference, name, named_by) if reference.is_archive else self._folder(reference, name)

    def _folder(self, reference: Reference, name: NormalizedName) -> Followed:
        tree = self._trees.tree(reference.place, reference.subdirectory).facts
        if tree.name != name:
            raise NameMismatch(f"{reference.place}: is the project {tree.name!r}, not {name!r}")
        file = Directory(
            name=name, path=reference.place, editable=reference.editable, subdirectory=reference.subdirectory
        )
        return Followed(file=file, tree=tree)

    def _commit(self, reference: Reference, name: NormalizedName, named_by: str) -> Followed:
        location = self._remote(reference.place) if reference.is_path else reference.place
        if not reference.is_path:
            self._repositories().require_nameable(location, by_project=bool(named_by))
        pinned = self._previous.commits.get((reference.place, reference.revision))
        commit = pinned or self._repositories().commit_of(location, reference.revision)
        if commit not in {pinned, reference.revision}:
            branch = f"the branch or tag {reference.revision}" if reference.revision else "the default branch"
            self._reporter(MayChange(name=f"{branch} of {shown_url(reference.place)}"))
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

        def folders() -> frozenset[str]:
            with self._repositories().archive(location, commit, reference.revision) as packed:
                names = source_tree.read_members(packed, "tree.tar.gz").names
            return frozenset(posixpath.dirname(name) for name in names if posixpath.basename(name) == "pyproject.toml")

        _refuse_empty(members.names, where)
        declared = self._commit_source(members, folders, where, reference.subdirectory)
        tree = project_tree.read_tree(members, where, name=name)
        return self._inside(file, tree, reference, declared)

    # -- what a tree that is no folder requires

    def _inside(
        self,
        file: Direct,
        tree: "project_tree.TreeFacts",
        reference: Reference,
        source_of_name: Callable[[NormalizedName], Reference | None],
    ) -> Followed:
        """Return a commit or an archive; paths in its facts become references to the same commit or archive.

        Raises RequirementInvalid for a path that leaves it.
        """
        self._inner[file.name, source_of(file)] = reference, source_of_name
        metadata, guess = tree.facts.metadata, tree.facts.guess
        facts = replace(
            tree.facts,
            metadata=self.localized(file, metadata) if metadata is not None else None,
            guess=self.localized(file, guess) if guess is not None else None,
        )
        return Followed(file=file, tree=replace(tree, facts=facts))

    def _located(
        self,
        requirement: Requirement,
        reference: Reference,
        source_of_name: Callable[[NormalizedName], Reference | None],
    ) -> Requirement:
        is_path = requirement.url is None or parse_reference(requirement.url).kind == "path"
        assigned = self._trees.assigned(requirement) if is_path else None
        if assigned is not None:
            return assigned
        own = parse_reference(requirement.url) if requirement.url is not None else source_of_name(requirement.name)
        if own is None:
            return requirement
        if not own.is_path:
            return replace(requirement, url=str(own))
        if own.kind == "git" and reference.is_path and posixpath.isabs(own.place):
            return self._trees.named(
                replace(requirement, url=str(own))
            )  # a repository of this machine names another one
        folder = posixpath.normpath(posixpath.join(reference.subdirectory, own.place, own.subdirectory))
        if posixpath.isabs(folder) or folder.startswith("..") or own.is_archive or own.kind == "git":
            raise RequirementInvalid(
                f"it requires {requirement.name} from {own.place}, which is not a folder inside it",
                hint=_ASSIGN_HINT.format(name=requirement.name),
            )
        return replace(requirement, url=str(replace(reference, subdirectory="" if folder == "." else folder)))

    def _commit_source(
        self, members: source_tree.Members, folders: Callable[[], frozenset[str]], where: str, inside: str
    ) -> Callable[[NormalizedName], Reference | None]:
        """Return a function that returns the direct reference that a commit declares for a name.

        ``folders`` returns the folders of the repository that have a pyproject.toml. The function raises
        RequirementInvalid for a source that is not used, unless the project assigns the name to an index.
        """
        document = pyproject.read_toml_bytes(members.files.get("pyproject.toml", b""), f"pyproject.toml of {where}")
        with reading(f"pyproject.toml of {where}", ConfigError):
            declared = declared_indexes(pyproject.nested_table(document, "tool"))
            own = read_config(pyproject.nested_table(document, "tool", "deep-lock"), f"pyproject.toml of {where}")
            sources = dict(with_declared(own, replace(declared, faults=())).sources or ())
        faults = {canonicalize_name(fault.project) for fault in declared.faults if fault.project is not None}

        def source_of_name(name: NormalizedName) -> Reference | None:
            source = sources.get(name)
            if isinstance(source, Reference):
                return source if source.kind != "workspace" else _member(name, folders(), inside)
            if (source is None and name not in faults) or source == DEFAULT or self._is_assigned(name):
                return None
            kind = f"the index {source!r}" if isinstance(source, str) else "a source that deep-lock does not support"
            raise RequirementInvalid(f"it assigns {name} to {kind}", hint=_ASSIGN_HINT.format(name=name))

        return source_of_name

    def _remote(self, path: str) -> str:
        return self._trees.folder(path).as_uri()

    def _archive(self, reference: Reference, name: NormalizedName, named_by: str) -> Followed:
        if reference.is_path:
            path, digest = self._client.named_path(self._trees.folder(reference.place), sha256=reference.sha256)
            url = path.as_uri()
        else:
            url = reference.place
            pinned = reference.sha256 or self._previous.digests.get(url)
            path, digest = self._client.named_file(url, named_by=named_by, sha256=pinned)
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
        _check_version(filename, tree)
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
        return self._inside(_archive_of(sdist, reference, vouched=vouched), tree, reference, lambda _name: None)


def _refuse_empty(names: frozenset[str], where: str) -> None:
    if not names & {"pyproject.toml", "setup.py", "setup.cfg"}:
        raise RequirementsInvalid(f"{where}: contains no Python project: it has no pyproject.toml")


def _member(name: NormalizedName, folders: frozenset[str], inside: str) -> Reference:
    """Return the folder of a member of a commit's workspace: that of its name. What is in it is compared with the name later."""
    found = sorted(folder for folder in folders if canonicalize_name(posixpath.basename(folder) or ".") == name)
    if len(found) != 1:
        count = "no folder" if not found else f"{len(found)} folders"
        raise RequirementInvalid(
            f"it requires {name} from its workspace, which has {count} of that name",
            hint=_ASSIGN_HINT.format(name=name),
        )
    return Reference(kind="path", place=posixpath.relpath(found[0], inside or "."), is_path=True)


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


def _check_version(filename: str, tree: "project_tree.TreeFacts") -> None:
    """Refuse an sdist whose file name states another version than its PKG-INFO. Raises MetadataInvalid."""
    try:
        name, version = distribution.parse_sdist_filename(filename)
    except (InvalidSdistFilename, ValueError):
        return  # an archive of any name, such as that of a tag
    if tree.is_sdist and name == tree.name and version != tree.version:
        raise MetadataInvalid(f"{filename}: its PKG-INFO is of version {tree.version}")


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
