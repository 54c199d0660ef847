"""The requirements of a problem and of a release on one target, after markers and overrides."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, reduce
from operator import or_

from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import DeepLockError
from deep_lock.models.distribution import Archive, Directory, Installable, SourceDistribution, Vcs
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate, Problem
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.targets.open_markers import NEVER, TargetPart, is_open, is_whole, part_where, whole
from deep_lock.targets.target import Target, UnevaluableMarker, holds

_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")
BASE = canonicalize_name("")
"""A release without extras, as the extra of an edge or a query."""

Node = tuple[NormalizedName, NormalizedName]
"""The name of a pin, and one of its extras."""


class IneligibleError(Exception):
    """The release cannot be used on the target, and why: the resolver takes another one."""

    def __init__(self, reason: str, *, is_unsafe: bool = False) -> None:
        """``is_unsafe``: the contents of the release are refused, on every target."""
        super().__init__(reason)
        self.is_unsafe = is_unsafe


def roots(problem: Problem) -> tuple[Requirement, ...]:
    """Return the problem's own requirements on its target."""
    return urls_first(
        overridden(applicable(problem.requirements, problem.target, apply_open=problem.apply_open), problem)
    )


def applicable(
    requirements: Iterable[Requirement], target: Target, *, apply_open: bool = False
) -> tuple[Requirement, ...]:
    """Return the requirements whose markers hold on the target without any extra; ``apply_open`` as in `Problem`."""
    if apply_open:
        return tuple(own for own in requirements if not part_where(own.marker, target).is_never)
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
                marker=_open_marker(requirement.marker, override.marker) if problem.apply_open else None,
                origin=override.origin,
            )
            for override in applicable(own, problem.target, apply_open=problem.apply_open)
        ]
    return tuple(replaced)


def _open_marker(*markers: Marker | None) -> Marker | None:
    """Return the markers that may hold on a part of a target only, as one."""
    texts = [f"({marker})" for marker in markers if marker is not None and is_open(str(marker))]
    return Marker(" and ".join(texts)) if texts else None


def urls_first(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Put direct references first: later requirements on their names then need no index."""
    return tuple(sorted(requirements, key=lambda requirement: requirement.url is None))


def candidate_dependencies(
    candidate: Candidate, metadata: Metadata, problem: Problem, extra: NormalizedName
) -> tuple[Requirement, ...]:
    """Return `dependencies`; only a source tree that the user names may have URLs. Raises IneligibleError."""
    may_name_urls = _may_name_urls(candidate.distribution)
    return dependencies(metadata, problem.target, extra, may_name_urls=may_name_urls, apply_open=problem.apply_open)


def _may_name_urls(distribution: Installable) -> bool:
    match distribution:
        case Directory() | Vcs() | Archive(file=SourceDistribution()):
            return True
        case _:
            return False


def dependencies(
    metadata: Metadata,
    target: Target,
    extra: NormalizedName = BASE,
    *,
    may_name_urls: bool = False,
    apply_open: bool = False,
) -> tuple[Requirement, ...]:
    """Return the requirements of the release itself (``extra`` BASE), or those that only one extra adds.

    ``apply_open`` is as in `Problem`.

    Raises IneligibleError where a requirement cannot be parsed or its marker cannot be evaluated (dependency
    specifiers: then the release must not be used), or where it has a URL and ``may_name_urls`` is false.
    """
    found: list[Requirement] = []
    for text in metadata.requires_dist:
        needed = _extra_needed(text)
        if needed is not None and needed != extra:
            continue
        try:
            requirement, part = _applied(text, target, extra, apply_open=apply_open)
            if requirement is not None and extra and needed is None:
                base, same = _applied(text, target, BASE, apply_open=apply_open)
                if base is not None and part == same:
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
def _applied(
    text: str, target: Target, extra: NormalizedName, *, apply_open: bool
) -> tuple[Requirement | None, TargetPart | None]:
    """Return the requirement if it applies, and on which part of the target; None is all of it."""
    requirement = parse_requirement(text)
    if not apply_open or not is_open(text):
        return requirement if holds(requirement.marker, target, (extra,)) else None, None
    part = part_where(requirement.marker, target, extra)
    return None if part.is_never else requirement, part


def parts_below(
    requirements: Iterable[Requirement], below: Mapping[Node, Sequence[Requirement]], problem: Problem
) -> dict[Node, TargetPart]:
    """Return the nodes that requirements bring in, at any depth, and on which part of the target each.

    The conditions on the way to a node may contradict each other: it is then on no part, and left out.
    """
    waiting = [(requirement, whole(problem.target), BASE) for requirement in requirements]
    found: dict[Node, TargetPart] = {}
    while waiting:
        requirement, part, parent_extra = waiting.pop()
        if problem.apply_open:
            part &= part_where(requirement.marker, problem.target, parent_extra)
            if part.is_never:
                continue
        for extra in (BASE, *requirement.extras):
            node = (requirement.name, extra)
            known = found.get(node, NEVER)
            found[node] = known | part
            if found[node] != known:
                waiting += [(own, found[node], extra) for own in below.get(node, ())]
    return found


def open_requirements(
    metadata: Metadata, target: Target, extras: Collection[NormalizedName]
) -> Iterator[tuple[Requirement, TargetPart, bool]]:
    """Yield the requirements of a release that apply on a part of the target only, with that part.

    The last value is whether the requirement applies on the newest micro version. Requirements that cannot be read are left
    out: such a release is not used.
    """
    for text in filter(is_open, metadata.requires_dist):
        with suppress(DeepLockError, *UnevaluableMarker):
            requirement = parse_requirement(text)
            parts = {part_where(requirement.marker, target, extra) for extra in extras}
            part = reduce(or_, parts, NEVER)
            if not part.is_never and not is_whole(part, target):
                yield requirement, part, holds(requirement.marker, target, extras)
