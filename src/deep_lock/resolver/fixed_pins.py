"""A problem whose answer was given beforehand: the pins of another tool's lock, taken as they are.

Law: nothing is chosen but the file that the target takes, and nothing is added. What a pin asks for and the pins do not
meet is no error here, for another tool may have been told to ignore it: `unmet_requirements` names it.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.models.distribution import Directory
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import (
    Blocked,
    BuildRequest,
    Candidate,
    Edge,
    FixedPins,
    Impossible,
    Outcome,
    Pin,
    Problem,
    Resolved,
)
from deep_lock.resolver.candidates import is_meant, refusals
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import BASE, IneligibleError, dependencies
from deep_lock.resolver.releases import BuildRequired, Releases
from deep_lock.resolver.walk import edge_key


class Unmet(Struct, frozen=True, kw_only=True):
    """What a pin asks for and the given pins do not meet."""

    pin: Pin
    requirement: Requirement | None
    """None where what it asks for cannot be read."""
    reason: str


def apply_pins(problem: Problem, given: tuple[FixedPins, ...], catalog: Catalog) -> Outcome:
    """Return the given pins, with the edges between them. Raises IndexFault and SafetyError as the catalog does."""
    releases = Releases(problem, catalog)
    catalog.prefetch([own.requirement for own in given])
    candidates: dict[NormalizedName, Candidate] = {}
    for own in given:
        name = own.requirement.name
        try:
            found = candidate_of(own, releases)
        except BuildRequired as stop:
            return Blocked(request=stop.request)
        if found is None or (name, found.version) in problem.excluded:
            return Impossible(causes=(), explanation=_story(own, releases))
        candidates[name] = found
    metadata: dict[NormalizedName, Metadata] = {}
    for name, candidate in candidates.items():
        known = catalog.metadata(candidate, problem.target)
        if isinstance(known, BuildRequest):
            return Blocked(request=known)
        metadata[name] = known
    return _joined(problem, given, candidates, metadata)


def unsupported_reason(problem: Problem, given: tuple[FixedPins, ...], catalog: Catalog) -> str:
    """Return why the target cannot take all of the given releases, as the index lists them; "" where it can.

    What URLs name is not looked at. Raises IndexFault and SafetyError.
    """
    releases = Releases(problem, catalog)
    catalog.prefetch([own.requirement for own in given])
    for own in given:
        if own.requirement.url is None and candidate_of(own, releases) is None:
            return _story(own, releases)
    return ""


def candidate_of(given: FixedPins, releases: Releases) -> Candidate | None:
    """Return the given release with the file that the target takes; None where none fits.

    Raises BlockedError where only a backend knows what is given.
    """
    requirement = given.requirement
    if requirement.url is not None:
        return releases.named.candidate([requirement], [])
    return None if given.version is None else releases.usable(requirement.name, given.version, yanked_ok=True)


def _story(given: FixedPins, releases: Releases) -> str:
    problem, requirement = releases.problem, given.requirement
    head = f"{requirement.origin or 'a lock'} pins {requirement}, which {problem.target.label} cannot take"
    if requirement.url is not None:
        return f"{head}: {releases.named.refused.get(requirement.url, 'it is not what is there')}"
    if given.version is None:
        return f"{head}: it has no version"
    files = releases.catalog.files(requirement.name, given.version)
    if not files:
        return f"{head}: the index has no such file"
    refused = refusals(files, problem.target, problem.selection, yanked_ok=True)
    return "\n".join([f"{head}:", *(f"  {own.filename}: {own.reason}" for own in refused)])


def _joined(
    problem: Problem,
    given: tuple[FixedPins, ...],
    candidates: Mapping[NormalizedName, Candidate],
    metadata: Mapping[NormalizedName, Metadata],
) -> Resolved:
    edges = [
        Edge(parent=None, parent_extra=None, child=own.requirement.name, requirement=own.requirement)
        for own in given
        if own.direct
    ]
    extras: dict[NormalizedName, set[NormalizedName]] = {
        own.requirement.name: {BASE, *own.requirement.extras} for own in given
    }
    waiting = [(name, extra) for name in sorted(extras) for extra in sorted(extras[name])]
    while waiting:
        name, extra = waiting.pop()
        for requirement in _asked(candidates[name], metadata[name], problem, extra):
            child = candidates.get(requirement.name)
            if child is None or not _meets(requirement, child):
                continue
            edges.append(Edge(parent=name, parent_extra=extra or None, child=child.name, requirement=requirement))
            more = requirement.extras - extras[child.name]
            extras[child.name] |= more
            waiting += [(child.name, wanted) for wanted in sorted(more)]
    pins = (
        Pin(
            name=name,
            version=candidate.version,
            distribution=candidate.distribution,
            extras=frozenset(extras[name] - {BASE}),
        )
        for name, candidate in sorted(candidates.items())
    )
    return Resolved(pins=tuple(pins), edges=tuple(sorted(edges, key=edge_key)))


def _asked(
    candidate: Candidate, metadata: Metadata, problem: Problem, extra: NormalizedName
) -> tuple[Requirement, ...]:
    own = isinstance(candidate.distribution, Directory)
    try:
        return dependencies(metadata, problem.target, extra, may_name_urls=own)
    except IneligibleError:
        return ()


def _meets(requirement: Requirement, candidate: Candidate) -> bool:
    return requirement.specifier.contains(candidate.version, prereleases=True) and is_meant(requirement, candidate)


def unmet_requirements(problem: Problem, resolved: Resolved, catalog: Catalog) -> Iterator[Unmet]:
    """Yield what the pins of an adopted answer ask for and do not get, sorted by pin."""
    candidates = {
        pin.name: Candidate(name=pin.name, version=pin.version, distribution=pin.distribution) for pin in resolved.pins
    }
    for pin in resolved.pins:
        candidate = candidates[pin.name]
        metadata = catalog.metadata(candidate, problem.target)
        if isinstance(metadata, BuildRequest):
            continue
        for extra in sorted({BASE, *pin.extras}):
            try:
                own = isinstance(pin.distribution, Directory)
                asked = dependencies(metadata, problem.target, extra, may_name_urls=own)
            except IneligibleError as reason:
                yield Unmet(pin=pin, requirement=None, reason=str(reason))
                continue
            for requirement in asked:
                child = candidates.get(requirement.name)
                if child is None:
                    yield Unmet(pin=pin, requirement=requirement, reason="is not there")
                elif not _meets(requirement, child):
                    yield Unmet(pin=pin, requirement=requirement, reason=f"it is {child.version}")
