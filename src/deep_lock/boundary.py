"""The boundary between content from outside and the program: a reader raises its own typed error, for any content.

Content is what an index, an archive, a hook, another program, a cache or a file of the user has in it. Parsers raise many
classes of exceptions for content that they do not expect: RecursionError for nesting, ValueError for a number of more than
4,300 digits, struct.error, zlib.error, KeyError. Every function that reads content has its work in a `reading`
block, so that one bad file is refused with its name and the reason.
"""

import errno
from types import TracebackType
from typing import Protocol

from deep_lock.errors import DeepLockError, raise_machine_fault
from deep_lock.sanitize import show

MAX_REASON = 160
"""Characters of the message of an exception that are shown."""


class ErrorOf(Protocol):
    """Makes the error of a faulty source: an error class, or one with a hint of its own."""

    def __call__(self, message: str, /, *, hint: str = "") -> DeepLockError:
        """Return the error."""


class reading:  # noqa: N801 - used as a statement: with reading(source, error)
    """A block that reads content: every exception becomes ``error``, with the source and the reason.

    A DeepLockError passes. A machine that cannot read, or lacks memory, is no fault of the content: MachineFault, or the OSError.
    """

    __slots__ = ("_error", "_is_secret", "_source")

    def __init__(self, source: str, error: ErrorOf, *, is_secret: bool = False) -> None:
        """``source`` names the content in the message. Of content that ``is_secret`` the reason quotes nothing."""
        self._source = source
        self._error = error
        self._is_secret = is_secret

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self, _kind: type[BaseException] | None, fault: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if fault is None or not isinstance(fault, Exception) or isinstance(fault, DeepLockError):
            return
        raise_machine_fault(fault)
        if _is_of_machine(fault):
            return
        if self._is_secret:
            raise self._error(f"{self._source}: cannot be read ({type(fault).__name__})") from None
        raise self._error(f"{self._source}: {reason_of(fault)}") from fault


def _is_of_machine(fault: Exception) -> bool:
    """Whether the system raised it: decompressors raise OSError without a number, and a bad position is EINVAL."""
    return isinstance(fault, OSError) and fault.errno not in {None, errno.EINVAL}


def reason_of(fault: Exception) -> str:
    """Return what an exception of a parser means, as the end of a sentence that begins with the source."""
    match fault:
        case RecursionError():
            return "is nested too deeply"
        case UnicodeError():
            return "is not UTF-8"
        case ValueError() if "integer string conversion" in str(fault):
            return "has a number with too many digits"
    text = show(str(fault), MAX_REASON)
    return f"cannot be read: {text} ({type(fault).__name__})" if text else f"cannot be read ({type(fault).__name__})"
