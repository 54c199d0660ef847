"""Lines of a requirements file that name a path or a URL, and no project."""

import re

from msgspec import Struct
from msgspec.structs import replace
from packaging.markers import InvalidMarker, Marker
from packaging.utils import NormalizedName

from deep_lock.errors import RequirementInvalid
from deep_lock.inputs.requirement_lines import LineInvalid, Option
from deep_lock.inputs.requirement_list import read_name
from deep_lock.model.direct import Reference, parse_reference
from deep_lock.model.requirement import MAX_REQUIREMENT_LENGTH, Origin

_LINE = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?(#[^\[\]]*)?")


class UnnamedLine(Struct, frozen=True, kw_only=True):
    """A line that names a path or a URL and no project: whose it is, the thing itself says."""

    reference: Reference
    """Paths are as written."""
    extras: frozenset[NormalizedName]
    marker: Marker | None
    origin: Origin


def read_unnamed(wanted: str, options: tuple[Option, ...], origin: Origin) -> UnnamedLine:
    """Read a path or a URL, with extras in brackets and a marker behind it. Raises LineInvalid."""
    text, semicolon, condition = wanted.partition(" ;") if " ;" in wanted else wanted.partition(";")
    found = _LINE.fullmatch(text.strip())
    if found is None or options or len(wanted) > MAX_REQUIREMENT_LENGTH:
        raise LineInvalid("names a URL or a path with something odd behind it", hint="Write NAME @ URL.")
    place, extras, fragment = found[1], found[2] or "", found[3] or ""
    try:
        return UnnamedLine(
            reference=parse_reference(place + fragment),
            extras=frozenset(read_name(extra.strip(), "the extra") for extra in extras.split(",") if extra.strip()),
            marker=Marker(condition) if semicolon else None,
            origin=origin,
        )
    except (InvalidMarker, ValueError, RecursionError):
        raise LineInvalid("has a marker that is none") from None
    except RequirementInvalid as error:
        raise LineInvalid(f"names a URL or a path: {error.message}", hint=error.hint) from None


def read_editable(value: str, origin: Origin) -> UnnamedLine:
    """Read the value of ``-e``. Raises LineInvalid."""
    line = read_unnamed(value, (), origin)
    if line.reference.kind != "path" or line.reference.is_archive:
        raise LineInvalid("is editable, and no folder", hint="Only a folder of this machine is installed as editable.")
    return replace(line, reference=replace(line.reference, editable=True))
