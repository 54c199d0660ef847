"""The closure's Sources: indexes, source files and build backends of one run.

``index`` of a method as in `IndexClient`: the only index of a project, where it depends on the problem.

The path of an sdist: `versions` and `files` list it, `metadata` returns its metadata or requires a build, `inspect`
returns what is built, `build_requirements` what its build needs, and `learn_metadata` what only its backend knows.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.builds.backend_answers import HookRunner
from deep_lock.closure.model import Builds, Built, HookElsewhere, Plan, Subject
from deep_lock.errors import MetadataInvalid
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.settings import FILE_SECONDS
from deep_lock.index.workers import OnceMap
from deep_lock.locking.direct_sources import DirectSources
from deep_lock.locking.prefetch import Prefetcher
from deep_lock.locking.previous_lock import PreviousAnswers
from deep_lock.locking.release_files import ReleaseFiles
from deep_lock.models.build_system import FACTS_VERSION, HookAnswer, KnownMetadata, SdistFacts
from deep_lock.models.distribution import (
    Archive,
    Buildable,
    Distribution,
    Installable,
    SourceDistribution,
    Wheel,
    source_of,
)
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import UNKNOWN_VERSION, BuildRequest, Candidate, Problem, Resolved
from deep_lock.resolver.candidates import CONTENT_FAULTS
from deep_lock.resolver.catalog import Catalog
from deep_lock.sdist import facts as facts_module
from deep_lock.sdist.backends import answer as backend
from deep_lock.targets.target import Target

_encode_facts = msgspec.msgpack.Encoder().encode
_decode_facts = msgspec.msgpack.Decoder(SdistFacts).decode
_KIND = f"sdist-facts-{FACTS_VERSION}"
_SourceKey = tuple[NormalizedName, Version | str, str]
"""With the index of an sdist."""


class IndexCatalog:
    """Implements `closure.model.Sources` and `assemble.FileCatalog`."""

    def __init__(
        self,
        *,
        client: IndexClient,
        cache: Cache,
        direct: DirectSources,
        hooks: HookRunner,
        plan: Plan,
        previous: PreviousAnswers,
        releases: ReleaseFiles,
    ) -> None:
        self._client = client
        self._cache = cache
        self._direct = direct
        self._hooks = hooks
        self._plan = plan
        self._previous = previous
        self._releases = releases
        self._required: set[tuple[NormalizedName, str]] = set()
        """Projects for which `UserHashes.require_any` was called."""
        self._facts: OnceMap[tuple[str, str], SdistFacts] = OnceMap()
        """By file name and index."""
        self._learned: dict[_SourceKey, KnownMetadata] = {}
        """Metadata that a backend returned, or that are assumed in its place."""
        self._bad_answers: dict[_SourceKey, MetadataInvalid] = {}
        """Metadata of another project or version that a backend returned."""
        self.refused: dict[tuple[NormalizedName, Version], str] = {}
        """Why the contents of a release are refused, for each one whose metadata were required."""
        first = plan.runtime[0]
        self._prefetcher = Prefetcher(
            client, self._sdist_facts, first, dict(plan.build_indexes.get(first.target.label, ()))
        )

    # -- the resolver's Catalog

    def for_problem(self, problem: Problem) -> Catalog:
        return _WithIndexes(self, dict(problem.indexes)) if problem.indexes else self

    def versions(self, name: NormalizedName, index: str = "") -> Sequence[Version]:
        versions = self._client.versions(name, index)
        by_user = self._releases.by_user
        if by_user is not None and (name, index) not in self._required:
            self._required.add((name, index))
            by_user.require_any(name, versions, lambda version: self._client.files(name, version, index))
        return versions

    def knows(self, name: NormalizedName, index: str = "") -> bool:
        return self._client.knows(name, index)

    def files(self, name: NormalizedName, version: Version, target: Target, index: str = "") -> Sequence[Distribution]:
        return self._releases.files(name, version, target, index)

    def every_file(self, name: NormalizedName, version: Version, index: str = "") -> Sequence[Distribution]:
        return self._releases.every(name, version, index)

    def index_of(self, file: Installable) -> str:
        """Return the index of a file as `ReleaseFiles.index_of`."""
        return self._releases.index_of(file)

    def metadata(self, candidate: Candidate, target: Target) -> Metadata | BuildRequest:
        try:
            return self._metadata(candidate, target)
        except CONTENT_FAULTS as fault:
            self.refused[candidate.name, candidate.version] = fault.message
            raise

    def _metadata(self, candidate: Candidate, target: Target) -> Metadata | BuildRequest:
        file = candidate.distribution
        if isinstance(file, Wheel):
            return self._client.wheel_metadata(file)
        if _key(file) in self._bad_answers:
            raise self._bad_answers[_key(file)]
        known = self.known_metadata(file)
        if known is not None:
            return known.metadata
        return self._request_build(file, candidate.version, target) or self._learned[_key(file)].metadata

    def direct(self, requirement: Requirement, target: Target, *, needs_version: bool) -> Candidate | BuildRequest:
        found = self._direct.follow(requirement)
        version, learned = found.version, self._learned.get(_key(found.file))
        if learned is not None and learned.evidence == "observed":
            version = Version(learned.metadata.version)
        if needs_version and version is None and learned is None:
            request = self._request_build(found.file, UNKNOWN_VERSION, target)
            if request is not None:
                return request
        return Candidate(name=requirement.name, version=version or UNKNOWN_VERSION, distribution=found.file)

    def prefetch(
        self,
        requirements: Sequence[Requirement],
        candidates: Sequence[Candidate] = (),
        indexes: Mapping[NormalizedName, str] = MappingProxyType({}),
    ) -> None:
        self._prefetcher.prefetch(requirements, candidates, indexes)

    # -- builds

    def inspect(self, source: Buildable) -> Subject:
        version = source.version if isinstance(source, SourceDistribution) else self._direct.tree(source).version
        return Subject(
            name=source.name,
            version=None if version is None else str(version),
            source=source,
            facts=self._source_facts(source),
            added=self._plan.extra_build_requires.get(source.name, ()),
            config_settings=self._plan.config_settings.get(source.name, ()),
        )

    def build_requirements(
        self, subject: Subject, environment: Resolved, target: Target, builds: Builds
    ) -> HookAnswer | HookElsewhere:
        """Answer by static proof, else by the hook, else from the previous lock, else by assumption."""
        pins = {pin.name: pin.version for pin in environment.pins}
        proven = backend.answer(subject.facts, target, environment=pins, hook=subject.hook)
        if proven.evidence == "static" and not self._plan.observe_all:
            return proven
        fallback = proven
        if proven.evidence == "assumed":
            fallback = self._previous.answer(subject, environment, target) or proven
        hook_target = self._hooks.machine.hook_target(subject.name, target)
        if hook_target is None:
            return fallback
        if hook_target != target:
            return HookElsewhere(target=hook_target, fallback=fallback)
        return fallback.replaced_by(self._hooks.requires(subject, environment, target, builds))

    def learn_metadata(self, request: BuildRequest, built: Built | None, builds: Builds) -> None:
        source = request.source
        try:
            metadata = None if built is None else self._hooks.metadata(built, builds)
        except MetadataInvalid as fault:
            if not isinstance(source, SourceDistribution):
                raise  # a direct reference: there is no other version
            self._bad_answers[_key(source)] = fault
            return
        if metadata is None:
            self._assume(source, request.version)
            return
        if not isinstance(source, SourceDistribution):
            metadata = self._direct.localized(source, metadata)
        self._learned[_key(source)] = KnownMetadata(metadata=metadata, evidence="observed")

    def _request_build(self, source: Buildable, version: Version, target: Target) -> BuildRequest | None:
        """Return the request for a build that makes the metadata known; None where they are assumed instead."""
        hook_target = None
        if self._plan.runtime[0].selection.build_scope != "none":
            hook_target = self._hooks.machine.hook_target(source.name, target)
        if hook_target is None:
            self._assume(source, version)
            return None
        return BuildRequest(name=source.name, version=version, source=source, target=hook_target)

    def _assume(self, source: Buildable, version: Version) -> None:
        metadata, assumed_from = self._guess(source, version)
        self._learned[_key(source)] = KnownMetadata(metadata=metadata, evidence="assumed", assumed_from=assumed_from)

    def _guess(self, source: Buildable, version: Version) -> tuple[Metadata, str]:
        """Return the best guess at metadata that only a backend knows, and its source as text."""
        if isinstance(source, SourceDistribution):
            wheels = [file for file in self._releases.of_release(source) if isinstance(file, Wheel)]
            if wheels:
                return self._client.wheel_metadata(wheels[0]), f"the wheel {wheels[0].filename}"
            facts = self._source_facts(source)
            guess, origin = facts.guess, facts.contradiction or "what the sdist was shipped with"
        else:
            facts = self._source_facts(source)
            guess, origin = facts.metadata or facts.guess, "what its files list"
        if guess is not None:
            return guess, origin
        return Metadata(name=source.name, version=str(version)), "nothing: none are known"

    # -- facts of source files

    def _source_facts(self, source: Buildable) -> SdistFacts:
        """Return the facts of a source, as far as they hold in a build that the user changes.

        Raises IndexFault or SafetyError.
        """
        if isinstance(source, SourceDistribution):
            return self._sdist_facts(source)
        return self._weakened(source.name, self._direct.tree(source).facts)

    def _sdist_facts(self, sdist: SourceDistribution) -> SdistFacts:
        return self._facts.get(
            (sdist.filename, sdist.index),
            lambda: self._weakened(sdist.name, self._cached_facts(sdist) or self._read_facts(sdist)),
        )

    def _weakened(self, name: NormalizedName, facts: SdistFacts) -> SdistFacts:
        """Return what is still proven where the user adds build requirements or gives config settings."""
        if name in self._plan.config_settings:
            facts = backend.with_config_settings(facts)
        added = self._plan.extra_build_requires.get(name)
        return (
            backend.with_added_requirements(facts, tuple(requirement.name for requirement in added)) if added else facts
        )

    def _cached_facts(self, sdist: SourceDistribution) -> SdistFacts | None:
        record = self._cache.get_record(_KIND, sdist.sha256) if sdist.sha256 else None
        if record is None:
            return None
        try:
            return _decode_facts(record)
        except (ValueError, RecursionError):
            return None

    def _read_facts(self, sdist: SourceDistribution) -> SdistFacts:
        with self._cache.once(_KIND, sdist.sha256 or sdist.url, seconds=FILE_SECONDS) as may_be_new:
            return (self._cached_facts(sdist) if may_be_new else None) or self._read_archive(sdist)

    def _read_archive(self, sdist: SourceDistribution) -> SdistFacts:
        with self._client.open_sdist(sdist) as file:
            facts = facts_module.read_sdist(file, filename=sdist.filename, name=sdist.name, version=sdist.version)
            is_proven = facts.metadata is not None and facts.declared_hook is not None
            if not is_proven and self._hooks.machine.is_allowed(sdist.name):
                file.seek(0)
                self._client.cache_file(file, sdist)  # a hook will run, and needs the whole file
        if sdist.sha256:
            self._cache.put_record(_KIND, sdist.sha256, _encode_facts(facts))
        return facts

    @property
    def lacking(self) -> Mapping[str, str]:
        """The module without which a hook failed, by its subject."""
        return self._hooks.lacking

    # -- what the lock records

    def known_metadata(self, file: Installable) -> KnownMetadata | None:
        if isinstance(file, Archive) and isinstance(file.file, Wheel):
            file = file.file
        if isinstance(file, Wheel):
            return KnownMetadata(metadata=self._client.wheel_metadata(file))
        learned = self._learned.get(_key(file))
        if learned is not None:
            return learned
        facts = self._source_facts(file)
        if facts.metadata is None:
            return None
        return KnownMetadata(
            metadata=facts.metadata, evidence=None if facts.metadata_source == "pkg-info" else "static"
        )

    def digest(self, file: Distribution) -> str:
        return self._client.digest(file)

    def stated_url(self, file: Distribution) -> str:
        return self._client.stable_url(file)

    def unsigned_urls(self) -> Mapping[str, frozenset[str]]:
        """Return the projects with files that are stated without the signature of their URL, by host."""
        return self._client.unsigned_urls()

    def status(self, name: NormalizedName, index: str) -> str | None:
        """Return the status of a project that an index does not call active, with the reason (PEP 792). Untrusted text."""
        return self._client.status(name, index)


class _WithIndexes:
    """The catalog of a problem in which some projects have an index of their own."""

    def __init__(self, catalog: IndexCatalog, indexes: Mapping[NormalizedName, str]) -> None:
        self._catalog = catalog
        self._indexes = indexes
        self.metadata = catalog.metadata
        self.direct = catalog.direct

    def versions(self, name: NormalizedName) -> Sequence[Version]:
        return self._catalog.versions(name, self._indexes.get(name, ""))

    def knows(self, name: NormalizedName) -> bool:
        return self._catalog.knows(name, self._indexes.get(name, ""))

    def files(self, name: NormalizedName, version: Version, target: Target) -> Sequence[Distribution]:
        return self._catalog.files(name, version, target, self._indexes.get(name, ""))

    def prefetch(self, requirements: Sequence[Requirement], candidates: Sequence[Candidate] = ()) -> None:
        self._catalog.prefetch(requirements, candidates, self._indexes)


def _key(source: Buildable) -> _SourceKey:
    if isinstance(source, SourceDistribution):
        return source.name, source.version, source.index
    return source.name, source_of(source), ""
