"""Each message in docs/guides/troubleshooting.md is a text of the code. Where a message changes, the page changes too."""

import difflib
import re
from functools import cache

import pytest

from tests.support.paths import ROOT

SOURCE = ROOT / "src" / "deep_lock"
PAGE = ROOT / "docs" / "guides" / "troubleshooting.md"
HOLE = "{}"
"""A part of a message that varies: a name in braces on the page, an expression in the code."""

_EXPRESSION = re.compile(r"\{[^{}\n]+\}")
_NEXT_LITERAL = re.compile(r"""(?<!\\)["']\s+f?["']""")  # a text over several lines is several literals
_LITERAL = re.compile(r'"([^"\n]* [^"\n]*)"')


def _plain(text: str) -> str:
    """Return code or a heading with its variable parts as holes, and the literals of one text as one."""
    return re.sub(r"(\{\})+", HOLE, _NEXT_LITERAL.sub("", _EXPRESSION.sub(HOLE, text)))


@cache
def _modules() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): _plain(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")
    }


def _changed(heading: str) -> str:
    """Return why a heading is no message of the code, and which text is the nearest; nothing if it is one."""
    wanted = _plain(heading)
    if any(wanted in text for text in _modules().values()):
        return ""
    known = {literal: name for name, text in _modules().items() for literal in _LITERAL.findall(text)}
    near, *_ = [*difflib.get_close_matches(wanted, known, n=1, cutoff=0.3), ""]
    return f"{heading!r}\n    has changed in the code. The most similar text: {near!r} in {known.get(near)}"


def test_each_message_is_one_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^### `(.+)`$", text, re.MULTILINE)
    assert len(headings) == len(set(headings)) >= 40
    assert len(re.findall(r"^### ", text, re.MULTILINE)) == len(headings)
    changed = [found for heading in headings if (found := _changed(heading))]
    assert not changed, f"correct the headings of {PAGE.relative_to(ROOT)}:\n" + "\n".join(changed)


def test_each_message_has_a_cause_and_a_remedy() -> None:
    _, *parts = re.split(r"^### `", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [part for part in parts if (part.count("**Cause:** "), part.count("**Remedy:**")) != (1, 1)] == []


@pytest.mark.parametrize(
    ("heading", "is_found"),
    [
        ("{file} is stale:", True),
        ("{file} is stale", True),
        ("{file} is not fresh:", False),
    ],
)
def test_the_check_finds_a_changed_message(heading: str, is_found: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert (not _changed(heading)) is is_found
    assert is_found or "has changed in the code" in _changed(heading)
