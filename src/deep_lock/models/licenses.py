"""Licence expressions of releases (PEP 639), and which licences meet them."""

import re
from collections import deque

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_WORD = re.compile(r"[()]|[^()\s]+")


def canonical_license(text: str | None) -> str | None:
    """Return an SPDX expression in its canonical form; None for any other text."""
    try:
        return str(canonicalize_license_expression(text)) if text else None
    except InvalidLicenseExpression:
        return None


def is_met(expression: str, allowed: frozenset[str]) -> bool:
    """Whether allowed licences alone meet a canonical expression: OR is a choice, AND is none.

    ``allowed`` are canonical identifiers, each with its exception where it has one: "A WITH B".
    """
    return _either(deque(_WORD.findall(expression)), allowed)


def _either(words: deque[str], allowed: frozenset[str]) -> bool:
    """Read "A OR B OR ..." from the front. Canonical expressions are well-formed, and nest less than Python's parser does."""
    met = _every(words, allowed)
    while words and words[0] == "OR":
        words.popleft()
        met = _every(words, allowed) or met
    return met


def _every(words: deque[str], allowed: frozenset[str]) -> bool:
    met = _one(words, allowed)
    while words and words[0] == "AND":
        words.popleft()
        met = _one(words, allowed) and met
    return met


def _one(words: deque[str], allowed: frozenset[str]) -> bool:
    word = words.popleft()
    if word == "(":
        met = _either(words, allowed)
        words.popleft()
        return met
    if words and words[0] == "WITH":
        words.popleft()
        word = f"{word} WITH {words.popleft()}"
    return word in allowed
