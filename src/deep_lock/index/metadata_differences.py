"""Compares two readings of the core metadata of one release: by what they mean, not by their bytes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deep_lock.errors import DeepLockError
from deep_lock.models.metadata import Metadata, is_same_version
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.sanitize import listed, show
from deep_lock.targets.target import same_pythons

MAX_SHOWN = 5


def differences(one: Metadata, other: Metadata, *, names: tuple[str, str]) -> tuple[str, ...]:
    """Return the fields that differ, with both values; ``names`` says where each comes from.

    Compared are Name, Version, Requires-Python, Requires-Dist and Provides-Extra. Other bytes that mean the same do not differ.
    """
    return tuple(f"{field}: {names[0]} {first}, {names[1]} {second}" for field, first, second in _differing(one, other))


def _differing(one: Metadata, other: Metadata) -> Iterator[tuple[str, str, str]]:
    if one.name != other.name:
        yield "Name", show(one.name), show(other.name)
    if not is_same_version(one.version, other.version):
        yield "Version", show(one.version), show(other.version)
    if not same_pythons(one.requires_python, other.requires_python):
        yield "Requires-Python", show(one.requires_python or "nothing"), show(other.requires_python or "nothing")
    first, second = _meanings(one.requires_dist), _meanings(other.requires_dist)
    if first.keys() != second.keys():
        yield "Requires-Dist", _only(first, second), _only(second, first)
    extras, others = ({extra: extra for extra in side.provides_extra} for side in (one, other))
    if extras.keys() != others.keys():
        yield "Provides-Extra", _only(extras, others), _only(others, extras)


def _meanings(texts: Iterable[str]) -> dict[object, str]:
    """Return the texts by their meaning; one that is no requirement is its own meaning."""
    found: dict[object, str] = {}
    for text in texts:
        try:
            found[parse_requirement(text).meaning] = text
        except DeepLockError:
            found[text] = text
    return found


def _only(own: Mapping[Any, str], other: Mapping[Any, str]) -> str:
    """Return what the other does not have."""
    texts = sorted(text for meaning, text in own.items() if meaning not in other)
    if not texts:
        return "nothing" if not own else "no other"
    return listed([show(text) for text in texts], MAX_SHOWN)
