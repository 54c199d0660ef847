"""The scopes of hosts and addresses, and what each may name."""

import pytest

from deep_lock.network.scopes import Addresses, AddressScope, may_name, narrowest, scope_of_host

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
    assert narrowest([LOOPBACK, PRIVATE]) is PRIVATE
    assert narrowest([PRIVATE, PUBLIC, LINK_LOCAL]) is PUBLIC
    assert narrowest([LOOPBACK, LINK_LOCAL]) is LINK_LOCAL


def test_a_name_is_looked_up_once() -> None:
    answers = iter([("8.8.8.8",), ("10.0.0.1",)])
    addresses = Addresses(lambda _host: next(answers))
    assert addresses.scopes("files.example") == {AddressScope.PUBLIC}
    assert addresses.of("files.example") == ("8.8.8.8",)


def test_a_failed_look_up_is_not_kept() -> None:
    failed: list[str] = []

    def look_up(host: str) -> tuple[str, ...]:
        if not failed:
            failed.append(host)
            raise OSError("no answer")
        return ("10.0.0.1",)

    addresses = Addresses(look_up)
    assert addresses.scopes("files.example") == {AddressScope.PUBLIC}
    assert addresses.scopes("files.example") == {AddressScope.PRIVATE}


@pytest.mark.parametrize(
    ("found", "scopes"),
    [
        (("203.0.113.1",), {AddressScope.PRIVATE}),
        (("8.8.8.8", "10.0.0.1"), {AddressScope.PUBLIC, AddressScope.PRIVATE}),
        (("fe80::1%eth0",), {AddressScope.LINK_LOCAL}),
        (("::1",), {AddressScope.LOOPBACK}),
    ],
)
def test_the_scopes_of_a_name(found: tuple[str, ...], scopes: set[AddressScope]) -> None:
    assert Addresses(lambda _host: found).scopes("files.example") == scopes
