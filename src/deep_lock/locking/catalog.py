"""The closure's Sources, served from the index client and from what sdists say of themselves.

Law: the resolver asks in its own order and waits; this file guesses what it will ask next and has it fetched meanwhile.
A guess costs at most a request too many: it never changes an answer.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from msgspec import structs
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.builds.backend_answers import HookRunner
from deep_lock.closure.model import Built, BuiltKey, Subject
from deep_lock.errors import DeepLockError, HookRefused
from deep_lock.events import Reporter
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.workers import OnceMap
from deep_lock.locking.direct_sources import DirectSources
from deep_lock.locking.imported_lock import ImportedHashes
from deep_lock.locking.previous_lock import PreviousAnswers
from deep_lock.models.build_system import FACTS_VERSION, Evidence, HookAnswer, SdistFacts
from deep_lock.models.distribution import (
    Archive,
    Buildable,
    Directory,
    Distribution,
    SourceDistribution,
    Vcs,
    Wheel,
    source_of,
)
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement, parse_requirement
from deep_lock.models.resolution import UNKNOWN_VERSION, BuildRequest, Candidate, Pin, Resolved, Selection
from deep_lock.resolver.candidates import choose
from deep_lock.resolver.dependencies import BASE, IneligibleError, applicable, dependencies
from deep_lock.sdist import facts as facts_module
from deep_lock.sdist.backends import answer as backend
from deep_lock.targets.target import Target, UnevaluableMarker

_encode_facts = msgspec.msgpack.Encoder().encode
_decode_facts = msgspec.msgpack.Decoder(SdistFacts).decode
_KIND = f"sdist-facts-{FACTS_VERSION}"


class IndexSources:
    """Serves `closure.Sources` and `assembling.Shelf`."""

    def __init__(
        self,
        *,
        client: IndexClient,
        cache: Cache,
        selection: Selection,
        target: Target,
        reporter: Reporter,
        backends: HookRunner | None = None,
        earlier: PreviousAnswers | None = None,
        added: Mapping[NormalizedName, tuple[Requirement, ...]] | None = None,
        settings: Collection[NormalizedName] = (),
        direct: DirectSources,
        given: ImportedHashes | None = None,
    ) -> None:
        """Serve a run.

        ``added`` is what the user adds to builds, ``settings`` are the projects whose backends get config settings:
        both weaken what sdists prove, and are otherwise the closure's.
        """
        self._client = client
        self._direct = direct
        self._given = given or ImportedHashes(None)
        self._cache = cache
        self._selection = selection
        self._target = target
        self._reporter = reporter
        self._backends = backends
        self._earlier = earlier or PreviousAnswers()
        self._observed: dict[str, Metadata] = {}
        self._added = added or {}
        self._settings = frozenset(settings)
        self._facts: OnceMap[str, SdistFacts] = OnceMap()
        self._assumed: dict[tuple[NormalizedName, Version], Metadata] = {}
        self._assumed_from: dict[tuple[NormalizedName, str], str] = {}
        self._lock = threading.Lock()
        self._guessed: set[tuple[object, ...]] = set()
        self._reaching_out = False
        self._named: set[NormalizedName] = set()
        """What some URL named: no index is asked for it ahead."""

    # -- Catalog

    def versions(self, name: NormalizedName) -> Sequence[Version]:
        return self._client.versions(name)

    def knows(self, name: NormalizedName) -> bool:
        return self._client.knows(name)

    def files(self, name: NormalizedName, version: Version) -> Sequence[Distribution]:
        return self._given.kept(name, version, self._client.files(name, version))

    def metadata(self, candidate: Candidate, target: Target) -> Metadata | BuildRequest:
        file = candidate.distribution
        if isinstance(file, Wheel):
            return self._client.wheel_metadata(file)
        if not isinstance(file, SourceDistribution):
            return self._direct.metadata(file, target)
        known = self._known_metadata(file)
        if known is not None:
            return known
        return BuildRequest(name=file.name, version=file.version, source=file, target=target)

    def _known_metadata(self, sdist: SourceDistribution) -> Metadata | None:
        return (
            self._observed.get(sdist.filename)
            or self._assumed.get((sdist.name, sdist.version))
            or self.facts(sdist).metadata
        )

    def direct(self, requirement: Requirement, target: Target, *, needs_version: bool) -> Candidate | BuildRequest:
        return self._direct.candidate(requirement, target, needs_version=needs_version)

    def prefetch(self, requirements: Sequence[Requirement], candidates: Sequence[Candidate] = ()) -> None:
        for requirement in requirements:
            if requirement.url is not None:
                self._named.add(requirement.name)
            elif requirement.name not in self._named:
                self._guess(requirement)
        if self._reaching_out:
            for candidate in candidates:
                if isinstance(candidate.distribution, Wheel | SourceDistribution):
                    self._client.prefetch(partial(self._ahead, candidate.distribution, frozenset()))

    # -- source distributions

    def subject(self, source: Buildable) -> Subject:
        if not isinstance(source, SourceDistribution):
            found = self._direct.subject(source)
            return structs.replace(found, facts=self._beside(source.name, found.facts))
        return Subject(name=source.name, version=str(source.version), source=source, facts=self.facts(source))

    def facts(self, sdist: SourceDistribution) -> SdistFacts:
        """Return what the sdist says of itself. Raises IndexFault or SafetyError."""
        return self._facts.get(
            sdist.filename, lambda: self._beside(sdist.name, self._remembered(sdist) or self._read(sdist))
        )

    def _beside(self, name: NormalizedName, facts: SdistFacts) -> SdistFacts:
        """Return what the sdist's own words are worth in an environment that the user added to, or gave settings."""
        added = self._added.get(name)
        if name in self._settings:
            facts = backend.with_config_settings(facts)
        return backend.beside(facts, tuple(requirement.name for requirement in added)) if added else facts

    def _remembered(self, sdist: SourceDistribution) -> SdistFacts | None:
        record = self._cache.get_record(_KIND, sdist.sha256) if sdist.sha256 else None
        if record is None:
            return None
        try:
            return _decode_facts(record)
        except msgspec.MsgspecError:
            return None

    def _read(self, sdist: SourceDistribution) -> SdistFacts:
        with self._client.open_sdist(sdist) as file:
            facts = facts_module.read_sdist(file, filename=sdist.filename, name=sdist.name, version=sdist.version)
            unproven = facts.metadata is None or facts.declared_hook is None
            if unproven and self._backends is not None and self._backends.is_wanted(sdist.name):
                file.seek(0)
                self._client.keep_file(file, sdist)  # its backend will be asked, which takes the whole file
        if sdist.sha256:
            self._cache.put_record(_KIND, sdist.sha256, _encode_facts(facts))
        return facts

    def proven(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer:
        pins = {pin.name: pin.version for pin in environment.pins}
        return backend.answer(subject.facts, None, target, environment=pins, hook=subject.hook)

    # -- backends

    def place(self, name: NormalizedName, target: Target) -> Target | None:
        return None if self._backends is None else self._backends.place(name, target)

    def ask(
        self, subject: Subject, environment: Resolved, target: Target, made: Mapping[BuiltKey, Built]
    ) -> HookAnswer:
        if self._backends is None:
            raise HookRefused("no backend may be asked in this run")
        return self._backends.requires(subject, environment, target, made)

    def kept(self, subject: Subject, environment: Resolved, target: Target) -> HookAnswer | None:
        return self._earlier.answer(subject, environment, target)

    def observe(self, built: Built, made: Mapping[BuiltKey, Built]) -> None:
        subject = built.subject
        if subject.source is None or self._backends is None:
            raise HookRefused("no backend may be asked in this run")
        found = self._backends.metadata(built, made)
        match subject.source:
            case SourceDistribution() as source if found is not None:
                self._observed[source.filename] = found
            case SourceDistribution() | Directory() | Vcs() | Archive() as source if found is None:
                version = Version(subject.version) if subject.version is not None else UNKNOWN_VERSION
                self.assume(BuildRequest(name=subject.name, version=version, source=source, target=built.target))
            case Directory() | Vcs() | Archive() as source if found is not None:
                self._direct.observe(source, found)

    def assume(self, request: BuildRequest) -> None:
        if not isinstance(request.source, SourceDistribution):
            self._assumed_from[request.name, source_of(request.source)] = self._direct.assume(request.source)
            return
        guess, source = self._guessed_metadata(request, request.source)
        self._assumed[request.name, request.version] = guess
        self._assumed_from[request.name, str(request.version)] = source

    def _guessed_metadata(self, request: BuildRequest, sdist: SourceDistribution) -> tuple[Metadata, str]:
        files = self._client.files(request.name, request.version)
        wheels = [file for file in files if isinstance(file, Wheel)]
        if wheels:
            return self._client.wheel_metadata(wheels[0]), f"the wheel {wheels[0].filename}"
        guess = self.facts(sdist).guess
        if guess is not None:
            return guess, "what the sdist was shipped with"
        return Metadata(name=request.name, version=str(request.version)), "nothing: none are known"

    def assumed_from(self, pin: Pin) -> str | None:
        """Return where the metadata of a pin were taken from, where only its build backend knows them."""
        return self._assumed_from.get((pin.name, source_of(pin.distribution) or str(pin.version)))

    # -- what a reader of the lock should know

    def status(self, name: NormalizedName) -> str | None:
        """Return what an index says of a project that is not active, with its reason (PEP 792). Text from outside."""
        return self._client.status(name)

    def notes(self, source: Buildable) -> tuple[str, ...]:
        """Return what was found odd in an sdist or a tree, as stable words."""
        return self.facts(source).notes if isinstance(source, SourceDistribution) else self._direct.notes(source)

    # -- Shelf

    def digest(self, file: Distribution) -> str:
        return self._client.digest(file)

    def license(self, file: Distribution) -> str | None:
        if isinstance(file, Wheel):
            return self._client.wheel_metadata(file).license
        known = self._known_metadata(file)
        return None if known is None else known.license

    def metadata_evidence(self, sdist: Buildable) -> Evidence | None:
        if not isinstance(sdist, SourceDistribution):
            return self._direct.evidence(sdist)
        if sdist.filename in self._observed:
            return "observed"
        if (sdist.name, sdist.version) in self._assumed:
            return "assumed"
        return None if self.facts(sdist).metadata_source == "pkg-info" else "static"

    # -- guesses

    def _guess(self, requirement: Requirement) -> None:
        """Follow a requirement in the background.

        While all that was asked for was in the cache, nothing is followed: a warm run needs no threads.
        """
        key = (requirement.name, str(requirement.specifier), requirement.extras)
        with self._lock:
            if key in self._guessed:
                return
            self._guessed.add(key)
        if not self._reaching_out:
            if self._client.is_at_hand(requirement.name):
                return
            self._reaching_out = True
        self._client.prefetch(partial(self._follow, requirement))

    def _follow(self, requirement: Requirement) -> None:
        """Fetch the page, then the metadata of the release that will probably be taken, then what that asks for."""
        name, specifier = requirement.name, requirement.specifier
        for version in self._client.versions(name):
            if version.is_prerelease or not specifier.contains(version):
                continue
            file = choose(self._client.files(name, version), self._target, self._selection)
            if file is not None:
                self._ahead(file, requirement.extras)
                return

    def _ahead(self, file: Distribution, extras: frozenset[NormalizedName]) -> None:
        if isinstance(file, Wheel):
            self._follow_runtime(self._client.wheel_metadata(file, ahead=True), extras)
            return
        facts = self.facts(file)
        self._follow_build(facts)
        if facts.metadata is not None:
            self._follow_runtime(facts.metadata, extras)

    def _follow_runtime(self, metadata: Metadata, extras: frozenset[NormalizedName]) -> None:
        for extra in (BASE, *extras):
            with suppress(IneligibleError):
                self.prefetch(dependencies(metadata, self._target, extra))

    def _follow_build(self, facts: SdistFacts) -> None:
        """An sdist that is taken is built: what its build asks for will be asked for next."""
        if self._selection.build_scope == "none":
            return
        texts = (*facts.build_system.requires, *(facts.declared_hook or ()))
        with suppress(DeepLockError, *UnevaluableMarker):
            self.prefetch(applicable(map(parse_requirement, texts), self._target))
