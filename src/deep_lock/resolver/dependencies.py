"""What a problem and a release require on one target: markers evaluated, overrides applied."""

import re
from collections.abc import Iterable
from functools import lru_cache

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import DeepLockError
from deep_lock.models.distribution import Archive, Directory, Installable, SourceDistribution, Vcs
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate, Problem
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.targets.target import Target, UnevaluableMarker, holds

_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")
BASE = canonicalize_name("")
"""A release without extras, as the extra of an edge or a query."""


class IneligibleError(Exception):
    """The release cannot be used on the target, and why: the resolver takes another one."""

    def __init__(self, reason: str, *, is_unsafe: bool = False) -> None:
        """``is_unsafe``: the contents of the release are refused, on every target."""
        super().__init__(reason)
        self.is_unsafe = is_unsafe


def roots(problem: Problem) -> tuple[Requirement, ...]:
    """Return the problem's own requirements on its target."""
    return urls_first(overridden(applicable(problem.requirements, problem.target), problem))


def applicable(requirements: Iterable[Requirement], target: Target) -> tuple[Requirement, ...]:
    """Return the requirements whose markers hold on the target without any extra."""
    return tuple(requirement for requirement in requirements if holds(requirement.marker, target))


def overridden(requirements: tuple[Requirement, ...], problem: Problem) -> tuple[Requirement, ...]:
    """Replace requirements by the overrides of their names, which keep the required extras."""
    if not problem.overrides:
        return requirements
    replaced: list[Requirement] = []
    for requirement in requirements:
        own = [override for override in problem.overrides if override.name == requirement.name]
        if not own:
            replaced.append(requirement)
        replaced += [
            Requirement(
                name=override.name,
                extras=override.extras | requirement.extras,
                specifier=override.specifier,
                origin=override.origin,
            )
            for override in applicable(own, problem.target)
        ]
    return tuple(replaced)


def urls_first(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Put direct references first: later requirements on their names then need no index."""
    return tuple(sorted(requirements, key=lambda requirement: requirement.url is None))


def candidate_dependencies(
    candidate: Candidate, metadata: Metadata, target: Target, extra: NormalizedName
) -> tuple[Requirement, ...]:
    """Return `dependencies`; only a source tree that the user names may have URLs. Raises IneligibleError."""
    return dependencies(metadata, target, extra, may_name_urls=_may_name_urls(candidate.distribution))


def _may_name_urls(distribution: Installable) -> bool:
    match distribution:
        case Directory() | Vcs() | Archive(file=SourceDistribution()):
            return True
        case _:
            return False


def dependencies(
    metadata: Metadata, target: Target, extra: NormalizedName = BASE, *, may_name_urls: bool = False
) -> tuple[Requirement, ...]:
    """Return the requirements of the release itself (``extra`` BASE), or those that only one extra adds.

    Raises IneligibleError where a requirement cannot be parsed or its marker cannot be evaluated (dependency
    specifiers: then the release must not be used), or where it has a URL and ``may_name_urls`` is false.
    """
    found: list[Requirement] = []
    for text in metadata.requires_dist:
        needed = _extra_needed(text)
        if needed is not None and needed != extra:
            continue
        try:
            requirement = _applied(text, target, extra)
            if requirement is not None and extra and needed is None and _applied(text, target, BASE) is not None:
                continue  # it holds without the extra: it belongs to the base
        except UnevaluableMarker:
            raise IneligibleError(f"its marker cannot be evaluated: {text[:200]}") from None
        except DeepLockError as error:
            raise IneligibleError(error.message) from None
        if requirement is None:
            continue
        if requirement.url is not None and not may_name_urls:
            raise IneligibleError(f"it requires a direct URL, which a lock from indexes cannot contain: {text[:200]}")
        found.append(requirement)
    return urls_first(found)


@lru_cache(maxsize=1 << 16)
def _extra_needed(text: str) -> NormalizedName | None:
    """Return the extra without which the requirement cannot apply, from the text alone; None where it must be evaluated.

    A project may have thousands of requirements for its extras: they are skipped before they are parsed.
    """
    marker = text.partition(";")[2]
    if "extra" not in marker or " or " in marker or "not" in marker:
        return None
    found = _EXTRA.search(marker)
    return canonicalize_name(found.group(1)) if found else None


@lru_cache(maxsize=1 << 17)
def _applied(text: str, target: Target, extra: NormalizedName) -> Requirement | None:
    requirement = parse_requirement(text)
    return requirement if holds(requirement.marker, target, (extra,)) else None
