"""Which URLs may be requested. Pure: no DNS. `scopes` decides which addresses.

Invariant: only http and https, no user-info (auth.py alone supplies credentials), no host name that two parsers could
read in two ways.
"""

import ipaddress
import re

import httpx

from deep_lock.errors import UrlForbidden
from deep_lock.network.scopes import AddressScope, scope_of_host
from deep_lock.network.urls import shown_text, shown_url, without_user_info

MAX_URL_LENGTH = 16 * 1024

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")

Origin = tuple[str, bytes, int]
"""Scheme, host and port: what credentials and request headers belong to (RFC 6454)."""


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
    port = "" if url.port is None else f":{url.port}"
    if text == f"{url.scheme}://{host}{port}{url.raw_path.decode('ascii')}":
        return url
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
        raise UrlForbidden(f"{where}: redirects to {shown}, which does not use https")
    return url


def subject_of(url: httpx.URL) -> str:
    """Return the file or project name at the end of a URL, for progress lines."""
    return shown_text(url.path.rstrip("/").rpartition("/")[2]) or url.raw_host.decode("ascii")
