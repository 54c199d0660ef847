"""Specifier sets of files from outside (PEP 440), checked where they are read."""

from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deep_lock.inputs.faults import Faults
from deep_lock.inputs.requirement_list import described
from deep_lock.inputs.text import shown

MAX_SPECIFIER_LENGTH = 500
"""Also keeps numbers short enough for int(), which packaging would call only when the specifier is asked."""


def is_specifier(text: str) -> bool:
    """Whether the text is a specifier set, and not a monstrous one."""
    if len(text) > MAX_SPECIFIER_LENGTH:
        return False
    try:
        SpecifierSet(text)
    except (InvalidSpecifier, ValueError, RecursionError):
        return False
    return True


def read_python_specifier(value: Any, place: str, faults: Faults) -> str | None:
    """Read a requires-python value; what is wrong goes to ``faults``."""
    if value is None:
        return None
    if not isinstance(value, str):
        faults.add(f"{place} must be a string, not {described(value)}")
        return None
    if not is_specifier(value.strip()):
        faults.add(
            f"{place} {shown(value)} is not a valid version specifier",
            hint='Version specifiers (PEP 440) look like ">=3.11" or ">=3.9,<4".',
        )
        return None
    return value.strip() or None
