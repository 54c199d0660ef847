"""Which URLs and addresses may be requested, and where a redirect may lead. Pure: no DNS.

Invariant: only http and https, no user-info (auth.py alone supplies credentials), no host name that two parsers could
read in two ways.
"""

import ipaddress
import re
import socket
from contextlib import suppress
from enum import Enum

import httpx

from deep_lock.errors import UrlForbidden
from deep_lock.network.urls import shown_text, shown_url, without_user_info

MAX_URL_LENGTH = 16 * 1024

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Origin = tuple[str, bytes, int]
"""Scheme, host and port: what credentials and request headers belong to (RFC 6454)."""


class AddressScope(Enum):
    """From where an address can be reached."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"


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


def check_redirect(at: httpx.URL, target: httpx.URL, scope: AddressScope) -> httpx.URL:
    """Return the URL that a redirect from ``at`` leads to, where the first request went to an address of ``scope``.

    Raises UrlForbidden for a redirect from https to http, to another scheme, to a URL with user-info, and to an address
    that may not be reached from that scope (server-side request forgery).
    """
    where = shown_url(str(at))
    shown = shown_url(str(target))
    try:
        url = read_url(str(target))
    except UrlForbidden as error:
        raise UrlForbidden(f"{where}: redirects to {error.message}") from None
    if at.scheme == "https" and url.scheme == "http":
        raise UrlForbidden(f"{where}: redirects to {shown}, which gives up https")
    if not may_redirect(scope, scope_of_url(url)):
        raise UrlForbidden(f"{where}: redirects to {shown}, an address that does not belong to the public internet")
    return url


def may_redirect(start: AddressScope, end: AddressScope) -> bool:
    """Whether a redirect from one scope may lead to another.

    An index in a company's network may redirect within that network, one on this machine to both. Link-local addresses
    are refused to all others: clouds serve the credentials of the machine there.
    """
    return end in {AddressScope.PUBLIC, start} or (start is AddressScope.LOOPBACK and end is AddressScope.PRIVATE)


def scope_of_host(host: str) -> AddressScope:
    """Return the scope of a host that is an address or localhost; PUBLIC for any other name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return AddressScope.LOOPBACK
    with suppress(ValueError):
        return scope_of_address(ipaddress.ip_address(name))
    with suppress(OSError, ValueError):
        # Resolvers accept 127.1, 0x7f.1 and 2130706433 as addresses too.
        return scope_of_address(ipaddress.IPv4Address(socket.inet_aton(name)))
    return AddressScope.PUBLIC


def scope_of_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> AddressScope:
    """Return the scope of an address; of the IPv4 address where an IPv6 address only wraps one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return scope_of_address(inner)
    if address.is_loopback or address.is_unspecified:
        return AddressScope.LOOPBACK
    if address.is_link_local or address.is_multicast:
        return AddressScope.LINK_LOCAL
    return AddressScope.PUBLIC if address.is_global else AddressScope.PRIVATE


def subject_of(url: httpx.URL) -> str:
    """Return the file or project name at the end of a URL, for progress lines."""
    return shown_text(url.path.rstrip("/").rpartition("/")[2]) or url.raw_host.decode("ascii")
