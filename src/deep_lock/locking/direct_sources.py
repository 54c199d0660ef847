"""What direct references lead to: folders, commits, archives. Each is looked at once in a run.

Law: what is found is pinned to its bytes (a commit, a sha256) before anything is read out of it; only a folder is read as
it stands. A pin of the earlier lock holds as long as the reference is the same.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct, field
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from deep_lock.closure.model import Subject
from deep_lock.errors import DeepLockError, MetadataInvalid, NameMismatch, RequirementsInvalid
from deep_lock.index.client import IndexClient
from deep_lock.models.build_system import Evidence
from deep_lock.models.direct_url import Reference, parse_reference
from deep_lock.models.distribution import Archive, Direct, Directory, SourceDistribution, Vcs, Wheel, source_of
from deep_lock.models.lock import Lock, LockedArchive, LockedVcs
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import UNKNOWN_VERSION, BuildRequest, Candidate
from deep_lock.project.local_trees import LocalTrees
from deep_lock.sdist import project_tree, source_tree
from deep_lock.targets.target import Target

if TYPE_CHECKING:
    from deep_lock.network.git import Repositories


class EarlierPins(Struct, frozen=True, kw_only=True):
    """What an earlier lock pinned references to."""

    commits: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    """By place of the repository and requested revision."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """By URL of the archive."""


def earlier_pins(old: Lock | None, *, without: frozenset[str]) -> EarlierPins:
    """Return the pins of a lock, less those of the projects that are to be looked at again."""
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
    return EarlierPins(commits=commits, digests=digests)


class _Found(Struct, frozen=True, kw_only=True):
    """One reference, followed."""

    file: Direct
    tree: "project_tree.TreeFacts | None"
    """None for a wheel."""


class DirectSources:
    """Serves the part of `closure.Sources` that is about direct references."""

    def __init__(
        self,
        *,
        client: IndexClient,
        repositories: Callable[[], "Repositories"],
        trees: LocalTrees,
        earlier: EarlierPins,
    ) -> None:
        """``repositories`` gives the same ones at each call; it is called where the first commit is asked for."""
        self._client = client
        self._repositories = repositories
        self._trees = trees
        self._earlier = earlier
        self._found: dict[tuple[NormalizedName, str], _Found] = {}
        self._by_source: dict[tuple[NormalizedName, str], _Found] = {}
        self._told: dict[tuple[NormalizedName, str], Metadata] = {}
        """What backends told."""
        self._assumed: dict[tuple[NormalizedName, str], Metadata] = {}

    # -- for the resolver

    def candidate(self, requirement: Requirement, target: Target, *, needs_version: bool) -> Candidate | BuildRequest:
        """Return what a requirement's URL names. Raises DeepLockError, naming the requirement's origin."""
        found = self._follow(requirement)
        version = self._version(found)
        if needs_version and version is None and _key(found.file) not in self._assumed:
            return self._request(found, target)
        return Candidate(name=requirement.name, version=version or UNKNOWN_VERSION, distribution=found.file)

    def metadata(self, file: Direct, target: Target) -> Metadata | BuildRequest:
        """Return the core metadata of what was found, or the request to ask its backend."""
        if isinstance(file, Archive) and isinstance(file.file, Wheel):
            return self._client.wheel_metadata(file.file)
        found = self._by_source[_key(file)]
        known = self._told.get(_key(file)) or self._assumed.get(_key(file))
        if known is None and found.tree is not None:
            known = found.tree.facts.metadata
        return self._request(found, target) if known is None else known

    def _request(self, found: _Found, target: Target) -> BuildRequest:
        version = self._version(found) or UNKNOWN_VERSION
        return BuildRequest(name=found.file.name, version=version, source=found.file, target=target)

    def _version(self, found: _Found) -> Version | None:
        if found.tree is None:
            return found.file.file.version if isinstance(found.file, Archive) else None
        told = self._told.get(_key(found.file))
        return Version(told.version) if told is not None else found.tree.version

    # -- for the closure

    def subject(self, file: Direct) -> Subject:
        """Return what is to be built."""
        found = self._by_source[_key(file)]
        if found.tree is None:
            raise MetadataInvalid(f"{file.name}: a wheel is not built")
        version = found.tree.version
        return Subject(
            name=file.name, version=None if version is None else str(version), source=file, facts=found.tree.facts
        )

    def observe(self, file: Direct, told: Metadata) -> None:
        """Remember what the backend told. Raises RequirementInvalid for a reference in it that cannot be put in place."""
        if isinstance(file, Directory):
            told = self._trees.localized(told, self._trees.tree(file.path, file.subdirectory).folder)
        self._told[_key(file)] = told

    def assume(self, file: Direct) -> str:
        """Remember the best guess; returns where it was taken from."""
        tree = self._by_source[_key(file)].tree
        guess = None if tree is None else tree.facts.metadata or tree.facts.guess
        self._assumed[_key(file)] = guess or Metadata(name=file.name, version=str(UNKNOWN_VERSION))
        return "what its files list" if guess is not None else "nothing: none are known"

    def evidence(self, file: Direct) -> Evidence | None:
        """Return how the metadata are known; None for those of a wheel or a PKG-INFO."""
        if _key(file) in self._told:
            return "observed"
        if _key(file) in self._assumed:
            return "assumed"
        tree = self._by_source[_key(file)].tree
        return None if tree is None or tree.facts.metadata_source == "pkg-info" else "static"

    def notes(self, file: Direct) -> tuple[str, ...]:
        """Return what was found odd in the tree."""
        tree = self._by_source[_key(file)].tree
        return () if tree is None else tree.facts.notes

    # -- following references

    def _follow(self, requirement: Requirement) -> _Found:
        url = requirement.url or ""
        key = (requirement.name, url)
        if key not in self._found:
            try:
                found = self._look(parse_reference(url), requirement.name)
            except DeepLockError as error:
                raise _placed(error, requirement) from None
            self._found[key] = found
            self._by_source[_key(found.file)] = found
        return self._found[key]

    def _look(self, wanted: Reference, name: NormalizedName) -> _Found:
        if wanted.kind == "git":
            return self._commit(wanted, name)
        return self._archive(wanted, name) if wanted.is_archive else self._folder(wanted, name)

    def _folder(self, wanted: Reference, name: NormalizedName) -> _Found:
        tree = self._trees.tree(wanted.place, wanted.subdirectory).facts
        if tree.name != name:
            raise NameMismatch(f"{wanted.place}: is the project {tree.name!r}, not {name!r}")
        file = Directory(name=name, path=wanted.place, editable=wanted.editable, subdirectory=wanted.subdirectory)
        return _Found(file=file, tree=tree)

    def _commit(self, wanted: Reference, name: NormalizedName) -> _Found:
        place = self._remote(wanted.place) if wanted.is_path else wanted.place
        kept = self._earlier.commits.get((wanted.place, wanted.revision))
        commit = kept or self._repositories().commit_of(place, wanted.revision)
        file = Vcs(
            name=name,
            url=None if wanted.is_path else wanted.place,
            path=wanted.place if wanted.is_path else None,
            requested_revision=wanted.revision,
            commit_id=commit,
            subdirectory=wanted.subdirectory,
        )
        where = source_of(file)
        with self._repositories().archive(place, commit, wanted.revision) as packed:
            members = source_tree.read_members(packed, "tree.tar.gz", inside=wanted.subdirectory)
        _refuse_empty(members.names, where)
        return _Found(file=file, tree=project_tree.read_tree(members, where, name=name))

    def _remote(self, path: str) -> str:
        return self._trees.folder(path).as_uri()

    def _archive(self, wanted: Reference, name: NormalizedName) -> _Found:
        if wanted.is_path:
            path, digest = self._client.named_path(self._trees.folder(wanted.place), sha256=wanted.sha256)
            url = path.as_uri()
        else:
            url = wanted.place
            path, digest = self._client.named_file(url, sha256=wanted.sha256 or self._earlier.digests.get(url))
        self._client.offer(url, path)
        filename = wanted.place.partition("?")[0].rpartition("/")[2]
        common = {"url": url, "sha256": digest, "size": path.stat().st_size}
        if filename.endswith(".whl"):
            return _Found(file=_archive_of(_wheel(filename, name, common), wanted, vouched=True), tree=None)
        with path.open("rb") as packed:
            members = source_tree.read_members(packed, filename, inside=wanted.subdirectory)
        _refuse_empty(members.names, filename)
        tree = project_tree.read_tree(members, filename, name=name)
        version = tree.version or UNKNOWN_VERSION
        sdist = _sdist(filename, name, version, common)
        return _Found(file=_archive_of(sdist, wanted, vouched=tree.is_sdist and _says(filename, version)), tree=tree)

    def checkout(self, commit: Vcs, folder: Path) -> Path:
        """Put a commit with its history and tags into a new folder. Raises IndexFault and UsageError."""
        place = commit.url or self._remote(commit.path or "")
        return self._repositories().checkout(place, commit.commit_id, commit.requested_revision, folder)


def _key(file: Direct) -> tuple[NormalizedName, str]:
    return file.name, source_of(file)


def _placed(error: DeepLockError, requirement: Requirement) -> DeepLockError:
    """Return the error with the place where the reference was written."""
    return type(error)(f"{requirement.origin or requirement.name}: {error.message}", hint=error.hint)


def _refuse_empty(names: frozenset[str], where: str) -> None:
    if not names & {"pyproject.toml", "setup.py", "setup.cfg"}:
        raise RequirementsInvalid(f"{where}: holds no Python project: no pyproject.toml")


def _wheel(filename: str, name: NormalizedName, common: Mapping[str, object]) -> Wheel:
    try:
        own, version, build, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        _refuse_name(filename)
    if own != name:
        raise NameMismatch(f"{filename}: is a wheel of {own!r}, not of {name!r}")
    return Wheel(
        filename=filename,
        name=name,
        version=version,
        build="".join(map(str, build)),
        tags="-".join(filename.removesuffix(".whl").split("-")[-3:]),
        url=str(common["url"]),
        sha256=str(common["sha256"]),
        size=int(str(common["size"])),
        upload_time=None,
        requires_python=None,
        yanked=None,
        index="",
        metadata=None,
    )


def _refuse_name(filename: str) -> NoReturn:
    raise RequirementsInvalid(f"{filename[:100]!r} is not the name of a wheel")


def _sdist(filename: str, name: NormalizedName, version: Version, common: Mapping[str, object]) -> SourceDistribution:
    return SourceDistribution(
        filename=filename,
        name=name,
        version=version,
        url=str(common["url"]),
        sha256=str(common["sha256"]),
        size=int(str(common["size"])),
        upload_time=None,
        requires_python=None,
        yanked=None,
        index="",
    )


def _says(filename: str, version: Version) -> bool:
    """Whether a file's name tells the version: then it is an sdist, and not just any archive."""
    try:
        return parse_sdist_filename(filename)[1] == version
    except (InvalidSdistFilename, ValueError):
        return False


def _archive_of(file: Wheel | SourceDistribution, wanted: Reference, *, vouched: bool) -> Archive:
    return Archive(
        name=file.name,
        file=file,
        place=wanted.place,
        is_path=wanted.is_path,
        version=str(file.version) if vouched else None,
        subdirectory=wanted.subdirectory,
    )
