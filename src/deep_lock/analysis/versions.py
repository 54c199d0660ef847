"""Versions as a lock has them: as text, perhaps absent or invalid; and their ages."""

from collections.abc import Iterable
from datetime import datetime

from packaging.version import InvalidVersion, Version

from deep_lock.lockfile.index import files_of
from deep_lock.models.lock import LockedPackage

_NONE = Version("0")
DAY_SECONDS = 86400


def newest(versions: Iterable[str | None]) -> Version:
    """Return the newest version; 0 where there is none."""
    return max(map(_parsed, versions), default=_NONE)


def joined(versions: Iterable[str]) -> str:
    """Return the versions as text, the newest last."""
    return " and ".join(sorted(versions, key=_parsed))


def published(entries: Iterable[LockedPackage], now: datetime | None) -> str:
    """Return how old the newest file is, as text: a release of today has hardly been reviewed.

    Empty where no file has a time, and without ``now``.
    """
    times = [file.upload_time for entry in entries for file in files_of(entry) if file.upload_time is not None]
    if now is None or not times:
        return ""
    days = int((now - max(times)).total_seconds() // DAY_SECONDS)
    return f"published {'today' if days <= 0 else '1 day ago' if days == 1 else f'{days} days ago'}"


def _parsed(version: str | None) -> Version:
    try:
        return Version(version or "0")
    except InvalidVersion:
        return _NONE
