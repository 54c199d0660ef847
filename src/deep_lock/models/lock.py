"""The finished graph of resolutions, as the tables of `deep.lock` (PEP 751 plus ``[tool.deep-lock]``).

Field names are the file's keys with ``-`` for ``_``. None and empty mean: the key is not written.
Everything here is text and numbers, in the order of the file: a Lock is the content of the file.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from deep_lock.models.build_system import ConfigSettings, Evidence
from deep_lock.models.conflicts import Conflict
from deep_lock.models.workspace import Member

LOCK_NAME = "deep.lock"
"""The name of the file, where no other one is set."""
LOCK_VERSION = "1.0"
CREATED_BY = "deep-lock"
VERSION = 1
REVISION = 0
FORM_VERSION = 1
"""The version of the text of a lock: it goes up where the same lock is written as another text."""
BUILD_GROUP = "deep-lock-build"
BUILD_MARKER = f"'{BUILD_GROUP}' in dependency_groups"
"""The marker of build-only packages: no installer selects a group that is not listed."""

HashOrigin = Literal["computed"]
Needed = Literal["always", "targets", "forced", "scope", "project", "direct"]
"""Why a release is built: it has no wheel, none for these targets, no-binary, build scope "all", it is the project, or a
direct source."""
RequiresFrom = Literal["pyproject", "default", "user"]
LockedHook = Literal["editable"]
Ending = Literal["self-hosted"]
Identity = tuple[tuple[str, str], ...]
"""A publisher, as PEP 751 records it: its texts by key, sorted; "kind" is one of them."""
OptionValue = str | int | bool | datetime | tuple[str, ...]


# gc=False: a lock has thousands of these records, and none can be part of a reference cycle.
class LockedFile(Struct, frozen=True, kw_only=True, gc=False):
    """A wheel or an sdist. ``sha256`` is lower-case hex; ``size`` in bytes; ``upload_time`` aware, UTC.

    Exactly one of ``url`` and ``path`` is set.
    """

    name: str
    url: str | None = None
    path: str | None = None
    """Of a file in a folder (--find-links): relative to the folder of the lock, with "/"."""
    sha256: str
    upload_time: datetime | None = None
    size: int | None = None


class LockedDirectory(Struct, frozen=True, kw_only=True, rename="kebab"):
    """``packages.directory``: a source tree with a path."""

    path: str
    editable: bool = False
    subdirectory: str | None = None


class LockedVcs(Struct, frozen=True, kw_only=True):
    """``packages.vcs``: one commit of a git repository. Exactly one of ``url`` and ``path`` is set."""

    url: str | None = None
    path: str | None = None
    requested_revision: str | None = None
    commit_id: str
    subdirectory: str | None = None


class LockedArchive(Struct, frozen=True, kw_only=True):
    """``packages.archive``: a file that is a direct source. Exactly one of ``url`` and ``path`` is set."""

    url: str | None = None
    path: str | None = None
    size: int | None = None
    sha256: str
    subdirectory: str | None = None


LockedSource = LockedDirectory | LockedVcs | LockedArchive


def source_text(source: LockedSource | None) -> str:
    """Return the location of a direct source, as build records have it; "" for a release of an index."""
    match source:
        case None:
            return ""
        case LockedDirectory():
            start = source.path
        case LockedVcs():
            start = f"git+{source.url or f'file:{source.path}'}@{source.commit_id}"
        case LockedArchive():
            start = source.url or source.path or ""
    return f"{start}#subdirectory={source.subdirectory}" if source.subdirectory else start


class LockedReference(Struct, frozen=True, kw_only=True, gc=False):
    """Names exactly one package. ``version`` and ``source`` are set only if there are several of the name.

    ``index`` is set only if there are several of the name and the version.
    """

    name: str
    version: str | None = None
    index: str | None = None
    source: LockedSource | None = None


class LockedMarks(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The ``[packages.tool.deep-lock]`` table of a package. A mark is written only if it is true."""

    build_only: bool = False
    also_build: bool = False
    by_index: bool = False
    """Whether the lock has the same version of another index too. Neither is a part of a build."""
    sdist_only: bool = False
    build_on: tuple[str, ...] = ()
    direct: bool = False
    build: str | None = None
    """"name==version" of the build record of its sdist, "name @ source" of a direct reference."""
    metadata: Evidence | None = None
    """The evidence for an sdist's own Requires-Dist, if it was not plain metadata."""
    license: str | None = None
    """The License-Expression of the release, if it is one (PEP 639)."""
    license_classifiers: tuple[str, ...] = ()
    """The classifiers about the license of a release that has no License-Expression."""
    yanked: str | None = None
    """The reason, which may be empty, if a file was yanked when it was locked (PEP 592)."""
    hash_origin: HashOrigin | None = None
    """Set if the index has no sha256, and it was computed from the file."""
    no_source: bool = False
    """Build scope "all", and the user allowed a wheel for the release."""


class LockedPackage(LockedMarks, frozen=True, kw_only=True):
    """One ``[[packages]]`` table: a release, its files, and deep-lock's marks. (name, version, source) is unique.

    With ``by_index`` it is not, and (name, version, index) is.
    """

    name: str
    version: str | None
    """None for a source tree that is a direct source (PEP 751)."""
    marker: str | None = None
    requires_python: str | None = None
    dependencies: tuple[LockedReference, ...] = ()
    index: str | None = None
    """None only if no file is from an index: all have a path, or the package has a direct source."""
    source: LockedSource | None = None
    """Written as ``vcs``, ``directory`` or ``archive``: then there are neither an index nor files."""
    sdist: LockedFile | None = None
    wheels: tuple[LockedFile, ...] = ()
    attestation_identities: tuple[Identity, ...] = ()
    """The publishers that the index attests (PEP 740) for every file."""


class EnvironmentMember(Struct, frozen=True, kw_only=True, rename="kebab", gc=False):
    """One package of a build environment, with the names that it requires in that environment."""

    name: str
    version: str
    dependencies: tuple[str, ...] = ()


class LockedBuild(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One ``[[tool.deep-lock.builds]]`` record: an sdist (or the project), its build environment, and the evidence."""

    name: str
    version: str | None = None
    """None for the project if its version is dynamic, and for a source tree that is a direct source."""
    source: str | None = None
    """"." for the project itself; for a direct source its location (`source_text`)."""
    hook: LockedHook | None = None
    """"editable" for the project's build as an editable installation; None for a wheel, which comes first."""
    sdist: str | None = None
    """"sha256:..." of the archive that the declarations were read from."""
    cargo_lock: str | None = None
    """"sha256:..." of the sdist's own Cargo.lock: its crates are outside of this lock."""
    needed: Needed
    targets: tuple[str, ...] = ()
    """Labels; empty is all targets of the lock."""
    backend: str
    backend_path: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    requires_user: tuple[str, ...] = ()
    """Added by the user (``extra-build-requires``); the sdist itself does not require them."""
    requires_from: RequiresFrom
    """The origin of ``requires``; "user" if it is empty, and all declared requirements are the user's."""
    requires_dynamic: tuple[str, ...] | None = None
    """Added by the hook; () is known to be none; None is not known, and the key is absent."""
    conditional: str = ""
    evidence: Evidence
    observed_on: str | None = None
    packages: tuple[EnvironmentMember, ...] = ()
    declared_packages: tuple[EnvironmentMember, ...] | None = None
    """The environment in which the hook runs, only if it differs from that of the build."""
    ends: Ending | None = None
    """Why it has no environment: an in-tree backend that requires nothing."""

    @property
    def all_requires(self) -> tuple[str, ...]:
        """All build requirements that are known: declared, of the user, and of the hook."""
        return (*self.requires, *self.requires_user, *(self.requires_dynamic or ()))


class LockedTarget(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One declared target; ``marker`` holds on no declared target of another platform or Python."""

    name: str
    marker: str
    python: str
    platform: str


class LockedTree(Struct, frozen=True, kw_only=True, rename="kebab"):
    """A folder that the project names, with its own metadata: if that changes, the lock is stale."""

    path: str
    """Relative to the folder of the lock."""
    requirements: tuple[str, ...] | None = None
    """None if only its backend knows them."""
    build_requires: tuple[str, ...] = ()
    requires_python: str | None = None


class LockedInputs(Struct, frozen=True, kw_only=True):
    """The inputs of the lock: sorted texts, compared by meaning and not by digest."""

    sources: tuple[str, ...] = ()
    pinned: bool = False
    """Whether the lists below are the runtime pins of another tool's lock, not the project's requirements."""
    requirements: tuple[str, ...] = ()
    extras: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dependency_groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    """Sorted, each sorted: of the extras and groups of the lock only."""
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    build_constraints: tuple[str, ...] = ()
    extra_build_requires: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """By project: the user's additions to the build requirements of its sdists."""
    config_settings: tuple[tuple[str, ConfigSettings], ...] = ()
    """By project: ``config_settings`` for its build backend, in every call of a hook. None is empty."""
    build_requires: tuple[str, ...] | None = None
    """The project's own ``[build-system] requires``; None if it is not built."""
    members: tuple[Member, ...] = ()
    """Of the workspace, sorted by name; without them the lock is of one project."""
    trees: tuple[LockedTree, ...] = ()


class Lock(Struct, frozen=True, kw_only=True):
    """The content of one `deep.lock`."""

    environments: tuple[str, ...] = ()
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    dependency_groups: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()
    version: int = VERSION
    revision: int = REVISION
    inputs: LockedInputs
    options: tuple[tuple[str, OptionValue], ...] = ()
    """Sorted by key: the settings that affect the result."""
    indexes: tuple[tuple[str, str], ...] = ()
    """(name, URL); "default" first, then sorted by name."""
    targets: tuple[LockedTarget, ...] = ()
    packages: tuple[LockedPackage, ...] = ()
    builds: tuple[LockedBuild, ...] = ()
