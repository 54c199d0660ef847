"""Versions, specifiers and markers from outside (PEP 440, PEP 508). They are checked here, so that they do not fail later.

packaging reads the numbers of a specifier and of a marker only when a version is compared with it, and Python refuses
numbers of more than 4,300 digits. Here such a text is no version, no specifier and no marker.
"""

import re

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

MAX_LENGTH = 8192
"""Characters of a version or a specifier. One of an index has a few dozen."""

_HUGE_NUMBER = re.compile("[0-9]{1000}")


def has_huge_number(text: str) -> bool:
    """Whether there is a number of 1000 digits or more: no computation with it leads to one that Python refuses."""
    return len(text) >= 1000 and _HUGE_NUMBER.search(text) is not None


def parse_version(text: str) -> Version:
    """Return the version. Raises InvalidVersion."""
    if len(text) > MAX_LENGTH or has_huge_number(text):
        raise InvalidVersion(f"a version of {len(text)} characters")
    return Version(text)


def parse_specifier(text: str) -> SpecifierSet:
    """Return the specifier set. Raises InvalidSpecifier."""
    if len(text) > MAX_LENGTH or has_huge_number(text):
        raise InvalidSpecifier(f"a specifier of {len(text)} characters")
    return SpecifierSet(text)


def parse_marker(text: str) -> Marker:
    """Return the marker; its length is for the caller to limit. Raises InvalidMarker."""
    if has_huge_number(text):
        raise InvalidMarker("a number of 1000 digits or more")
    try:
        return Marker(text)
    except InvalidMarker:
        raise
    except (ValueError, RecursionError) as fault:
        raise InvalidMarker(str(fault)[:200]) from None
