"""Requirements of a project for one of its extras only, by their markers: ``lib; extra == "x"``."""

import re

from msgspec.structs import replace
from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import ProjectInvalid
from deep_lock.models.requirement import Requirement

# These are compiled at first use: few projects have such markers.
_TEXTS = r""""[^"]*"|'[^']*'"""
_BRACKETS = r"\([^()]*\)"
_EXTRA = r"""(?P<before>.*?)(?:(?P<and>\s+and\s+)|^)extra == ["'](?P<name>[^"']+)["'](?:\s+and\s+(?P<after>.*))?"""


def split_extra(requirement: Requirement, source: str) -> tuple[NormalizedName | None, Requirement]:
    """Return the extra that a requirement is for, and the requirement without it in its marker.

    ``extra == "x"`` must be at one end of an "and", where build backends put it. Raises ProjectInvalid.
    """
    text = str(requirement.marker) if requirement.marker is not None else ""
    if "extra" not in text or "extra" not in re.sub(_TEXTS, "", text):
        return None, requirement
    match = re.fullmatch(_EXTRA, text)
    rest = "" if match is None else " and ".join(filter(None, (match["before"].strip(), match["after"])))
    outside = _outside_brackets(rest)
    if match is None or "extra" in rest or "(" in outside or " or " in outside:
        raise ProjectInvalid(
            f"{requirement.origin or source}: the marker cannot be assigned to one extra: {requirement}",
            hint="write the requirement in project.optional-dependencies of pyproject.toml",
        )
    return canonicalize_name(match["name"]), replace(requirement, marker=Marker(rest) if rest else None)


def _outside_brackets(text: str) -> str:
    while (without := re.sub(_BRACKETS, "", text)) != text:
        text = without
    return text
