"""The requirements that exclude a newer version: those of the project, and those of the packages that are locked with it.

Nothing is resolved. A bound of a locked package counts although another version of that package may not have it: then that one
has to be upgraded first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.analysis.graph import Explanations
from deep_lock.errors import NotFound, SafetyError
from deep_lock.lockfile.index import Key, LockIndex, called, key_of, parsed
from deep_lock.lockfile.selection import InstallSelection, full_selections, installed_packages
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel
from deep_lock.models.lock import LockedBuild, LockedDirectory, LockedPackage
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Selection
from deep_lock.operations.inputs import LockedIndexes
from deep_lock.reports.outdated import Blocker
from deep_lock.resolver.candidates import choose
from deep_lock.sdist import facts
from deep_lock.targets.target import Target, UnevaluableMarker, holds

UNKNOWN = "no file of it states its requirements"


class Environment(Struct, frozen=True, kw_only=True):
    """Where packages are installed together on a target: the run time, or one build."""

    target: Target
    build: LockedBuild | None
    required: tuple[Requirement, ...]
    """What the project, or the build, requires, with its constraints."""
    overrides: Mapping[str, tuple[Requirement, ...]]
    packages: Mapping[str, LockedPackage]
    parents: Mapping[str, tuple[str, ...]]
    """Names of the packages that depend on a name."""


class _Bound(Struct, frozen=True, kw_only=True):
    """One requirement on a name, and the package that has it: None is the project, or the build."""

    owner: LockedPackage | None
    requirement: Requirement | None
    """None: not known."""


class HeldBack:
    """Looks up bounds in the metadata of locked files. Each file is read once."""

    def __init__(self, lock_index: LockIndex, indexes: LockedIndexes, selection: Selection) -> None:
        self._lock_index = lock_index
        self._indexes = indexes
        self._client = indexes.client
        self._selection = selection
        self._explain = Explanations(lock_index)
        self._metadata: dict[tuple[Key, str], Metadata | None] = {}
        self._environments: dict[tuple[str, int], list[Environment]] = {}
        self._required: dict[tuple[Key, str, int], Sequence[Requirement] | None] = {}

    def prefetch(self, entry: LockedPackage, version: Version, targets: Iterable[Target]) -> None:
        """Fetch what `blockers` reads of the newer version, in the background."""
        files = self._client.files(canonicalize_name(entry.name), version, self._indexes.of(entry))
        for file in {choose(files, target, self._selection) for target in targets}:
            if isinstance(file, Wheel):
                self._client.wheel_metadata(file, ahead=True)

    def blockers(
        self, name: NormalizedName, version: Version, targets: Iterable[Target], build: LockedBuild | None
    ) -> tuple[Blocker, ...]:
        """Return what does not allow this version in the run time, or in a build, on any of these targets.

        Raises LockInvalid, UsageError and IndexFault.
        """
        found: dict[Blocker, None] = {}
        for target in targets:
            for environment in self._environments_on(target, build):
                for bound in self._bounds(name, environment, but=name):
                    if bound.requirement is None or not bound.requirement.specifier.contains(version, prereleases=True):
                        found[self._blocker(bound, environment)] = None
                found |= dict.fromkeys(self._unmet(name, version, environment))
        return tuple(found)

    def _blocker(self, bound: _Bound, environment: Environment, reason: str = "") -> Blocker:
        owner, build = bound.owner, environment.build
        subject = build if owner is None else owner
        inputs = self._lock_index.lock.inputs
        if subject is None and inputs.pinned:
            reason = reason or f"a pin of {', '.join(inputs.sources)}"
        return Blocker(
            package=called(subject) if subject is not None else "",
            requirement=str(bound.requirement) if bound.requirement is not None else "",
            reason=reason or ("" if bound.requirement is not None else UNKNOWN),
            chain=self._chain(owner, build) if owner is not None else (),
        )

    def _chain(self, owner: LockedPackage, build: LockedBuild | None) -> tuple[str, ...]:
        return self._explain.package(key_of(owner)) if build is None else self._explain.member(owner.name, [build])

    # -- bounds

    def _bounds(self, name: str, environment: Environment, *, but: str) -> Iterator[_Bound]:
        """Yield the requirements on a name in an environment, without those of the package ``but``."""
        if name in environment.overrides:
            for requirement in environment.overrides[name]:
                yield _Bound(owner=None, requirement=requirement)
            return
        for requirement in environment.required:
            if requirement.name == name:
                yield _Bound(owner=None, requirement=requirement)
        for parent in environment.parents.get(name, ()):
            owner = environment.packages[parent]
            if parent == but:
                continue
            requirements = self._requirements(owner, environment)
            if requirements is None:
                yield _Bound(owner=owner, requirement=None)
            for requirement in requirements or ():
                if requirement.name == name:
                    yield _Bound(owner=owner, requirement=requirement)

    def _unmet(self, name: NormalizedName, version: Version, environment: Environment) -> Iterator[Blocker]:
        """Yield the bounds that leave no version for what the newer version itself requires."""
        index = self._indexes.of(environment.packages.get(name))
        file = choose(self._client.files(name, version, index), environment.target, self._selection)
        metadata = self._read(file) if file is not None else None
        for needed in _applicable(parsed(metadata.requires_dist), environment.target) if metadata is not None else ():
            locked = environment.packages.get(needed.name)
            admits_locked = (
                locked is not None
                and locked.version is not None
                and needed.specifier.contains(locked.version, prereleases=True)
            )
            if admits_locked or needed.name == name or needed.url is not None or needed.name in environment.overrides:
                continue
            if not self._is_possible((needed,), environment):
                yield Blocker(package=f"{name} {version}", requirement=str(needed), reason="no version is usable")
                continue
            for bound in self._bounds(needed.name, environment, but=name):
                if bound.requirement is None or not self._is_possible((needed, bound.requirement), environment):
                    yield self._blocker(bound, environment, f"{name} {version} requires {needed}")

    def _is_possible(self, requirements: Sequence[Requirement], environment: Environment) -> bool:
        """Whether the index has a version that all of these requirements on one project allow, with a file for the target."""
        name = requirements[0].name
        index = self._indexes.of(environment.packages.get(name))
        return any(
            choose(self._client.files(name, version, index), environment.target, self._selection) is not None
            for version in self._client.versions(name, index)
            if all(own.specifier.contains(version, prereleases=True) for own in requirements)
        )

    def _requirements(self, entry: LockedPackage, environment: Environment) -> Sequence[Requirement] | None:
        """Return what a locked package requires on the target, with the extras that are used; None where it is not known."""
        key = key_of(entry), environment.target.label, id(environment.build)
        if key not in self._required:
            self._required[key] = self._read_requirements(entry, environment)
        return self._required[key]

    def _read_requirements(self, entry: LockedPackage, environment: Environment) -> Sequence[Requirement] | None:
        if isinstance(entry.source, LockedDirectory):
            trees = [tree for tree in self._lock_index.lock.inputs.trees if tree.path == entry.source.path]
            texts = trees[0].requirements if trees else None
            return None if texts is None else _applicable(parsed(texts), environment.target)
        metadata = self._metadata_of(entry, environment.target)
        if metadata is None:
            return None
        return _applicable(parsed(metadata.requires_dist), environment.target, self._extras(entry, environment))

    def _extras(self, entry: LockedPackage, environment: Environment) -> tuple[str, ...]:
        """Return the extras with which a package is required, by the project or by another package."""
        extras = {extra for own in environment.required if own.name == entry.name for extra in own.extras}
        for parent in environment.parents.get(entry.name, ()):
            metadata = self._metadata_of(environment.packages[parent], environment.target)
            for requirement in parsed(metadata.requires_dist) if metadata is not None else ():
                if requirement.name == entry.name:
                    extras |= requirement.extras
        return ("", *sorted(extras))

    # -- metadata

    def _metadata_of(self, entry: LockedPackage, target: Target) -> Metadata | None:
        """Return the metadata of the file that the target takes; None where no file states it."""
        if entry.source is not None or entry.version is None:
            return None
        name, version, index = canonicalize_name(entry.name), Version(entry.version), self._indexes.of(entry)
        if version not in self._client.versions(name, index):
            return None
        files = self._client.files(name, version, index)
        file = choose(files, target, self._selection, yanked_ok=True)
        if not isinstance(file, Wheel):  # a wheel for another target says what the sdist may not
            file = next((own for own in files if isinstance(own, Wheel)), file)
        if file is None:
            return None
        key = key_of(entry), file.filename
        if key not in self._metadata:
            self._metadata[key] = self._read(file)
        return self._metadata[key]

    def _read(self, file: Distribution) -> Metadata | None:
        try:
            if isinstance(file, Wheel):
                return self._client.wheel_metadata(file)
            if isinstance(file, SourceDistribution):
                with self._client.open_sdist(file) as archive:
                    read = facts.read_sdist(archive, filename=file.filename, name=file.name, version=file.version)
                return read.metadata
        except (SafetyError, NotFound):
            pass
        return None

    # -- environments

    def _environments_on(self, target: Target, build: LockedBuild | None) -> list[Environment]:
        """Return the environment of a build, or one run time for each of the largest selections."""
        key = target.label, id(build)
        if key not in self._environments:
            selections = full_selections(self._lock_index.lock)
            self._environments[key] = (
                [self._runtime(target, selection) for selection in selections]
                if build is None
                else [self._build(target, build)]
            )
        return self._environments[key]

    def _runtime(self, target: Target, selection: InstallSelection) -> Environment:
        inputs = self._lock_index.lock.inputs
        extras = [texts for name, texts in inputs.extras if name in selection.extras]
        groups = [texts for name, texts in inputs.dependency_groups if name in selection.groups]
        required = [text for texts in (inputs.requirements, inputs.constraints, *extras, *groups) for text in texts]
        entries = installed_packages(self._lock_index, target, selection)
        parents: dict[str, list[str]] = {}
        for entry in entries:
            for reference in entry.dependencies:
                parents.setdefault(reference.name, []).append(entry.name)
        return Environment(
            target=target,
            build=None,
            required=_applicable(parsed(required), target),
            overrides=_by_name(_applicable(parsed(inputs.overrides), target)),
            packages={entry.name: entry for entry in entries},
            parents={name: tuple(names) for name, names in parents.items()},
        )

    def _build(self, target: Target, build: LockedBuild) -> Environment:
        entries = self._lock_index.entries
        parents: dict[str, list[str]] = {}
        for member in build.packages:
            for name in member.dependencies:
                parents.setdefault(name, []).append(member.name)
        return Environment(
            target=target,
            build=build,
            required=_applicable(
                parsed((*build.all_requires, *self._lock_index.lock.inputs.build_constraints)), target
            ),
            overrides={},
            packages={member.name: entries[key_of(member)] for member in build.packages if key_of(member) in entries},
            parents={name: tuple(names) for name, names in parents.items()},
        )


def _applicable(
    requirements: Iterable[Requirement], target: Target, extras: Sequence[str] = ("",)
) -> tuple[Requirement, ...]:
    """Return the requirements that apply. A marker that cannot be evaluated counts: the bound may be one."""
    found: list[Requirement] = []
    for requirement in requirements:
        try:
            applies = holds(requirement.marker, target, extras)
        except UnevaluableMarker:
            applies = True
        found += [requirement] if applies else []
    return tuple(found)


def _by_name(requirements: Iterable[Requirement]) -> dict[str, tuple[Requirement, ...]]:
    found: dict[str, tuple[Requirement, ...]] = {}
    for requirement in requirements:
        found[requirement.name] = (*found.get(requirement.name, ()), requirement)
    return found
