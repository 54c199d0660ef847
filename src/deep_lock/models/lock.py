"""The finished graph of resolutions, as the tables of `deep.lock` (PEP 751 plus ``[tool.deep-lock]``).

Field names are the file's keys with ``-`` for ``_``. None and empty mean: the key is not written. ``unknown`` holds
keys of a newer revision as (key, TOML value text): they outlive a rewrite by an older deep-lock.
Everything here is text and numbers, sorted as the file is: a Lock is what the file says, not how it came about.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from deep_lock.models.build_system import ConfigSettings, Evidence

LOCK_VERSION = "1.0"
CREATED_BY = "deep-lock"
VERSION = 1
REVISION = 0
BUILD_GROUP = "deep-lock-build"
BUILD_MARKER = f"'{BUILD_GROUP}' in dependency_groups"
"""Gates build-only entries: no ordinary install selects an unlisted group."""

HashOrigin = Literal["computed"]
Needed = Literal["always", "targets", "forced", "scope", "project", "direct"]
"""Why a release is built: no wheel at all, none for these targets, no-binary, build scope "all", the project itself, a
source tree that was named directly."""
RequiresFrom = Literal["pyproject", "default", "user"]
LockedHook = Literal["editable"]
Ending = Literal["self-hosted"]
OptionValue = str | int | bool | datetime | tuple[str, ...]


class LockedFile(Struct, frozen=True, kw_only=True):
    """A wheel or an sdist. ``sha256`` is lower-case hex; ``size`` in bytes; ``upload_time`` aware, UTC.

    Exactly one of ``url`` and ``path`` is set.
    """

    name: str
    url: str | None = None
    path: str | None = None
    """Of a file in a folder (--find-links): seen from the folder of the lock, with "/"."""
    sha256: str
    upload_time: datetime | None = None
    size: int | None = None


class LockedDirectory(Struct, frozen=True, kw_only=True, rename="kebab"):
    """``packages.directory``: a source tree beside the lock."""

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
    """``packages.archive``: a file that was named by itself. Exactly one of ``url`` and ``path`` is set."""

    url: str | None = None
    path: str | None = None
    size: int | None = None
    sha256: str
    subdirectory: str | None = None


LockedSource = LockedDirectory | LockedVcs | LockedArchive


def source_text(source: LockedSource | None) -> str:
    """Return where a direct reference leads, as build records name it; "" for a release of an index."""
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


class LockedReference(Struct, frozen=True, kw_only=True):
    """Names exactly one entry. ``version`` and ``source`` only where a name has more than one."""

    name: str
    version: str | None = None
    source: LockedSource | None = None


class LockedPackage(Struct, frozen=True, kw_only=True):
    """One ``[[packages]]`` entry: a release, its files, and deep-lock's marks. (name, version, source) is unique."""

    name: str
    version: str | None
    """None for a source tree that was named directly (PEP 751)."""
    marker: str | None = None
    requires_python: str | None = None
    dependencies: tuple[LockedReference, ...] = ()
    index: str | None = None
    """None only where no file came from an index: all have a path, or the entry has a source."""
    source: LockedSource | None = None
    """Written as ``vcs``, ``directory`` or ``archive``: then there are neither an index nor files."""
    sdist: LockedFile | None = None
    wheels: tuple[LockedFile, ...] = ()
    attestation_identities: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Who published, as the index vouches (PEP 740): each a sorted table of texts that has "kind"."""
    # [packages.tool.deep-lock], written only when true:
    build_only: bool = False
    also_build: bool = False
    sdist_only: bool = False
    build_on: tuple[str, ...] = ()
    direct: bool = False
    build: str | None = None
    """"name==version" of the build record of its sdist, "name @ source" of a direct reference."""
    metadata: Evidence | None = None
    """How an sdist's own Requires-Dist is known, where it was not plain metadata."""
    license: str | None = None
    """The SPDX expression that the release states of itself (PEP 639); None where it states none in this form."""
    yanked: str | None = None
    """The reason, which may be empty, where a file was yanked when it was locked (PEP 592); None where none was."""
    hash_origin: HashOrigin | None = None
    """Set where the index gave no sha256 and the bytes were hashed here."""
    no_source: bool = False
    """Build scope "all", and the release came as a wheel because the user allowed it."""
    unknown: tuple[tuple[str, str], ...] = ()


class EnvironmentMember(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One package of a build environment, with the names that it needs inside that environment."""

    name: str
    version: str
    dependencies: tuple[str, ...] = ()


class LockedBuild(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One ``[[tool.deep-lock.builds]]`` record: an sdist (or the project), its build environment, and the evidence."""

    name: str
    version: str | None = None
    """None for the project where its version is dynamic, and for a source tree that was named directly."""
    source: str | None = None
    """"." for the project itself; for a direct reference where it leads (`source_text`)."""
    hook: LockedHook | None = None
    """"editable" where it is the project's build as an editable installation; None is as a wheel, which comes first."""
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
    """What the user added (``extra-build-requires``); the sdist itself does not ask for it."""
    requires_from: RequiresFrom
    """Where ``requires`` comes from; "user" where it is empty and all that is declared is the user's."""
    requires_dynamic: tuple[str, ...] | None = None
    """What the hook added; () is "asked (or proven), and nothing"; None is not known: the key is absent."""
    conditional: str = ""
    evidence: Evidence
    observed_on: str | None = None
    packages: tuple[EnvironmentMember, ...] = ()
    declared_packages: tuple[EnvironmentMember, ...] | None = None
    """The first stage, only where it differs from the final one."""
    ends: Ending | None = None
    """How the walk ended here: an in-tree backend that requires nothing."""
    unknown: tuple[tuple[str, str], ...] = ()

    @property
    def all_requires(self) -> tuple[str, ...]:
        """All build requirements that are known: declared, of the user, and of the hook."""
        return (*self.requires, *self.requires_user, *(self.requires_dynamic or ()))


class LockedTarget(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One declared target; ``marker`` holds on it and on no other declared target of another platform or Python."""

    name: str
    marker: str
    python: str
    platform: str
    unknown: tuple[tuple[str, str], ...] = ()


class LockedTree(Struct, frozen=True, kw_only=True, rename="kebab"):
    """A folder that the project names, as it described itself: where that changes, the lock is stale."""

    path: str
    """Seen from the folder of the lock."""
    requirements: tuple[str, ...] | None = None
    """None where only its backend knows them."""
    build_requires: tuple[str, ...] = ()
    requires_python: str | None = None
    unknown: tuple[tuple[str, str], ...] = ()


class LockedInputs(Struct, frozen=True, kw_only=True):
    """What the lock was made from: sorted texts, compared by meaning, never by digest."""

    sources: tuple[str, ...] = ()
    pinned: bool = False
    """Whether the lists below are the runtime pins of another tool's lock, not what the project asks for."""
    requirements: tuple[str, ...] = ()
    extras: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dependency_groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    build_constraints: tuple[str, ...] = ()
    extra_build_requires: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """By project: what the user adds to the build requirements of its sdists."""
    config_settings: tuple[tuple[str, ConfigSettings], ...] = ()
    """By project: what its build backend is told, in every call of a hook. None is empty."""
    build_requires: tuple[str, ...] | None = None
    """The project's own ``[build-system] requires``; None where it is not built."""
    trees: tuple[LockedTree, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()


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
    """Sorted by key; only what differs from nothing: settings that change the answer."""
    indexes: tuple[tuple[str, str], ...] = ()
    """(name, URL); "default" first, then sorted by name."""
    targets: tuple[LockedTarget, ...] = ()
    packages: tuple[LockedPackage, ...] = ()
    builds: tuple[LockedBuild, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()
