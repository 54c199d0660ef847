"""The files of releases in one run: those of the indexes, less what hashes and the previous lock leave out.

Invariant: a release that the previous lock has keeps its files on the targets that used it there. A file that was added to
it later is taken where the user upgrades the project, where another target needs a file, or where none of the kept ones can
be taken any more. Adding a file to an old release is how some attacks began.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.index.client import IndexClient
from deep_lock.lockfile.index import files_of, is_gate
from deep_lock.lockfile.selection import installed_ever
from deep_lock.locking import imported_lock, user_hashes
from deep_lock.locking.settings import Settings
from deep_lock.models.distribution import Distribution, Installable, SourceDistribution, Wheel
from deep_lock.models.lock import Lock, LockedPackage, OptionValue
from deep_lock.models.resolution import Selection
from deep_lock.resolver.candidates import choose, sdists_allowed, sdists_first, wheels_allowed
from deep_lock.targets.target import Target

_Release = tuple[NormalizedName, Version, str]
"""With the index of a project whose index depends on conditions; "" of every other project."""


class _Kept(Struct, kw_only=True):
    """A release of the previous lock."""

    entry: LockedPackage
    names: frozenset[str]
    labels: set[str] = field(default_factory=set)
    """The targets that used it."""


class PreviousFiles:
    """The files that the previous lock has of each release, less those of projects that are upgraded."""

    def __init__(self, previous: Lock, settings: Settings) -> None:
        self._previous = previous
        self._settings = settings
        self._options: Mapping[str, OptionValue] = dict(previous.options)
        self._same_list = self._options.get("files", "used") == settings.files
        self.has_every_target = {target.label for target in settings.targets} <= {own.name for own in previous.targets}

    def get(self, name: NormalizedName, version: Version, index: str) -> _Kept | None:
        """Return the release; None where its files are chosen again."""
        kept = self._releases.get((name, version, index))
        if kept is None or not self._same_list or name in self._settings.upgrade.names:
            return None
        if self._settings.upgrade.builds and kept.entry.build_only:
            return None
        return kept if self._same_kinds(name) else None

    def _same_kinds(self, name: NormalizedName) -> bool:
        """Whether wheels and sdists of the project are chosen by the same rules as for the previous lock."""
        now, was = self._settings.selection, self._selection
        return all(rule(name, now) == rule(name, was) for rule in (wheels_allowed, sdists_allowed, sdists_first))

    @cached_property
    def _selection(self) -> Selection:
        names = {key: _names(self._options.get(key)) for key in ("no-binary", "only-binary", "allow-wheel")}
        scope = self._options.get("build-scope")
        return Selection(
            build_scope="all" if scope == "all" else "none" if scope == "none" else "needed",
            no_binary=names["no-binary"],
            only_binary=names["only-binary"],
            allow_wheel=names["allow-wheel"],
        )

    @cached_property
    def _releases(self) -> Mapping[_Release, _Kept]:
        lock, targets = self._previous, self._settings.targets
        labels = [target.name for target in lock.targets]
        found: dict[_Release, _Kept] = {}
        for entry in lock.packages:
            if entry.version is None or entry.source is not None:
                continue
            kept = _Kept(entry=entry, names=frozenset(file.name for file in files_of(entry)))
            if not is_gate(entry.marker):
                kept.labels |= {
                    target.label
                    for target in targets
                    if target.label in labels and installed_ever(lock, entry.marker, target)
                }
            release = canonicalize_name(entry.name), Version(entry.version)
            found[*release, ""] = found[*release, entry.index or ""] = kept
        for build in lock.builds:
            for member in (*build.packages, *(build.declared_packages or ())):
                kept_member = found.get((canonicalize_name(member.name), Version(member.version), ""))
                if kept_member is not None:
                    kept_member.labels |= set(build.targets or labels)
        return found


def _names(value: OptionValue | None) -> frozenset[str]:
    return frozenset(value) if isinstance(value, tuple) else frozenset()


class ReleaseFiles(Struct, frozen=True, kw_only=True):
    """The files of releases in one run. Each record that is None restricts nothing. ``index`` as in `IndexClient`."""

    client: IndexClient
    settings: Settings
    imported: "imported_lock.ImportedHashes | None"
    """The hashes of an imported lock."""
    by_user: "user_hashes.UserHashes | None"
    """The hashes of requirements files."""
    previous: PreviousFiles | None

    def files(self, name: NormalizedName, version: Version, target: Target, index: str = "") -> Sequence[Distribution]:
        """Return the files that a target may take. Raises IndexFault and HashMismatch."""
        files = self._hashed(name, version, index)
        kept = self._kept(name, version, index)
        if kept is None:
            return files
        # a target that is not locked runs hooks: it takes no file that was added later, if it needs none
        is_locked = any(target.label == own.label for own in self.settings.targets)
        if is_locked and target.label not in kept.labels:
            return files
        own = [file for file in files if file.filename in kept.names]
        return files if choose(own, target, self.settings.selection, yanked_ok=True) is None else own

    def every(self, name: NormalizedName, version: Version, index: str = "") -> Sequence[Distribution]:
        """Return the files that exist of a release, for any target. Raises as `files`.

        A release that had no wheel has none on the same targets now.
        """
        files, kept = self._hashed(name, version, index), self._kept(name, version, index)
        if kept is None or self.previous is None or not self.previous.has_every_target:
            return files
        if self.settings.files == "all":
            return [file for file in files if file.filename in kept.names]
        if kept.entry.sdist_only:
            return [file for file in files if not isinstance(file, Wheel)]
        return files

    def of_release(self, file: Distribution) -> Sequence[Distribution]:
        """Return every file of the release that a file belongs to. Raises as `files`."""
        return self.every(file.name, file.version, self.index_of(file))

    def index_of(self, file: Installable) -> str:
        """Return the index of a file if that of its project depends on conditions; else "".

        Then its release is another one than that of the same version on another index. A folder or a page is no index.
        """
        if isinstance(file, Wheel | SourceDistribution) and file.name in self.settings.network.conditional:
            return file.index if self.client.has_index(file.index) else ""
        return ""

    def _hashed(self, name: NormalizedName, version: Version, index: str) -> Sequence[Distribution]:
        files = self.client.files(name, version, index)
        if self.imported is not None:
            files = self.imported.kept(name, version, files)
        return files if self.by_user is None else self.by_user.kept(name, version, files)

    def _kept(self, name: NormalizedName, version: Version, index: str) -> _Kept | None:
        if self.previous is None or (self.imported is not None and self.imported.is_about(name, version)):
            return None
        return self.previous.get(name, version, index)
