"""Versions as a lock has them: as text, perhaps absent or invalid."""

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

_NONE = Version("0")


def newest(versions: Iterable[str | None]) -> Version:
    """Return the newest version; 0 where there is none."""
    return max(map(_parsed, versions), default=_NONE)


def joined(versions: Iterable[str]) -> str:
    """Return the versions in words, the newest last."""
    return " and ".join(sorted(versions, key=_parsed))


def _parsed(version: str | None) -> Version:
    try:
        return Version(version or "0")
    except InvalidVersion:
        return _NONE
