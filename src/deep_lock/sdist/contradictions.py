"""Finds sdists whose files state different metadata. Then no file is a proof, and only the build backend knows the metadata.

The name, extra, specifier and URL of each requirement, and Requires-Python, are compared. Markers are not compared,
because backends write them in many ways. Extras that require nothing are not compared either. A requirement of the
project itself is that of its extras: hatchling writes these out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.models.metadata import Metadata, is_static
from deep_lock.models.requirement import Requirement
from deep_lock.pep440 import parse_specifier
from deep_lock.sdist.pyproject import nested_table, parse_requirements

_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']*)["']""")

_Key = tuple[str, frozenset[NormalizedName], tuple[str, ...], SpecifierSet, str | None]


def is_more(shipped: Metadata, stated: Metadata) -> bool:
    """Whether the sdist was shipped with more than its configuration states, or for another Python.

    Less is no contradiction: PKG-INFO of old versions has no requirements at all.
    """
    if _python_differs(shipped, stated):
        return True
    found, known = _keys(shipped), _keys(stated)
    return found is not None and known is not None and not found <= known


def differs(static: Metadata, stated: Metadata) -> bool:
    """Whether a PKG-INFO that is static (PEP 643) has other requirements or Pythons than are stated."""
    return (
        is_more(static, stated)
        or is_more(stated, static)
        or (static.requires_python is None and stated.requires_python is not None)
    )


def is_silent(static: Metadata, pyproject: Mapping[str, Any]) -> bool:
    """Whether a PKG-INFO says nothing of a field that ``[project]`` leaves to the backend, and does not call dynamic."""
    dynamic = nested_table(pyproject, "project").get("dynamic", [])
    texts = parse_requirements(static.requires_dist)
    if not isinstance(dynamic, list) or texts is None:
        return False
    return (
        ("dependencies" in dynamic and all(_extras_of(own) for own in texts))
        or ("optional-dependencies" in dynamic and not static.provides_extra)
        or ("requires-python" in dynamic and static.requires_python is None and is_static(static, "requires-python"))
    )


def union(statements: Iterable[Metadata]) -> Metadata:
    """Return all that the statements require, each requirement once, and every limit on Python."""
    first, *others = statements
    for other in others:
        known = _keys(first) or set()
        more = tuple(text for text in other.requires_dist if not (_keys_of((text,)) or set()) <= known)
        pythons = dict.fromkeys(filter(None, (first.requires_python, other.requires_python)))
        first = replace(
            first,
            requires_dist=(*first.requires_dist, *more),
            provides_extra=tuple(dict.fromkeys((*first.provides_extra, *other.provides_extra))),
            requires_python=",".join(pythons) or None,
        )
    return first


def _python_differs(one: Metadata, other: Metadata) -> bool:
    if one.requires_python is None or other.requires_python is None:
        return False
    try:
        return parse_specifier(one.requires_python) != parse_specifier(other.requires_python)
    except InvalidSpecifier:
        return False


def _keys(metadata: Metadata) -> set[_Key] | None:
    keys = _keys_of(metadata.requires_dist)
    if keys is None:
        return None
    own = {
        (extra, wanted)
        for name, extras, under, *_ in keys
        if name == metadata.name
        for extra in under
        for wanted in extras
    }
    keys = {key for key in keys if key[0] != metadata.name}
    for _ in own:  # as long as the longest chain of extras
        keys |= {(*key[:2], (extra,), *key[3:]) for extra, wanted in own for key in keys if wanted in key[2]}
    return keys


def _keys_of(texts: tuple[str, ...]) -> set[_Key] | None:
    """Return what is compared of each requirement; None where one of them cannot be read."""
    requirements = parse_requirements(texts)
    if requirements is None:
        return None
    return {(own.name, own.extras, _extras_of(own), own.specifier, _url(own)) for own in requirements}


def _url(requirement: Requirement) -> str | None:
    """Return the URL, less that of a folder: poetry-core writes the path on the machine of the author."""
    return None if requirement.url is None or requirement.url.startswith("file:") else requirement.url


def _extras_of(requirement: Requirement) -> tuple[str, ...]:
    marker = "" if requirement.marker is None else str(requirement.marker)
    return tuple(sorted(set(map(canonicalize_name, _EXTRA.findall(marker)))))
