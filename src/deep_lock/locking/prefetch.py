"""Fetches ahead of the resolver: pages and metadata that it will probably request next.

A wrong guess costs one request and never changes a result.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType

from packaging.utils import NormalizedName

from deep_lock.errors import DeepLockError
from deep_lock.index.client import IndexClient
from deep_lock.models.build_system import SdistFacts
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate, Problem
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.resolver.candidates import choose
from deep_lock.resolver.dependencies import BASE, IneligibleError, applicable, dependencies
from deep_lock.targets.target import UnevaluableMarker


class Prefetcher:
    """Follows requirements in background threads, on the target and by the selection of one problem."""

    def __init__(
        self,
        client: IndexClient,
        inspect: Callable[[SourceDistribution], SdistFacts],
        problem: Problem,
        build_indexes: Mapping[NormalizedName, str],
    ) -> None:
        """``inspect`` returns the facts of an sdist; it is called from several threads. ``build_indexes`` are those of builds."""
        self._client = client
        self._inspect = inspect
        self._build_indexes = build_indexes
        self._target = problem.target
        self._selection = problem.selection
        self._lock = threading.Lock()
        self._followed: set[tuple[object, ...]] = set()
        self._is_online = False
        """Whether something was missing in the cache. Until then nothing is followed: a warm run needs no threads."""
        self._direct: set[NormalizedName] = set()
        """Names with a direct reference: no index is queried for them ahead."""

    def prefetch(
        self,
        requirements: Sequence[Requirement],
        candidates: Sequence[Candidate] = (),
        indexes: Mapping[NormalizedName, str] = MappingProxyType({}),
    ) -> None:
        """Begin to fetch what requirements and candidates will need; returns at once. ``indexes`` are those of the problem."""
        for requirement in requirements:
            if requirement.url is not None:
                self._direct.add(requirement.name)
            elif requirement.name not in self._direct:
                self._begin(requirement, indexes)
        if self._is_online:
            for candidate in candidates:
                if isinstance(candidate.distribution, Wheel | SourceDistribution):
                    self._client.prefetch(partial(self._follow_file, candidate.distribution, frozenset(), indexes))

    def _begin(self, requirement: Requirement, indexes: Mapping[NormalizedName, str]) -> None:
        index = indexes.get(requirement.name, "")
        key = (requirement.name, str(requirement.specifier), requirement.extras, index)
        with self._lock:
            if key in self._followed:
                return
            self._followed.add(key)
        if not self._is_online:
            if self._client.is_at_hand(requirement.name, index):
                return
            self._is_online = True
        self._client.prefetch(partial(self._follow, requirement, indexes))

    def _follow(self, requirement: Requirement, indexes: Mapping[NormalizedName, str]) -> None:
        """Fetch the page, then the metadata of the release that is probably chosen, then its requirements."""
        name, specifier = requirement.name, requirement.specifier
        index = indexes.get(name, "")
        for version in self._client.versions(name, index):
            if version.is_prerelease or not specifier.contains(version):
                continue
            file = choose(self._client.files(name, version, index), self._target, self._selection)
            if file is not None:
                self._follow_file(file, requirement.extras, indexes)
                return

    def _follow_file(
        self, file: Distribution, extras: frozenset[NormalizedName], indexes: Mapping[NormalizedName, str]
    ) -> None:
        if isinstance(file, Wheel):
            self._follow_metadata(self._client.wheel_metadata(file, ahead=True), extras, indexes)
            return
        facts = self._inspect(file)
        self._follow_build(facts)
        if facts.metadata is not None:
            self._follow_metadata(facts.metadata, extras, indexes)

    def _follow_metadata(
        self, metadata: Metadata, extras: frozenset[NormalizedName], indexes: Mapping[NormalizedName, str]
    ) -> None:
        for extra in (BASE, *extras):
            with suppress(IneligibleError):
                self.prefetch(dependencies(metadata, self._target, extra), indexes=indexes)

    def _follow_build(self, facts: SdistFacts) -> None:
        if self._selection.build_scope == "none":
            return
        texts = (*facts.build_system.requires, *(facts.declared_hook or ()))
        with suppress(DeepLockError, *UnevaluableMarker):
            self.prefetch(applicable(map(parse_requirement, texts), self._target), indexes=self._build_indexes)
