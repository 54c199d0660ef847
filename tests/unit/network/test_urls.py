"""URLs and untrusted text in messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.network.urls import shown_text, shown_url, without_user_info


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@index.example/simple/", "https://index.example/simple/"),
        ("https://me:se@cret@index.example/simple/", "https://index.example/simple/"),
        ("//me:secret@index.example/", "//index.example/"),
        ("https://files.example/x?signature=secret#secret", "https://files.example/x?..."),
        ("https://files.example/x#secret", "https://files.example/x"),
        ("https://files.example/\x1b[2J\u202e", "https://files.example/\\u{1b}[2J\\u{202e}"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert "secret" not in shown


@given(st.text())
def test_shown_text_is_plain_and_bounded(text: str) -> None:
    shown = shown_text(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 310 * len("\\u{10ffff}")


def test_user_info_is_cut_only_where_it_stands() -> None:
    assert without_user_info("https://index.example/a@b") == "https://index.example/a@b"
    assert without_user_info("https://a@index.example/a@b?c@d") == "https://index.example/a@b?c@d"
