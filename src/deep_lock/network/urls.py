"""URLs that may be asked: read strictly, followed by rule, and shown without secrets. Pure.

Law: only http and https, no user-info (credentials.py alone speaks for a user), nothing that two readers could read
in two ways. What goes into a message passes through `shown_url` or `shown_text`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from enum import Enum
from urllib.parse import quote, unquote, urljoin, urlsplit

from msgspec import Struct

from deep_lock.errors import UrlForbidden
from deep_lock.lazy import ipaddress, socket

MAX_URL_LENGTH = 16 * 1024
MAX_SHOWN_LENGTH = 300

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[!-~]*")
_KEPT_IN_TARGETS = "!#$%&'()*+,/:;=?@[]~"
_USER_INFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}[^/?#]*@")
_NAT64 = "64:ff9b::/96"

Origin = tuple[str, str, int]
"""Scheme, host, port: what credentials and own headers belong to (RFC 6454)."""


class AddressScope(Enum):
    """How far an address is seen from."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"


class Url(Struct, frozen=True, kw_only=True):
    """An http or https URL without user-info and fragment, all ASCII."""

    scheme: str
    host: str
    """Lower case; an IPv6 address stands without brackets."""
    port: int
    target: str
    """Path and query, as sent in the request line."""

    @property
    def origin(self) -> Origin:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.target.partition("?")[0]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def read_url(text: str) -> Url:
    """Take a URL apart. Raises UrlForbidden for all that is not a plain http(s) URL."""
    if len(text) > MAX_URL_LENGTH:
        raise UrlForbidden(f"{shown_url(text)}: a URL of {len(text)} characters; at most {MAX_URL_LENGTH} are taken")
    if _CONTROL.search(text):
        raise UrlForbidden(f"{shown_url(text)}: a URL with control characters")
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError as error:
        raise UrlForbidden(f"{shown_url(text)}: not a URL ({shown_text(str(error))})") from None
    if scheme not in _DEFAULT_PORTS:
        raise UrlForbidden(f"{shown_url(text)}: only http and https URLs are fetched")
    if "@" in parts.netloc:
        raise UrlForbidden(
            f"{shown_url(text)}: a URL that carries credentials",
            hint="give them to the index: DEEP_LOCK_INDEX_<NAME>_USERNAME and _PASSWORD, or netrc",
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(
        scheme=scheme,
        host=_read_host(host, text),
        port=_DEFAULT_PORTS[scheme] if port is None else port,
        target=target if _PLAIN.fullmatch(target) else quote(target, safe=_KEPT_IN_TARGETS),
    )


def _read_host(host: str, text: str) -> str:
    if ":" in host:
        with suppress(ValueError):
            address = ipaddress.IPv6Address(host)
            if address.scope_id is None:
                return str(address)
    else:
        # IDNA A-labels only: a look-alike letter becomes visible as xn--.
        with suppress(UnicodeError):
            ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
            lengths_fit = len(ascii_host) <= 253 and max(map(len, ascii_host.split("."))) <= 63
            if lengths_fit and _HOST.fullmatch(ascii_host):
                return ascii_host
    raise UrlForbidden(f"{shown_url(text)}: not a host name: {shown_text(host)!r}")


def follow(location: str, *, at: Url, zone: AddressScope) -> Url:
    """Where a redirect leads from ``at``, on a journey that began in ``zone``.

    Raises UrlForbidden for a step from https to http, for another scheme, for user-info, and for an address that
    the journey's zone may not reach (server-side request forgery).
    """
    if _CONTROL.search(location):
        # urljoin would drop some of them in silence.
        raise UrlForbidden(f"{shown_url(str(at))}: redirects to a URL with control characters")
    try:
        joined = urljoin(str(at), location)
    except ValueError:
        raise UrlForbidden(f"{shown_url(str(at))}: redirects to what is no URL: {shown_url(location)}") from None
    step = f"{shown_url(str(at))}: redirects to {shown_url(joined)}"
    try:
        url = read_url(joined)
    except UrlForbidden as error:
        raise UrlForbidden(f"{shown_url(str(at))}: redirects to {error.message}") from None
    if at.scheme == "https" and url.scheme == "http":
        raise UrlForbidden(f"{step}, which gives up https")
    if not may_reach(zone, zone_of_host(url.host)):
        raise UrlForbidden(f"{step}, an address that does not belong to the public internet")
    return url


def may_reach(start: AddressScope, end: AddressScope) -> bool:
    """Whether a redirect from one zone may lead to another.

    An index in a company's network may name its neighbours, one on this machine both. Nobody is led to link-local
    addresses, where clouds keep the credentials of the machine.
    """
    return end in {AddressScope.PUBLIC, start} or (start is AddressScope.LOOPBACK and end is AddressScope.PRIVATE)


def zone_of_host(host: str) -> AddressScope:
    """The zone of a host that is written as an address or as localhost; PUBLIC for any other name. No DNS."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return AddressScope.LOOPBACK
    with suppress(ValueError):
        return zone_of_address(ipaddress.ip_address(name))
    with suppress(OSError, ValueError):
        # Resolvers take 127.1, 0x7f.1 and 2130706433 for addresses too.
        return zone_of_address(ipaddress.IPv4Address(socket.inet_aton(name)))
    return AddressScope.PUBLIC


def zone_of_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> AddressScope:
    """The zone of an address; where IPv6 only wraps an IPv4 address, of that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in ipaddress.IPv6Network(_NAT64):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return zone_of_address(inner)
    if address.is_loopback or address.is_unspecified:
        return AddressScope.LOOPBACK
    if address.is_link_local or address.is_multicast:
        return AddressScope.LINK_LOCAL
    return AddressScope.PUBLIC if address.is_global else AddressScope.PRIVATE


def without_user_info(url: str) -> str:
    """The URL without what stands before the host's @."""
    found = _USER_INFO.match(url)
    return url if found is None else f"{found[1] or ''}//{url[found.end() :]}"


def shown_url(url: str) -> str:
    """A URL for messages: no user-info, no query (it may hold a signature), no fragment, nothing unprintable."""
    plain = without_user_info(url)
    end = min((at for at in (plain.find("?"), plain.find("#")) if at >= 0), default=len(plain))
    return shown_text(plain[:end] + ("?..." if plain[end : end + 1] == "?" else ""))


def shown_text(text: str) -> str:
    """Foreign text for messages: only printable ASCII as it is, the rest as code points, cut at MAX_SHOWN_LENGTH."""
    cut = text if len(text) <= MAX_SHOWN_LENGTH else text[:MAX_SHOWN_LENGTH] + "..."
    return "".join(sign if " " <= sign <= "~" else f"\\u{{{ord(sign):x}}}" for sign in cut)


def subject_of(url: Url) -> str:
    """The file or project name a URL ends with, for progress lines."""
    return shown_text(unquote(url.path.rstrip("/").rpartition("/")[2])) or url.host
