"""From where an address can be reached, and who may name it.

Invariant: a server names addresses of its own scope, or of a more public one. `may_name` is the one rule for the files of a page,
for redirects, for direct references, and for the URLs of a lock. A run without network loads this module too, so it stays free of
httpx.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""The upper half of the interface identifier (RFC 5214); the lower one is an IPv4 address."""
_CLOUD_ADDRESSES = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_CLOUD_NAMES = frozenset(
    ("metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal")
)
"""Services of a cloud that give a machine its credentials, at other addresses than link-local ones, and by name."""


class AddressScope(Enum):
    """From where an address can be reached."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    """On this link only, or the service of a cloud that gives a machine its credentials."""


_FROM_PUBLIC = (AddressScope.PUBLIC, AddressScope.PRIVATE, AddressScope.LOOPBACK)
_NARROWEST = (AddressScope.PUBLIC, AddressScope.LINK_LOCAL, AddressScope.PRIVATE, AddressScope.LOOPBACK)
"""By what a namer of each scope may name, the least first."""


def may_name(namer: AddressScope, named: AddressScope) -> bool:
    """Whether a server of one scope may name a URL of another scope (server-side request forgery).

    An index in a company's network may name addresses of that network, one on this machine those of both. No server may name
    a link-local address: clouds serve the credentials of the machine there.
    """
    if named is AddressScope.PUBLIC:
        return True
    if AddressScope.LINK_LOCAL in {namer, named}:
        return False
    return _FROM_PUBLIC.index(named) <= _FROM_PUBLIC.index(namer)


def narrowest(scopes: Iterable[AddressScope]) -> AddressScope:
    """Return the scope of a namer with several addresses, or of a chain of namers: it may name what each of them may."""
    return min(scopes, key=_NARROWEST.index)


def scope_of_host(host: str) -> AddressScope:
    """Return the scope of a host that is an address or localhost; PUBLIC for any other name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return AddressScope.LOOPBACK
    if name in _CLOUD_NAMES:
        return AddressScope.LINK_LOCAL
    with suppress(ValueError):
        return scope_of_address(ipaddress.ip_address(name))
    with suppress(OSError, ValueError):
        # Resolvers accept 127.1, 0x7f.1 and 2130706433 as addresses too.
        return scope_of_address(ipaddress.IPv4Address(socket.inet_aton(name)))
    return AddressScope.PUBLIC


def scope_of_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> AddressScope:
    """Return the scope of an address; of the IPv4 address where an IPv6 address only wraps one."""
    if address in _CLOUD_ADDRESSES:
        return AddressScope.LINK_LOCAL
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner_address(address)
        if inner is not None:
            return scope_of_address(inner)
        if address.is_site_local or address in _LOCAL_NAT64:
            return AddressScope.PRIVATE
    if address.is_loopback or address.is_unspecified:
        return AddressScope.LOOPBACK
    if address.is_link_local or address.is_multicast:
        return AddressScope.LINK_LOCAL
    return AddressScope.PUBLIC if address.is_global else AddressScope.PRIVATE


def _inner_address(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a packet to an IPv6 address ends at, where the IPv6 address has one in it."""
    teredo = address.teredo  # the server, and the client behind it
    inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None)
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and (address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP):
        inner = last
    if inner is None and address in _IPV4_COMPATIBLE and int(address) > 0xFFFF:
        inner = last
    if inner is None and address in _LOCAL_NAT64 and scope_of_address(last) is not AddressScope.PUBLIC:
        inner = last  # of RFC 6052 only the longest prefix is read: the others are refused as private addresses
    return inner


def look_up(host: str) -> tuple[str, ...]:
    """Return the addresses of a host, in the order in which the system prefers them. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class Addresses:
    """The addresses of each host, looked up once in a run: those that were checked are those that are connected to."""

    def __init__(self, look_up: Callable[[str], tuple[str, ...]] = look_up) -> None:
        self._look_up = look_up
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, host: str) -> tuple[str, ...]:
        """Return the addresses, the same ones to all threads. Raises OSError and UnicodeError; a failure is not stored."""
        found = self._known.get(host)
        return self._known.setdefault(host, self._look_up(host)) if found is None else found

    def scopes(self, host: str) -> frozenset[AddressScope]:
        """Return the scopes of a host's addresses; what its text shows where it cannot be looked up."""
        shown = scope_of_host(host)
        if shown is AddressScope.PUBLIC:
            with suppress(OSError, UnicodeError, ValueError):
                texts = (text.partition("%")[0] for text in self.of(host))
                return frozenset(scope_of_address(ipaddress.ip_address(text)) for text in texts)
        return frozenset({shown})
