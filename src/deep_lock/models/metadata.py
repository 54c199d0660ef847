"""Core metadata: the fields that a resolution needs, and when those of an sdist are reliable (PEP 643, PEP 808).

METADATA, PKG-INFO and the PEP 658 file are read here, without the body (the description).
"""

import re
from collections.abc import Iterable

from msgspec import Struct
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion

from deep_lock.boundary import reading
from deep_lock.errors import LimitExceeded, MetadataInvalid, NameMismatch
from deep_lock.models.requirement import MAX_NAME_LENGTH
from deep_lock.pep440 import parse_version
from deep_lock.sanitize import quote

MAX_METADATA_BYTES = 4 * 1024 * 1024
MAX_LINKS = 32
"""Addresses of one release that are kept."""
MAX_REQUIRES_DIST = 5000
# The end of a line and the begin of a field as in `email.parser`, with which installers read metadata. More line ends
# (U+2028, form feed) would make fields that installers do not have.
_LINE_END = re.compile("\r\n|\r|\n")
_FIELD = re.compile("[!-9;-~]+:")
LICENSE_EXPRESSION = re.compile(r"[A-Za-z0-9.+() :-]{1,500}")
"""The characters of an SPDX expression. A lock has the text of the release; a policy checks whether it is valid."""
LICENSE_CLASSIFIER = re.compile(r"License :: [!-~]([ -~]{0,198}[!-~])?")
MAX_LICENSE_CLASSIFIERS = 20
_METADATA_VERSION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_NEWEST_MAJOR = 2


class Metadata(Struct, frozen=True, kw_only=True):
    """The core metadata that a resolver needs. ``requires_dist`` has texts: most are never parsed."""

    name: NormalizedName
    version: str
    metadata_version: str = "2.1"
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    provides_extra: tuple[str, ...] = ()
    license: str | None = None
    """The License-Expression (PEP 639), as written; None if it has other characters."""
    license_classifiers: tuple[str, ...] = ()
    """The classifiers about the license, sorted, where there is no License-Expression."""
    dynamic: frozenset[str] = frozenset()
    """Lower-case field names that the file declares Dynamic."""


def _headers(text: str) -> list[tuple[str, str]]:
    """Header fields in order, names in lower case, folded lines joined (RFC 822; packaging keeps the newline)."""
    fields: list[tuple[str, list[str]]] = []
    for line in _LINE_END.split(text):
        if line.startswith((" ", "\t")):
            if fields:
                fields[-1][1].append(line.strip())
            continue
        if not _FIELD.match(line):
            break  # the empty line before the body, or a body without one
        name, _, value = line.partition(":")
        fields.append((name.lower(), [value.strip()]))
    return [(name, " ".join(part for part in parts if part)) for name, parts in fields]


def declared_imports(raw: bytes) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the import names and the import namespaces that core metadata declares (PEP 794); None if it declares neither."""
    found: dict[str, set[str]] = {"import-name": set(), "import-namespace": set()}
    declared = False
    for field, value in _headers(raw.decode("utf-8-sig", errors="replace")):
        if field in found:
            declared = True
            # "; private" is no part of a name, and an empty name declares that there are none
            found[field] |= {value.partition(";")[0].strip()} - {""}
    names, namespaces = (tuple(sorted(own)) for own in found.values())
    return (names, namespaces) if declared else None


def stated_links(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Return (label, URL) of the pages that core metadata names. Any author can write any address there."""
    found: list[tuple[str, str]] = []
    for field, value in _headers(raw.decode("utf-8-sig", errors="replace")):
        if field == "project-url":
            label, _, url = value.partition(",")
            found.append((label.strip(), url.strip()))
        elif field == "home-page":
            found.append(("home page", value.strip()))
    return tuple(dict.fromkeys(found))[:MAX_LINKS]


def stated_requires(raw: bytes) -> tuple[str, ...]:
    """Return the requirements of core metadata as text, which may be invalid."""
    headers = _headers(raw.decode("utf-8-sig", errors="replace"))
    return tuple(value for field, value in headers if field == "requires-dist")


def parse_metadata(raw: bytes, where: str) -> Metadata:
    """Read core metadata; ``where`` names the file in messages.

    Raises MetadataInvalid (no name, two names, an invalid name or version, an unknown major version) or LimitExceeded.
    """
    if len(raw) > MAX_METADATA_BYTES:
        raise LimitExceeded(f"{where}: {len(raw)} bytes of metadata; at most {MAX_METADATA_BYTES} are allowed")
    with reading(where, MetadataInvalid):
        return _parsed(raw, where)


def _parsed(raw: bytes, where: str) -> Metadata:
    single: dict[str, str] = {}
    many: dict[str, list[str]] = {"requires-dist": [], "provides-extra": [], "dynamic": [], "classifier": []}
    for name, value in _headers(raw.decode("utf-8-sig", errors="replace")):
        if name in many:
            many[name].append(value)
        elif name in single and name in {"name", "version", "metadata-version"}:
            raise MetadataInvalid(f"{where}: the field {name.title()!r} is repeated")
        else:
            single.setdefault(name, value)
    if not single.get("name") or not single.get("version"):
        raise MetadataInvalid(f"{where}: metadata without Name or Version")
    version = single.get("metadata-version", "1.0")
    major, _ = _numbers(version)
    if major is None or major > _NEWEST_MAJOR:
        # Core metadata: a tool MUST refuse a newer major version, and only a major one.
        raise MetadataInvalid(f"{where}: Metadata-Version {version[:40]!r} is not known")
    for name, values in many.items():
        if len(values) > MAX_REQUIRES_DIST:
            raise LimitExceeded(
                f"{where}: {len(values)} {name.title()} fields; at most {MAX_REQUIRES_DIST} are allowed"
            )
    _check_version(single["version"], where)
    license_expression = _license(single.get("license-expression", ""))
    return Metadata(
        name=_name(single["name"], where),
        version=single["version"],
        metadata_version=version,
        requires_dist=tuple(many["requires-dist"]),
        requires_python=single.get("requires-python") or None,
        provides_extra=tuple(canonicalize_name(extra) for extra in many["provides-extra"]),
        license=license_expression,
        license_classifiers=_license_classifiers(many["classifier"]) if license_expression is None else (),
        dynamic=frozenset(field.lower() for field in many["dynamic"]),
    )


def _name(text: str, where: str) -> NormalizedName:
    if len(text) > MAX_NAME_LENGTH:
        raise LimitExceeded(f"{where}: a name of {len(text)} characters; at most {MAX_NAME_LENGTH} are allowed")
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise MetadataInvalid(f"{where}: {text!r} is not a project name") from None


def _check_version(text: str, where: str) -> None:
    try:
        parse_version(text)
    except InvalidVersion:
        raise MetadataInvalid(f"{where}: its Version {quote(text, 60)} is not a version (PEP 440)") from None


def _license(text: str) -> str | None:
    return text if LICENSE_EXPRESSION.fullmatch(text) else None


def _license_classifiers(texts: Iterable[str]) -> tuple[str, ...]:
    found = sorted({text for text in texts if LICENSE_CLASSIFIER.fullmatch(text)})
    return tuple(found[:MAX_LICENSE_CLASSIFIERS])


def _numbers(version: str) -> tuple[int | None, int]:
    """Major and minor of a Metadata-Version; None where it is not one."""
    match = _METADATA_VERSION.fullmatch(version)
    return (None, 0) if match is None else (int(match[1]), int(match[2] or 0))


def check_name(metadata: Metadata, name: NormalizedName, where: str) -> None:
    """Raise NameMismatch if the metadata is another project's."""
    if metadata.name != name:
        raise NameMismatch(f"{where}: contains the metadata of {metadata.name!r}, not of {name!r}")


def is_static(metadata: Metadata, field: str = "requires-dist") -> bool:
    """Whether a field of an sdist's PKG-INFO is static: the same in each wheel of it (PEP 643).

    Below 2.2 no field is. PEP 808 allows a Dynamic field to have values, which are then a lower bound only.
    """
    major, minor = _numbers(metadata.metadata_version)
    return major is not None and (major, minor) >= (2, 2) and field not in metadata.dynamic


def is_same_version(text: str, other: str) -> bool:
    """Whether two texts are one version; texts that are no versions (PEP 440) are compared as they are."""
    if text == other:
        return True
    try:
        return parse_version(text) == parse_version(other)
    except InvalidVersion:
        return False
