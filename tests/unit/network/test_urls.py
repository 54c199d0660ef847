"""URLs and untrusted text in messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.network.urls import is_signed, shown_text, shown_url, without_signature, without_user_info


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


# -- signed URLs

FILE = "https://files.example/a/foo-1.0.zip"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("X-Amz-Algorithm=AWS4&X-Amz-Credential=k%2Fd&X-Amz-Expires=60&X-Amz-Signature=ab", ""),
        ("x-goog-signature=ab&X-Goog-Date=1", ""),
        ("AWSAccessKeyId=k&Signature=a%3D&Expires=1", ""),
        ("sv=2020&se=2025&sr=b&sp=r&sig=a%2Fb", ""),
        ("Policy=a&Key-Pair-Id=b&Signature=c&file=1", "?file=1"),
        ("token=glpat-1", ""),
        ("v=2&token=x&build=3", "?v=2&build=3"),
    ],
)
def test_a_signed_url(query: str, left: str) -> None:
    assert is_signed(f"{FILE}?{query}")
    assert without_signature(f"{FILE}?{query}") == FILE + left


@pytest.mark.parametrize("end", ["", "?", "?v=1", "?expires=1", "?tokens=1", "#sig=1", "?file=x-amz-signature"])
def test_a_url_without_a_signature(end: str) -> None:
    assert not is_signed(FILE + end)
    assert without_signature(FILE + end) == FILE + end
