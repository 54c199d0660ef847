"""Core metadata: the few fields that decide a resolution, and when an sdist's may be trusted (PEP 643, PEP 808).

METADATA, PKG-INFO and the PEP 658 file are all read here. The body (the description) is never looked at.
"""

from dataclasses import dataclass

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LimitExceeded, MetadataInvalid, NameMismatch

MAX_METADATA_BYTES = 4 * 1024 * 1024
MAX_REQUIRES_DIST = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """What a resolver needs of core metadata. ``requires_dist`` keeps the texts: most are never needed as objects."""

    name: NormalizedName
    version: str
    metadata_version: str = "2.1"
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    provides_extra: tuple[str, ...] = ()
    dynamic: frozenset[str] = frozenset()
    """Lower-case field names that the file declares Dynamic."""


def _headers(text: str) -> list[tuple[str, str]]:
    """Header fields in order, names in lower case, folded lines joined (RFC 822; packaging keeps the newline)."""
    fields: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line:
            break
        if line[0] in " \t":
            if fields:
                name, value = fields[-1]
                fields[-1] = name, f"{value} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if colon:
            fields.append((name.strip().lower(), value.strip()))
    return fields


def parse_metadata(raw: bytes, where: str) -> Metadata:
    """Read core metadata; ``where`` names the file in messages.

    Raises MetadataInvalid (no or two names, an unknown major version) or LimitExceeded.
    """
    if len(raw) > MAX_METADATA_BYTES:
        raise LimitExceeded(f"{where}: {len(raw)} bytes of metadata; at most {MAX_METADATA_BYTES} are taken")
    single: dict[str, str] = {}
    many: dict[str, list[str]] = {"requires-dist": [], "provides-extra": [], "dynamic": []}
    for name, value in _headers(raw.decode("utf-8", errors="replace")):
        if name in many:
            many[name].append(value)
        elif name in single and name in {"name", "version", "metadata-version"}:
            raise MetadataInvalid(f"{where}: the field {name.title()!r} stands twice")
        else:
            single.setdefault(name, value)
    if not single.get("name") or not single.get("version"):
        raise MetadataInvalid(f"{where}: metadata without Name or Version")
    version = single.get("metadata-version", "1.0")
    major = version.split(".", 1)[0]
    if not major.isdigit() or int(major[:9]) > 2:
        # Core metadata: a tool MUST refuse a newer major version, and only a major one.
        raise MetadataInvalid(f"{where}: Metadata-Version {version[:40]!r} is not known")
    if len(many["requires-dist"]) > MAX_REQUIRES_DIST:
        raise LimitExceeded(f"{where}: {len(many['requires-dist'])} Requires-Dist fields")
    return Metadata(
        name=canonicalize_name(single["name"]),
        version=single["version"],
        metadata_version=version,
        requires_dist=tuple(many["requires-dist"]),
        requires_python=single.get("requires-python") or None,
        provides_extra=tuple(canonicalize_name(extra) for extra in many["provides-extra"]),
        dynamic=frozenset(field.lower() for field in many["dynamic"]),
    )


def check_name(metadata: Metadata, name: NormalizedName, where: str) -> None:
    """Raise NameMismatch where the metadata is another project's."""
    if metadata.name != name:
        raise NameMismatch(f"{where}: holds the metadata of {metadata.name!r}, not of {name!r}")


def is_static(metadata: Metadata, field: str = "requires-dist") -> bool:
    """Whether an sdist's PKG-INFO vouches for a field (PEP 643).

    Below 2.2 nothing is vouched for. PEP 808 allows a Dynamic field to carry values: they are then a lower bound only.
    """
    parts = metadata.metadata_version.split(".")
    numbers = tuple(int(part) if part.isdigit() else 0 for part in parts[:2])
    return numbers >= (2, 2) and field not in metadata.dynamic
