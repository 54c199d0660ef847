"""The one tree of errors. Each says whose fault it is, what is the case, and what to do.

::

    DeepLockError                     exit
    ├── UserError                      2   the project, a flag, the configuration
    │   ├── UsageError                     flags that do not go together
    │   ├── ConfigError                    [tool.deep-lock], deep-lock.toml
    │   ├── ProjectInvalid                 pyproject.toml, setup.cfg, a script block
    │   ├── RequirementsInvalid            requirements.txt and its kin
    │   ├── RequirementInvalid             one requirement text
    │   ├── LockInvalid                    deep.lock cannot be read
    │   └── CacheInvalid                   the cache folder cannot be used
    ├── ActionNeeded                   1   an answer that the user must act on
    │   ├── Unsatisfiable                  no set of releases fits
    │   ├── BuildCycle                     a release that needs itself to be built
    │   ├── TargetsAlike                   no marker tells two targets apart that differ
    │   ├── Stale                          the lock does not fit its inputs
    │   └── PolicyBroken                   the lock is not what the project's policy wants
    ├── IndexFault                     3   network or index trouble: a CI may try again
    │   ├── NetworkError                   no (whole) answer
    │   │   └── NotFound                   404 for a file that a page promised
    │   ├── IndexInvalid                   an answer that is not a package index's
    │   ├── NotCached                      --offline, and the cache lacks it
    │   └── AccessDenied                   401, 403: no fall-through to another index
    └── SafetyError                    4   refused for safety
        ├── HashMismatch                   bytes are not those that were promised
        ├── HashMissing / HashWeak         nothing, or less than sha256, was promised
        ├── MetadataInvalid                core metadata that cannot be trusted
        │   └── NameMismatch               ... because it is another project's
        ├── PyprojectInvalid               an sdist's pyproject.toml breaks PEP 518/517
        ├── LimitExceeded                  larger, deeper or longer than allowed
        ├── UrlForbidden                   a URL that must not be followed
        ├── HookRefused                    only a backend knows, and it may not be asked
        ├── HookTimeout                    a build hook ran for longer than it may
        ├── HookOutputLimit                a build hook wrote more than it may
        ├── HookFailed                     a build hook ended in an error, or could not be started
        ├── HookBadResult                  what a build hook answered cannot be used
        └── ArchiveError                   ArchiveUnsafe, ArchiveTooBig, ArchiveBroken, ArchiveAmbiguous
"""

from typing import ClassVar


class DeepLockError(Exception):
    """Root of all errors that deep-lock raises on purpose.

    ``hint`` says what the user can do; it is shown on a line of its own.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(DeepLockError):
    """The input is at fault: asking again gives the same answer."""


class UsageError(UserError):
    """Flags or arguments that do not go together."""


class ConfigError(UserError):
    """``[tool.deep-lock]`` or ``deep-lock.toml`` is wrong."""


class ProjectInvalid(UserError):
    """A project file (pyproject.toml, setup.cfg, script block) is wrong."""


class RequirementsInvalid(UserError):
    """A requirements file is wrong."""


class RequirementInvalid(UserError):
    """One requirement text is wrong (dependency specifiers, PEP 508)."""


class LockInvalid(UserError):
    """A lock file cannot be read; the message names the place in it."""


class CacheInvalid(UserError):
    """The cache folder cannot be used."""


class ActionNeeded(DeepLockError):
    """deep-lock worked; its answer is one that the user must act on."""

    exit_code = 1


class Unsatisfiable(ActionNeeded):
    """No set of releases satisfies the requirements."""


class BuildCycle(ActionNeeded):
    """A release needs itself, through a chain of builds, in order to be built (PEP 517 forbids it)."""


class TargetsAlike(ActionNeeded):
    """Two declared targets need different entries, and no marker can tell them apart."""


class Stale(ActionNeeded):
    """The lock no longer fits its inputs."""


class PolicyBroken(ActionNeeded):
    """The lock is not what the project's policy wants of it."""


class IndexFault(DeepLockError):
    """The network or an index is at fault: asking again later may help."""

    exit_code = 3


class NetworkError(IndexFault):
    """No answer, or not a whole one."""


class NotFound(NetworkError):
    """404 for a file that an index page promised: index and files disagree."""


class IndexInvalid(IndexFault):
    """An answer that is not what the simple repository API promises."""


class NotCached(IndexFault):
    """``--offline`` was asked for and the cache lacks a thing."""


class AccessDenied(IndexFault):
    """401 or 403. Never a reason to ask the next index (dependency confusion by outage)."""


class SafetyError(DeepLockError):
    """Refused for safety. Asking again gives the same answer."""

    exit_code = 4


class HashMismatch(SafetyError):
    """The bytes do not have the digest that was promised."""


class HashMissing(SafetyError):
    """No digest was promised."""


class HashWeak(SafetyError):
    """Only digests weaker than sha256 were promised."""


class MetadataInvalid(SafetyError):
    """Core metadata that cannot be read or trusted."""


class NameMismatch(MetadataInvalid):
    """Metadata or a page of another project than the one asked for."""


class PyprojectInvalid(SafetyError):
    """The pyproject.toml of a source distribution breaks PEP 517 or 518."""


class LimitExceeded(SafetyError):
    """Input larger, deeper or longer than deep-lock takes."""


class UrlForbidden(SafetyError):
    """A URL that must not be followed or written down."""


class HookRefused(SafetyError):
    """Only a build backend has the answer, and it may not be asked here."""


class HookTimeout(SafetyError):
    """A build hook ran for longer than it may, and was killed with all that it had started."""


class HookOutputLimit(SafetyError):
    """A build hook wrote more than it may, to its output or its folders, and was killed."""


class HookFailed(SafetyError):
    """A build hook ended in an error, or could not be started."""


class HookBadResult(SafetyError):
    """What a build hook answered is not what its specification allows."""


class NotLocked(SafetyError):
    """A build that needs what the lock does not hold."""


class WheelDiffers(SafetyError):
    """A wheel that was built here and is not what the lock says of its release."""


class ArchiveError(SafetyError):
    """Root of what can be wrong with a wheel or sdist file."""


class ArchiveUnsafe(ArchiveError):
    """A member that would leave its folder, a link or a device."""


class ArchiveTooBig(ArchiveError):
    """Too many members or too many bytes."""


class ArchiveBroken(ArchiveError):
    """Cut, corrupt, or not an archive."""


class ArchiveAmbiguous(ArchiveError):
    """Two readers could see two contents."""
