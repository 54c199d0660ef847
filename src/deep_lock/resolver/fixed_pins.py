"""A problem with an imported result: the pins of another tool's lock, without a change.

Invariant: only the file that a target takes is chosen, and no pin is added. A requirement that the pins do not satisfy is
no error, because the other tool may ignore it on purpose: `unmet_requirements` reports it.
"""

from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct
from packaging.utils import NormalizedName

from deep_lock.models.distribution import Wheel
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Candidate, Edge, FixedPins, Impossible, Problem, Resolved
from deep_lock.resolver.candidates import (
    BuildRequired,
    Releases,
    cycle_reason,
    metadata_of,
    metadata_refusal,
    refusals,
    resolved,
    satisfies,
)
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import BASE, IneligibleError, candidate_dependencies
from deep_lock.sanitize import show


class UnmetRequirement(Struct, frozen=True, kw_only=True):
    """A requirement of a pin that the other pins do not satisfy."""

    pin: Candidate
    requirement: Requirement | None
    """None where it cannot be read."""
    reason: str


def apply_pins(problem: Problem, pins: tuple[FixedPins, ...], catalog: Catalog) -> Resolved | Impossible:
    """Return the imported pins, with the edges between them.

    Raises BuildRequired, and IndexFault and SafetyError as the catalog does.
    """
    releases = Releases(problem, catalog)
    catalog.prefetch([pin.requirement for pin in pins])
    candidates: dict[NormalizedName, Candidate] = {}
    for pin in pins:
        name, candidate = pin.requirement.name, _candidate(pin, releases)
        if candidate is None or (name, candidate.version) in problem.excluded:
            return Impossible(explanation=_explanation(pin, candidate, releases))
        candidates[name] = candidate
    metadata = {name: metadata_of(candidate, problem, catalog) for name, candidate in candidates.items()}
    for pin in pins:
        refusal = metadata_refusal(metadata[pin.requirement.name], problem.target)
        if refusal:
            return Impossible(explanation=f"{_head(pin, problem)}: {show(refusal)}")
    extras = {pin.requirement.name: {BASE, *pin.requirement.extras} for pin in pins}
    edges = [
        Edge(parent=None, parent_extra=None, child=pin.requirement.name, requirement=pin.requirement)
        for pin in pins
        if pin.direct
    ]
    inner, _ = _follow(problem, candidates, metadata, extras)
    return resolved(candidates, extras, [*edges, *inner])


def unsupported_reason(problem: Problem, pins: tuple[FixedPins, ...], catalog: Catalog) -> str:
    """Return why the target cannot take all of the pinned releases, as the index lists them; "" where it can.

    The metadata count where the index states no Requires-Python and nothing must be built to read them. Direct references
    are not checked. Raises IndexFault and SafetyError.
    """
    releases = Releases(problem, catalog)
    catalog.prefetch([pin.requirement for pin in pins])
    for pin in pins:
        if pin.requirement.url is not None:
            continue
        candidate = _candidate(pin, releases)
        if candidate is None:
            return _explanation(pin, None, releases)
        file = candidate.distribution
        metadata = None
        if isinstance(file, Wheel) and file.requires_python is None:
            metadata = catalog.metadata(candidate, problem.target)
        refusal = metadata_refusal(metadata, problem.target) if isinstance(metadata, Metadata) else ""
        if refusal:
            return f"{_head(pin, problem)}: {show(refusal)}"
    return ""


def _candidate(pin: FixedPins, releases: Releases) -> Candidate | None:
    """Return the pinned release with the file that the target takes; None where none fits.

    Raises BuildRequired where only a build backend knows the version or the metadata.
    """
    requirement = pin.requirement
    if requirement.url is not None:
        return releases.direct_candidates.candidate([requirement], [])
    return None if pin.version is None else releases.usable(requirement.name, pin.version, yanked_ok=True)


def _head(pin: FixedPins, problem: Problem) -> str:
    return (
        f"{pin.requirement.origin or 'a lock'} pins {pin.requirement}, which cannot be used on {problem.target.label}"
    )


def _explanation(pin: FixedPins, candidate: Candidate | None, releases: Releases) -> str:
    problem, requirement, head = releases.problem, pin.requirement, _head(pin, releases.problem)
    found = candidate or releases.direct_candidates.known(requirement)
    if found is not None and (requirement.name, found.version) in problem.excluded:
        return f"{head}: {cycle_reason(requirement.name, found.version)}"
    if requirement.url is not None:
        return f"{head}: {releases.direct_candidates.refused.get(requirement.url, 'its URL names something else')}"
    if pin.version is None:
        return f"{head}: it has no version"
    files = releases.catalog.files(requirement.name, pin.version, problem.target)
    if not files:
        return f"{head}: the index has no such file"
    refused = refusals(files, problem.target, problem.selection, yanked_ok=True)
    return "\n".join([f"{head}:", *(f"  {line}" for line in refused)])


def unmet_requirements(problem: Problem, answer: Resolved, catalog: Catalog) -> list[UnmetRequirement]:
    """Return the requirements of imported pins that the other pins do not satisfy."""
    candidates = {
        pin.name: Candidate(name=pin.name, version=pin.version, distribution=pin.distribution) for pin in answer.pins
    }
    metadata: dict[NormalizedName, Metadata] = {}
    for name, candidate in candidates.items():
        with suppress(BuildRequired):
            metadata[name] = metadata_of(candidate, problem, catalog)
    extras = {pin.name: {BASE, *pin.extras} for pin in answer.pins}
    return _follow(problem, candidates, metadata, extras)[1]


def _follow(
    problem: Problem,
    candidates: Mapping[NormalizedName, Candidate],
    metadata: Mapping[NormalizedName, Metadata],
    extras: dict[NormalizedName, set[NormalizedName]],
) -> tuple[list[Edge], list[UnmetRequirement]]:
    """Return the edges between the candidates, and the requirements without one; add required extras to ``extras``."""
    edges: list[Edge] = []
    unmet: list[UnmetRequirement] = []
    waiting = [(name, extra) for name, own in extras.items() for extra in sorted(own)]
    while waiting:
        name, extra = waiting.pop()
        parent = candidates[name]
        if name not in metadata:
            continue
        try:
            requirements = candidate_dependencies(parent, metadata[name], problem, extra)
        except IneligibleError as error:
            unmet.append(UnmetRequirement(pin=parent, requirement=None, reason=str(error)))
            continue
        for requirement in requirements:
            child = candidates.get(requirement.name)
            if child is None or not satisfies(child, requirement):
                reason = "does not contain it" if child is None else f"has version {child.version}"
                unmet.append(UnmetRequirement(pin=parent, requirement=requirement, reason=reason))
                continue
            edges.append(Edge(parent=name, parent_extra=extra or None, child=child.name, requirement=requirement))
            more = requirement.extras - extras[child.name]
            extras[child.name] |= more
            waiting += [(child.name, own) for own in sorted(more)]
    return edges, unmet
