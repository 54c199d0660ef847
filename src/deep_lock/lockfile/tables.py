"""A TOML table that knows its place: hands each key out once, checked, and so knows at the end what nobody asked for."""

from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from msgspec import Struct, field

from deep_lock.errors import DeepLockError, LockInvalid
from deep_lock.lockfile.fields import Check, url_fault
from deep_lock.models.build_system import SettingValue
from deep_lock.models.lock import OptionValue
from deep_lock.parsing.toml import value_text
from deep_lock.sanitize import quote, show

MAX_INTEGER = 2**63 - 1
"""TOML's own bound."""

Choice = TypeVar("Choice", bound=str)

_KINDS = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", dict: "a table", list: "an array"}


class Reading(Struct, frozen=True, kw_only=True):
    """One reading of one file. ``newer``: a later deep-lock wrote it, so keys that are not known here may stand in it."""

    source: str
    newer: bool = False
    ignored: list[str] = field(default_factory=list)
    """Places of the keys that were not known."""


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")


class Table:
    """A table and its place, such as ``packages[3].wheels[0]``; "" is the file itself."""

    __slots__ = ("_content", "_place", "_reading")

    def __init__(self, content: dict[str, object], place: str, reading: Reading) -> None:
        self._content = content
        self._place = place
        self._reading = reading

    def place(self, key: str) -> str:
        """Return the full place of a key."""
        return f"{self._place}.{show(key)}" if self._place else show(key)

    def refuse(self, key: str, fault: str, *, hint: str = "", error: type[DeepLockError] = LockInvalid) -> NoReturn:
        """Raise the error, naming file and place."""
        place = self.place(key) if key else self._place
        raise error(f"{self._reading.source}: {place}: {fault}", hint=hint)

    def _refuse_kind(self, key: str, wanted: str, value: object) -> NoReturn:
        self.refuse(key, f"must be {wanted}, not {_kind(value)}")

    def optional(self, key: str, check: Check) -> str | None:
        """Take a string that may be absent."""
        value = self._content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, str):
            self._refuse_kind(key, "a string", value)
        fault = check(value)
        if fault:
            self.refuse(key, fault)
        return value

    def text(self, key: str, check: Check) -> str:
        """Take a string that must be there."""
        value = self.optional(key, check)
        if value is None:
            self.refuse(key, "is missing")
        return value

    def choice(self, key: str, allowed: tuple[Choice, ...]) -> Choice | None:
        """Take a string that is one of a few, and may be absent."""
        text = self.optional(key, lambda _: "")
        if text is None:
            return None
        chosen = next((choice for choice in allowed if choice == text), None)
        if chosen is None:
            self.refuse(key, f"must be one of {', '.join(map(repr, allowed))}, not {quote(text)}")
        return chosen

    def chosen(self, key: str, allowed: tuple[Choice, ...]) -> Choice:
        """Take a string that is one of a few, and must be there."""
        choice = self.choice(key, allowed)
        if choice is None:
            self.refuse(key, "is missing")
        return choice

    def url(self, key: str) -> str:
        """Take the URL of a file or an index. Raises UrlForbidden where it must not even be written down."""
        url = self.optional_url(key)
        if url is None:
            self.refuse(key, "is missing")
        return url

    def optional_url(self, key: str) -> str | None:
        """Take a URL that may be absent."""
        url = self.optional(key, lambda _: "")
        fault = url_fault(url) if url is not None else None
        if fault is not None:
            self.refuse(key, fault[1], error=fault[0])
        return url

    def number(self, key: str, *, least: int = 0) -> int | None:
        """Take an integer, not below ``least``."""
        value = self._content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self._refuse_kind(key, "an integer", value)
        if not least <= value <= MAX_INTEGER:
            self.refuse(key, f"must be an integer from {least} to 2**63 - 1")
        return value

    def flag(self, key: str) -> bool:
        """Take a mark: written only when true, so absent is false."""
        value = self._content.pop(key, None)
        if value is None:
            return False
        if not isinstance(value, bool):
            self._refuse_kind(key, "a boolean", value)
        return value

    def moment(self, key: str) -> datetime | None:
        """Take an offset date-time, as UTC."""
        value = self._content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            self._refuse_kind(key, "a date-time with its zone", value)
        try:
            return value.astimezone(UTC)
        except OverflowError:
            self.refuse(key, "is out of bounds")

    def maybe_texts(self, key: str, check: Check) -> tuple[str, ...] | None:
        """Take an array of strings, sorted; None where the key is absent."""
        texts = self.sequence(key, check)
        return None if texts is None else tuple(sorted(texts))

    def texts(self, key: str, check: Check) -> tuple[str, ...]:
        """Take an array of strings, sorted; absent is empty."""
        return self.maybe_texts(key, check) or ()

    def sequence(self, key: str, check: Check) -> tuple[str, ...] | None:
        """Take an array of strings in its order."""
        value = self._content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, list):
            self._refuse_kind(key, "an array", value)
        for position, item in enumerate(value):
            if not isinstance(item, str):
                self._refuse_kind(f"{key}[{position}]", "a string", item)
            fault = check(item)
            if fault:
                self.refuse(f"{key}[{position}]", fault)
        return tuple(value)

    def table(self, key: str) -> "Table | None":
        """Take a table that may be absent."""
        value = self._content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            self._refuse_kind(key, "a table", value)
        return Table(value, self.place(key), self._reading)

    def inner(self, key: str) -> "Table":
        """Take a table; absent is empty."""
        return self.table(key) or Table({}, self.place(key), self._reading)

    def tables(self, key: str) -> "list[Table] | None":
        """Take an array of tables; None where the key is absent."""
        value = self._content.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, list):
            self._refuse_kind(key, "an array of tables", value)
        found: list[Table] = []
        for position, item in enumerate(value):
            if not isinstance(item, dict):
                self._refuse_kind(f"{key}[{position}]", "a table", item)
            found.append(Table(item, self.place(f"{key}[{position}]"), self._reading))
        return found

    def names(self) -> list[str]:
        """Return the keys that are left, sorted: for tables whose keys are data."""
        return sorted(self._content)

    def option(self, key: str, check: Check) -> OptionValue:
        """Take the value of an option: a string, an integer, a boolean, a date-time or an array of strings."""
        value: OptionValue | None
        match self._content.get(key):
            case bool():
                value = self.flag(key)
            case int():
                value = self.number(key)
            case datetime():
                value = self.moment(key)
            case list():
                value = self.texts(key, check)
            case _:
                value = self.text(key, check)
        if value is None:
            self.refuse(key, "is missing")
        return value

    def setting(self, key: str, check: Check) -> SettingValue:
        """Take a string, or an array of strings in its order."""
        if isinstance(self._content.get(key), list):
            return self.sequence(key, check) or ()
        return self.text(key, check)

    def rest(self) -> tuple[tuple[str, str], ...]:
        """Take what nobody asked for, as (key, TOML text). Refused, unless a later deep-lock wrote the file."""
        if not self._content:
            return ()
        left = sorted(self._content.items())
        if not self._reading.newer:
            self.refuse(left[0][0], "is a key that this format does not have")
        self._reading.ignored.extend(self.place(key) for key, _ in left)
        self._content.clear()
        return tuple((key, value_text(value)) for key, value in left)
