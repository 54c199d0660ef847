"""Finds the most similar known word, for hints about misspelt packages, targets, options and commands."""

from collections.abc import Collection, Iterable

from deep_lock.lazy import difflib

MAX_LENGTH = 100
"""Characters of the word that are compared."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known word that is most similar; empty where none is similar. Upper case and "_" do not matter.

    ``cutoff`` is the ratio of difflib from which words are similar.
    """
    by_form = {_form(own): own for own in known}
    found = difflib.get_close_matches(_form(word[:MAX_LENGTH]), by_form, n=1, cutoff=cutoff)
    return by_form[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return "did you mean X?" with the nearest word, else ``otherwise``."""
    found = nearest(word, known)
    return f"did you mean {found}?" if found else otherwise


def choices_hint(word: str, known: Collection[str]) -> str:
    """Return "did you mean X? it has: ..." with all known names."""
    listed = f"it has: {', '.join(known) or 'none'}"
    return f"{question} {listed}" if (question := did_you_mean(word, known)) else listed


def _form(word: str) -> str:
    return word.replace("_", "-").lower()
