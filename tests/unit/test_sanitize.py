"""Text from outside, as people see it."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.sanitize import (
    Painted,
    annotation,
    counted,
    html_data,
    html_text,
    joined,
    json_document,
    json_text,
    line,
    lines,
    markdown,
    quote,
    shortened,
    show,
    toml_text,
)


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


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("##vso[task.prependpath]/x", "\\u{23}#vso[task.prependpath]/x"),
        ("a ###[error]", "a \\u{23}\\u{23}#[error]"),
        ("::error::x", "\\u{3a}:error::x"),
        ("a\n \t::error::x", "a\n \t\\u{3a}:error::x"),
        ("a ::error::x", "a ::error::x"),
        ("a\r::error::x", "a\\u{d}::error::x"),
        ("section_start:1:x", "section\\u{5f}start:1:x"),
        ("a section_started", "a section_started"),
        ("travis_fold:end:x", "travis\\u{5f}fold:end:x"),
        ("Issue #1, # 2: a::b", "Issue #1, # 2: a::b"),
        ("\x1b[31mx\x9b", "\\u{1b}[31mx\\u{9b}"),
        ("a\tb\r\nc", "a\tb\nc"),
        ("ssh://git@h.example/x", "ssh://git@h.example/x"),
        ("\uff03\uff03[error]", "\uff03\uff03[error]"),
    ],
)
def test_commands_of_log_readers_are_spelled(text: str, safe: str) -> None:
    assert lines(text) == safe


def test_full_width_signs_stay_full_width() -> None:
    """No log reader takes them for a command, and nothing makes ASCII of them."""
    text = "\uff03\uff03[error] \uff1a\uff1aerror\uff1a\uff1a"
    assert lines(show(text)) == text
    assert json_text(f'"{text}"') == f'"{text}"'
    assert unicodedata.normalize("NFKC", text).startswith("##[")


def test_a_command_of_two_parts_has_no_color() -> None:
    assert line(Painted("error", "31;1"), ": x") == "\x1b[31;1merror\x1b[0m: x"
    assert line(Painted("error", "31;1"), ": \x1b[0m\n") == "\x1b[31;1merror\x1b[0m: \\u{1b}[0m\\u{a}"
    assert line("#", Painted("#[error]", "36")) == "\\u{23}#[error]"


def test_an_annotation_ends_where_it_ends() -> None:
    made = annotation("error", "a,b:c\n", 3, "x", "100%\n::error::y ##[z]")
    assert made == "::error file=a%2Cb%3Ac%0A,line=3,title=x::100%25%0A\\u{3a}:error::y \\u{23}#[z]"


def test_escapes_of_json_and_toml_are_those_of_the_format() -> None:
    assert json_text('["##[x]", "::y", "section_start:1"]') == ('["\\u0023#[x]", "\\u003a:y", "section\\u005fstart:1"]')
    assert json_text('"\u2028\x7f\U000e0041"') == '"\\u2028\\u007f\\udb40\\udc41"'
    assert toml_text('# ##[x]\na = "##[x]"\n') == '# \\u{23}#[x]\na = "\\u0023#[x]"\n'


def test_html_has_character_references() -> None:
    assert html_text("<a> & '##[x]'") == "&lt;a&gt; &amp; &#x27;&#35;#[x]&#x27;"
    assert html_data(["</script>", "##["]) == '["\\u003c/script\\u003e","\\u0023#["]'


def test_half_a_character_in_json_is_its_code_point() -> None:
    assert json.loads(json_document({"a\ud800": ("\udcff", 1, None)})) == {"a\\u{d800}": ["\\u{dcff}", 1, None]}
    assert html_data(["\udcff"]) == '["\\\\u{dcff}"]'


def test_a_text_that_is_too_long_keeps_whole_lines_and_ends_its_details() -> None:
    note = markdown("More.")
    text = joined([markdown("first"), markdown("<details>"), markdown("{}", "a_b" * 40)])
    assert shortened(text, len(text), note) == text
    assert shortened(text, len(text) - 5, note) == "first\n<details>\n\n</details>\n\nMore.\n"
    assert shortened(text, 8, note) == "first\n\nMore.\n"


def test_a_count_has_its_noun() -> None:
    assert [counted(count, "file") for count in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
