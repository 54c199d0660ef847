"""All errors of deep-lock: UserError, ActionNeeded, IndexFault, SafetyError, BuildUnfinished and MachineFault. The group has the exit code."""

import errno
import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import ClassVar, Literal


class DeepLockError(Exception):
    """Base of all errors that deep-lock raises on purpose. ``hint`` says what the user can do; it is shown on its own line."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """The kind of the error for programs: the name of the class in lower case, as in "hash-mismatch"."""
        name = type(self).__name__
        return "".join(f"-{own}" if own.isupper() else own for own in name).lower().removeprefix("-")


class UserError(DeepLockError):
    """The input is at fault: a retry gives the same result."""


class UsageError(UserError):
    """Options or arguments that conflict."""


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


class VettingInvalid(UserError):
    """A file of `supply-chain/` is wrong."""


class CacheInvalid(UserError):
    """The cache folder cannot be used."""


class ActionNeeded(DeepLockError):
    """deep-lock worked; the user must act on the result."""

    exit_code = 1


ConflictCause = Literal["target", "release", "project"]
"""What no set of versions is due to: files that are for other targets, else requirements of releases, else the project's own."""


class Unsatisfiable(ActionNeeded):
    """No set of versions satisfies the requirements. ``nowhere`` are projects among them that no index has."""

    def __init__(
        self, message: str, *, hint: str = "", nowhere: tuple[str, ...] = (), cause: ConflictCause = "release"
    ) -> None:
        super().__init__(message, hint=hint)
        self.nowhere = nowhere
        self.cause = cause


class BuildCycle(ActionNeeded):
    """A package needs itself, through a chain of builds, in order to be built (PEP 517 forbids it)."""


class TargetsAlike(ActionNeeded):
    """Two declared targets need different packages, and no marker can distinguish them."""


class Stale(ActionNeeded):
    """The lock does not fit its inputs."""


class PolicyBroken(ActionNeeded):
    """The lock breaks the policy of the project."""


class IndexFault(DeepLockError):
    """The network or an index is at fault: a retry may help."""

    exit_code = 3


class NetworkError(IndexFault):
    """No response, or an incomplete one."""


class RepositoryRefused(NetworkError):
    """Git has no access to a repository, or there is none: another attempt has the same result."""


class NotFound(NetworkError):
    """404 for a file that an index page lists: index and files disagree."""


class IndexInvalid(IndexFault):
    """A response that breaks the simple repository API."""


class NotCached(IndexFault):
    """``--offline`` is set, and the cache lacks a file."""


class AdvisoryInvalid(IndexFault):
    """An advisory, or a whole source of advisories, that cannot be read."""


class AdvisoriesOld(IndexFault):
    """A database of advisories is older than allowed."""


class AccessDenied(IndexFault):
    """401 or 403. Never a reason to fall back to the next index (dependency confusion)."""


class SafetyError(DeepLockError):
    """Refused for safety. A retry gives the same result."""

    exit_code = 4


class HashMismatch(SafetyError):
    """The bytes do not have the expected digest."""


class HashMissing(SafetyError):
    """There is no digest to compare with."""


class HashWeak(SafetyError):
    """There are only digests weaker than sha256."""


class AttestationInvalid(SafetyError):
    """An attestation whose signature, publisher or subject is not valid."""


class MetadataInvalid(SafetyError):
    """Core metadata that cannot be read or trusted."""


class MetadataDiffers(SafetyError):
    """The metadata that an index serves for a wheel are not those in the wheel."""


class NameMismatch(MetadataInvalid):
    """Metadata or a page of another project than the requested one."""


class PyprojectInvalid(SafetyError):
    """The pyproject.toml of a source distribution breaks PEP 517 or 518."""


class ReleaseRefused(SafetyError):
    """No set of versions satisfies the requirements without a release whose contents are refused."""


class LimitExceeded(SafetyError):
    """Input larger, deeper or longer than a limit of deep-lock."""


class UrlForbidden(SafetyError):
    """A URL that must not be followed or recorded."""


class HookRefused(SafetyError):
    """Only a build backend has the answer, and it may not run here."""


class HookTimeout(SafetyError):
    """A build hook exceeded its time limit, and was killed with all its processes."""


class HookOutputLimit(SafetyError):
    """A build hook exceeded the limit of its output, folders, memory or processes, and was killed."""


class HookFailed(SafetyError):
    """A build hook failed, or could not be started."""


class BuildsFailed(SafetyError):
    """Several builds of one run failed, or could not begin because another one failed."""


class HookDiffers(SafetyError):
    """A build hook that was called twice returned two different results."""


class HookBadResult(SafetyError):
    """A build hook returned a result that its specification does not allow."""


class NotLocked(SafetyError):
    """A build needs something that is not in the lock."""


class WheelDiffers(SafetyError):
    """A wheel that was built here differs from what the lock says of its release."""


class ArchiveError(SafetyError):
    """Base of the errors of wheel and sdist files."""


class ArchiveUnsafe(ArchiveError):
    """A member outside of the target folder, a link or a device."""


class ArchiveTooBig(ArchiveError):
    """Too many members or too many bytes."""


class ArchiveBroken(ArchiveError):
    """Truncated, corrupt, or not an archive."""


class ArchiveAmbiguous(ArchiveError):
    """Two readers could see different contents."""


def safety_error(code: str, message: str, hint: str) -> SafetyError:
    """Return the error with this code, as another process has it; one that is not known is a SafetyError."""
    kinds = [SafetyError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    errors = (kind(message, hint=hint) for kind in kinds)
    return next((error for error in errors if error.code == code), SafetyError(message, hint=hint))


class BuildUnfinished(DeepLockError):
    """A build on another machine did not end: its worker was killed several times, or what it needs could not be read. A retry may help."""

    exit_code = 3


class OutsideCheckout(SafetyError):
    """A checkout of a fleet leads to files of this machine that are not its own."""


class MachineFault(DeepLockError):
    """This machine lacks what a run needs, or its disk fails. Says nothing about a package or a file. A retry may help."""

    exit_code = 3


_REMEDIES: Mapping[int, str] = MappingProxyType(
    {
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
        errno.ENFILE: "close other programs: the system has no more open files",
        errno.ENOSPC: "free some space, or set TMPDIR or DEEP_LOCK_CACHE_DIR to a folder with more",
        errno.EDQUOT: "free some space, or set TMPDIR or DEEP_LOCK_CACHE_DIR to a folder with more",
        errno.EROFS: "set TMPDIR or DEEP_LOCK_CACHE_DIR to a folder that can be written",
        errno.EIO: "the disk fails: look at the messages of the kernel",
        errno.ENOMEM: "more memory is needed",
        errno.EAGAIN: "raise the limit of processes (ulimit -u)",
    }
)
_NO_TEMPORARY_FOLDER = "No usable temporary directory"
_NO_THREAD = "can't start new thread"
_AGAIN = "then run it again"


def machine_fault(error: BaseException) -> MachineFault | None:
    """Return the fault of this machine that an error means; None where the error can mean something else."""
    while not isinstance(error, MachineFault):
        # errors of TLS and of name servers are OSErrors with numbers of their own
        own = error.errno if isinstance(error, OSError) and type(error).__module__ == "builtins" else None
        if own is not None and own in _REMEDIES:
            where = f" ({error.filename})" if isinstance(error, OSError) and isinstance(error.filename, str) else ""
            return _fault_of(own, where)
        if isinstance(error, MemoryError):
            return _fault_of(errno.ENOMEM)
        if isinstance(error, FileNotFoundError) and _NO_TEMPORARY_FOLDER in str(error):
            return MachineFault(f"this machine: {error.strerror}", hint=f"{_REMEDIES[errno.ENOSPC]}, {_AGAIN}")
        if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
            return _fault_of(errno.EAGAIN, " (a new thread)")
        if error.__cause__ is None:
            return None
        error = error.__cause__
    return error


def raise_machine_fault(error: BaseException) -> None:
    """Raise MachineFault where an error is a fault of this machine.

    It comes first in each ``except OSError`` that makes a statement about a package, a file or a server of the error.
    """
    fault = machine_fault(error)
    if fault is not None:
        raise fault from error


def raise_printed_fault(text: str, program: str, numbers: Collection[int] = _REMEDIES) -> None:
    """Raise MachineFault where the message of a program that failed is one of these errors, as C and Python print them."""
    for number in numbers:
        if os.strerror(number) in text or f"[Errno {number}]" in text or f": Error {number}\n" in text:
            raise _fault_of(number, f" (in {program})")


def _fault_of(number: int, where: str = "") -> MachineFault:
    return MachineFault(f"this machine: {os.strerror(number)}{where}", hint=f"{_REMEDIES[number]}, {_AGAIN}")
