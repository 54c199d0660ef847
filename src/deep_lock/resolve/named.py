"""What URLs name, in one problem. A URL leaves nothing to choose: its one candidate is taken or refused, with the reason."""

from collections.abc import Sequence

from packaging.specifiers import SpecifierSet

from deep_lock.model.requirement import Requirement
from deep_lock.model.resolution import UNKNOWN_VERSION, BuildRequest, Candidate, Problem
from deep_lock.resolve.candidates import direct_refusal, is_meant
from deep_lock.resolve.catalog import Catalog


class BlockedError(Exception):
    """Carries a build request out of a search; never leaves this wing."""

    def __init__(self, request: BuildRequest) -> None:
        super().__init__(request.name)
        self.request = request


class Named:
    """One problem's direct references."""

    def __init__(self, problem: Problem, catalog: Catalog) -> None:
        self._problem = problem
        self._catalog = catalog
        self._candidates: dict[str, Candidate | None] = {}
        self.refused: dict[str, str] = {}
        """Why what a URL names cannot be taken on the target, by the URL."""

    def candidate(self, requirements: Sequence[Requirement], specifiers: Sequence[SpecifierSet]) -> Candidate | None:
        """Return the one candidate that all the URLs name, if they do and it satisfies the specifiers.

        Raises BlockedError where only a backend knows its metadata, or its version, which a specifier is about.
        """
        candidate = self._look(min(requirements, key=_editable_first), needs_version=any(specifiers))
        if (
            candidate is None
            or (candidate.name, candidate.version) in self._problem.excluded
            or not all(is_meant(requirement, candidate) for requirement in requirements)
            or not all(specifier.contains(candidate.version, prereleases=True) for specifier in specifiers)
        ):
            return None
        return candidate

    def known(self, requirement: Requirement) -> Candidate | None:
        """Return what a URL was found to name; None where it was not asked, or cannot be taken."""
        return self._candidates.get(requirement.url or "")

    def _look(self, requirement: Requirement, *, needs_version: bool) -> Candidate | None:
        url = requirement.url or ""
        known = self._candidates.get(url)
        if url not in self._candidates or (needs_version and known is not None and known.version == UNKNOWN_VERSION):
            target = self._problem.target
            found = self._catalog.direct(requirement, target, needs_version=needs_version)
            if isinstance(found, BuildRequest):
                raise BlockedError(found)
            metadata = self._catalog.metadata(found, target)
            if isinstance(metadata, BuildRequest):
                raise BlockedError(metadata)
            refusal = direct_refusal(found, metadata, target)
            if refusal:
                self.refused[url] = refusal
            self._candidates[url] = None if refusal else found
        return self._candidates[url]


def _editable_first(requirement: Requirement) -> tuple[bool, str]:
    url = requirement.url or ""
    return ("editable=true" not in url.partition("#")[2], url)
