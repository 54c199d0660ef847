"""Which URLs and addresses may be requested, by who names them. Pure: no DNS.

Invariants: only http and https, no user-info (auth.py alone supplies credentials), no host name that two parsers could
read in two ways. A server names addresses of its own scope, or of a more public one: `may_name` is the one rule for
redirects, for the files of a page, and for the URLs of a lock.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum

import httpx

from deep_lock.errors import UrlForbidden
from deep_lock.network.urls import shown_text, shown_url, without_user_info

MAX_URL_LENGTH = 16 * 1024

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
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

Origin = tuple[str, bytes, int]
"""Scheme, host and port: what credentials and request headers belong to (RFC 6454)."""


class AddressScope(Enum):
    """From where an address can be reached."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    """On this link only, or the service of a cloud that gives a machine its credentials."""


def read_url(text: str) -> httpx.URL:
    """Parse a URL; its fragment is dropped. Raises UrlForbidden for anything but a plain http or https URL."""
    shown = shown_url(text)
    if len(text) > MAX_URL_LENGTH:
        raise UrlForbidden(f"{shown}: a URL of {len(text)} characters; the limit is {MAX_URL_LENGTH}")
    if without_user_info(text) != text:
        raise UrlForbidden(
            f"{shown}: a URL that contains credentials",
            hint="give them to the index: DEEP_LOCK_INDEX_<NAME>_USERNAME and _PASSWORD, or netrc",
        )
    try:
        url = httpx.URL(text)
        host = _read_host(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise UrlForbidden(f"{shown}: not a URL ({shown_text(str(error))})") from None
    if url.scheme not in {"http", "https"}:
        raise UrlForbidden(f"{shown}: only http and https URLs are fetched")
    if host is None or (url.port or 0) > 65535:
        raise UrlForbidden(f"{shown}: not a host name: {shown_text(url.host)!r}")
    # From its parts: httpx keeps a default port behind HTTPS:// and an empty path.
    return httpx.URL(scheme=url.scheme, host=host, port=url.port, raw_path=url.raw_path)


def _read_host(url: httpx.URL) -> str | None:
    """Return an IPv6 address without a scope, or a name in ASCII (IDNA A-labels expose look-alike letters); else None.

    Raises ValueError for A-labels that httpx cannot decode: it tries to while it sends a request.
    """
    host = url.raw_host.decode("ascii")
    if ":" in host:
        return None if "%" in host else str(ipaddress.IPv6Address(host))
    is_name = url.host != "" and len(host) <= 253 and max(map(len, host.split("."))) <= 63
    return host if is_name and _HOST.fullmatch(host) else None


def origin_of(url: httpx.URL) -> Origin:
    """Return the origin of a URL."""
    return url.scheme, url.raw_host, port_of(url)


def port_of(url: httpx.URL) -> int:
    """Return the port of a URL."""
    return url.port or {"http": 80, "https": 443}[url.scheme]


def scope_of_url(url: httpx.URL) -> AddressScope:
    """Return the scope of a URL's host, as far as its text shows it."""
    return scope_of_host(url.raw_host.decode("ascii"))


def check_redirect(at: httpx.URL, target: httpx.URL) -> httpx.URL:
    """Return the URL that a redirect from ``at`` leads to.

    Raises UrlForbidden for a redirect from https to http, to another scheme, and to a URL with user-info.
    """
    where = shown_url(str(at))
    shown = shown_url(str(target))
    try:
        url = read_url(str(target))
    except UrlForbidden as error:
        raise UrlForbidden(f"{where}: redirects to {error.message}") from None
    if at.scheme == "https" and url.scheme == "http":
        raise UrlForbidden(f"{where}: redirects to {shown}, which gives up https")
    return url


_FROM_PUBLIC = (AddressScope.PUBLIC, AddressScope.PRIVATE, AddressScope.LOOPBACK)


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


def most_public(scopes: Iterable[AddressScope]) -> AddressScope:
    """Return the scope of a namer with several addresses, or of a chain of namers: it may name what each of them may."""
    found = frozenset(scopes)
    return next((scope for scope in _FROM_PUBLIC if scope in found), AddressScope.LINK_LOCAL)


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


def subject_of(url: httpx.URL) -> str:
    """Return the file or project name at the end of a URL, for progress lines."""
    return shown_text(url.path.rstrip("/").rpartition("/")[2]) or url.raw_host.decode("ascii")
