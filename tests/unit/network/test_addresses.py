"""URLs: which are requested, and where redirects may lead."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.errors import UrlForbidden
from deep_lock.network.addresses import (
    AddressScope,
    check_redirect,
    may_name,
    most_public,
    read_url,
    scope_of_host,
    subject_of,
)


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


PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL = (
    AddressScope.PUBLIC,
    AddressScope.PRIVATE,
    AddressScope.LOOPBACK,
    AddressScope.LINK_LOCAL,
)


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("files.example", PUBLIC),
        ("8.8.8.8", PUBLIC),
        ("2606:4700::1", PUBLIC),
        ("localhost", LOOPBACK),
        ("a.localhost.", LOOPBACK),
        ("127.0.0.1", LOOPBACK),
        ("127.1", LOOPBACK),
        ("0x7f.1", LOOPBACK),
        ("2130706433", LOOPBACK),
        ("0", LOOPBACK),
        ("::1", LOOPBACK),
        ("::", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("64:ff9b::7f00:1", LOOPBACK),
        ("10.0.0.1", PRIVATE),
        ("10.0.0.1.", PRIVATE),
        ("192.168.1.1", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("fd00::1", PRIVATE),
        ("2002:a00:1::", PRIVATE),
        ("0.0.0.0", LOOPBACK),  # noqa: S104 - an address that a page could name
        ("0177.0.0.1", LOOPBACK),
        ("fec0::1", PRIVATE),
        ("::10.0.0.1", PRIVATE),
        ("64:ff9b:1::a00:1", PRIVATE),
        ("64:ff9b:1::808:808", PRIVATE),
        ("2001:0:5ef5:79fb:0:59d:f5ff:fffe", PRIVATE),
        ("2606:4700::5efe:a00:1", PRIVATE),
        ("169.254.169.254", LINK_LOCAL),
        ("2852039166", LINK_LOCAL),
        ("0xa9fea9fe", LINK_LOCAL),
        ("0251.0376.0251.0376", LINK_LOCAL),
        ("::ffff:169.254.169.254", LINK_LOCAL),
        ("::169.254.169.254", LINK_LOCAL),
        ("64:ff9b::a9fe:a9fe", LINK_LOCAL),
        ("64:ff9b:1::a9fe:a9fe", LINK_LOCAL),
        ("2002:a9fe:a9fe::", LINK_LOCAL),
        ("100.100.100.200", LINK_LOCAL),
        ("fd00:ec2::254", LINK_LOCAL),
        ("metadata.google.internal.", LINK_LOCAL),
        ("fe80::1", LINK_LOCAL),
        ("224.0.0.1", LINK_LOCAL),
    ],
)
def test_zones(host: str, scope: AddressScope) -> None:
    assert scope_of_host(host) is scope


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        (PUBLIC, {PUBLIC}),
        (PRIVATE, {PUBLIC, PRIVATE}),
        (LOOPBACK, {PUBLIC, PRIVATE, LOOPBACK}),
        (LINK_LOCAL, {PUBLIC}),
    ],
)
def test_what_a_server_may_name(scope: AddressScope, named: set[AddressScope]) -> None:
    assert {own for own in AddressScope if may_name(scope, own)} == named


def test_the_scope_of_several_namers() -> None:
    assert most_public([LOOPBACK, PRIVATE]) is PRIVATE
    assert most_public([PRIVATE, PUBLIC, LINK_LOCAL]) is PUBLIC
    assert most_public([LINK_LOCAL]) is LINK_LOCAL


def test_a_redirect_does_not_give_up_https() -> None:
    at = httpx.URL("https://index.example/simple/")
    with pytest.raises(UrlForbidden, match="gives up https"):
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
