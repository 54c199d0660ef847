"""The time limit ``exclude-newer``: a date, a time, or an age. The clock is not read here, so an age stays an age."""

import re
from datetime import date, datetime, timedelta
from typing import Any

from deep_lock.errors import ConfigError
from deep_lock.parsing.requirements import described
from deep_lock.parsing.text import shown

MAX_AGE = timedelta(days=36500)

ExcludeNewer = datetime | date | timedelta
"""An aware time, a whole day, or an age before now."""

_ISO_AGE = re.compile(
    r"P(?:(?P<weeks>\d{1,5})W)?(?:(?P<days>\d{1,5})D)?(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?)?",
    re.ASCII,
)
_PLAIN_AGE = re.compile(r"(?P<count>\d{1,6}) ?(?P<unit>minute|hour|day|week)s?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_HINT = 'Write "2026-11-01", "2026-11-01T00:00:00Z", "P7D" or "7 days".'


def read_exclude_newer(value: Any) -> ExcludeNewer:
    """Read a value of TOML or of an option: RFC 3339, a TOML date or time, an ISO 8601 duration, or "7 days".

    Raises ConfigError. Months and years are refused: they have no fixed length.
    """
    match value:
        case datetime():
            return _aware(value, value.isoformat())
        case date():
            return value
        case str():
            return _read_text(value.strip())
        case _:
            raise ConfigError(f"a time limit must be a string or a date, not {described(value)}", hint=_HINT)


def _read_text(text: str) -> ExcludeNewer:
    age = _age(text)
    if age is not None:
        if not timedelta() < age <= MAX_AGE:
            raise ConfigError(f"the age {shown(text)} must be more than zero and at most {MAX_AGE.days} days")
        return age
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _TIME.fullmatch(text):
            return _aware(datetime.fromisoformat(text.upper()), text)
    except ValueError:
        pass
    raise ConfigError(f"{shown(text)} is neither a date, nor a time, nor an age", hint=_HINT)


def _aware(time: datetime, text: str) -> datetime:
    if time.tzinfo is None:
        raise ConfigError(f"the time {shown(text)} has no time zone", hint='End it with "Z" for UTC.')
    return time


def _age(text: str) -> timedelta | None:
    if (found := _ISO_AGE.fullmatch(text)) and len(text) > 1:
        return timedelta(**{unit: int(count) for unit, count in found.groupdict().items() if count})
    if found := _PLAIN_AGE.fullmatch(text):
        return timedelta(**{found["unit"] + "s": int(found["count"])})
    return None
