"""URLs and untrusted text in messages: no credentials, no signatures, nothing unprintable. Pure.

A run without network loads this module too, so it stays free of httpx.
"""

import re
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

MAX_SHOWN_LENGTH = 300

_USER_INFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}[^/?#]*@")


def without_user_info(url: str) -> str:
    """Return the URL without user name and password."""
    found = _USER_INFO.match(url)
    return url if found is None else f"{found[1] or ''}//{url[found.end() :]}"


_SIGNATURES = frozenset(
    (
        "x-amz-signature",
        "x-goog-signature",
        "signature",
        "sig",
        "hmac",
        "token",
        "access_token",
        "auth_token",
        "private_token",
        "jwt",
    )
)
"""Parameters, in lower case, that make a URL a signed one: of storage services, content networks and code hosts."""
_WITH_SIGNATURE = _SIGNATURES | frozenset(
    (
        *("expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid"),
        *("se", "sp", "sr", "spr", "st", "sv", "ske", "skoid", "sks", "skt", "sktid", "skv"),
    )
)
"""Parameters that belong to a signature: without it they mean nothing."""
_SIGNED_PREFIXES = ("x-amz-", "x-goog-")


def is_signed(url: str) -> bool:
    """Whether a URL has a signature or a token in its query: it expires, or it is a secret."""
    return "?" in url and any(_key(part) in _SIGNATURES for part in _parameters(url))


def without_signature(url: str) -> str:
    """Return a signed URL without its signature and what belongs to it; any other URL as it is."""
    if not is_signed(url):
        return url
    parts = [
        part
        for part in _parameters(url)
        if _key(part) not in _WITH_SIGNATURE and not _key(part).startswith(_SIGNED_PREFIXES)
    ]
    place = url.partition("?")[0]
    return f"{place}?{'&'.join(parts)}" if parts else place


def _parameters(url: str) -> list[str]:
    return url.partition("#")[0].partition("?")[2].split("&")


def _key(parameter: str) -> str:
    return parameter.partition("=")[0].lower()


def sidecar_url(url: str) -> str:
    """Return the URL of a file's metadata: ``.metadata`` ends the path, before the query (PEP 658)."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path}.metadata", fragment=""))


LOGIN_VARIABLES = "DEEP_LOCK_INDEX_"


def login_variables(name: str) -> tuple[str, str]:
    """Return the variables of the environment with the user name and the password for the index of this name."""
    prefix = LOGIN_VARIABLES + re.sub(r"[^A-Z0-9]", "_", name.upper())
    return f"{prefix}_USERNAME", f"{prefix}_PASSWORD"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def host_and_port(url: str) -> str:
    """Return the host of a URL, with its port where it is not the scheme's; "" where it has none."""
    return _host_of("/".join(url.split("/", 3)[:3]))


@lru_cache(maxsize=256)
def _host_of(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return origin
    return host if port is None or port == {"http": 80, "https": 443}.get(parts.scheme) else f"{host}:{port}"


def shown_url(url: str) -> str:
    """Return a URL for messages: no user-info, no query (it may contain a signature), no fragment, only printable ASCII."""
    plain = without_user_info(url)
    end = min((at for at in (plain.find("?"), plain.find("#")) if at >= 0), default=len(plain))
    return shown_text(plain[:end] + ("?..." if plain[end : end + 1] == "?" else ""))


def shown_text(text: str) -> str:
    """Return untrusted text for messages: printable ASCII as it is, the rest as code points, cut at MAX_SHOWN_LENGTH."""
    cut = text if len(text) <= MAX_SHOWN_LENGTH else text[:MAX_SHOWN_LENGTH] + "..."
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(char if " " <= char <= "~" else f"\\u{{{ord(char):x}}}" for char in cut)
