"""The proxy for a URL, by the variables that all tools share. Pure: the command line reads the environment."""

import ipaddress
from collections.abc import Mapping
from contextlib import suppress

import httpx
from msgspec import Struct

from deep_lock.errors import ConfigError
from deep_lock.network.addresses import port_of
from deep_lock.network.urls import shown_url


class Proxies(Struct, frozen=True, kw_only=True):
    """The proxy for each scheme, and the hosts that are connected to directly."""

    by_scheme: Mapping[str, httpx.Proxy] = {}
    variables: Mapping[str, str] = {}
    """By scheme the name of the variable that the proxy comes from."""
    no_proxy: tuple[str, ...] = ()


def proxies_from(environ: Mapping[str, str]) -> Proxies:
    """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; lower-case names win, as with curl.

    Under CGI, HTTP_PROXY is what a visitor sent as a header ("httpoxy") and does not count. Raises ConfigError for a
    proxy that cannot be used.
    """
    found: dict[str, httpx.Proxy] = {}
    variables: dict[str, str] = {}
    for scheme in ("http", "https"):
        names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
        if "REQUEST_METHOD" in environ:
            names.remove(f"{scheme}_proxy".upper())
        name = next((name for name in names if environ.get(name, "").strip()), None)
        if name is not None:
            found[scheme] = _read_proxy(environ[name].strip(), name)
            variables[scheme] = name
    hosts = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    entries = (entry.strip().lower() for entry in hosts.split(","))
    return Proxies(by_scheme=found, variables=variables, no_proxy=tuple(entry for entry in entries if entry))


def _read_proxy(text: str, name: str) -> httpx.Proxy:
    url = text if "://" in text else f"http://{text}"
    with suppress(httpx.InvalidURL, ValueError):
        proxy = httpx.Proxy(url)
        if proxy.url.host and proxy.url.port != 0:
            return proxy
    raise ConfigError(
        f"{name}: {shown_url(url)} is not a proxy that can be used",
        hint="give an http://, https://, socks5:// or socks5h:// proxy, or unset the variable",
    )


def proxy_for(proxies: Proxies, url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy for a URL; None where its host is connected to directly.

    The mounts of httpx do not do this: they know no networks (``10.0.0.0/8``) and no combination with --allow-insecure-host.
    """
    if any(_covers(entry, url) for entry in proxies.no_proxy):
        return None
    return proxies.by_scheme.get(url.scheme)


def _covers(entry: str, url: httpx.URL) -> bool:
    """Whether an entry of NO_PROXY covers a URL's host: ``*``, a host, a domain with all its subdomains, or a network."""
    if entry == "*":
        return True
    url_host = url.raw_host.decode("ascii")
    with suppress(ValueError):
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        try:
            return ipaddress.ip_address(url_host) in network
        except ValueError:
            return False
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        if int(port[:6]) != port_of(url):
            return False
        entry = host.strip("[]")
    name = entry.removeprefix("*").lstrip(".")
    return url_host == name or url_host.endswith(f".{name}")
