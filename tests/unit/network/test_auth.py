"""Logins: where they come from, where they go, and that they are never shown."""

import base64
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from deep_lock.errors import ConfigError
from deep_lock.network.addresses import read_url
from deep_lock.network.auth import Login, auth_for, read_logins

NETRC = """
machine index.example login fromnetrc password n3trc
machine other.example login other password 0ther
default login anybody password d3fault
"""


def login(logins: tuple[Login, ...], url: str) -> str | None:
    auth = auth_for(logins, read_url(url))
    if auth is None:
        return None
    scheme, _, text = header_of(auth).partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(text).decode()


def header_of(auth: httpx.Auth) -> str:
    request = next(auth.sync_auth_flow(httpx.Request("GET", "https://index.example/")))
    return str(request.headers["authorization"])


@pytest.fixture
def netrc_file(tmp_path: Path) -> Path:
    path = tmp_path / "netrc"
    path.write_text(NETRC, encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("index", "environ", "expected"),
    [
        ("https://index.example/simple/", {}, "fromnetrc:n3trc"),
        ("https://me:word@index.example/simple/", {}, "me:word"),
        ("https://m%40e:w%3Aord@index.example/simple/", {}, "m@e:w:ord"),
        ("https://t0ken@index.example/simple/", {}, "t0ken:"),
        ("https://fromnetrc@index.example/simple/", {}, "fromnetrc:n3trc"),
        (
            "https://me:word@index.example/simple/",
            {"DEEP_LOCK_INDEX_MY_INDEX_USERNAME": "env", "DEEP_LOCK_INDEX_MY_INDEX_PASSWORD": "p\u00e4ss"},
            "env:p\u00e4ss",
        ),
        ("https://index.example/simple/", {"DEEP_LOCK_INDEX_MY_INDEX_PASSWORD": "only"}, ":only"),
        ("https://index.example/simple/", {"DEEP_LOCK_INDEX_OTHER_PASSWORD": "x"}, "fromnetrc:n3trc"),
        ("https://unknown.example/simple/", {}, None),
    ],
)
def test_sources_and_their_order(
    netrc_file: Path, index: str, environ: Mapping[str, str], expected: str | None
) -> None:
    logins = read_logins({"my-index": index}, environ=environ, netrc_file=netrc_file)
    host = index.rpartition("@")[2].removeprefix("https://")
    assert login(logins, f"https://{host}") == expected


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://index.example/simple/demo/", True),
        ("https://index.example:443/files/demo.whl", True),
        ("http://index.example/simple/", False),
        ("https://index.example:444/simple/", False),
        ("https://index.example.evil.example/simple/", False),
        ("https://a.index.example/simple/", False),
        ("https://other.example/", False),
    ],
)
def test_a_login_is_for_one_origin(netrc_file: Path, url: str, *, sent: bool) -> None:
    logins = read_logins({"i": "https://index.example/simple/"}, environ={}, netrc_file=netrc_file)
    assert (login(logins, url) is not None) is sent


def test_two_indexes_of_one_origin_are_told_apart_by_path() -> None:
    indexes = {"a": "https://a:1@index.example/a/simple/", "ab": "https://ab:2@index.example/a/simple/b/"}
    logins = read_logins(indexes, environ={})
    assert login(logins, "https://index.example/a/simple/demo/") == "a:1"
    assert login(logins, "https://index.example/a/simple/b/demo/") == "ab:2"
    assert login(logins, "https://index.example/files/demo.whl") == "a:1"


def test_nothing_is_shown() -> None:
    logins = read_logins({"a": "https://me:w0rd@index.example/"}, environ={})
    auth = auth_for(logins, read_url("https://index.example/"))
    assert auth is not None
    for text in (repr(logins), str(auth), repr(auth)):
        assert "w0rd" not in text
        assert header_of(auth).removeprefix("Basic ") not in text


def test_a_broken_netrc_is_named_but_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine index.example login me password w0rd\ns3cret oops\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_logins({"a": "https://index.example/"}, environ={}, netrc_file=path)
    assert "line 2" in caught.value.message
    assert "s3cret" not in caught.value.message
    assert "w0rd" not in caught.value.message


def test_a_netrc_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(b"machine \xff\xfe\x00")
    try:
        logins = read_logins({"a": "https://index.example/"}, environ={}, netrc_file=path)
    except ConfigError:
        return
    assert logins == ()


def test_no_netrc_is_no_error(tmp_path: Path) -> None:
    assert read_logins({"a": "https://a.example/"}, environ={}, netrc_file=tmp_path / "none") == ()
    with pytest.raises(ConfigError, match="netrc"):
        read_logins({"a": "https://a.example/"}, environ={}, netrc_file=tmp_path)


def test_an_index_url_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="index 'a'") as caught:
        read_logins({"a": "ftp://me:w0rd@index.example/"}, environ={})
    assert "w0rd" not in caught.value.message
