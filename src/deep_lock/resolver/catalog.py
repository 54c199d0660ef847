"""The Catalog protocol: what the resolver needs to know of projects, versions, files and metadata.

Its methods block; an implementation may fetch ahead. Tests implement it with a dict.
"""

from collections.abc import Sequence
from typing import Protocol

from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.distribution import Distribution
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import BuildRequest, Candidate
from deep_lock.targets.target import Target


class Catalog(Protocol):
    """Answers must not change during a run: a page is read once and kept."""

    def versions(self, name: NormalizedName) -> Sequence[Version]:
        """Return every version of the project that has a file, newest first; empty where there is none.

        Called O(1) times for a requirement. Raises IndexFault.
        """

    def knows(self, name: NormalizedName) -> bool:
        """Whether an index has a page for the project, with usable files or without. Raises IndexFault."""

    def files(self, name: NormalizedName, version: Version, target: Target) -> Sequence[Distribution]:
        """Return the files of one version from `versions` that a target may take, in file name order.

        Called once for a version that is considered: keep it cheap.
        """

    def metadata(self, candidate: Candidate, target: Target) -> Metadata | BuildRequest:
        """Return the candidate's core metadata, or the request for a build where only its backend has it.

        Called for a candidate that is about to be pinned. Raises IndexFault or SafetyError; one of `candidates.CONTENT_FAULTS`
        refuses the candidate only.
        """

    def direct(self, requirement: Requirement, target: Target, *, needs_version: bool) -> Candidate | BuildRequest:
        """Return what a requirement with a URL names, or the request for a build where only its backend knows its version.

        Without ``needs_version`` an unknown version is UNKNOWN_VERSION. Raises DeepLockError.
        """

    def prefetch(self, requirements: Sequence[Requirement], candidates: Sequence[Candidate] = ()) -> None:
        """Announce that releases for these requirements, and metadata of these candidates, are needed soon.

        Must return at once, and must not raise.
        """
