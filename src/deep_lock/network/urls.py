"""URLs and untrusted text in messages: no credentials, no signatures, nothing unprintable. Pure.

A run without network loads this module too, so it stays free of httpx.
"""

import re

MAX_SHOWN_LENGTH = 300

_USER_INFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}[^/?#]*@")


def without_user_info(url: str) -> str:
    """Return the URL without user name and password."""
    found = _USER_INFO.match(url)
    return url if found is None else f"{found[1] or ''}//{url[found.end() :]}"


def shown_url(url: str) -> str:
    """Return a URL for messages: no user-info, no query (it may contain a signature), no fragment, only printable ASCII."""
    plain = without_user_info(url)
    end = min((at for at in (plain.find("?"), plain.find("#")) if at >= 0), default=len(plain))
    return shown_text(plain[:end] + ("?..." if plain[end : end + 1] == "?" else ""))


def shown_text(text: str) -> str:
    """Return untrusted text for messages: printable ASCII as it is, the rest as code points, cut at MAX_SHOWN_LENGTH."""
    cut = text if len(text) <= MAX_SHOWN_LENGTH else text[:MAX_SHOWN_LENGTH] + "..."
    return "".join(char if " " <= char <= "~" else f"\\u{{{ord(char):x}}}" for char in cut)
