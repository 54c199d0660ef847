"""All faults of one file in one message, so that the user can fix them together."""

from collections.abc import Iterator
from contextlib import contextmanager

from deep_lock.boundary import reading
from deep_lock.errors import DeepLockError, LimitExceeded, UserError

MAX_SHOWN_FAULTS = 25


class Faults:
    """The faults of one file: recorded while it is read, raised once at the end."""

    def __init__(self, source: str, error: type[DeepLockError]) -> None:
        self.source = source
        self._error = error
        self._messages: list[str] = []
        self._hints: list[str] = []

    def add(self, message: str, *, hint: str = "") -> None:
        """Record one fault. The message does not name the file."""
        if message not in self._messages:
            self._messages.append(message)
        if hint and hint not in self._hints:
            self._hints.append(hint)

    @contextmanager
    def collecting(self, place: str = "") -> Iterator[None]:
        """Record a UserError of the body, or what a parser raises, instead of raising it. A SafetyError is raised."""
        try:
            with reading(self.source, self._error):
                yield
        except LimitExceeded as error:
            if self.source in error.message:
                raise
            where = f"{self.source}: {place}" if place else self.source
            raise LimitExceeded(f"{where}: {error.message}", hint=error.hint) from None
        except UserError as error:
            message = error.message.removeprefix(f"{self.source}: ")
            self.add(f"{place}: {message}" if place else message, hint=error.hint)

    def to_error(self) -> DeepLockError | None:
        """Return one error with all faults, or None."""
        if not self._messages:
            return None
        hint = " ".join(self._hints)
        if len(self._messages) == 1:
            message = self._messages[0]
            return self._error(message if message.startswith(self.source) else f"{self.source}: {message}", hint=hint)
        lines = [f"{self.source}: {len(self._messages)} faults", *self._messages[:MAX_SHOWN_FAULTS]]
        left = len(self._messages) - MAX_SHOWN_FAULTS
        if left > 0:
            lines.append(f"and {left} more")
        return self._error("\n  - ".join(lines), hint=hint)

    def raise_any(self) -> None:
        """Raise the recorded faults."""
        error = self.to_error()
        if error is not None:
            raise error
