"""The story of an impossible resolution, in plain sentences.

resolvelib reports only the last requirements that collided. What it cannot know is added from the candidates room: which
releases exist, and why each file of them is refused on this target.
"""

from collections.abc import Collection, Sequence

from packaging.utils import NormalizedName

from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import Cause, Impossible, Problem
from deep_lock.resolver.candidates import refusals
from deep_lock.resolver.provider import INELIGIBLE, Information, Provider
from deep_lock.sanitize import show

MAX_VERSIONS = 5
MAX_FILES = 6


def _who(cause: Cause, problem: Problem) -> str:
    if cause.parent:
        return cause.parent
    origin = cause.requirement.origin
    if origin is not None:
        return str(origin)
    return f"the {problem.purpose}" if problem.purpose.kind == "build" else "the project"


def _wanted(requirement: Requirement) -> str:
    text = str(requirement)
    return text if requirement.specifier or requirement.url else f"{text} (any version)"


def causes_of(information: Collection[Information]) -> tuple[Cause, ...]:
    """Turn resolvelib's information into causes, sorted, without doubles."""
    found: dict[tuple[str, str], Cause] = {}
    for wish, parent in information:
        asker = f"{parent.candidate.name} {parent.candidate.version}" if parent is not None else ""
        cause = Cause(requirement=wish.requirement, parent=asker)
        found.setdefault((str(wish.requirement), asker), cause)
    return tuple(found[key] for key in sorted(found))


def explain(information: Collection[Information], problem: Problem, provider: Provider) -> Impossible:
    """Say who asked for what, and why no release does."""
    causes = causes_of(information)
    lines: list[str] = []
    for name in sorted({cause.requirement.name for cause in causes}):
        own = [cause for cause in causes if cause.requirement.name == name]
        if name == INELIGIBLE:
            lines += [f"{wish_parent} cannot be used: {show(reason)}" for wish_parent, reason in _unusable(information)]
            continue
        lines += [f"{_who(cause, problem)} asks for {_wanted(cause.requirement)}" for cause in own]
        constraints = provider.releases.constraints.get(name, [])
        lines += [f"{constraint.origin or 'a constraint'} allows only {constraint}" for constraint in constraints]
        asked = [cause.requirement for cause in own] + constraints
        story = _why_not_named if any(requirement.url is not None for requirement in asked) else _why_none
        lines += story(name, asked, problem, provider)
    head = f"no set of releases fits the {problem.purpose} on {problem.target.label}:"
    return Impossible(causes=causes, explanation="\n".join([head, *(f"  {line}" for line in lines)]))


def _unusable(information: Collection[Information]) -> list[tuple[str, str]]:
    return sorted(
        {
            (f"{parent.candidate.name} {parent.candidate.version}", wish.reason)
            for wish, parent in information
            if parent is not None and wish.reason
        }
    )


def _why_not_named(
    name: NormalizedName,
    requirements: Sequence[Requirement],
    problem: Problem,
    provider: Provider,
) -> list[str]:
    """Say why what a direct reference names is not taken."""
    urls = [requirement for requirement in requirements if requirement.url is not None]
    reasons = [
        provider.releases.named.refused[url]
        for own in urls
        if (url := own.url or "") in provider.releases.named.refused
    ]
    if reasons:
        return [f"{name}: {show(reason)}" for reason in reasons]
    if len({own.url for own in urls}) > 1:
        return [f"{name} can come from one place only"]
    candidate = provider.releases.named.known(urls[0])
    if candidate is None:
        return []
    if (name, candidate.version) in problem.excluded:
        return [f"{name} {candidate.version} is being built already: it cannot be needed to build itself"]
    if all(provider.releases.fits(requirement.specifier, candidate.version) for requirement in requirements):
        return []
    return [f"{urls[0].url} is version {candidate.version}, which does not satisfy all of them"]


def _why_none(
    name: NormalizedName, requirements: Sequence[Requirement], problem: Problem, provider: Provider
) -> list[str]:
    versions = provider.catalog.versions(name)
    if not versions:
        if provider.catalog.knows(name):
            return [f"{name} has no release with files that can be used"]
        return [f"no configured index knows {name}; if it was published a moment ago, use --refresh"]
    specifiers = [requirement.specifier for requirement in requirements]
    matching = [version for version in versions if all(provider.releases.fits(part, version) for part in specifiers)]
    if not matching:
        known = ", ".join(str(version) for version in versions[:MAX_VERSIONS])
        more = f" and {len(versions) - MAX_VERSIONS} older" if len(versions) > MAX_VERSIONS else ""
        return [
            f"no version of {name} satisfies {'all of them' if len(specifiers) > 1 else 'it'}; there are {known}{more}"
        ]
    lines: list[str] = []
    for version in matching[:MAX_VERSIONS]:
        if (name, version) in problem.excluded:
            lines.append(f"{name} {version} is being built already: it cannot be needed to build itself")
            continue
        refused = refusals(provider.catalog.files(name, version), problem.target, problem.selection)
        lines += [f"{refusal.filename}: {refusal.reason}" for refusal in refused[:MAX_FILES]]
        if len(refused) > MAX_FILES:
            lines.append(f"... and {len(refused) - MAX_FILES} more files of {name} {version}")
        if reason := provider.ineligible.get((name, version)):
            lines.append(f"{name} {version} cannot be used: {show(reason)}")
        if version.is_prerelease and problem.selection.prereleases == "disallow":
            lines.append(f"{name} {version} is a pre-release, and pre-releases are not allowed")
    if len(matching) > MAX_VERSIONS and lines:
        lines.append(f"... and {len(matching) - MAX_VERSIONS} more versions of {name}")
    return lines
