"""Which releases of a project could be pinned in one problem, best first, answered from the Catalog."""

from collections.abc import Iterable, Iterator, Sequence

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import UNKNOWN_VERSION, BuildRequest, Candidate, Problem, Selection
from deep_lock.resolver.candidates import choose, direct_refusal, matches_url
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import applicable
from deep_lock.targets.target import Target


class BuildRequired(Exception):
    """Carries a build request out of a resolution: `resolve` returns it as Blocked."""

    def __init__(self, request: BuildRequest) -> None:
        super().__init__(request.name)
        self.request = request


def metadata_of(candidate: Candidate, problem: Problem, catalog: Catalog) -> Metadata:
    """Return the metadata of a candidate. Raises BuildRequired where only its build backend has it."""
    found = catalog.metadata(candidate, problem.target)
    if isinstance(found, BuildRequest):
        raise BuildRequired(found)
    return found


def cycle_reason(name: NormalizedName, version: Version) -> str:
    """Return why an excluded release cannot be pinned."""
    return f"{name} {version} is being built already: it cannot be needed to build itself (a build cycle)"


class DirectCandidates:
    """What the direct references of one problem name."""

    def __init__(self, problem: Problem, catalog: Catalog) -> None:
        self._problem = problem
        self._catalog = catalog
        self._candidates: dict[str, Candidate | None] = {}
        self.refused: dict[str, str] = {}
        """Why what a URL names cannot be taken on the target, by the URL."""

    def candidate(self, requirements: Sequence[Requirement], specifiers: Sequence[SpecifierSet]) -> Candidate | None:
        """Return the one candidate that all the URLs name and that satisfies the specifiers, or None.

        Raises BuildRequired where only a build backend knows its metadata, or its version and a specifier needs it.
        """
        candidate = self._read(min(requirements, key=_editable_first), needs_version=any(specifiers))
        if (
            candidate is None
            or (candidate.name, candidate.version) in self._problem.excluded
            or not all(matches_url(candidate, requirement) for requirement in requirements)
            or not all(specifier.contains(candidate.version, prereleases=True) for specifier in specifiers)
        ):
            return None
        return candidate

    def known(self, requirement: Requirement) -> Candidate | None:
        """Return what a URL names, if it was read before and can be taken; else None."""
        return self._candidates.get(requirement.url or "")

    def _read(self, requirement: Requirement, *, needs_version: bool) -> Candidate | None:
        url = requirement.url or ""
        known = self._candidates.get(url)
        if url not in self._candidates or (needs_version and known is not None and known.version == UNKNOWN_VERSION):
            target = self._problem.target
            found = self._catalog.direct(requirement, target, needs_version=needs_version)
            if isinstance(found, BuildRequest):
                raise BuildRequired(found)
            refusal = direct_refusal(found, metadata_of(found, self._problem, self._catalog), target)
            if refusal:
                self.refused[url] = refusal
            self._candidates[url] = None if refusal else found
        return self._candidates[url]


def _editable_first(requirement: Requirement) -> tuple[bool, str]:
    url = requirement.url or ""
    return ("editable=true" not in url.partition("#")[2], url)


def is_exact(specifier: SpecifierSet) -> bool:
    """Whether a specifier names one release: ``==V`` without a wildcard, or ``===V``."""
    return any(
        part.operator == "===" or (part.operator == "==" and not part.version.endswith(".*")) for part in specifier
    )


Choices = dict[tuple[Target, Selection], dict[tuple[NormalizedName, Version, bool], Candidate | None]]
"""What a target takes of each release (by name, version, whether yanked files count): shared by problems of one Catalog."""


class Releases:
    """The releases that one problem can pin. It shares with other problems only what holds for all of them."""

    def __init__(self, problem: Problem, catalog: Catalog, choices: Choices | None = None) -> None:
        self.problem = problem
        self.catalog = catalog
        self.preferences = dict(problem.preferences)
        self.constraints: dict[NormalizedName, list[Requirement]] = {}
        for constraint in applicable(problem.constraints, problem.target):
            self.constraints.setdefault(constraint.name, []).append(constraint)
        self.direct_candidates = DirectCandidates(problem, catalog)
        self._direct = {requirement.name for requirement in problem.requirements}
        self._usable = ({} if choices is None else choices).setdefault((problem.target, problem.selection), {})
        self._fits: dict[int, tuple[SpecifierSet, dict[Version, bool]]] = {}
        """By identity of the specifier, which is kept alive here: its hash is slower than the check."""

    def fits(self, specifier: SpecifierSet, version: Version) -> bool:
        """Whether a version satisfies a specifier; `candidates` decides on pre-releases."""
        key = id(specifier)
        _, answers = self._fits.get(key) or self._fits.setdefault(key, (specifier, {}))
        if version not in answers:
            answers[version] = specifier.contains(version, prereleases=True)
        return answers[version]

    def candidates(
        self, name: NormalizedName, specifiers: Sequence[SpecifierSet], *, direct: bool
    ) -> Iterator[Candidate]:
        """Yield what could be pinned, best first: preferred versions, final ones, then pre-releases if allowed.

        PEP 440: a pre-release counts only where no final release satisfies *all* specifiers, or where a specifier names
        a pre-release; even then final releases come first.
        """
        yanked_ok = any(is_exact(specifier) for specifier in specifiers)
        preferred = self.preferences.get(name, ())
        yield from self.fitting(name, preferred, specifiers, yanked_ok=True)
        selection = self.problem.selection
        mode = "allow" if name in selection.prerelease_names else selection.prereleases
        withheld: list[Version] = []
        finals = False
        for version in self._ordered(name, direct=direct):
            if version in preferred:
                finals = finals or not version.is_prerelease
            elif version.is_prerelease and mode != "allow":
                withheld.append(version)
            else:
                for candidate in self.fitting(name, (version,), specifiers, yanked_ok=yanked_ok):
                    finals = True
                    yield candidate
        if mode != "disallow" and (not finals or any(specifier.prereleases for specifier in specifiers)):
            yield from self.fitting(name, withheld, specifiers, yanked_ok=yanked_ok)

    def best(self, requirement: Requirement) -> Candidate | None:
        """Return the best candidate for a requirement and the problem's constraints alone. Raises BuildRequired."""
        specifiers = [requirement.specifier, *(c.specifier for c in self.constraints.get(requirement.name, ()))]
        if requirement.url is not None:
            return self.direct_candidates.candidate([requirement], specifiers)
        return next(self.candidates(requirement.name, specifiers, direct=requirement.name in self._direct), None)

    def _ordered(self, name: NormalizedName, *, direct: bool) -> Iterable[Version]:
        versions = self.catalog.versions(name)
        mode = self.problem.selection.resolution
        lowest = mode == "lowest" or (mode == "lowest-direct" and direct)
        return reversed(versions) if lowest else versions

    def fitting(
        self,
        name: NormalizedName,
        versions: Iterable[Version],
        specifiers: Sequence[SpecifierSet],
        *,
        yanked_ok: bool,
    ) -> Iterator[Candidate]:
        """Yield those of the versions that satisfy the specifiers and have a file for the target, in this order."""
        for version in versions:
            if (name, version) in self.problem.excluded or not all(self.fits(own, version) for own in specifiers):
                continue
            candidate = self.usable(name, version, yanked_ok=yanked_ok)
            if candidate is not None:
                yield candidate

    def usable(self, name: NormalizedName, version: Version, *, yanked_ok: bool) -> Candidate | None:
        """Return the release with the file that the target takes, or None."""
        key = (name, version, yanked_ok)
        if key not in self._usable:
            files = self.catalog.files(name, version)
            file = choose(files, self.problem.target, self.problem.selection, yanked_ok=yanked_ok)
            self._usable[key] = None if file is None else Candidate(name=name, version=version, distribution=file)
        return self._usable[key]
