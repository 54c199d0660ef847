"""Text from outside, as people see it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.sanitize import quote, show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 'quotes' and \\", "plain text, 'quotes' and \\"),
        ("caf\u00e9 \u65e5\u672c \U0001f40d", "café 日本 🐍"),
        ("cafe\u0301", "café"),
        ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
        ("a\nb\r\tc", "a\\u{a}b\\u{d}\\u{9}c"),
        ("\x7f\x80\x9f", "\\u{7f}\\u{80}\\u{9f}"),
        ("\u202egnp.exe\u2066\u200f\u061c", "\\u{202e}gnp.exe\\u{2066}\\u{200f}\\u{61c}"),
        ("zero\u200b\u200d\u2060\ufeffwidth", "zero\\u{200b}\\u{200d}\\u{2060}\\u{feff}width"),
        ("\u2028\u2029\u00a0\u3000", "\\u{2028}\\u{2029}\\u{a0}\\u{3000}"),
        ("\U000e0041\ue000\U0010ffff", "\\u{e0041}\\u{e000}\\u{10ffff}"),
        ("\ud800", "\\u{d800}"),
        ("a\ufe0f\u3164\u034f\u2800", "a\\u{fe0f}\\u{3164}\\u{34f}\\u{2800}"),
    ],
)
def test_what_cannot_be_seen_is_spelled(text: str, shown: str) -> None:
    assert show(text) == shown


def test_a_long_text_is_cut() -> None:
    assert show("x" * 200) == "x" * 200
    assert show("x" * 201) == "x" * 197 + "..."
    assert show("\u202e" * 100) == "\\u{202e}" * 24 + "..."
    assert show("x" * 10_000_000, 10) == "x" * 7 + "..."


def test_a_look_alike_is_told_where_only_ascii_can_be_right() -> None:
    assert quote("p\u0443thon") == "'p\\u{443}thon'"


@given(st.text(st.characters(), max_size=300) | st.text("\u202e\u0301e\x00 ", max_size=300))
def test_shown_text_is_one_safe_line(text: str) -> None:
    shown = show(text)
    assert len(shown) <= 200
    assert shown.isprintable()
    assert unicodedata.is_normalized("NFC", shown)
    assert show(shown) == shown
    shown.encode()
