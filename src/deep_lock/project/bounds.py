"""Edits the version bounds of a requirement so that a newer version fits, in the style in which they are written."""

import re

from packaging.specifiers import Specifier
from packaging.version import Version

from deep_lock.parsing.requirements import parse_requirement

_CLAUSE = re.compile(r"(?P<operator>~=|===?|<=?)(?P<space>[ \t]*)(?P<version>[^\s,;()]+)")
"""The clauses that exclude newer versions. ``!=`` excludes versions on purpose: it stays."""
_RELEASE = re.compile(r"(?P<front>v?(?:[0-9]+!)?)(?P<release>[0-9]+(?:\.[0-9]+)*)(?P<end>.*)", re.IGNORECASE)


def admitting(text: str, newest: Version) -> str | None:
    """Return the requirement with bounds that allow a version; its name, extras, marker and spaces stay.

    None if no change of an upper bound does that: it has a URL, it excludes the version with ``!=``, or the epoch differs.
    Raises RequirementInvalid.
    """
    front, semicolon, marker = text.partition(";")
    if parse_requirement(text).url is not None:
        return None

    def raised(match: re.Match[str]) -> str:
        operator, version = match["operator"], match["version"]
        if Specifier(f"{operator}{version}").contains(newest, prereleases=True):
            return match[0]
        return f"{operator}{match['space']}{_bound(operator, version, newest)}"

    changed = f"{_CLAUSE.sub(raised, front)}{semicolon}{marker}"
    return changed if parse_requirement(changed).specifier.contains(newest, prereleases=True) else None


def _bound(operator: str, version: str, newest: Version) -> str:
    """Return the version of a clause as near to the written one as possible, so that the clause allows ``newest``."""
    match operator:
        case "==" if version.endswith(".*"):
            return f"{_digits(newest, version.count('.'))}.*"
        case "~=":
            return _digits(newest, len(Version(version).release))
        case "<":
            return _next(version, newest)
        case _:
            return str(newest)


def _digits(version: Version, size: int) -> str:
    return ".".join(map(str, (*version.release, *[0] * size)[:size]))


def _next(version: str, newest: Version) -> str:
    """Return an exclusive bound above ``newest`` that counts the same part: "2" and "2.0" count majors, "2.1" minors."""
    parts = _RELEASE.fullmatch(version)
    if parts is None:
        return version
    release = [int(digit) for digit in parts["release"].split(".")]
    size = max((place for place, digit in enumerate(release, 1) if digit), default=1)
    counted = [*newest.release, *[0] * size][:size]
    counted[-1] += 1
    return parts["front"] + ".".join(map(str, (*counted, *[0] * (len(release) - size)))) + parts["end"]
