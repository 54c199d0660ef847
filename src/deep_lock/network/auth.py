"""Credentials of indexes: from the environment, from the index URL, from netrc. Pure given its inputs.

Invariant: credentials belong to the origin of one configured index and are sent to no other.
"""

import netrc
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from msgspec import Struct

from deep_lock.boundary import reading
from deep_lock.errors import ConfigError, UrlForbidden, raise_machine_fault
from deep_lock.files import open_regular
from deep_lock.network.addresses import Origin, origin_of, read_url
from deep_lock.network.keyring import read_keyring
from deep_lock.network.urls import login_variables, shown_text, without_user_info


class Login(Struct, frozen=True, kw_only=True):
    """Credentials and the URLs that they are for."""

    origin: Origin
    path: str
    """Distinguishes two indexes of one origin."""
    auth: httpx.BasicAuth


def auth_for(logins: tuple[Login, ...], url: httpx.URL) -> httpx.BasicAuth | None:
    """Return the credentials for a URL, or None.

    Of several logins for the URL's origin, the one with the longest path that is a prefix of the URL's counts. Files
    often have other paths than their index: where no path is a prefix, the first login counts.
    """
    of_origin = [login for login in logins if login.origin == origin_of(url)]
    if not of_origin:
        return None
    fitting = [login for login in of_origin if url.raw_path.decode("ascii").startswith(login.path)]
    return max(fitting, key=lambda login: len(login.path), default=of_origin[0]).auth


def read_logins(
    indexes: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    netrc_file: Path | None = None,
    keyring: bool = False,
) -> tuple[Login, ...]:
    """Return the logins of the configured indexes (name to URL, which may contain user-info).

    The first source with credentials counts: ``DEEP_LOCK_INDEX_<NAME>_USERNAME`` and ``_PASSWORD``, the URL's
    user-info, the netrc entry for the host, the keyring (where ``keyring`` allows it). A missing netrc file is no error.
    Raises ConfigError for a netrc file or an index URL that cannot be read, and for a keyring that does not run.
    """
    entries = _read_netrc(netrc_file) if netrc_file is not None else {}
    logins = []
    for name, text in indexes.items():
        try:
            url = read_url(without_user_info(text))
        except UrlForbidden as error:
            raise ConfigError(f"index {name!r}: {error.message}", hint=error.hint) from None
        pair = _from_environ(name, environ) or _from_url(text)
        entry = entries.get(url.raw_host.decode("ascii"))
        if entry is not None and (pair is None or (not pair[1] and pair[0] == entry[0])):
            pair = entry[0], entry[2]
        if keyring and (pair is None or not pair[1]):
            pair = read_keyring(url, pair[0] if pair else "", environ=environ) or pair
        if pair is not None:
            logins.append(Login(origin=origin_of(url), path=url.path, auth=httpx.BasicAuth(*pair)))
    return tuple(logins)


def _from_environ(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    username, password = (environ.get(variable, "") for variable in login_variables(name))
    return (username, password) if username or password else None


def _from_url(text: str) -> tuple[str, str] | None:
    user_info, at, _ = urlsplit(text).netloc.rpartition("@")
    if not at:
        return None
    username, _, password = user_info.partition(":")
    return unquote(username), unquote(password)


def _read_netrc(path: Path) -> dict[str, tuple[str, str, str]]:
    """Return user name, account and password by host.

    httpx.NetRCAuth is not used: it sends the ``default`` entry to every host, and its errors quote passwords.
    """
    with reading(shown_text(str(path)), ConfigError, is_secret=True):
        try:
            open_regular(path).close()
            entries = netrc.netrc(str(path)).hosts
        except FileNotFoundError:
            return {}
        except netrc.NetrcParseError as error:
            raise ConfigError(f"{shown_text(str(path))}, line {error.lineno}: not in netrc form") from None
        except OSError as error:
            raise_machine_fault(error)
            reason = error.strerror or type(error).__name__
            raise ConfigError(f"{shown_text(str(path))}: cannot be read ({reason})") from None
    return {host: entry for host, entry in entries.items() if host != "default"}
