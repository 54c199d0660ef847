"""Which proxy stands between us and a host, by the variables that all tools share. Pure.

The environment itself is read by the command line; here it comes as a mapping.
"""

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from msgspec import Struct, field

from deep_lock.errors import ConfigError
from deep_lock.network.auth import Secret
from deep_lock.network.urls import Url, shown_url, without_user_info


class Proxy(Struct, frozen=True, kw_only=True):
    """An HTTP proxy. ``login`` is user name and password."""

    url: str
    """Without user-info."""
    login: tuple[str, Secret] | None = None


class Proxies(Struct, frozen=True, kw_only=True):
    """The proxy for each scheme, and the hosts that are asked directly."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=lambda: MappingProxyType({}))
    no_proxy: tuple[str, ...] = ()


NO_PROXIES = Proxies()


def proxies_from(environ: Mapping[str, str]) -> Proxies:
    """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; lower-case names win, as with curl.

    Under CGI, HTTP_PROXY is what a visitor sent as a header ("httpoxy") and does not count. Raises ConfigError for a
    proxy that cannot be used.
    """
    found: dict[str, Proxy] = {}
    for scheme in ("http", "https"):
        names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
        if "REQUEST_METHOD" in environ:
            names.remove(f"{scheme}_proxy".upper())
        name = next((name for name in names if environ.get(name, "").strip()), None)
        if name is not None:
            found[scheme] = _read_proxy(environ[name].strip(), name)
    hosts = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    entries = (entry.strip().lower() for entry in hosts.split(","))
    return Proxies(by_scheme=MappingProxyType(found), no_proxy=tuple(entry for entry in entries if entry))


def _read_proxy(text: str, name: str) -> Proxy:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname is not None and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"{name}: {shown_url(url)} is not a proxy that can be used",
            hint="give an http:// or https:// proxy, or unset the variable; SOCKS is not supported",
        )
    login = None
    if parts.username is not None:
        login = (unquote(parts.username), Secret(unquote(parts.password or "")))
    return Proxy(url=without_user_info(url), login=login)


def proxy_for(proxies: Proxies, url: Url) -> Proxy | None:
    """The proxy that a URL is asked through; None where it is asked directly."""
    proxy = proxies.by_scheme.get(url.scheme)
    if proxy is None or any(_covers(entry, url) for entry in proxies.no_proxy):
        return None
    return proxy


def _covers(entry: str, url: Url) -> bool:
    """Whether an entry of NO_PROXY names a URL's host: ``*``, a host, a domain and all below it, or a network."""
    if entry == "*":
        return True
    with suppress(ValueError):
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        try:
            return ipaddress.ip_address(url.host) in network
        except ValueError:
            return False
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        if int(port[:6]) != url.port:
            return False
        entry = host.strip("[]")
    name = entry.removeprefix("*").lstrip(".")
    return url.host == name or url.host.endswith(f".{name}")
