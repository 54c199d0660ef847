"""The explanation of an impossible resolution, in plain sentences.

resolvelib reports only the last requirements that conflict. This module adds which releases exist, and why each file of
them is refused on the target.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import ConflictCause
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Impossible, Problem
from deep_lock.resolver.candidates import cycle_reason, is_for_other_targets, refusals
from deep_lock.resolver.dependencies import roots
from deep_lock.resolver.search import Information, Provider, ResolverCandidate
from deep_lock.sanitize import show

MAX_VERSIONS = 5
MAX_FILES = 6
MAX_REASON = 500
"""Characters: the reason may name a file, and the place of a fault in it."""


def explain(information: Collection[Information], provider: Provider) -> Impossible:
    """Return which requirements conflict, and why no release satisfies them."""
    problem = provider.problem
    unusable: set[tuple[str, str]] = set()
    refused: set[NormalizedName] = set()
    conflicting: dict[NormalizedName, dict[tuple[str, str], Requirement]] = {}
    for own, parent in information:
        release = f"{parent.candidate.name} {parent.candidate.version}" if parent is not None else ""
        if own.reason:
            refused |= {parent.candidate.name} if parent is not None else set()
            unusable.add((release, own.reason))
            unusable |= _unsafe_releases(parent, provider)
        else:
            causes = conflicting.setdefault(own.requirement.name, {})
            causes.setdefault((str(own.requirement), release), own.requirement)
    # the causes have what is refused, and not what requires it
    lines = [
        f"{_origin(own, problem)} requires {_bound(own)}"
        for own in roots(problem)
        if own.name in refused - {*conflicting}
    ]
    lines += [f"{release} cannot be used: {show(reason, MAX_REASON)}" for release, reason in sorted(unusable)]
    for name in sorted(conflicting):
        causes = conflicting[name]
        for (_, release), requirement in sorted(causes.items(), key=lambda item: item[0]):
            lines.append(f"{release or _origin(requirement, problem)} requires {_bound(requirement)}")
        constraints = provider.releases.constraints.get(name, [])
        lines += [f"{constraint.origin or 'a constraint'} allows only {constraint}" for constraint in constraints]
        requirements = [*(causes[key] for key in sorted(causes)), *constraints]
        urls = [requirement for requirement in requirements if requirement.url is not None]
        lines += (
            _direct_reasons(urls, requirements, provider) if urls else _release_reasons(name, requirements, provider)
        )
    head = f"no set of versions fits the {problem.purpose} on {problem.target.label}:"
    return Impossible(
        explanation="\n".join([head, *(f"  {line}" for line in lines)]),
        is_unsafe=_is_unsafe(information, frozenset(conflicting), provider),
        nowhere=tuple(
            name
            for name, causes in sorted(conflicting.items())
            if all(requirement.url is None for requirement in causes.values()) and _is_nowhere(name, provider)
        ),
        cause=_cause(information, {name: [*causes.values()] for name, causes in conflicting.items()}, provider),
    )


def _cause(
    information: Collection[Information],
    conflicting: Mapping[NormalizedName, Sequence[Requirement]],
    provider: Provider,
) -> ConflictCause:
    if any(_is_for_other_targets(name, requirements, provider) for name, requirements in conflicting.items()):
        return "target"
    of_project = provider.problem.purpose.kind == "runtime" and all(parent is None for _, parent in information)
    return "project" if of_project else "release"


def _is_for_other_targets(name: NormalizedName, requirements: Sequence[Requirement], provider: Provider) -> bool:
    """Whether a release that all of the requirements allow is for other targets."""
    refused = provider.releases.direct_candidates.refused
    if any(requirement.url in refused for requirement in requirements if requirement.url is not None):
        return True
    target = provider.problem.target
    for version in _matching(name, [*requirements, *provider.releases.constraints.get(name, [])], provider):
        error = provider.ineligible.get((name, version))
        if error is not None and not error.is_unsafe:  # Requires-Python of its metadata
            return True
        if is_for_other_targets(provider.catalog.files(name, version, target), target):
            return True
    return False


def _unsafe_releases(parent: ResolverCandidate | None, provider: Provider) -> set[tuple[str, str]]:
    """Return the other versions of a package that are refused because of their contents, newest first, with the reason."""
    name = parent.candidate.name if parent is not None else None
    found = [
        (version, str(error))
        for (own, version), error in provider.ineligible.items()
        if own == name and error.is_unsafe
    ]
    return {(f"{name} {version}", reason) for version, reason in sorted(found, reverse=True)[:MAX_VERSIONS]}


def _is_unsafe(
    information: Collection[Information], conflicting: frozenset[NormalizedName], provider: Provider
) -> bool:
    """Whether a release that takes part in the conflict is refused because of its contents."""
    causes = {(parent.candidate.name, parent.candidate.version) for own, parent in information if parent and own.reason}
    return any(
        error.is_unsafe and (release in causes or release[0] in conflicting)
        for release, error in provider.ineligible.items()
    )


def _origin(requirement: Requirement, problem: Problem) -> str:
    if requirement.origin is not None:
        return str(requirement.origin)
    return f"the {problem.purpose}" if problem.purpose.kind == "build" else "the project"


def _bound(requirement: Requirement) -> str:
    return str(requirement) if requirement.specifier or requirement.url else f"{requirement} (any version)"


def _direct_reasons(
    urls: Sequence[Requirement], requirements: Sequence[Requirement], provider: Provider
) -> Iterator[str]:
    """Yield why what a direct reference names is not taken."""
    name, direct = urls[0].name, provider.releases.direct_candidates
    refused = [direct.refused[url] for own in urls if (url := own.url or "") in direct.refused]
    candidate = direct.known(urls[0])
    if refused:
        yield from (f"{name}: {show(reason)}" for reason in refused)
    elif len({own.url for own in urls}) > 1:
        yield f"{name} can come from one URL only"
    elif candidate is None:
        return
    elif (name, candidate.version) in provider.problem.excluded:
        yield cycle_reason(name, candidate.version)
    elif not all(provider.releases.fits(own.specifier, candidate.version) for own in requirements):
        yield f"{urls[0].url} is version {candidate.version}, which does not satisfy all of them"


def _is_nowhere(name: NormalizedName, provider: Provider) -> bool:
    return not provider.catalog.versions(name) and not provider.catalog.knows(name)


def _release_reasons(name: NormalizedName, requirements: Sequence[Requirement], provider: Provider) -> list[str]:
    """Return why no release of a project is taken."""
    versions = provider.catalog.versions(name)
    if not versions:
        if not _is_nowhere(name, provider):
            return [f"{name} has no release with files that can be used"]
        return [f"no configured index has {name}; if it was published a moment ago, use --refresh"]
    matching = _matching(name, requirements, provider)
    if not matching:
        found = ", ".join(str(version) for version in versions[:MAX_VERSIONS])
        more = f" and {len(versions) - MAX_VERSIONS} older" if len(versions) > MAX_VERSIONS else ""
        every = "all of them" if len(requirements) > 1 else "it"
        return [f"no version of {name} satisfies {every}; available: {found}{more}"]
    lines = [line for version in matching[:MAX_VERSIONS] for line in _version_reasons(name, version, provider)]
    if len(matching) > MAX_VERSIONS and lines:
        lines.append(f"... and {len(matching) - MAX_VERSIONS} more versions of {name}")
    return lines


def _matching(name: NormalizedName, requirements: Sequence[Requirement], provider: Provider) -> list[Version]:
    """Return the versions that all requirements allow, newest first."""
    fits = provider.releases.fits
    return [
        version
        for version in provider.catalog.versions(name)
        if all(fits(own.specifier, version) for own in requirements)
    ]


def _version_reasons(name: NormalizedName, version: Version, provider: Provider) -> Iterator[str]:
    problem = provider.problem
    if (name, version) in problem.excluded:
        yield cycle_reason(name, version)
        return
    refused = refusals(provider.catalog.files(name, version, problem.target), problem.target, problem.selection)
    yield from refused[:MAX_FILES]
    if len(refused) > MAX_FILES:
        yield f"... and {len(refused) - MAX_FILES} more files of {name} {version}"
    candidate = provider.releases.usable(name, version, yanked_ok=False)
    if candidate is not None and provider.releases.lacks_sdist(candidate):
        yield f"{name} {version} has no sdist, and build scope 'all' needs one (allow-wheel names exceptions)"
    if reason := provider.ineligible.get((name, version)):
        yield f"{name} {version} cannot be used: {show(str(reason), MAX_REASON)}"
    if version.is_prerelease and problem.selection.prereleases == "disallow":
        yield f"{name} {version} is a pre-release, and pre-releases are not allowed"
