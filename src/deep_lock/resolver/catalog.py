"""The port: all that a resolver may ask of the world. Blocking; whoever serves it may fetch ahead behind it.

A fake of it is a dict that refuses what it was not given.
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

        Asked O(1) times for a requirement. Raises IndexFault.
        """

    def knows(self, name: NormalizedName) -> bool:
        """Whether an index has a page for the project, be there a file on it that can be used or not. Raises IndexFault."""

    def files(self, name: NormalizedName, version: Version) -> Sequence[Distribution]:
        """Return the files of one version from `versions`, in file name order.

        Asked once for a version that is looked at: keep it cheap.
        """

    def metadata(self, candidate: Candidate, target: Target) -> Metadata | BuildRequest:
        """Return the candidate's core metadata, or the request for a build where only its backend has it.

        Asked for a candidate that is about to be pinned. Raises IndexFault or SafetyError.
        """

    def direct(self, requirement: Requirement, target: Target, *, needs_version: bool) -> Candidate | BuildRequest:
        """Return what a requirement with a URL names, or the request for a build where only its backend knows its version.

        Without ``needs_version`` an unknown one is UNKNOWN_VERSION: nobody asks for any.
        Its metadata are asked for as those of any other candidate. Raises DeepLockError.
        """

    def prefetch(self, requirements: Sequence[Requirement], candidates: Sequence[Candidate] = ()) -> None:
        """Hint that what would satisfy these requirements, and metadata of these candidates, will be asked for soon.

        Must return at once, and must not raise.
        """
