"""The negation of a marker: it holds where the marker does not. Markers have no ``not`` (dependency specifiers)."""

import re

from packaging.markers import Marker

_TOKEN = re.compile(
    r"""\s*(?:([()])|(and|or)\b|("[^"]*"|'[^']*'|[A-Za-z_.]+)\s*(<=|>=|==|!=|<|>|not\s+in|in)\s*("[^"]*"|'[^']*'|[A-Za-z_.]+))"""
)
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": "not in", "not in": "in"}


def negated(marker: Marker) -> Marker:
    """Return the negation (De Morgan). Raises ValueError for an operator without an opposite: ``~=``, ``===``."""
    text, position, found = str(marker), 0, []
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"{text[position : position + 50]!r} has no opposite")
        bracket, word, left, operator, right = token.groups()
        if bracket:
            found.append(bracket)
        elif word:
            # "and" binds closer than "or": what was joined by "and" is put into brackets below
            found.append(word)
        else:
            found.append(f"{left} {_OPPOSITES[' '.join(operator.split())]} {right}")
        position = token.end()
    return Marker(_or_level(found))


def _or_level(tokens: list[str]) -> str:
    """Return the negation of alternatives: each is negated, and all must hold."""
    return " and ".join(f"({_and_level(part)})" for part in _split(tokens, "or"))


def _and_level(tokens: list[str]) -> str:
    return " or ".join(
        f"({_or_level(part[1:-1])})" if part[0] == "(" else " ".join(part) for part in _split(tokens, "and")
    )


def _split(tokens: list[str], word: str) -> list[list[str]]:
    """Split at a word that is outside of brackets."""
    parts: list[list[str]] = [[]]
    depth = 0
    for text in tokens:
        depth += (text == "(") - (text == ")")
        if text == word and depth == 0:
            parts.append([])
        else:
            parts[-1].append(text)
    return parts
