"""Proxy variables."""

import pytest

from deep_lock.errors import ConfigError
from deep_lock.network.addresses import read_url
from deep_lock.network.proxies import proxies_from, proxy_for


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://p:1"}, "http://p:1", None),
        ({"HTTPS_PROXY": "p:1"}, None, "http://p:1"),
        ({"ALL_PROXY": "https://p:1/"}, "https://p:1/", "https://p:1/"),
        ({"http_proxy": "http://low", "HTTP_PROXY": "http://up"}, "http://low", None),
        ({"http_proxy": " ", "HTTP_PROXY": "http://up"}, "http://up", None),
        ({"HTTP_PROXY": "http://up", "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": "http://low", "REQUEST_METHOD": "GET"}, "http://low", None),
        ({"http_proxy": "http://u:w@p:1"}, "http://p:1", None),
        ({"ALL_PROXY": "socks5://p:1"}, "socks5://p:1", "socks5://p:1"),
        ({"https_proxy": "socks5h://u:w@p:1"}, None, "socks5h://p:1"),
    ],
)
def test_variables(environ: dict[str, str], http: str | None, https: str | None) -> None:
    proxies = proxies_from(environ)
    for scheme, expected in (("http", http), ("https", https)):
        proxy = proxy_for(proxies, read_url(f"{scheme}://index.example/"))
        assert (None if proxy is None else str(proxy.url)) == expected


def test_login_of_a_proxy_is_not_shown() -> None:
    proxies = proxies_from({"http_proxy": "http://me:w%400rd@p:1"})
    proxy = proxy_for(proxies, read_url("http://index.example/"))
    assert proxy is not None
    assert proxy.raw_auth == (b"me", b"w@0rd")
    assert "0rd" not in repr(proxies)


@pytest.mark.parametrize("value", ["socks4://p:1", "http://", "http://p:x", "ftp://me:w0rd@p/"])
def test_proxies_that_cannot_be_used(value: str) -> None:
    with pytest.raises(ConfigError, match="http_proxy") as caught:
        proxies_from({"http_proxy": value})
    assert "w0rd" not in caught.value.message


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "http://index.example/", True),
        ("index.example", "http://index.example/", True),
        ("index.example", "http://a.index.example/", True),
        (".index.example", "http://a.index.example/", True),
        ("*.index.example", "http://a.index.example/", True),
        ("INDEX.example", "http://index.example/", True),
        ("index.example", "http://myindex.example/", False),
        ("index.example:80", "http://index.example/", True),
        ("index.example:81", "http://index.example/", False),
        ("a.example, ,index.example", "http://index.example/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.1", "http://10.0.0.1/", True),
        ("10.0.0.0/8", "http://index.example/", False),
        ("::1", "http://[::1]/", True),
        ("[::1]:80", "http://[::1]/", True),
        ("", "http://index.example/", False),
    ],
)
def test_hosts_that_are_asked_directly(no_proxy: str, url: str, *, direct: bool) -> None:
    proxies = proxies_from({"http_proxy": "http://p:1", "NO_PROXY": no_proxy})
    assert (proxy_for(proxies, read_url(url)) is None) is direct
