"""Build records: what each build of the finished graph says in the lock, targets that say the same put together."""

from collections.abc import Sequence

from packaging.utils import NormalizedName

from deep_lock.assembling import Assembly, is_no_binary
from deep_lock.graph import Built, Subject
from deep_lock.model.distribution import (
    Archive,
    Directory,
    SourceDistribution,
    Vcs,
    Wheel,
    source_of,
)
from deep_lock.model.lock import (
    EnvironmentMember,
    LockedBuild,
    Needed,
)
from deep_lock.model.resolution import Edge, Resolved
from deep_lock.resolve.candidates import sdists_first


def builds(assembly: Assembly) -> tuple[LockedBuild, ...]:
    """Return the build records; targets on which a record says the same are put together."""
    alike: dict[tuple[object, ...], list[Built]] = {}
    for built in assembly.closure.builds:
        alike.setdefault(_content(built, assembly), []).append(built)
    everywhere = len(assembly.targets)
    return tuple(
        _build(same, assembly, () if len(same) == everywhere else tuple(sorted(built.target.label for built in same)))
        for same in alike.values()
    )


def _content(built: Built, assembly: Assembly) -> tuple[object, ...]:
    """Return all that a record says, targets aside."""
    return (
        built.subject.name,
        built.subject.version,
        _source(built),
        built.subject.hook,
        built.answer,
        _needed(built, assembly),
        _members(built.final),
        _members(built.declared),
    )


def _build(same: Sequence[Built], assembly: Assembly, labels: tuple[str, ...]) -> LockedBuild:
    built = same[0]
    subject, answer = built.subject, built.answer
    system = subject.facts.build_system
    final, declared = _members(built.final), _members(built.declared)
    added = tuple(sorted({str(requirement) for requirement in subject.added}))
    return LockedBuild(
        name=subject.name,
        version=_recorded_version(subject),
        source=_source(built),
        hook="editable" if subject.hook == "editable" else None,
        sdist=_recorded_digest(subject, assembly),
        cargo_lock=f"sha256:{subject.facts.cargo_lock}" if subject.facts.cargo_lock else None,
        needed=_needed(built, assembly),
        targets=labels,
        backend=system.backend,
        backend_path=system.backend_path,
        requires=system.requires,
        requires_user=added,
        requires_from="user" if added and not system.requires else system.requires_from,
        requires_dynamic=answer.requires,
        conditional=answer.conditional,
        evidence=answer.evidence,
        observed_on=answer.observed_on or None,
        packages=final,
        declared_packages=declared if declared != final else None,
        ends="self-hosted" if system.backend_path and not final else None,
    )


def _source(built: Built) -> str | None:
    """Return where the source tree of a record is; None for an sdist of an index."""
    source = built.subject.source
    return "." if source is None else source_of(source) or None


def _recorded_version(subject: Subject) -> str | None:
    match subject.source:
        case Directory() | Vcs():
            return None
        case Archive(version=version):
            return version
        case _:
            return subject.version


def _recorded_digest(subject: Subject, assembly: Assembly) -> str | None:
    match subject.source:
        case SourceDistribution() as sdist:
            return f"sha256:{assembly.shelf.digest(sdist)}"
        case Archive(file=file):
            return f"sha256:{file.sha256}"
        case _:
            return None


def _needed(built: Built, assembly: Assembly) -> Needed:
    subject = built.subject
    if subject.source is None:
        return "project"
    if subject.sdist is None:
        return "direct"
    files = assembly.shelf.files(subject.sdist.name, subject.sdist.version)
    if not any(isinstance(file, Wheel) for file in files):
        return "always"
    if sdists_first(subject.sdist.name, assembly.selection):
        return "scope"
    if is_no_binary(subject.sdist.name, assembly.selection):
        return "forced"
    return "targets"


def _members(resolved: Resolved) -> tuple[EnvironmentMember, ...]:
    below: dict[NormalizedName, set[str]] = {}
    for edge in _inner(resolved.edges):
        below.setdefault(edge[0], set()).add(edge[1])
    return tuple(
        EnvironmentMember(name=pin.name, version=str(pin.version), dependencies=tuple(sorted(below.get(pin.name, ()))))
        for pin in resolved.pins
    )


def _inner(edges: Sequence[Edge]) -> list[tuple[NormalizedName, NormalizedName]]:
    return [(edge.parent, edge.child) for edge in edges if edge.parent is not None and edge.parent != edge.child]
