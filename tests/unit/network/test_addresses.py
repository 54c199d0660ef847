"""URLs: which are requested, and where redirects may lead."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.errors import UrlForbidden
from deep_lock.network.addresses import check_redirect, read_url, subject_of


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("https://index.example", "https://index.example/"),
        ("HTTPS://Index.Example:443/simple/", "https://index.example/simple/"),
        ("http://index.example:8080/a b?c=d e#fragment", "http://index.example:8080/a%20b?c=d%20e"),
        ("https://index.example/%7Ea/%e4", "https://index.example/%7Ea/%e4"),
        ("https://b\u00fccher.example/\u00fc", "https://xn--bcher-kva.example/%C3%BC"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"),
        ("http://127.0.0.1:5000/x", "http://127.0.0.1:5000/x"),
        ("https://my_host.example./", "https://my_host.example./"),
    ],
)
def test_urls_that_are_taken(text: str, same: str) -> None:
    assert str(read_url(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "index.example/simple/",
        "//index.example/",
        "ftp://index.example/",
        "file:///etc/passwd",
        "https:///simple/",
        "https://user@index.example/",
        "https://user:word@index.example/",
        "https://index.example:port/",
        "https://index.example:70000/",
        "https://index.example\\@evil.example/",
        "https://index example/",
        "https://-index.example/",
        "https://index..example/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://index.example/\n",
        "https://index.example/\x00",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "https://index.example/" + "a" * 20_000,
    ],
)
def test_urls_that_are_refused(text: str) -> None:
    with pytest.raises(UrlForbidden) as caught:
        read_url(text)
    assert "word" not in caught.value.message


@given(st.one_of(st.text(), st.builds(lambda rest: f"https://{rest}", st.text(alphabet="ab1.:@/\\?#[]%\u00e4 \n"))))
def test_a_url_that_is_taken_stays_what_it_is(text: str) -> None:
    try:
        url = read_url(text)
    except UrlForbidden:
        return
    assert str(url).isascii()
    assert read_url(str(url)) == url


def test_a_redirect_does_not_give_up_https() -> None:
    at = httpx.URL("https://index.example/simple/")
    with pytest.raises(UrlForbidden, match="does not use https"):
        check_redirect(at, httpx.URL("http://index.example/simple/"))
    target = httpx.URL("https://a.example/#fragment")
    assert str(check_redirect(httpx.URL("http://a.example/"), target)) == "https://a.example/"


@pytest.mark.parametrize(
    ("url", "subject"),
    [
        ("https://index.example/simple/demo/", "demo"),
        ("https://files.example/a/demo-1.0%2Blocal.whl?x=/y", "demo-1.0+local.whl"),
        ("https://index.example/", "index.example"),
    ],
)
def test_subjects(url: str, subject: str) -> None:
    assert subject_of(read_url(url)) == subject
